#include "format.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "chars.hpp"

namespace gyre::log::detail {
namespace {

/// Bytes that are likely to be special: controls, quotes, parts of UTF-8.
std::string hostile_bytes(std::mt19937_64& random, std::size_t bytes_max) {
    constexpr std::string_view likely = "\x1b\"\\\n\r\t=a \xc2\x9b\xe2\x80\xae\xf3\xa0\x81\x81\xff\x7f\xed\xa0";
    std::string text(random() % (bytes_max + 1), 0);
    for (char& c : text) {
        const auto r = random();
        c = r % 4 ? likely[(r >> 8) % likely.size()] : static_cast<char>(r >> 16);
    }
    return text;
}

/// Nothing that a terminal would obey, and whole UTF-8 only.
void expect_tame(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<std::uint8_t>(text[i]);
        ASSERT_TRUE((byte >= 0x20 && byte != 0x7f) || byte == '\n') << int(byte) << " in " << text;
        if (byte < 0x80) continue;
        const std::size_t more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
        ASSERT_TRUE(byte >= 0xc2 && byte <= 0xf4 && i + more < text.size()) << text;
        if (byte == 0xc2) ASSERT_GE(static_cast<std::uint8_t>(text[i + 1]), 0xa0) << "a C1 control";
        for (std::size_t k = 1; k <= more; ++k) ASSERT_EQ(static_cast<std::uint8_t>(text[i + k]) & 0xc0, 0x80);
        i += more;
    }
}

/// One JSON value, as strict as RFC 8259. Where it ends; npos: it is none.
struct Json {
    std::string_view text;
    std::size_t at = 0;
    bool take(std::string_view what) {
        if (!text.substr(at).starts_with(what)) return false;
        at += what.size();
        return true;
    }
    bool string() {
        if (!take("\"")) return false;
        while (at < text.size() && text[at] != '"') {
            if (static_cast<std::uint8_t>(text[at]) < 0x20) return false;
            if (take("\\u")) {
                for (int i = 0; i < 4; ++i)
                    if (at == text.size() || !std::isxdigit(text[at++])) return false;
            } else if (take("\\")) {
                if (at == text.size() || std::string_view("\"\\/bfnrt").find(text[at++]) == std::string_view::npos) return false;
            } else {
                ++at;
            }
        }
        return take("\"");
    }
    template <class F>
    bool list(std::string_view end, F&& one) {
        if (take(end)) return true;
        do {
            if (!one()) return false;
        } while (take(","));
        return take(end);
    }
    bool value() {
        if (take("{")) return list("}", [&] { return string() && take(":") && value(); });
        if (take("[")) return list("]", [&] { return value(); });
        if (take("true") || take("false")) return true;
        if (at < text.size() && text[at] == '"') return string();
        const std::size_t begin = at;
        while (at < text.size() && std::string_view("+-.eE0123456789").find(text[at]) != std::string_view::npos) ++at;
        return at > begin;
    }
};

/// Whatever bytes come in: one line (log::Lines aside), nothing hostile, valid JSON, and no byte beyond
/// the room that was asked for (the address sanitizer sees it: each buffer is new and as large as that).
TEST(LogFormat, any_bytes_make_tame_lines) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 3'000; ++round) {
        const std::string event = hostile_bytes(random, 40), key = hostile_bytes(random, 20),
                          value = hostile_bytes(random, round % 100 == 0 ? 20'000 : 100),
                          lines = hostile_bytes(random, 100);
        const double real = std::bit_cast<double>(random());
        const auto number = static_cast<std::int64_t>(random());
        Record record;
        gather(record, static_cast<Level>(random() % 5), event,
               Fields({{key, value}, {"real", real}, {"n", number}, {"wait", Duration(number)}, {"lines", Lines(lines)}, {key, Lines(value)}}),
               std::source_location::current());
        record.node = std::string_view(value).substr(0, 64);
        record.role = key;
        record.build = std::string_view(event).substr(0, 16);
        record.entity = record.session = record.call = record.trace = random();
        record.time_ns = number / 40;  // some hundred years
        for (const bool local : {false, true}) {
            Buffer text, json;
            Formatter({.date = true, .local = local}).append(text, record);
            Formatter({.json = true, .local = local}).append(json, record);
            expect_tame(text.view());
            expect_tame(json.view());
            ASSERT_EQ(json.view().find('\n'), json.size() - 1);
            Json parsed{json.view()};
            ASSERT_TRUE(parsed.value() && parsed.at == json.size() - 1) << json.view() << parsed.at;
        }
        expect_tame(line_of(record).fields);
    }
}

TEST(LogFormat, milliseconds_are_exact_to_the_nanosecond) {
    const auto ms = [](std::int64_t ns) {
        char text[40];
        return std::string(text, put_ms(text, ns));
    };
    EXPECT_EQ(ms(0), "0");
    EXPECT_EQ(ms(1), "0.000001");
    EXPECT_EQ(ms(-1'500'000), "-1.5");
    EXPECT_EQ(ms(81'250'000), "81.25");
    EXPECT_EQ(ms(2'000'000'000), "2000");
    EXPECT_EQ(ms(std::numeric_limits<std::int64_t>::max()), "9223372036854.775807");
    EXPECT_EQ(ms(std::numeric_limits<std::int64_t>::min()), "-9223372036854.775808");
}

TEST(LogFormat, times_of_a_zone_carry_its_offset) {
    Record record;
    gather(record, Level::info, "test.event", {}, std::source_location::current());
    const auto text_of = [&](const char* zone, std::int64_t time_s) {
        ::setenv("TZ", zone, 1);
        ::tzset();
        record.time_ns = time_s * 1'000'000'000 + 7'000'000;
        Buffer text;
        Formatter({.date = true, .local = true}).append(text, record);
        ::unsetenv("TZ");
        ::tzset();
        return std::string(text.view().substr(0, 29));
    };
    EXPECT_EQ(text_of("Europe/Berlin", 1'793'574'300), "2026-11-02T00:05:00.007+01:00");
    EXPECT_EQ(text_of("Europe/Berlin", 1'792'887'900), "2026-10-25T02:25:00.007+02:00");
    EXPECT_EQ(text_of("Europe/Berlin", 1'792'891'500), "2026-10-25T02:25:00.007+01:00");
    EXPECT_EQ(text_of("America/St_Johns", 1'792'891'500), "2026-10-24T22:55:00.007-02:30");
}

}  // namespace
}  // namespace gyre::log::detail

#include "chars.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace gyre::log::detail {
namespace {

constexpr char hex[] = "0123456789abcdef";

enum Class : std::uint8_t { as_is = 1, name = 2, unquoted = 4 };

constexpr auto classes = [] {
    std::array<std::uint8_t, 256> table{};
    for (int c = ' '; c < 0x7f; ++c) {
        std::uint8_t is = 0;
        if (c != '"' && c != '\\') is |= as_is;
        if (c != ' ' && c != '=' && c != '"') is |= name;
        if (c != ' ' && c != '=' && c != '"' && c != '\\') is |= unquoted;
        table[static_cast<std::size_t>(c)] = is;
    }
    return table;
}();
bool is(char c, Class what) { return (classes[static_cast<std::uint8_t>(c)] & what) != 0; }

/// Bytes of the valid UTF-8 sequence at `text`, and its code point; 0 when it is not valid.
std::size_t utf8(std::string_view text, std::uint32_t& point) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t first = byte(0);
    if (first < 0x80) return point = first, 1;
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
    point = first & (0x7f >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
        point = (point << 6) | (byte(i) & 0x3f);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool wrong =
        point < least[size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000);
    return wrong ? 0 : size;
}

/// C1 controls, line separators, marks that reorder what follows on a terminal, and what shows as nothing.
bool hostile(std::uint32_t point) {
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x61c ||
           (point >= 0x200e && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff ||
           (point >= 0xfff9 && point <= 0xfffb) || (point >= 0xe0000 && point <= 0xe007f);
}

char* put_hex(char* to, std::uint32_t value, int digits) {
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) *to++ = hex[(value >> shift) & 15];
    return to;
}

char* put_point(char* to, std::uint32_t point) {
    if (point < 0x10000) return put_hex(put(to, "\\u"), point, 4);
    // As JSON writes it: two halves.
    to = put_hex(put(to, "\\u"), 0xd800 + ((point - 0x10000) >> 10), 4);
    return put_hex(put(to, "\\u"), 0xdc00 + ((point - 0x10000) & 0x3ff), 4);
}

}  // namespace

char* put_number(char* to, std::int64_t value) { return std::to_chars(to, to + 24, value).ptr; }
char* put_number(char* to, std::uint64_t value) { return std::to_chars(to, to + 24, value).ptr; }

char* put_real(char* to, double value) {
    const double size = std::abs(value);
    const bool fixed = size == 0 || (size >= 1e-4 && size < 1e15);
    return std::to_chars(to, to + 40, value,
                         fixed ? std::chars_format::fixed : std::chars_format::general)
        .ptr;
}

char* put_ms(char* to, std::int64_t ns) {
    auto rest = static_cast<std::uint64_t>(ns);
    if (ns < 0) {
        *to++ = '-';
        rest = 0 - rest;
    }
    to = put_number(to, rest / 1'000'000);
    auto part = static_cast<unsigned>(rest % 1'000'000);
    if (part == 0) return to;
    *to++ = '.';
    for (unsigned unit = 100'000; part != 0; unit /= 10) {
        *to++ = static_cast<char>('0' + part / unit);
        part %= unit;
    }
    return to;
}

char* put_name(char* to, std::string_view text) {
    for (const char c : text) *to++ = is(c, name) ? c : '?';
    return to;
}

char* put_escaped(char* to, std::string_view text, Escape how) {
    const bool json = how == Escape::json;
    while (!text.empty()) {
        std::size_t run = 0;
        while (run < text.size() && is(text[run], as_is)) ++run;
        to = put(to, text.substr(0, run));
        text.remove_prefix(run);
        if (text.empty()) break;
        std::uint32_t point = 0;
        const std::size_t size = utf8(text, point);
        const char c = text[0];
        if (size == 0) {
            to = put_hex(put(to, json ? "\\\\x" : "\\x"), static_cast<std::uint8_t>(c), 2);
        } else if (c == '"' || c == '\\') {
            if (how != Escape::line) *to++ = '\\';
            *to++ = c;
        } else if (c == '\n') {
            to = put(to, "\\n");
        } else if (c == '\t') {
            to = put(to, "\\t");
        } else if (hostile(point)) {
            to = put_point(to, point);
        } else {
            to = put(to, text.substr(0, size));
        }
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return to;
}

char* put_quoted(char* to, std::string_view text) {
    char* const begin = to;
    for (const char c : text) {
        if (!is(c, unquoted)) return put(put_escaped(put(begin, '"'), text, Escape::quoted), '"');
        *to++ = c;
    }
    return text.empty() ? put(to, "\"\"") : to;
}

}  // namespace gyre::log::detail

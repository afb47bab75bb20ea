#include <gtest/gtest.h>

#include <cmath>
#include <gyre/codec/base64.hpp>
#include <gyre/codec/json.hpp>
#include <random>

using namespace gyre;
namespace {

enum class Mode : std::uint8_t { duel, team };

struct Settings {
    std::string name = "none";
    std::uint16_t port = 80;
    std::uint64_t id = 0;
    double ratio = 0.5;
    float single = 0;
    Mode mode = Mode::duel;
    std::chrono::milliseconds wait = 10ms;
    Bytes key;
    std::map<std::uint32_t, std::string> by_number;
    std::map<Mode, std::vector<std::int64_t>> by_mode;
    std::map<std::pair<int, int>, int> grid;
    std::optional<int> maybe;
    std::variant<int, std::string> either;
    bool operator==(const Settings&) const = default;
    static consteval auto describe() {
        using S = Settings;
        return gyre::type<S>(
            "Settings", gyre::field<&S::name>(), gyre::field<&S::port>(), gyre::field<&S::id>(),
            gyre::field<&S::ratio>(), gyre::field<&S::single>(), gyre::field<&S::mode>(),
            gyre::field<&S::wait>(), gyre::field<&S::key>(), gyre::field<&S::by_number>(),
            gyre::field<&S::by_mode>(), gyre::field<&S::grid>(), gyre::field<&S::maybe>(),
            gyre::field<&S::either>());
    }
};

std::string failure(std::string_view json, JsonOptions options = {}) {
    const auto got = from_json<Settings>(json, options);
    return got.ok() ? "ok" : got.error().message();
}

TEST(Json, round_trips_a_struct) {
    Settings s;
    s.name = "a \"quoted\"\n\x01 \xc3\xa9";
    s.port = 65'535;
    s.id = (std::uint64_t{1} << 53) + 1;
    s.single = 0.1f;
    s.mode = Mode::team;
    s.key = {1, 2, 3, 4, 5};
    s.by_number = {{7, "seven"}, {4'000'000'000, "many"}};
    s.by_mode = {{Mode::team, {1, -1, INT64_MIN}}};
    s.either = "text";
    for (const bool pretty : {false, true}) {
        const std::string text = to_json(s, pretty);
        const auto back = from_json<Settings>(text);
        ASSERT_TRUE(back.ok()) << back.error().what() << "\n" << text;
        EXPECT_EQ(*back, s) << text;
    }
}

TEST(Json, reads_what_people_write) {
    const auto s = from_json<Settings>(R"({
        // a comment
        "port": 8080.0, "wait": "2s", "id": "18446744073709551615", "mode": 1, /* here */
        "by_number": {"7": "x",}, "key": "AQID",
    })",
                                       {.comments = true, .trailing_commas = true});
    ASSERT_TRUE(s.ok()) << s.error().what();
    EXPECT_EQ(s->port, 8080);
    EXPECT_EQ(s->wait, 2s);
    EXPECT_EQ(s->id, ~0ull);
    EXPECT_EQ(s->mode, Mode::team);
    EXPECT_EQ(s->by_number.at(7), "x");
    EXPECT_EQ(s->key, (Bytes{1, 2, 3}));
    EXPECT_EQ(s->name, "none");
}

TEST(Json, errors_name_line_and_column_or_path) {
    EXPECT_TRUE(failure("{\n  \"port\": 1,\n  oops\n}").starts_with("line 3, column 3: "))
        << failure("{\n  \"port\": 1,\n  oops\n}");
    EXPECT_TRUE(failure("{\"port\": 1").starts_with("line 1, column 11: "))
        << failure("{\"port\": 1");
    EXPECT_TRUE(failure("{} {}").starts_with("line 1, column 4: ")) << failure("{} {}");
    EXPECT_TRUE(failure("").starts_with("line 1, column 1: ")) << failure("");
    EXPECT_NE(failure("{/* no */}"), "ok");
    EXPECT_NE(failure("{\"port\": 1,}"), "ok");
    EXPECT_EQ(failure(R"({"port": 70000})"),
              "Settings.port: expected integer in [0, 65535], found 70000");
    EXPECT_EQ(failure(R"({"port": 1.5})"), "Settings.port: expected an integer, found 1.5");
    EXPECT_EQ(failure(R"({"wait": "2 weeks"})"),
              "Settings.wait: expected a duration such as \"250ms\", \"10s\" or \"5min\", "
              "found text \"2 weeks\"");
    EXPECT_EQ(failure(R"({"key": "A==="})"), "Settings.key: expected base64, found text \"A===\"");
    EXPECT_EQ(failure(R"({"mode": "dual"})"),
              "Settings.mode: unknown value \"dual\"; did you mean \"duel\"?");
    EXPECT_EQ(failure(R"({"by_mode": {"team": [1, "x"]}})"),
              "Settings.by_mode[\"team\"][1]: expected an integer, found text \"x\"");
    EXPECT_EQ(from_json<Settings>(R"({"prot": 1})", {}, {.strict = true}).error().message(),
              "Settings: unknown field \"prot\"; did you mean \"port\"?");
}

TEST(Json, limits_hold) {
    EXPECT_NE(failure(std::string(33, '[') + std::string(33, ']')), "ok");
    const auto large = json_to_msgpack("[1,2,3]", {.max_bytes = 6});
    ASSERT_FALSE(large.ok());
    EXPECT_TRUE(large.error().is(errc::too_large));
    Bytes deep(100'000, 0x91);
    deep.push_back(1);
    EXPECT_TRUE(msgpack_to_json(deep).ok());
    EXPECT_FALSE(msgpack_to_json(BytesView(deep).first(50)).ok());
    Bytes key_bomb(100'000, 0x81);  // maps as keys of maps
    key_bomb.resize(300'000, 1);
    EXPECT_FALSE(msgpack_to_json(key_bomb).ok());
}

TEST(Json, prints_any_msgpack) {
    const auto json = [](auto value) { return *msgpack_to_json(encode(value)); };
    EXPECT_EQ(json(std::nan("")), "null");
    EXPECT_EQ(json(-0.0), "-0.0");
    EXPECT_EQ(json(3.0), "3.0");
    EXPECT_EQ(json(0.1f), "0.1");
    EXPECT_EQ(json(std::int64_t{1} << 53), "9007199254740992");
    EXPECT_EQ(json((std::int64_t{1} << 53) + 1), "\"9007199254740993\"");
    EXPECT_EQ(json(Bytes{255, 254}), "\"//4=\"");
    EXPECT_EQ(json(std::string("a\xff\xc3(z")), "\"a\xef\xbf\xbd\xef\xbf\xbd(z\"");
    EXPECT_EQ(json(std::map<std::pair<int, int>, bool>{{{1, 2}, true}}), "{\"[1,2]\":true}");
    EXPECT_EQ(json(std::map<double, int>{{1.5, 2}}), "{\"1.5\":2}");
    EXPECT_EQ(json(std::vector<std::vector<int>>{{}, {1}}), "[[],[1]]");
    EXPECT_EQ(*msgpack_to_json(encode(std::vector<std::map<int, int>>{{}, {{1, 2}}}), true),
              "[\n  {},\n  {\n    \"1\": 2\n  }\n]");
    EXPECT_TRUE(std::isnan(*from_json<double>("null")));
}

TEST(Json, random_bytes_and_texts_never_crash) {
    std::mt19937 random(11);
    const std::string good = to_json(Settings{});
    for (int round = 0; round < 20'000; ++round) {
        Bytes bytes(random() % 48);
        for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
        if (const auto text = msgpack_to_json(bytes); text.ok())
            ASSERT_TRUE(json_to_msgpack(*text, {.max_depth = 64}).ok()) << *text;
        std::string text = good;
        text[random() % text.size()] = static_cast<char>(random());
        (void)from_json<Settings>(text);
    }
}

TEST(Base64, matches_the_rfc_and_refuses_the_rest) {
    const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                           {"f", "Zg=="},
                                                           {"fo", "Zm8="},
                                                           {"foo", "Zm9v"},
                                                           {"foob", "Zm9vYg=="},
                                                           {"fooba", "Zm9vYmE="},
                                                           {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, coded] : vectors) {
        EXPECT_EQ(to_base64(as_bytes(plain)), coded);
        EXPECT_EQ(as_text(from_base64(coded).value()), plain);
    }
    for (const std::string_view bad :
         {"Zg=", "Zg", "Zh==", "Zm9=", "Z===", "====", "Zm9v=m9v", "Zm 9"})
        EXPECT_FALSE(from_base64(bad).has_value()) << bad;
}

}  // namespace

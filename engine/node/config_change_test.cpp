#include <gtest/gtest.h>

#include <gyre/config/schema.hpp>
#include <gyre/node/config_change.hpp>

namespace gyre::node {
namespace {

struct Rules {
    static constexpr std::string_view config_section = "arena";
    int kills = 1;
    std::string host, pin;
    static consteval auto describe() {
        return type<Rules>("Rules", field<&Rules::kills>(live), field<&Rules::host>(), field<&Rules::pin>(live, secret));
    }
};
constexpr const config::Section* sections[] = {&config::section<Rules>};

config::Document document(std::string_view text) { return config::Document::from_text(text).value(); }

TEST(ConfigChange, tells_what_differs_and_when_it_counts) {
    auto running = document(R"({"arena": {"kills": 1, "host": "a"}, "x-mine": [1]})");
    const config::Declaration declared(running, sections);
    const auto changes = diff(running, document(R"({"arena": {"kills": 2, "host": "b", "pin": "1234"}, "x-rank": {"size": 1}})")).value();
    ASSERT_EQ(changes.size(), 5u);
    const auto expect = [&changes](std::size_t at, const char* key, const char* before, const char* after,
                                   TakesEffect effect) {
        EXPECT_EQ(changes[at].key, key);
        EXPECT_EQ(changes[at].before, before);
        EXPECT_EQ(changes[at].after, after);
        EXPECT_EQ(changes[at].takes_effect, effect) << key;
    };
    expect(0, "arena.host", "\"a\"", "\"b\"", TakesEffect::restart);
    expect(1, "arena.kills", "1", "2", TakesEffect::now);
    expect(2, "arena.pin", "", "(secret)", TakesEffect::now);
    expect(3, "x-mine", "[1]", "", TakesEffect::next_read);
    expect(4, "x-rank.size", "", "1", TakesEffect::next_read);
    EXPECT_TRUE(diff(running, running)->empty());
}

TEST(ConfigChange, shows_no_secrets) {
    const auto changes = diff(document(R"({"a": {"password": "old", "token_minutes": 1}})"),
                              document(R"({"a": {"password": "new", "token_minutes": 2},
                                           "store": {"at": "mongodb://me:sesame@host"}})")).value();
    ASSERT_EQ(changes.size(), 3u);
    EXPECT_EQ(changes[0].before, "(secret)");
    EXPECT_EQ(changes[0].after, "(secret)");
    EXPECT_EQ(changes[1].after, "(secret)") << "who knows what it is";
    EXPECT_EQ(changes[2].after, "(secret)");
}

}  // namespace
}  // namespace gyre::node

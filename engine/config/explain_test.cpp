#include <gtest/gtest.h>

#include <gyre/config/schema.hpp>

namespace gyre::config {
namespace {

struct Gate {
    static constexpr std::string_view config_section = "gate";
    std::uint16_t port = 7'000;
    std::string pin;
    std::vector<std::string> peers;
    static consteval auto describe() {
        return gyre::type<Gate>("Gate", field<&Gate::port>(), field<&Gate::pin>(secret), field<&Gate::peers>());
    }
};

Document document() {
    auto read = Document::from_text(R"({
    "$MACRO$": {"PORT": 7001, "GATE": "$PORT$", "PW": "geheim"},
    "$include": "base",
    "gate": {"port": "$GATE$", "pin": "4711", "peers": ["a"]},
    "db": {"password": "$PW$", "url": "mongodb://u:geheim@h", "host": "x-${env:HOST:-local}", "cert": "${file:cert}"},
    "$profiles": {"prod": {"gate": {"port": 443}}}
})", "gyre.json", {.profile = "prod", .read_file = [](const std::string& path, std::size_t) {
        return Result<std::string>(path == "cert" ? "geheim" : R"({"gate": {"port": 1, "pin": "1234"}})");
    }, .variable = [](const std::string&) { return std::optional<std::string>(); }});
    static constexpr const Section* known[] = {&section<Gate>};
    read->declare(known);
    return *std::move(read);
}

TEST(ConfigExplain, tells_who_set_it_through_what_and_what_it_overrode) {
    Document gyre = document();
    EXPECT_EQ(print(gyre.explain("gate.port")),
              "gate.port = 443\n  set by      gyre.json:6:45\n  instead of  \"$GATE$\", gyre.json:4:22\n"
              "  instead of  1, base:1:19, included from gyre.json:3:17");
    const char* const environment[] = {"GYRE__GATE__PORT=5", nullptr};
    ASSERT_TRUE(gyre.set_from_environment(environment));
    ASSERT_TRUE(gyre.set("gate.port=6"));
    const Explanation why = gyre.explain("gate.port");
    EXPECT_TRUE(why.found);
    EXPECT_EQ(why.value, "6");
    EXPECT_EQ(why.place, "--set gate.port");
    ASSERT_EQ(why.overrode.size(), 4u);
    EXPECT_EQ(why.overrode[0].place, "environment GYRE__GATE__PORT");
    EXPECT_EQ(why.overrode[0].value, "5");
    EXPECT_EQ(print(gyre.explain("db.host")), "db.host = \"x-local\"\n  set by      gyre.json:5:71\n"
                                              "  through     ${env:HOST}, which is not there: its default");
    EXPECT_EQ(print(gyre.explain("gate.tls")), "gate.tls\n  set by      default");
    EXPECT_EQ(gyre.explain("gate.peers[0]").value, "\"a\"");
    EXPECT_FALSE(gyre.explain("gate.peers[1]").found);

    const auto plain = Document::from_text("{\"$MACRO$\": {\"A\": \"$B$\", \"B\": [1]},\n\"x\": \"$A$\"}", "f");
    EXPECT_EQ(print(plain->explain("x")), "x = [1]\n  set by      f:2:6\n  through     $A$, f:1:14\n  through     $B$, f:1:26");
    EXPECT_EQ(plain->explain("x[0]").place, "f:1:32") << "where it stands, not where it is used";
}

TEST(ConfigExplain, shows_no_secrets) {
    const Document gyre = document();
    for (const char* key : {"gate.pin", "db.password", "db.url", "db.cert", "db", "gate", ""}) {
        const std::string text = print(gyre.explain(key));
        EXPECT_NE(text.find("(secret)"), text.npos) << text;
        for (const char* word : {"geheim", "4711", "1234"}) EXPECT_EQ(text.find(word), text.npos) << text;
    }
    const std::string json = *gyre.to_redacted_json([](std::string_view key) { return key == "gate.peers"; });
    for (const char* word : {"geheim", "4711", "1234", "\"a\""}) EXPECT_EQ(json.find(word), json.npos) << json;
    EXPECT_NE(json.find("\"port\": 443"), json.npos);
    EXPECT_NE(gyre.to_json()->find("geheim"), std::string::npos);
}

}  // namespace
}  // namespace gyre::config

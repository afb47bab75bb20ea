#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <gyre/config/schema.hpp>

namespace gyre::config {
namespace {

enum class Mode : std::uint8_t { duel, team };

struct Link {
    std::uint16_t mtu_bytes = 1'200;
    std::chrono::milliseconds idle_timeout = 10s;
    static consteval auto describe() {
        return gyre::type<Link>("Link", gyre::field<&Link::mtu_bytes>(),
                                gyre::field<&Link::idle_timeout>());
    }
    Result<> validate() const {
        return Check()
            .range("mtu_bytes", mtu_bytes, 576, 1'400)
            .range("idle_timeout", idle_timeout, 1s, 5min);
    }
};

struct Gate {
    std::string listen = "tcp://127.0.0.1:7000";
    std::uint16_t port = 7'000;
    bool tls = false;
    double loss = 0;
    Mode mode = Mode::duel;
    std::vector<std::string> peers;
    Link link;
    static consteval auto describe() {
        return gyre::type<Gate>("Gate", gyre::field<&Gate::listen>(), gyre::field<&Gate::port>(),
                                gyre::field<&Gate::tls>(), gyre::field<&Gate::loss>(),
                                gyre::field<&Gate::mode>(), gyre::field<&Gate::peers>(),
                                gyre::field<&Gate::link>());
    }
    Result<> validate() const {
        return Check()
            .that(port != 0, "port", "must not be 0")
            .that(!listen.empty() || tls, "tls", "needs listen");
    }
};

struct Cluster {
    std::string name = "dev";
    Gate gate;
    std::map<std::string, Link> links;
    std::vector<Link> more;
    static consteval auto describe() {
        return gyre::type<Cluster>("Cluster", gyre::field<&Cluster::name>(),
                                   gyre::field<&Cluster::gate>(), gyre::field<&Cluster::links>(),
                                   gyre::field<&Cluster::more>());
    }
};

/// The first line of every problem.
std::string heads(std::string_view message) {
    std::string all;
    for (std::size_t end = 0; end != message.npos; message.remove_prefix(std::min(end + 2, message.size()))) {
        end = message.find("\n\n");
        all += (all.empty() ? "" : "\n") + std::string(message.substr(0, std::min(message.find('\n'), end)));
        if (end == message.npos) break;
    }
    return all;
}

std::string failure(std::string_view text, std::vector<std::string> set = {}) {
    const auto got = parse<Cluster>(text, {.set = std::move(set)});
    EXPECT_TRUE(got.ok() || got.error().is(errc::bad_config));
    return got.ok() ? "ok" : heads(got.error().message());
}

Cluster good(std::string_view text, std::vector<std::string> set = {}) {
    auto got = parse<Cluster>(text, {.set = std::move(set)});
    EXPECT_TRUE(got.ok()) << got.error().what();
    return got.ok() ? *got : Cluster{};
}

TEST(Config, reads_what_people_write_and_keeps_defaults) {
    const Cluster c = good(R"({
        // where players arrive
        "gate": {"port": 8000, "mode": "team", "link": {"idle_timeout": "30s",},},
        "links": {"north": {"mtu_bytes": 600}}, /* more later */
    })");
    EXPECT_EQ(c.name, "dev");
    EXPECT_EQ(c.gate.port, 8'000);
    EXPECT_EQ(c.gate.mode, Mode::team);
    EXPECT_EQ(c.gate.link.idle_timeout, 30s);
    EXPECT_EQ(c.links.at("north").mtu_bytes, 600);
    EXPECT_EQ(good("{}").gate.port, 7'000);
}

TEST(Config, errors_name_file_line_key_and_the_nearest_right_one) {
    EXPECT_EQ(failure("{\n  // x: {\n  \"gate\": {\n    \"prot\": 1}}"),
              "config:4:5: gate.prot: unknown key; did you mean \"port\"?");
    EXPECT_EQ(failure("{\n\n  \"gaet\": {}}"),
              "config:3:3: gaet: unknown key; did you mean \"gate\"?");
    EXPECT_EQ(failure("{\"gate\": {\n\"port\": \"many\"}}"),
              "config:2:9: gate.port: expected an integer, found text \"many\"");
    EXPECT_EQ(failure("{\"gate\": {\"peers\": [\n\"a\",\n7]}}"),
              "config:3:1: gate.peers[1]: expected text, found 7");
    EXPECT_EQ(failure("{\"links\": {\n\"a: b]\": {\n\"mtu_bytes\": -1}}}").substr(0, 9),
              "config:3:");
    EXPECT_EQ(failure("{\"gate\": {\"mode\": \"dual\"}}"),
              "config:1:19: gate.mode: unknown value \"dual\"; did you mean \"duel\"?");
    EXPECT_TRUE(failure("{\n  \"gate\": oops\n}").starts_with("config:2:1"))
        << failure("{\n  \"gate\": oops\n}");
    EXPECT_EQ(failure("[1]"), "config:1:1: must be an object: { ... }, found '['");
    EXPECT_EQ(failure("{\"gate\": {\n\"port\": 1,\n\"port\": 2}}"),
              "config:3:1: gate.port: given twice, first at line 2");
    EXPECT_EQ(load<Cluster>("/nowhere/gyre.json").error().message(),
              "/nowhere/gyre.json: cannot be read: No such file or directory");
}

TEST(Config, validate_names_the_field_its_value_and_its_range) {
    EXPECT_EQ(failure("{\"gate\": {\n\"link\": {\n\"mtu_bytes\": 70}}}"),
              "config:3:14: gate.link.mtu_bytes: 70 is outside [576, 1400]");
    EXPECT_EQ(failure("{\"gate\": {\n\"link\": {\n\"idle_timeout\": \"10ms\"}}}"),
              "config:3:17: gate.link.idle_timeout: 10ms is outside [1s, 5min]");
    EXPECT_EQ(failure("{\"gate\": {\n\"listen\": \"\"}}"), "config:1:10: gate.tls: needs listen");
    EXPECT_EQ(failure("{\"links\": {\n\"a\": {\n\"mtu_bytes\": 1}}}"),
              "config:3:14: links.a.mtu_bytes: 1 is outside [576, 1400]");
    EXPECT_EQ(failure("{\"more\": [{},\n{\"mtu_bytes\": 1}]}"),
              "config:2:15: more[1].mtu_bytes: 1 is outside [576, 1400]");
}

TEST(Config, macros_replace_whole_values_and_parts_of_text) {
    const Cluster c = good(R"({
        "$MACRO$": {"HOST": "10.0.0.7", "PORT": 7001, "URL": "tcp://$HOST$:$PORT$", "PEERS": ["$HOST$", "b"]},
        "name": "cost $5, $$HOST$$, $URL$!",
        "gate": {
            "$MACRO$": {"PORT": 7002},
            "listen": "$URL$", "port": "$PORT$", "peers": "$PEERS$",
        },
    })");
    EXPECT_EQ(c.name, "cost $5, $HOST$, tcp://10.0.0.7:7001!");
    EXPECT_EQ(c.gate.listen, "tcp://10.0.0.7:7001") << "a macro sees what is around its definition";
    EXPECT_EQ(c.gate.port, 7'002);
    EXPECT_EQ(c.gate.peers, (std::vector<std::string>{"10.0.0.7", "b"}));
    EXPECT_EQ(failure("{\n\"name\": \"$HOST$\"}"), "config:2:10: name: unknown macro $HOST$; there is no $MACRO$ here or around");
    EXPECT_EQ(failure("{\"$MACRO$\": {\"A\": \"$B$\", \"B\": \"$A$\"}, \"name\": \"$A$\"}"),
              "config:1:32: name: macro $A$ contains itself: $A$ -> $B$ -> $A$ (within $B$, used at config:1:48)");
    EXPECT_EQ(failure("{\"$MACRO$\": {\"A\": {}}, \"name\": \"x$A$\"}"),
              "config:1:34: name: $A$ is an object; within a text only numbers and texts are");
    std::string bomb = "{\"$MACRO$\": {\"A0\": [0,0,0,0,0,0,0,0]";
    for (int i = 1; i < 12; ++i) {
        bomb += ", \"A" + std::to_string(i) + "\": [";
        for (int k = 0; k < 8; ++k) bomb += (k ? ",\"$A" : "\"$A") + std::to_string(i - 1) + "$\"";
        bomb += "]";
    }
    EXPECT_EQ(failure(bomb + "}, \"more\": \"$A11$\"}"), "config:1:774: more: macros make this too large: more than 262144 values and bytes in all");
}

TEST(Config, environment_fills_text_and_typed_fields) {
    ::setenv("GYRE_TEST_PORT", "7100", 1);
    ::setenv("GYRE_TEST_NAME", "123", 1);
    ::unsetenv("GYRE_TEST_NONE");
    const Cluster c =
        good(R"({"name": "${env:GYRE_TEST_NAME}", "gate": {"port": "${env:GYRE_TEST_PORT:-1}",
        "tls": "${env:GYRE_TEST_NONE:-true}", "listen": "tcp://0.0.0.0:${env:GYRE_TEST_PORT}"}})");
    EXPECT_EQ(c.name, "123");
    EXPECT_EQ(c.gate.port, 7'100);
    EXPECT_TRUE(c.gate.tls);
    EXPECT_EQ(c.gate.listen, "tcp://0.0.0.0:7100");
    EXPECT_TRUE(failure("{\n\"name\": \"${env:GYRE_TEST_NONE}\"}")
                    .starts_with("config:2:10: name: environment variable GYRE_TEST_NONE is not set"));
}

TEST(Config, overrides_win_over_the_file_and_are_named_in_errors) {
    const char* const environment[] = {"HOME=/", "GYRE__GATE__LINK__MTU_BYTES=1300",
                                       "GYRE__GATE__PORT=1", "GYRE_SEED=7", nullptr};
    const auto c =
        parse<Cluster>(R"({"gate": {"port": 2, "peers": ["a", "b"]}, "name": "x"})",
                       {.environment = environment,
                        .set = {"gate.port=3", "gate.tls=true", "name=77", "gate.loss=0.5",
                                "gate.peers[1]=1e3", "links.north.mtu_bytes=600",
                                "gate.link.idle_timeout=2s", "more=[{\"mtu_bytes\": 700}]"}});
    ASSERT_TRUE(c.ok()) << c.error().what();
    EXPECT_EQ(c->gate.port, 3);
    EXPECT_EQ(c->gate.link.mtu_bytes, 1'300);
    EXPECT_TRUE(c->gate.tls);
    EXPECT_EQ(c->gate.loss, 0.5);
    EXPECT_EQ(c->name, "77");
    EXPECT_EQ(c->gate.peers[1], "1e3") << "as it was written";
    EXPECT_EQ(c->links.at("north").mtu_bytes, 600);
    EXPECT_EQ(c->gate.link.idle_timeout, 2s);
    EXPECT_EQ(c->more.at(0).mtu_bytes, 700);

    EXPECT_EQ(failure("{}", {"gate.port=many"}),
              "--set gate.port: gate.port: expected an integer, found text \"many\"");
    EXPECT_EQ(failure("{}", {"gate.prot=1"}),
              "--set gate.prot: gate.prot: unknown key; did you mean \"port\"?");
    EXPECT_EQ(failure("{}", {R"(gate.link={"mtu": 1})"}), "--set gate.link: gate.link.mtu: unknown key; known: mtu_bytes, idle_timeout");
    EXPECT_EQ(failure("{}", {"gate"}), "--set gate: expected key.path=value, found \"gate\"");
    EXPECT_EQ(failure("{\"name\": \"x\"}", {"name.first=1"}),
              "--set name.first: name is not an object");
    EXPECT_EQ(failure("{\"more\": []}", {"more[0]=1"}),
              "--set more[0]: more has 0 elements, there is no [0]");
    const char* const wrong[] = {"GYRE__GATE__PORT=x", nullptr};
    EXPECT_EQ(parse<Cluster>("{}", {.environment = wrong}).error().message(),
              "environment GYRE__GATE__PORT: gate.port: expected an integer, found text \"x\"");
}

TEST(Config, a_document_gives_sections_and_takes_layers) {
    auto base = Document::from_text("{\"gate\": {\"port\": 1,\n\"tls\": true}, \"name\": \"a\"}",
                                    "base.json");
    const auto over = Document::from_text("{\"gate\": {\n\"port\": 2,\n\"x\": 1}}", "over.json");
    ASSERT_TRUE(base.ok() && over.ok());
    EXPECT_TRUE(base->as<Gate>("gate")->tls);
    base->overlay(*over);
    EXPECT_EQ(
        heads(base->as<Gate>("gate").error().message()),
        "over.json:3:1: gate.x: unknown key; known: listen, port, tls, loss, mode, peers, link");
    EXPECT_EQ(base->as<Link>("gate.link")->mtu_bytes, 1'200);
    EXPECT_EQ(*base->to_json(),
              "{\n  \"gate\": {\n    \"port\": 2,\n    \"tls\": true,\n    \"x\": 1\n  },\n  "
              "\"name\": \"a\"\n}");
}

struct Rules {
    static constexpr std::string_view config_section = "arena";
    std::uint32_t kills = 10;
    static consteval auto describe() { return gyre::type<Rules>("Rules", gyre::field<&Rules::kills>()); }
};
struct RulesOfAnotherBuild {
    static constexpr std::string_view config_section = "arena";
    std::uint32_t kills = 10, lives = 1;
    static consteval auto describe() {
        return gyre::type<RulesOfAnotherBuild>("Rules", gyre::field<&RulesOfAnotherBuild::kills>(),
                                               gyre::field<&RulesOfAnotherBuild::lives>());
    }
};
struct Door {
    static constexpr std::string_view config_section = "gate";
    std::uint16_t port = 1;
    static consteval auto describe() { return gyre::type<Door>("Door", gyre::field<&Door::port>()); }
};

Document text(std::string_view json) { return Document::from_text(json).value(); }

TEST(Sections, a_type_knows_its_section) {
    EXPECT_EQ(text(R"({"arena": {"kills": 3}})").as<Rules>()->kills, 3u);
    EXPECT_EQ(text(R"({"shop": {"kills": 3}})").as<Rules>("shop")->kills, 3u);
}

TEST(Sections, all_that_is_wrong_with_all_of_them_is_told_at_once) {
    Document document;
    const Section* const known[] = {&section<Rules>, &section<Door>};
    const Declaration declared(document, known);
    const auto problem = [&](std::string_view json) {
        const auto checked = document.check(text(json));
        return checked.ok() ? std::string() : checked.error().message();
    };
    EXPECT_EQ(problem(R"({"gate": {"port": 7}, "x-notes": {"any": 1}, "$MACRO$": {"A": 1}})"), "");
    const std::string all = problem("{\n\"arena\": {\"kils\": 1},\n\"gate\": {\"port\": 70000},\n\"gaet\": {},\n\"node_1\": {}}");
    EXPECT_NE(all.find("arena.kils: unknown key"), all.npos) << all;
    EXPECT_NE(all.find("gate.port: "), all.npos) << all;
    EXPECT_NE(all.find(":4:1: gaet: no module declares this section; did you mean \"gate\"?"), all.npos) << all;
    EXPECT_NE(all.find(":5:1: node_1: no module declares this section"), all.npos) << all;
}

TEST(Sections, who_reads_one_that_nobody_declared_is_told_how) {
    Document document = text(R"({"shop": {"kills": 3}, "gate": {"port": 2}})");
    EXPECT_TRUE(document.as<Rules>("shop").ok()) << "nothing is declared: a tool or a test";
    const Section* const known[] = {&section<Door>};
    const Declaration declared(document, known);
    EXPECT_TRUE(document.as<Door>().ok());
    EXPECT_TRUE(document.as<std::uint16_t>("gate.port").ok());
    EXPECT_TRUE(document.as<Rules>("x-shop").ok());
    const auto refused = document.as<Rules>("shop");
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message().find("config_section = \"shop\""), std::string::npos) << refused.error().message();
}

TEST(Sections, the_later_of_two_builds_holds_until_it_is_withdrawn) {
    Document document;
    const Section* const first[] = {&section<Rules>};
    const Section* const second[] = {&section<RulesOfAnotherBuild>};
    const auto lives = [&] { return document.check(text(R"({"arena": {"lives": 3}})")).ok(); };
    std::optional<Declaration> one(std::in_place, document, first), also_one(std::in_place, document, first);
    EXPECT_FALSE(lives());
    std::optional<Declaration> other(std::in_place, document, second);
    EXPECT_EQ(document.sections()[0], second[0]);
    EXPECT_FALSE(lives()) << "a node still runs the first";
    one.reset();
    EXPECT_FALSE(lives());
    also_one.reset();
    EXPECT_TRUE(lives());
    other.reset();
    EXPECT_TRUE(document.sections().empty());
}

TEST(Config, loads_a_file) {
    const std::string path = ::testing::TempDir() + "gyre_config_test.json";
    std::ofstream(path) << "{\"gate\": {\n\"port\": 0}}";
    EXPECT_EQ(heads(load<Cluster>(path).error().message()), path + ":2:9: gate.port: must not be 0");
    EXPECT_EQ(load<Cluster>(path, {.set = {"gate.port=5"}})->gate.port, 5);
    std::remove(path.c_str());
}

}  // namespace
}  // namespace gyre::config

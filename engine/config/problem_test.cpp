#include <gtest/gtest.h>

#include <gyre/config/config.hpp>
#include <gyre/config/secrets.hpp>

namespace gyre::config {
namespace {

struct Link {
    std::uint16_t mtu_bytes = 1'200;
    std::chrono::milliseconds idle = 10s;
    std::optional<std::uint32_t> most;
    static consteval auto describe() {
        return gyre::type<Link>("Link", field<&Link::mtu_bytes>(range(576, 1'400)), field<&Link::idle>(range(1s, 5min)),
                                field<&Link::most>(range_min(3)));
    }
};
enum class Mode : std::uint8_t { duel, team };
struct Gate {
    static constexpr std::string_view config_section = "gate";
    std::uint16_t port = 7'000;
    double loss = 0;
    bool tls = false;
    std::string pin;
    std::int32_t code = 0;
    std::vector<std::string> peers;
    std::map<Mode, Link> links;
    std::vector<Link> more;
    static consteval auto describe() {
        return gyre::type<Gate>("Gate", field<&Gate::port>(range(1, 65'535)), field<&Gate::loss>(range(0, 1)),
                                field<&Gate::tls>(), field<&Gate::pin>(secret), field<&Gate::code>(secret, range(0, 9)),
                                field<&Gate::peers>(), field<&Gate::links>(), field<&Gate::more>());
    }
    Result<> validate() const {
        return Check().that(port != 13, "port", "must not be 13").that(!tls || !pin.empty(), "pin", "is needed for tls: " + pin + "!");
    }
};

std::vector<Problem> problems(std::string_view text) {
    const auto document = Document::from_text(text, "f");
    EXPECT_TRUE(document.ok()) << document.error().message();
    return document ? document->problems_of<Gate>("gate") : std::vector<Problem>{};
}
std::string told(std::string_view text) {
    std::string all;
    for (const Problem& problem : problems(text))
        all += (all.empty() ? "" : "\n") + std::to_string(problem.line) + ":" + std::to_string(problem.column) + " " + problem.key + ": " + problem.message;
    return all;
}

TEST(ConfigProblems, all_fields_of_all_depths_are_told_at_once) {
    EXPECT_EQ(told(R"({"gate": {
        "port": 70000, "prot": 1, "tls": "yes",
        "loss": 1.5,
        "peers": [1, "a", null],
        "links": {"duel": {"mtu_bytes": 1}, "team": 7, "teem": {}},
        "more": [{}, {"idle": 30, "most": 1}, {"idle": "10ms", "mtu_bytes": -1}]
    }})"),
              "2:17 gate.port: 70000 is outside [1, 65535]\n"
              "2:24 gate.prot: unknown key; did you mean \"port\"?\n"
              "2:42 gate.tls: expected a boolean, found text \"yes\"\n"
              "3:17 gate.loss: 1.5 is outside [0, 1]\n"
              "4:19 gate.peers[0]: expected text, found 1\n"
              "4:27 gate.peers[2]: expected text, found null\n"
              "5:41 gate.links.duel.mtu_bytes: 1 is outside [576, 1400]\n"
              "5:53 gate.links.team: expected an object, found 7\n"
              "5:56 gate.links.teem: as a key: unknown value \"teem\"; did you mean \"team\"?\n"
              "6:31 gate.more[1].idle: expected a duration such as \"250ms\", \"10s\" or \"5min\", found 30\n"
              "6:43 gate.more[1].most: 1 is below 3\n"
              "6:56 gate.more[2].idle: 10ms is outside [1s, 5min]\n"
              "6:77 gate.more[2].mtu_bytes: -1 is outside [576, 1400]");
    EXPECT_EQ(told(R"({"gate": []})"), "1:10 gate: expected an object, found an empty list");
    EXPECT_EQ(told(R"({"gate": {"more": {}, "links": [], "port": {}, "pin": null}})"),
              "1:19 gate.more: expected a list, found an object\n1:32 gate.links: expected an object, found an empty list\n"
              "1:44 gate.port: expected an integer, found an object\n1:55 gate.pin: expected text, found (secret)");
    EXPECT_EQ(told(R"({"gate": {"more": [{"most": null}], "port": 80}})"), "");
}

TEST(ConfigProblems, validate_is_asked_when_its_fields_are_good_and_may_tell_several) {
    EXPECT_EQ(told(R"({"gate": {"port": 13, "tls": true, "prot": 1}})"),
              "1:10 gate.pin: is needed for tls: !\n1:19 gate.port: must not be 13\n1:36 gate.prot: unknown key; did you mean \"port\"?");
    EXPECT_EQ(told(R"({"gate": {"port": 13, "tls": 1}})"), "1:30 gate.tls: expected a boolean, found 1");
}

TEST(ConfigProblems, print_shows_the_line_the_place_and_who_included_it) {
    const auto document = Document::from_text("{\n  \"gate\": {\"$include\": \"conf/gate.json\"}\n}", "f",
                                              {.read_file = [](const std::string& path, std::size_t) -> Result<std::string> {
                                                  EXPECT_EQ(path, "conf/gate.json");
                                                  return std::string("{\n\t\"prot\": 1}");
                                              }});
    ASSERT_TRUE(document.ok());
    EXPECT_EQ(document->as<Gate>().error().message(),
              "conf/gate.json:2:2: gate.prot: unknown key; did you mean \"port\"?\n"
              "    2 |     \"prot\": 1}\n"
              "      |     ^~~~~~\n"
              "included from f:2:24");
    EXPECT_EQ(print(Problem{.message = "and 3 more"}), "and 3 more");
}

std::string excerpt(std::string_view text) {
    const auto all = problems(text);
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? "" : all[0].excerpt;
}

TEST(ConfigProblems, an_excerpt_is_cut_around_its_caret_and_moves_no_cursor) {
    const std::string note = "\"x" + std::string(300, '-') + "\"";
    const std::string cut = excerpt("{" + note + ": 1, \"gate\": {\"port\": 0}, " + "\"y" + std::string(300, '-') + "\": 2}");
    EXPECT_EQ(cut, "    1 | ..." + std::string(17, '-') + "\": 1, \"gate\": {\"port\": 0}, \"y" + std::string(54, '-') + "...\n"
                   "      | " + std::string(43, ' ') + "^");
    EXPECT_EQ(excerpt("{/* \x1b[31m\xe2\x80\xae \xff\r */ \"gate\": {\"port\": 0}}"),
              "    1 | {/* \\u001b[31m\\u202e \\xff\\u000d */ \"gate\": {\"port\": 0}}\n"
              "      |                                                     ^");
    EXPECT_EQ(excerpt("{\"\xe6\x97\xa5\xcc\x81\": 1, \"gate\": {\"port\": 0}}"),
              "    1 | {\"\xe6\x97\xa5\xcc\x81\": 1, \"gate\": {\"port\": 0}}\n      |                            ^");
    EXPECT_EQ(excerpt("{\"gate\": \n\n\t{\t\"port\":\t0}}\r\n"), "    3 |     {   \"port\": 0}}\n      |                 ^");
}

TEST(ConfigProblems, secrets_are_in_no_message_and_no_excerpt) {
    for (const char* text :
         {R"({"gate": {"pin": 4711, "port": 0}})", R"({"gate": {"code": 4711}})", R"({"gate": {"code": "4711"}})",
          R"({"db_password": "4711", "gate": {"port": 0}})", R"({"dbPassword": ["4711"], "gate": {"port": 0}})",
          R"({"db": "mongodb://root:4711@host/x", "gate": {"port": 0}})", R"({"gate": {"code": {"x": 4711}}})",
          R"({"gate": {"pin": "4711", "tls": true, "port": 13}})", R"({"gate": {"api_token": 4711}})"}) {
        const auto document = Document::from_text(text, "f");
        const auto read = document->as<Gate>();
        ASSERT_FALSE(read.ok()) << text;
        EXPECT_EQ(read.error().message().find("4711"), std::string::npos) << read.error().message();
    }
    for (const char* text : {R"({"password": 4711 4712})", R"({"password": '4711'})", R"({"password": "4711)", R"({"password": 04711, x})",
                             R"({"password": "4711" "port": 1})", R"({"password": "\q4711", "b": oops})", R"({"keys": [x4711]})"}) {
        const auto document = Document::from_text(text, "f");
        ASSERT_FALSE(document.ok()) << text;
        EXPECT_EQ(document.error().message().find("471"), std::string::npos) << document.error().message();
    }
    auto document = Document::from_text("{}");
    EXPECT_TRUE(document->set("gate.code=4711"));
    EXPECT_EQ(document->as<Gate>("gate").error().message(), "--set gate.code: gate.code: (secret) is outside [0, 9]");
}

TEST(ConfigSecrets, names_and_addresses_that_say_so) {
    for (const char* name : {"password", "db.password", "DB_PASSWORD", "dbPassword", "api-token", "tls.private_key", "store.uri", "keys[2]"})
        EXPECT_TRUE(is_secret_name(name)) << name;
    for (const char* name : {"keyboard", "monkey", "password.length", "port", "passwords_min", ""})
        EXPECT_FALSE(is_secret_name(name)) << name;
    EXPECT_TRUE(has_credentials("redis://:pw@host"));
    EXPECT_FALSE(has_credentials("redis://host:7000"));
}

}  // namespace
}  // namespace gyre::config

#include <gtest/gtest.h>

#include <gyre/codec/json.hpp>
#include <gyre/config/schema.hpp>

namespace gyre::config {
namespace {

enum class Kind : std::uint8_t { embedded, etcd };

struct Seat {
    std::string name;
    std::uint16_t port = 0;
    static consteval auto describe() { return gyre::type<Seat>("Seat", field<&Seat::name>(), field<&Seat::port>()); }
};
struct Times {
    std::chrono::milliseconds beat{500}, dead{90'000};
    static consteval auto describe() {
        return gyre::type<Times>("Times", field<&Times::beat>(range(10ms, 10s)), field<&Times::dead>());
    }
};
struct Server {
    static constexpr std::string_view config_section = "server";
    std::uint16_t port = 7'000;
    double share = 0.1;
    bool tls = false;
    Kind kind = Kind::embedded;
    std::string key = "s3cret";
    std::vector<std::string> tags = {"a", "b"};
    std::vector<Seat> seats = {{"one", 1}};
    std::map<std::string, int> weights;
    std::optional<std::uint32_t> most;
    Times times;
    static consteval auto describe() {
        return gyre::type<Server>(
            "Server", field<&Server::port>(range(1, 65'535), about("where clients connect")),
            field<&Server::share>(range(0, 1), live, unit("of all")), field<&Server::tls>(), field<&Server::kind>(),
            field<&Server::key>(secret), field<&Server::tags>(), field<&Server::seats>(), field<&Server::weights>(),
            field<&Server::most>(range_min(3)), field<&Server::times>(live));
    }
};

std::vector<SectionShape> shapes() { return {{"server", "", section<Server>.shape()}}; }

TEST(Schema, knows_types_defaults_ranges_and_marks) {
    const auto all = shapes();
    const auto key = [&](const char* path) { return find_key(all, path).value(); };
    EXPECT_EQ(key("server.port").about, "where clients connect");
    EXPECT_EQ(key("server.port").shape.min, "1");
    EXPECT_EQ(key("server.port").shape.standard, "7000");
    EXPECT_FALSE(key("server.port").live);
    EXPECT_TRUE(key("server.share").live);
    EXPECT_EQ(key("server.share").shape.standard, "0.1");
    EXPECT_EQ(key("server.times.dead").shape.standard, "\"90s\"");
    EXPECT_EQ(key("server.times.beat").shape.max, "10s");
    EXPECT_TRUE(key("server.times.beat").live) << "all of times is";
    EXPECT_TRUE(key("server.key").secret);
    EXPECT_EQ(key("server.tags").shape.standard, R"(["a", "b"])");
    EXPECT_EQ(type_in_words(key("server.tags").shape), "list of text");
    EXPECT_EQ(type_in_words(key("server.kind").shape), "embedded, etcd");
    EXPECT_EQ(key("server.seats[3].port").name, "port");
    EXPECT_EQ(key("server.seats[].port").shape.max, "65535");
    EXPECT_EQ(key("server.seats").shape.standard, R"([{"name": "one", "port": 1}])");
    EXPECT_TRUE(key("server.most").shape.optional);
    EXPECT_EQ(key("server.most").shape.min, "3");
    EXPECT_FALSE(find_key(all, "server.prot"));
    EXPECT_FALSE(find_key(all, "server"));
    EXPECT_FALSE(find_key(all, "server."));
    EXPECT_FALSE(find_key(all, "server.port.more"));

    std::vector<std::string> paths;
    each_key(all[0], [&](const std::string& path, const Key&) { paths.push_back(path); });
    EXPECT_EQ(paths, (std::vector<std::string>{"server.port", "server.share", "server.tls", "server.kind", "server.key",
                                               "server.tags", "server.seats", "server.seats[].name",
                                               "server.seats[].port", "server.weights", "server.most",
                                               "server.times.beat", "server.times.dead"}));
}

TEST(Schema, is_json_without_secrets) {
    const std::string text = json_schema(shapes());
    ASSERT_TRUE(json_to_msgpack(text).ok()) << text;
    EXPECT_EQ(text.find("s3cret"), text.npos);
    for (const char* part : {R"("writeOnly": true)", R"("minimum": 1)", R"("x-gyre-effect": "live")", R"("additionalProperties": false)",
                             R"("enum": ["embedded", "etcd"])", R"("default": "500ms")", R"("$ref": "#/$defs/macro")"})
        EXPECT_NE(text.find(part), text.npos) << part << text;
}

TEST(Schema, durations_are_told_in_the_coarsest_exact_unit) {
    EXPECT_EQ(detail::duration_text(1500ms), "1500ms");
    EXPECT_EQ(detail::duration_text(60s), "1min");
    EXPECT_EQ(detail::duration_text(90s), "90s");
    EXPECT_EQ(detail::duration_text(0s), "0ms");
    EXPECT_EQ(detail::duration_text(-24h), "-24h");
}

}  // namespace
}  // namespace gyre::config

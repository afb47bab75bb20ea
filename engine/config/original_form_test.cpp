#include <gtest/gtest.h>

#include <gyre/config/config.hpp>

namespace gyre::config {
namespace {

/// Written for the original engine: macros, comments after values, a section a node, lists of servers.
constexpr std::string_view original = R"json(
{   // development
    "$MACRO$": {"HOST": "127.0.0.1", "PORT": 2379, "LOG": "debug"},   # shared
    "etcd_servers": ["http://$HOST$:$PORT$", "http://$HOST$:2380"],  // comment after a value
    "common": {
        "log_level": "$LOG$",  /* of all nodes */
        "coroutine_pool_size": 888,
        "mongodb": {"addr": ["$HOST$:27017"], "user": "root", "pwd": ""},
    },
    "gate_0": {"ip": "$HOST$", "port": 8000, "type": "gate",},
    "gate_1": {
        "$MACRO$": {"HOST": "10.0.0.7"},    // of this node alone
        "ip": "$HOST$", "port": 8001, "type": "gate",
        "heartbeat": "5s",
    },
    "battle_0": {"ip": "$HOST$", "port": "$PORT$", "type": "battle"},
}
)json";

struct NodeSection {
    std::string ip;
    std::uint16_t port = 0;
    std::string type;
    std::chrono::seconds heartbeat{3};
    static consteval auto describe() {
        return gyre::type<NodeSection>("NodeSection", field<&NodeSection::ip>(), field<&NodeSection::port>(range(1, 65'535)),
                                       field<&NodeSection::type>(), field<&NodeSection::heartbeat>());
    }
};
struct Mongo {
    std::vector<std::string> addr;
    std::string user, pwd;
    static consteval auto describe() {
        return gyre::type<Mongo>("Mongo", field<&Mongo::addr>(), field<&Mongo::user>(), field<&Mongo::pwd>(secret));
    }
};
struct Common {
    std::string log_level;
    std::uint32_t coroutine_pool_size = 0;
    Mongo mongodb;
    static consteval auto describe() {
        return gyre::type<Common>("Common", field<&Common::log_level>(), field<&Common::coroutine_pool_size>(), field<&Common::mongodb>());
    }
};

TEST(ConfigOriginalForm, parses_and_reads_into_structs) {
    const auto document = Document::from_text(original, "development.json");
    ASSERT_TRUE(document.ok()) << document.error().message();
    EXPECT_EQ(document->as<std::vector<std::string>>("etcd_servers").value(),
              (std::vector<std::string>{"http://127.0.0.1:2379", "http://127.0.0.1:2380"}));
    const Common common = document->as<Common>("common").value();
    EXPECT_EQ(common.log_level, "debug");
    EXPECT_EQ(common.coroutine_pool_size, 888u);
    EXPECT_EQ(common.mongodb.addr, std::vector<std::string>{"127.0.0.1:27017"});
    EXPECT_EQ(document->as<NodeSection>("gate_1")->ip, "10.0.0.7");
    EXPECT_EQ(document->as<NodeSection>("gate_1")->heartbeat, 5s);
    EXPECT_EQ(document->as<NodeSection>("battle_0")->port, 2379) << "a number stays one";
}

TEST(ConfigOriginalForm, sections_of_nodes_are_a_map_of_structs) {
    const auto document = Document::from_text(R"({"nodes": {"$MACRO$": {"HOST": "a"},
        "gate_0": {"ip": "$HOST$", "port": 8000, "type": "gate"}, "battle_0": {"ip": "b", "port": 8100, "type": "battle"}}})");
    const auto nodes = document->as<std::map<std::string, NodeSection>>("nodes");
    ASSERT_TRUE(nodes.ok()) << nodes.error().message();
    ASSERT_EQ(nodes->size(), 2u);
    EXPECT_EQ(nodes->at("gate_0").ip, "a");
    EXPECT_EQ(nodes->at("battle_0").type, "battle");
}

}  // namespace
}  // namespace gyre::config

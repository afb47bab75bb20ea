#include <gtest/gtest.h>

#include <gyre/cluster/entity_resolver.hpp>
#include <gyre/cluster/embedded_registry.hpp>
#include <gyre/codec/json.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::cluster {
namespace {

class DirectoryTest : public testing::Test {
protected:
    struct Peer {
        Peer(sim::Machine& machine, EmbeddedRegistryServer& server, NodeInfo i)
            : info(std::move(i)), registry(machine, machine.scope(), server, info.name) {}
        NodeInfo info;
        EmbeddedRegistry registry;
    };
    ~DirectoryTest() override { peers.clear(); }
    Peer& add(const std::string& name, std::uint64_t load = 0) {
        NodeInfo node;
        node.name = name;
        node.role = name.substr(0, name.find('_'));
        node.address = {"10.0.0.1", ++port};
        node.incarnation = port;
        node.load = load;
        auto peer = std::make_unique<Peer>(machine, server, node);
        world.run(machine, peer->registry.register_node(node));
        EXPECT_TRUE(world.run_until([&] { return directory.find(name).has_value(); }, 1s));
        return *(peers[name] = std::move(peer));
    }
    void remove(const std::string& name) {
        world.run(machine, peers[name]->registry.unregister());
        peers.erase(name);
        EXPECT_TRUE(world.run_until([&] { return !directory.find(name); }, 1s));
    }
    void change(Peer& peer) {
        peer.registry.update(peer.info);
        EXPECT_TRUE(
            world.run_until([&] { return *directory.find(peer.info.name) == peer.info; }, 3s));
    }
    std::map<std::string, std::string> placed(std::uint64_t keys = 2000) {
        std::map<std::string, std::string> at;
        for (std::uint64_t key = 0; key < keys; ++key)
            at[std::to_string(key)] = directory.rendezvous("lobby", mix(key))->name;
        return at;
    }
    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& machine = world.machine("all", "10.0.0.1");
    EmbeddedRegistryServer server{machine.executor()};
    EmbeddedRegistry registry{machine, machine.scope(), server, "watcher"};
    Directory directory{machine.executor(), registry};
    std::map<std::string, std::unique_ptr<Peer>> peers;
    std::uint16_t port = 7000;
};

TEST_F(DirectoryTest, a_node_that_goes_moves_only_its_own_keys) {
    for (int i = 0; i < 5; ++i) add("lobby_" + std::to_string(i));
    add("battle_0");
    const auto before = placed();
    std::map<std::string, int> share;
    for (const auto& [key, name] : before) ++share[name];
    ASSERT_EQ(share.size(), 5u);
    for (const auto& [name, keys] : share) EXPECT_NEAR(keys, 400, 80) << name;

    remove("lobby_2");
    const auto after = placed();
    for (const auto& [key, name] : before) {
        if (name == "lobby_2")
            EXPECT_NE(after.at(key), "lobby_2");
        else
            EXPECT_EQ(after.at(key), name);
    }
    add("lobby_2");
    EXPECT_EQ(placed(), before);
}

TEST_F(DirectoryTest, draining_nodes_take_nothing_new) {
    Peer& leaving = add("lobby_0");
    add("lobby_1", 500);
    leaving.info.draining = true;
    change(leaving);
    for (const auto& [key, name] : placed(100)) EXPECT_EQ(name, "lobby_1");
    EXPECT_EQ(directory.pick_least_loaded("lobby")->name, "lobby_1");
    EXPECT_EQ(directory.of_role("lobby").size(), 2u);
    remove("lobby_1");
    EXPECT_FALSE(directory.pick_least_loaded("lobby"));
    EXPECT_FALSE(directory.rendezvous("lobby", 1));
}

TEST_F(DirectoryTest, suspected_nodes_are_avoided_until_the_suspicion_ends) {
    const io::Endpoint first = add("lobby_0").info.address;
    const io::Endpoint second = add("lobby_1", 500).info.address;
    const auto uses_first = [&] { return directory.pick_least_loaded("lobby")->name == "lobby_0"; };
    EXPECT_TRUE(uses_first());
    const std::string home = directory.home("lobby", 7)->name, other = home == "lobby_0" ? "lobby_1" : "lobby_0";
    directory.suspect(directory.find(home)->address);
    EXPECT_EQ(directory.rendezvous("lobby", 7)->name, other);
    EXPECT_EQ(directory.home("lobby", 7)->name, home) << "a suspicion moves no entity";
    directory.trust(directory.find(home)->address);

    directory.suspect(first);
    EXPECT_FALSE(uses_first());
    for (const auto& [key, name] : placed(100)) EXPECT_EQ(name, "lobby_1");

    directory.suspect(second);  // All suspected: better one of them than none.
    EXPECT_TRUE(uses_first());
    directory.trust(second);
    EXPECT_FALSE(uses_first());
    directory.trust(first);
    EXPECT_TRUE(uses_first());

    directory.suspect(first);
    EXPECT_TRUE(world.run_until(uses_first, 6s));
    EXPECT_FALSE(world.run_until([&] { return !uses_first(); }, 3s));

    directory.suspect(first);
    server
        .forget_everything();  // Both come back as new incarnations: nothing is held against them.
    const auto before = directory.find("lobby_0")->incarnation;
    ASSERT_TRUE(world.run_until(
        [&] {
            auto n = directory.find("lobby_0");
            return n && n->incarnation != before;
        },
        4s));
    EXPECT_FALSE(directory.suspected(*directory.find("lobby_0")));
    directory.suspect({"10.9.9.9", 1});  // Nobody's address.
}

TEST_F(DirectoryTest, the_least_loaded_node_is_picked_and_a_burst_spreads) {
    Peer& busy = add("battle_0", 300);
    add("battle_1", 100);
    add("battle_2", 120);
    EXPECT_FALSE(directory.pick_least_loaded("lobby"));
    EXPECT_EQ(directory.pick_least_loaded("battle")->name, "battle_1");
    world.run_for(2s);
    std::map<std::string, int> picks;
    for (int i = 0; i < 12; ++i) ++picks[directory.pick_least_loaded("battle")->name];
    EXPECT_EQ(picks, (std::map<std::string, int>{{"battle_1", 7}, {"battle_2", 5}}));
    busy.info.load = 0;
    change(busy);
    EXPECT_EQ(directory.pick_least_loaded("battle")->name, "battle_0");
}

TEST_F(DirectoryTest, a_subscription_ends_with_its_object_even_while_it_is_told) {
    std::vector<std::string> told;
    std::optional<Subscription> once;
    const Subscription always =
        directory.on_joined([&](const NodeInfo& n) { told.push_back("a:" + n.name); });
    once = directory.on_joined([&](const NodeInfo& n) {
        told.push_back("b:" + n.name);
        once.reset();
    });
    add("lobby_0");
    add("lobby_1");
    EXPECT_EQ(told, (std::vector<std::string>{"a:lobby_0", "b:lobby_0", "a:lobby_1"}));
}

TEST_F(DirectoryTest, entities_are_where_their_key_falls) {
    EntityResolver resolver(directory, {{"Avatar", "lobby"}});
    const auto error_of = [&](std::string_view type) {
        EXPECT_FALSE(resolver.known(7, type));
        const Error error = resolver.why_unknown(7, type);
        EXPECT_EQ(error.code(), "unavailable");
        return error.message();
    };
    EXPECT_NE(error_of("Avatar").find("role=lobby"), std::string::npos);
    EXPECT_NE(error_of("Match").find("type=Match"), std::string::npos);
    add("lobby_0"), add("lobby_1");
    for (EntityId id = 1; id < 20; ++id)
        EXPECT_EQ(*resolver.known(id, "Avatar"),
                  directory.rendezvous("lobby", id)->address);
}

TEST(NodeInfo, is_json_that_people_can_read) {
    NodeInfo node{.name = "gate_1", .role = "gate", .incarnation = ~std::uint64_t{0}};
    node.client_address = {"10.0.0.7", 443};
    const std::string json = to_json(node);
    EXPECT_NE(json.find(R"("client_address":"10.0.0.7:443")"), std::string::npos) << json;
    EXPECT_EQ(*from_json<NodeInfo>(json), node);
    EXPECT_EQ(*decode<NodeInfo>(encode(node)), node);
    EXPECT_FALSE(from_json<NodeInfo>(R"({"address": "nowhere"})").ok());
}

}  // namespace
}  // namespace gyre::cluster

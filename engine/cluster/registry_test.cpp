#include <gtest/gtest.h>

#include <gyre/cluster/directory.hpp>
#include <gyre/cluster/embedded_registry.hpp>
#include <gyre/codec/json.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::cluster {
namespace {

struct Node {
    Node(sim::Machine& m, EmbeddedRegistryServer& server, NodeInfo i)
        : machine(m),
          info(std::move(i)),
          registry(m, m.scope(), server, info.name),
          directory(m.executor(), registry) {
        registry.on_new_incarnation = [this](std::uint64_t incarnation) {
            EXPECT_FALSE(registry.lease_held());
            incarnations.push_back(incarnation);
        };
        joined = directory.on_joined([this](const NodeInfo& n) { told.push_back("+" + n.name); });
        left = directory.on_left([this](const NodeInfo& n) { told.push_back("-" + n.name); });
    }
    bool sees(std::string_view name) const { return directory.view().find(name) != nullptr; }
    std::string take_told() {
        std::string text;
        for (const auto& line : std::exchange(told, {})) text += line + " ";
        return text;
    }
    sim::Machine& machine;
    NodeInfo info;
    EmbeddedRegistry registry;
    Directory directory;
    std::vector<std::uint64_t> incarnations;
    std::vector<std::string> told;
    Subscription joined, left;
};

class RegistryTest : public testing::Test {
protected:
    sim::Machine& machine(const std::string& name) {
        const auto [place, added] = places.try_emplace(name, places.size() + 1);
        return world.machine(name, "10.0.0." + std::to_string(place->second));
    }
    NodeInfo info(const std::string& name, std::uint16_t port = 7000) {
        NodeInfo node;
        node.name = name;
        node.role = name.substr(0, name.find('_'));
        node.address = {machine(name).address(), port};
        node.incarnation = machine(name).random_u64();
        return node;
    }
    std::unique_ptr<Node> start(const std::string& name) { return start(name, info(name)); }
    std::unique_ptr<Node> start(const std::string& name, NodeInfo node) {
        auto made = std::make_unique<Node>(machine(name), server, std::move(node));
        world.run(made->machine, made->registry.register_node(made->info));
        world.run(made->machine, made->registry.synced());
        return made;
    }
    bool wait(const std::function<bool()>& done, Duration limit = 10s) {
        return world.run_until(done, limit);
    }
    std::optional<NodeInfo> entry(std::string_view name) {
        for (const auto& entry : server.entries())
            if (entry.name == name) return from_json<NodeInfo>(entry.value).value();
        return std::nullopt;
    }
    sim::World world{{.seed = sim::test_seed()}};
    std::map<std::string, std::size_t> places;
    EmbeddedRegistryServer server{world.machine("registry", "10.0.0.250").executor(), 1ms};
};

TEST_F(RegistryTest, everybody_sees_who_comes_and_who_goes) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    EXPECT_TRUE(battle->sees("lobby_1") && battle->sees("battle_1"));
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1"); }, 10ms));
    EXPECT_EQ(lobby->take_told(), "+lobby_1 +battle_1 ");
    EXPECT_EQ(*lobby->directory.find("battle_1"), battle->info);
    EXPECT_EQ(lobby->directory.by_address(battle->info.address)->name, "battle_1");
    EXPECT_EQ(lobby->directory.of_role("battle").size(), 1u);
    EXPECT_TRUE(battle->registry.lease_held());

    world.run(battle->machine, battle->registry.unregister());
    EXPECT_FALSE(battle->registry.lease_held());
    ASSERT_TRUE(wait([&] { return !lobby->sees("battle_1"); }, 10ms));
    EXPECT_EQ(lobby->take_told(), "-battle_1 ");
}

TEST_F(RegistryTest, entry_of_a_killed_node_ends_with_its_lease) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    world.run_for(20s);
    EXPECT_EQ(lobby->take_told(), "+lobby_1 +battle_1 ");
    const TimePoint killed = world.now();
    battle->machine.kill();
    battle.reset();
    EXPECT_TRUE(world.run(lobby->machine,
                          lobby->registry.is_alive("battle_1", entry("battle_1")->incarnation)));
    ASSERT_TRUE(wait([&] { return !lobby->sees("battle_1"); }));
    EXPECT_GE(world.now() - killed, 3s);
    EXPECT_LE(world.now() - killed, 5s + 10ms);
}

TEST_F(RegistryTest, a_restarted_process_replaces_its_entry_at_once) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    const std::uint64_t first = battle->info.incarnation;
    battle->machine.kill();
    battle.reset();
    machine("battle_1").restart();
    const TimePoint begun = world.now();
    battle = start("battle_1");
    EXPECT_LT(world.now() - begun, 100ms);
    EXPECT_NE(battle->info.incarnation, first);
    ASSERT_TRUE(wait([&] { return lobby->told.size() == 4; }));
    EXPECT_EQ(lobby->take_told(), "+lobby_1 +battle_1 -battle_1 +battle_1 ");
    EXPECT_FALSE(world.run(lobby->machine, lobby->registry.is_alive("battle_1", first)));
    EXPECT_TRUE(
        world.run(lobby->machine, lobby->registry.is_alive("battle_1", battle->info.incarnation)));
    world.run_for(20s);  // The lease of the dead process takes nothing with it.
    EXPECT_TRUE(lobby->sees("battle_1"));
    EXPECT_TRUE(battle->incarnations.empty());
}

TEST_F(RegistryTest, a_name_at_another_address_waits_for_its_lease) {
    auto battle = start("battle_1");
    battle->machine.kill();
    battle.reset();
    machine("battle_1").restart();
    const TimePoint begun = world.now();
    battle = start("battle_1", info("battle_1", 7001));
    EXPECT_GT(world.now() - begun, 3s);
    EXPECT_EQ(entry("battle_1")->address.port, 7001);
}

TEST_F(RegistryTest, a_name_in_use_is_refused) {
    auto battle = start("battle_1");
    NodeInfo twin = info("battle_2");
    twin.name = "battle_1";
    Node second(machine("battle_2"), server, twin);
    try {
        world.run(second.machine, second.registry.register_node(twin));
        FAIL() << "registered twice";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), "in_use");
        EXPECT_NE(error.message().find(battle->info.address.to_string()), std::string::npos);
    }
    EXPECT_TRUE(battle->registry.lease_held());
}

TEST_F(RegistryTest, a_silent_registry_stops_nothing_and_is_believed_again) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1"); }));
    server.pause(true);
    world.run_for(1min);
    EXPECT_TRUE(lobby->sees("battle_1"));
    EXPECT_FALSE(lobby->registry.lease_held());
    EXPECT_FALSE(lobby->registry.in_touch());
    try {
        world.run(lobby->machine, lobby->registry.is_alive("battle_1", 1));
        FAIL() << "nobody can know";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), "unavailable");
    }
    server.pause(false);
    ASSERT_TRUE(
        wait([&] { return lobby->registry.lease_held() && battle->registry.lease_held(); }));
    EXPECT_TRUE(lobby->incarnations.empty() && battle->incarnations.empty());
    world.run_for(20s);
    EXPECT_EQ(lobby->take_told(), "+lobby_1 +battle_1 ");
    auto late = start("gate_1");
    EXPECT_TRUE(wait([&] { return lobby->sees("gate_1"); }));
}

TEST_F(RegistryTest, a_node_that_died_while_the_registry_was_silent_goes_after_it) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    server.pause(true);
    battle->machine.kill();
    battle.reset();
    world.run_for(1min);
    EXPECT_TRUE(lobby->sees("battle_1"));
    server.pause(false);
    EXPECT_TRUE(wait([&] { return !lobby->sees("battle_1"); }, 11s));
    EXPECT_TRUE(lobby->sees("lobby_1") && lobby->incarnations.empty());
}

TEST_F(RegistryTest, leaving_does_not_wait_for_a_silent_registry) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    server.pause(true);
    const TimePoint begun = world.now();
    world.run(battle->machine, battle->registry.unregister());
    EXPECT_LE(world.now() - begun, 1100ms);
    EXPECT_FALSE(battle->registry.lease_held());
    world.run(battle->machine, battle->registry.unregister());
    battle.reset();
    server.pause(false);
    EXPECT_TRUE(wait([&] { return !lobby->sees("battle_1"); }, 11s));
}

TEST_F(RegistryTest, a_node_frozen_beyond_its_lease_comes_back_as_another_incarnation) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    battle->machine.freeze(8s);
    ASSERT_TRUE(wait([&] { return !lobby->sees("battle_1"); }, 6s));
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1"); }, 6s));
    ASSERT_EQ(battle->incarnations.size(), 1u);
    EXPECT_EQ(battle->registry.incarnation(), battle->incarnations[0]);
    EXPECT_EQ(lobby->directory.find("battle_1")->incarnation, battle->incarnations[0]);
    EXPECT_FALSE(
        world.run(lobby->machine, lobby->registry.is_alive("battle_1", battle->info.incarnation)));
    EXPECT_EQ(lobby->take_told(), "+lobby_1 +battle_1 -battle_1 +battle_1 ");
}

TEST_F(RegistryTest, a_node_cut_off_keeps_its_view_and_registers_again) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    server.cut("battle_1", true);
    ASSERT_TRUE(wait([&] { return !lobby->sees("battle_1"); }));
    EXPECT_FALSE(battle->registry.lease_held());  // It knew before the others.
    auto gate = start("gate_1");
    EXPECT_TRUE(battle->sees("lobby_1"));
    EXPECT_TRUE(battle->incarnations.empty());
    server.cut("battle_1", false);
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1") && battle->sees("gate_1"); }));
    EXPECT_EQ(battle->incarnations.size(), 1u);
}

TEST_F(RegistryTest, a_registry_that_lost_its_data_is_filled_again) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    world.run_for(10s);
    server.forget_everything();
    EXPECT_FALSE(wait([&] { return !lobby->sees("battle_1"); }, 10ms));  // Not all can have died.
    ASSERT_TRUE(
        wait([&] { return lobby->incarnations.size() == 1 && battle->incarnations.size() == 1; }));
    world.run_for(5s);
    EXPECT_EQ(entry("lobby_1")->incarnation, lobby->incarnations[0]);
    EXPECT_TRUE(lobby->registry.lease_held());
    EXPECT_EQ(lobby->told.size(), 6u);
    EXPECT_EQ(lobby->take_told().substr(0, 20), "+lobby_1 +battle_1 -");
}

TEST_F(RegistryTest, a_node_that_died_with_the_registrys_data_goes_after_a_lease_time) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1"); }));
    server.forget_everything();
    battle->machine.kill();
    battle.reset();
    const TimePoint died = world.now();
    EXPECT_TRUE(wait([&] { return !lobby->sees("battle_1"); }));
    EXPECT_NEAR(to_ms(world.now() - died), 5000, 500);
    EXPECT_TRUE(lobby->sees("lobby_1"));
}

TEST_F(RegistryTest, forgotten_history_is_listed_again) {
    server.keep_history(0);
    server.set_delay(20ms);
    Node lobby(machine("lobby_1"), server, info("lobby_1"));
    (void)go(lobby.machine.scope(), lobby.registry.register_node(lobby.info));
    world.run_for(60ms);
    // This lists 40 ms before, and watches 0 ms after, the lobby's entry is written.
    Node battle(machine("battle_1"), server, info("battle_1"));
    (void)go(battle.machine.scope(), battle.registry.register_node(battle.info));
    EXPECT_TRUE(wait([&] { return battle.sees("lobby_1") && lobby.sees("battle_1"); }, 1s));
}

TEST_F(RegistryTest, load_figures_are_written_at_most_once_a_second) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    world.run_for(5s);
    const std::uint64_t before = server.writes();
    NodeInfo self = battle->info;
    for (int i = 0; i < 300; ++i) {
        self.load = static_cast<std::uint64_t>(i);
        self.incarnation = 0;  // Not the caller's business.
        battle->registry.update(self);
        world.run_for(10ms);
    }
    world.run_for(2s);
    EXPECT_GE(server.writes() - before, 3u);
    EXPECT_LE(server.writes() - before, 5u);
    EXPECT_EQ(lobby->directory.find("battle_1")->load, 299u);
    EXPECT_EQ(lobby->directory.find("battle_1")->incarnation, battle->info.incarnation);
    const std::uint64_t after = server.writes();
    battle->registry.update(self);
    world.run_for(5s);
    EXPECT_EQ(server.writes(), after);  // Nothing changed.
}

/// A node believes in its lease only while the registry holds it, whatever happens; afterwards
/// all agree again.
TEST(RegistryChaos, no_node_believes_in_a_lost_lease_and_all_views_agree_in_the_end) {
    for (std::uint64_t seed = sim::test_seed(); seed < sim::test_seed() + 20; ++seed) {
        SCOPED_TRACE("GYRE_SEED=" + std::to_string(seed));
        sim::World world({.seed = seed});
        EmbeddedRegistryServer server(world.machine("registry", "10.0.0.250").executor(), 2ms);
        server.keep_history(3);
        sim::Random random = world.random("chaos");
        constexpr std::size_t count = 5;
        std::vector<std::unique_ptr<Node>> nodes(count);
        std::vector<std::unique_ptr<Alarm>> checks(count);
        std::uint64_t believed = 0;
        const auto boot = [&](std::size_t i) {
            const std::string name = "node_" + std::to_string(i);
            auto& machine = world.machine(name, "10.0.0." + std::to_string(i + 1));
            if (!machine.alive()) machine.restart();
            NodeInfo info{.name = name, .role = "node"};
            info.address = {machine.address(), 7000};
            info.incarnation = machine.random_u64();
            nodes[i] = std::make_unique<Node>(machine, server, info);
            (void)go(machine.scope(), nodes[i]->registry.register_node(info));
            checks[i] = std::make_unique<Alarm>(machine.executor(), [&, i] {
                const auto& registry = nodes[i]->registry;
                if (!registry.lease_held()) return;
                ++believed;
                std::uint64_t held = 0;
                for (const auto& entry : server.entries())
                    if (entry.name == nodes[i]->info.name)
                        held = from_json<NodeInfo>(entry.value)->incarnation;
                EXPECT_EQ(held, registry.incarnation()) << nodes[i]->info.name;
            });
            checks[i]->every(10ms);
        };
        const auto describe = [&] {
            std::string text;
            for (const auto& node : nodes) {
                text += node->info.name + (node->registry.lease_held() ? " held" : " not held") +
                        (node->registry.in_touch() ? " in touch, " : " silent, ") +
                        std::to_string(node->registry.incarnation()) + " sees";
                for (const auto& [name, seen] : node->directory.view().nodes())
                    text += " " + name + ":" + std::to_string(seen.incarnation);
                text += "\n";
            }
            return text;
        };
        for (std::size_t i = 0; i < count; ++i) boot(i);
        for (int round = 0; round < 40; ++round) {
            const std::size_t i = random.below(count);
            switch (random.below(7)) {
                case 0: nodes[i]->machine.freeze(7s); break;
                case 1: server.cut(nodes[i]->info.name, true); break;
                case 2: server.cut(nodes[i]->info.name, false); break;
                case 3: server.pause(true); break;
                case 4: server.pause(false); break;
                case 5:
                    nodes[i]->machine.kill();
                    checks[i].reset();
                    nodes[i].reset();
                    boot(i);
                    break;
                default: server.set_delay(random.between(0ms, 400ms)); break;
            }
            world.run_for(random.between(10ms, 4s));
        }
        server.pause(false);
        server.set_delay(2ms);
        for (const auto& node : nodes) server.cut(node->info.name, false);
        EXPECT_TRUE(world.run_until(
            [&] {
                for (const auto& one : nodes) {
                    if (!one->registry.lease_held() || one->directory.view().size() != count)
                        return false;
                    for (const auto& other : nodes) {
                        const NodeInfo* seen = one->directory.view().find(other->info.name);
                        if (!seen || seen->incarnation != other->registry.incarnation())
                            return false;
                    }
                }
                return true;
            },
            30s))
            << describe();
        EXPECT_GT(believed, 100u);
        if (HasFailure()) break;
    }
}

}  // namespace
}  // namespace gyre::cluster

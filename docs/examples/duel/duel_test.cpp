#include "duel.hpp"

#include <gtest/gtest.h>

#include <gyre/cluster/embedded_registry.hpp>
#include <gyre/node/node_runtime.hpp>
#include <gyre/sim/world.hpp>

extern "C" const gyre::module::Manifest gyre_module;

namespace duel {
namespace {

using namespace gyre;

/// A lobby and a battle node, each on its own simulated machine. Clients are recorded.
class DuelTest : public testing::Test, public module::ClientSink {
protected:
    struct Node {
        Node(DuelTest& test, const std::string& role, const std::string& address)
            : machine(test.world.machine(role + "_0", address)) {
            cluster.host = address;
            store = test.world.run(machine, store::open(machine, {}));
            node::NodeParts parts{machine, *store, config, cluster, test.keys, test.modules,
                [this, &test](Scope& scope, const std::string& name) {
                    return std::make_unique<cluster::EmbeddedRegistry>(machine, scope, test.registry, name);
                }, "test", 1};
            runtime = std::make_unique<node::NodeRuntime>(parts, node::NodeSpec{role + "_0", role});
            test.world.run(machine, runtime->start());
            runtime->node().clients = &test;
        }
        sim::Machine& machine;
        config::Document config;
        node::ClusterConfig cluster;
        std::unique_ptr<store::Store> store;
        std::unique_ptr<node::NodeRuntime> runtime;
    };

    DuelTest() {
        world.run(lobby.machine, create_hero(1));
        world.run(lobby.machine, create_hero(2));
    }
    ~DuelTest() override {
        world.run(battle.machine, battle.runtime->stop());
        world.run(lobby.machine, lobby.runtime->stop());
    }
    bool push(std::uint64_t session, rpc::MethodName method, BytesView) override {
        heard.push_back(std::to_string(session) + " " + std::string(method.text));
        return true;
    }
    void kick(std::uint64_t session, const Error& reason) override {
        heard.push_back(std::to_string(session) + " " + reason.code());
    }
    /// Runs `task` as a task of that node; its value or its error.
    template <class T>
    Result<T> run(Node& node, Task<T> task) {
        auto job = go(node.runtime->node().scope, as_result(std::move(task)));
        auto wait = [](Join<Result<T>> started) -> Task<Result<T>> { co_return co_await started; };
        return world.run(node.machine, wait(std::move(job)));
    }
    Task<> create_hero(EntityId hero) {
        auto& node = lobby.runtime->node();
        co_await node.persist.load_or_create(hero, *node.host.find_type("Hero"), {});
    }
    std::int64_t gold_of(EntityId hero) {
        auto* record = lobby.runtime->node().host.find(hero);
        return record ? static_cast<Hero*>(record->object)->get<Bag>().gold : -1;
    }
    /// A call as the gate or battle service makes it for a client.
    template <auto M>
    Result<Bytes> call_as(EntityId player, EntityId target, Node& at) {
        auto& node = at.runtime->node();
        auto options = node.rpc.default_options();
        options.caller = {player, 1};
        return run(at, node.rpc.call({.entity = target, .at = node.rpc.address()}, rpc::method_name<M>, encode(std::tuple()), options));
    }

    sim::World world{{.seed = sim::test_seed()}};
    cluster::EmbeddedRegistryServer registry{world.machine("registry", "10.0.0.9").executor()};
    module::Keys keys;
    std::vector<module::Loaded> modules{{"duel", "test", &gyre_module}};
    std::vector<std::string> heard;
    Node lobby{*this, "lobby", "10.0.0.3"};
    Node battle{*this, "battle", "10.0.0.4"};
};

Task<std::int64_t> spend(EntityId hero, std::uint32_t amount) {
    co_return co_await remote(Id<Hero>{hero}).call<&Bag::spend>(amount);
}
Task<> win(EntityId hero, EntityId duel) { co_await remote(Id<Hero>{hero}).call<&Hero::won>(duel); }

TEST_F(DuelTest, gold_is_spent_once_and_never_below_zero) {
    EXPECT_EQ(run(battle, spend(1, 1)).error().what(), std::string("not_enough_gold: gold=0"));
    ASSERT_TRUE(run(battle, win(1, 77)));
    ASSERT_TRUE(run(battle, win(1, 77)));  // A repeat, as after a lost reply.
    EXPECT_EQ(run(battle, spend(1, 7)).value(), 3);
    EXPECT_EQ(run(battle, spend(1, 7)).error().code(), "not_enough_gold");
}

TEST_F(DuelTest, both_roll_and_the_winner_is_paid_after_the_lobby_was_cut_off) {
    auto start = [](io::Endpoint link) -> Task<EntityId> {
        const auto duel = create<Duel>();
        co_await remote(duel).call<&Duel::open>({"duel", {{1, "a"}, {2, "b"}}});
        co_await remote(duel).call<&Duel::join>(1, {11, link});
        co_await remote(duel).call<&Duel::join>(2, {12, link});
        co_return duel.value;
    };
    EntityId winner = 0;
    while (winner == 0) {  // A draw pays nobody.
        heard.clear();
        const EntityId duel = run(battle, start(battle.runtime->node().rpc.address())).value();
        const auto one = decode<std::uint32_t>(call_as<&Duel::roll>(1, duel, battle).value()).value();
        const auto two = decode<std::uint32_t>(call_as<&Duel::roll>(2, duel, battle).value()).value();
        EXPECT_EQ(call_as<&Duel::roll>(3, duel, battle).error().code(), errc::forbidden);
        if (one != two) winner = one > two ? 1 : 2;
        world.isolate(lobby.machine);
        world.run_for(4s);
        EXPECT_EQ(call_as<&Duel::roll>(1, duel, battle).error().code(), errc::entity_gone);
        EXPECT_EQ(gold_of(1) + gold_of(2), 0);
        world.heal();
    }
    EXPECT_EQ(heard, (std::vector<std::string>{"11 DuelClient.over", "11 match_over",
                                               "12 DuelClient.over", "12 match_over"}));
    EXPECT_TRUE(world.run_until([&] { return gold_of(winner) == 10; }, 20s));
}

}  // namespace
}  // namespace duel

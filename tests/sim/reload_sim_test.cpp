#include <deque>

#include "tests/sim/checks.hpp"

namespace gyre::test {
namespace {

using Types = std::vector<const world::TypeTable*>;

/// The types a module has brought to a node.
Types types_of(world::Host& host, std::string_view module) {
    Types out;
    for (const auto* type : host.types())
        if (const auto& hosted = host.hosted(*type); hosted.module == module) out.push_back(hosted.source);
    return out;
}

/// The same types with the claim that they lie otherwise in memory: all objects are carried over.
class OtherLayout {
public:
    explicit OtherLayout(const Types& types) {
        for (const auto* type : types) {
            world::TypeTable& copy = claim(*type);
            auto& components = components_.emplace_back();
            for (const auto& component : type->components)
                components.push_back({&claim(*component.type), component.access});
            copy.components = components;
            types_.push_back(&copy);
        }
    }
    std::span<const world::TypeTable* const> types() const { return types_; }

private:
    static std::uint64_t other() { return 1; }
    world::TypeTable& claim(const world::TypeTable& type) {
        auto& fields = fields_.emplace_back(type.fields.begin(), type.fields.end());
        for (auto& field : fields) field.layout = &other;
        auto& copy = tables_.emplace_back(type);
        copy.fields = fields;
        copy.layout_hash = &other;
        return copy;
    }
    std::deque<world::TypeTable> tables_;
    std::deque<std::vector<FieldEntry>> fields_;
    std::deque<std::vector<world::ComponentEntry>> components_;
    Types types_;
};

Task<> swap_in(world::Host& host, std::string module) {
    co_await yield();
    const Types types = types_of(host, module);
    host.swap(module, types).value();
}

class ReloadSim : public testing::TestWithParam<bool> {
protected:
    /// New code for what a module has on a node, in place or carried over.
    void reload(SimCluster& cluster, const std::string& node, const std::string& module) {
        auto& host = cluster.inside(node).host;
        if (!GetParam()) return cluster.run_in(node, swap_in(host, module));
        OtherLayout& other = others.emplace_back(types_of(host, module));
        carried += cluster.run_in(node, carrying(host, module, other)).objects;
    }
    static Task<world::CarryReport> carrying(world::Host& host, std::string module, const OtherLayout& other) {
        co_return co_await host.carry_over(module, other.types(), 1s);
    }
    std::deque<OtherLayout> others;  // outlive the cluster
    std::uint64_t carried = 0;
};

Task<> live_a_day(Player& player, std::string name) {
    co_await player.sign_up(std::move(name));
    co_await player.play_times(4);
    co_await player.log_out();
}

TEST_P(ReloadSim, running_matches_end_and_are_paid) {
    SimCluster cluster(seeded(8));
    cluster.begin([](Player& player) { return player.play(); });
    const auto all_fight = [&] {
        for (std::size_t i = 0; i < cluster.players(); ++i)
            if (cluster.player(i).snapshots < 10) return false;
        return true;
    };
    ASSERT_TRUE(cluster.world.run_until(all_fight, 30s));
    for (const char* node : {"lobby_0", "battle_0", "battle_1"}) reload(cluster, node, "arena");
    reload(cluster, "dispatcher_0", "dispatcher");
    std::vector<std::uint64_t> seen;
    for (std::size_t i = 0; i < cluster.players(); ++i) seen.push_back(cluster.player(i).snapshots);
    cluster.world.run_for(1s);
    for (std::size_t i = 0; i < cluster.players(); ++i)
        EXPECT_GE(cluster.player(i).snapshots, seen[i] + 28) << "30 a second, as before";
    for (const char* node : {"battle_0", "lobby_0"}) reload(cluster, node, "arena");
    cluster.finish(1min);
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        EXPECT_EQ(cluster.player(i).results.size(), 1u);
        EXPECT_TRUE(cluster.player(i).lost.empty());
    }
    if (GetParam()) {
        EXPECT_GE(carried, 8u + 2u + 1u) << "avatars, matches, dispatcher";
    }
    expect_whole(cluster);
}

TEST_P(ReloadSim, players_of_a_battle_node_that_dies_of_its_new_build_are_told_and_play_on) {
    SimCluster cluster(seeded(4));
    const auto each = [&cluster](auto holds) {
        for (std::size_t i = 0; i < cluster.players(); ++i)
            if (!holds(cluster.player(i))) return false;
        return true;
    };
    cluster.begin([](Player& player) { return player.endure(1); });
    ASSERT_TRUE(cluster.world.run_until([&] { return each([](Player& p) { return p.snapshots >= 10; }); }, 30s));
    const std::string battle = battle_with_matches(cluster);
    reload(cluster, battle, "arena");
    cluster.world.run_for(100ms);
    EXPECT_TRUE(each([](Player& p) { return p.lost.empty(); })) << "the reload itself cost nobody the match";
    cluster.kill(battle);
    EXPECT_TRUE(cluster.world.run_until([&] { return each([](Player& p) { return p.lost.size() == 1; }); }, 2s));
    cluster.finish(1min);
    cluster.restart(battle);
    cluster.settle();
    cluster.together([](Player& player) { return player.play(); }, 1min);
    expect_whole(cluster);
}

TEST_P(ReloadSim, who_waits_for_a_match_waits_on) {
    ClusterOptions options = seeded(3);
    options.config = R"({"dispatcher": {"players": 3, "players_min": 3}})";
    SimCluster cluster(options);
    for (int i : {0, 1}) {
        cluster.run(cluster.player(i), cluster.player(i).log_in());
        cluster.run(cluster.player(i), cluster.player(i).find_match());
    }
    cluster.world.run_for(2s);
    EXPECT_EQ(waiting(cluster), 2u);
    reload(cluster, "dispatcher_0", "dispatcher");
    reload(cluster, "lobby_0", "arena");
    EXPECT_EQ(waiting(cluster), 2u);
    cluster.world.run_for(10s);  // longer than an entry lives that nobody repeats
    EXPECT_EQ(waiting(cluster), 2u);
    cluster.run(cluster.player(2), cluster.player(2).play());
    EXPECT_TRUE(cluster.player(0).ticket);
    EXPECT_TRUE(cluster.player(1).ticket);
}

/// Sign-ups, log-ins, queues, matches, saves and log-outs, and a node that leaves and joins, under code that is
/// replaced eight times a second.
TEST_P(ReloadSim, players_notice_nothing_of_code_that_is_always_new) {
    ClusterOptions options = seeded(8);
    options.nodes = {"account_0", "gate_0", "lobby_0", "lobby_1", "dispatcher_0", "battle_0", "battle_1"};
    SimCluster cluster(options);
    const auto live = [&cluster](Player& player) -> Task<> {
        std::size_t number = 0;
        while (&cluster.player(number) != &player) ++number;
        return live_a_day(player, "Player_" + std::to_string(number));
    };
    cluster.begin(live);
    sim::Random random(options.seed);
    int reloads = 0;
    for (; reloads < 2000 && !cluster.finished(); ++reloads) {
        const auto names = cluster.names();
        const std::string node = names[random.below(names.size())];
        std::vector<std::string> modules;
        for (const auto* type : cluster.inside(node).host.types())
            if (const auto& hosted = cluster.inside(node).host.hosted(*type); !hosted.module.empty() && !hosted.objects.empty())
                modules.push_back(hosted.module);
        if (!modules.empty()) reload(cluster, node, modules[random.below(modules.size())]);
        if (reloads == 60) cluster.stop("lobby_1"), cluster.start("lobby_1");
        cluster.world.run_for(125ms);
    }
    cluster.finish(1min);
    EXPECT_GT(reloads, 100);
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        EXPECT_EQ(cluster.player(i).results.size(), 4u);
        EXPECT_TRUE(cluster.player(i).lost.empty());
        EXPECT_EQ(cluster.player(i).troubles, 0u);
    }
    expect_whole(cluster);
}

INSTANTIATE_TEST_SUITE_P(InPlaceOrCarriedOver, ReloadSim, testing::Bool());

}  // namespace
}  // namespace gyre::test

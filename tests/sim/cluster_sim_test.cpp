#include <gtest/gtest.h>

#include "tests/sim/player.hpp"

namespace gyre::test {
namespace {

ClusterOptions seeded() {
    ClusterOptions options;
    options.seed = sim::test_seed();
    return options;
}

/// Everything a player was promised is in the database, once.
void expect_whole(SimCluster& cluster) {
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        Player& player = cluster.player(i);
        const StoredAvatar avatar = cluster.stored(player.id());
        std::set<EntityId> rewarded(avatar.Career.rewarded.begin(), avatar.Career.rewarded.end());
        EXPECT_EQ(rewarded.size(), avatar.Career.rewarded.size()) << "a match counts twice";
        std::int64_t gold = 0;
        std::uint32_t wins = 0, matches = 0;
        for (const auto& [id, over] : player.results) {
            EXPECT_TRUE(rewarded.contains(id)) << player.describe();
            gold += over.gold, wins += over.won, matches += over.arrived;
        }
        EXPECT_GE(avatar.Bag.gold, player.best.gold) << "an acknowledged reward is lost";
        EXPECT_GE(avatar.Career.matches, player.best.matches);
        if (rewarded.size() == player.results.size()) {  // it has seen every result
            EXPECT_EQ(avatar.Bag.gold, gold) << player.describe();
            EXPECT_EQ(avatar.Career.wins, wins);
            EXPECT_EQ(avatar.Career.matches, matches);
        }
    }
}

TEST(ClusterSim, twenty_players_log_in_play_are_rewarded_and_leave) {
    SimCluster cluster(seeded());
    cluster.together([](Player& player) { return player.play(); }, 1min);
    std::uint32_t wins = 0;
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        Player& player = cluster.player(i);
        EXPECT_EQ(player.results.size(), 1u);
        EXPECT_EQ(player.fighters_seen, 4u) << "sees the others";
        EXPECT_GT(player.snapshots, 30u);
        EXPECT_GT(player.input_seen, 10u) << "its inputs come back";
        EXPECT_EQ(player.troubles, 0u);
        ASSERT_TRUE(player.rewarded);
        const auto status = cluster.run(player, player.status());
        EXPECT_EQ(status.gold, player.rewarded->gold);
        EXPECT_EQ(status.matches, 1u);
        wins += status.wins;
    }
    EXPECT_GT(wins, 0u);
    expect_whole(cluster);
    cluster.together([](Player& player) { return player.log_out(); }, 1min);
    EXPECT_EQ(cluster.inside("lobby_0").host.entities(), 0u);
    EXPECT_EQ(cluster.inside("gate_0").info.sessions, 0u);
    expect_whole(cluster);
    for (std::size_t i = 0; i < cluster.players(); ++i)
        EXPECT_EQ(cluster.document(cluster.player(i).id())->owner.node, "") << "given up at logout";
}

TEST(ClusterSim, the_same_seed_gives_the_same_run) {
    const auto run = [](std::uint64_t seed) {
        ClusterOptions options;
        options.seed = seed;
        options.players = 8;
        SimCluster cluster(options);
        cluster.together([](Player& player) { return player.play(); }, 1min);
        return std::pair(cluster.world.trace_hash(), cluster.world.trace_events());
    };
    const auto first = run(sim::test_seed());
    std::printf("seed=%llu trace=%016llx events=%llu\n",
                static_cast<unsigned long long>(sim::test_seed()),
                static_cast<unsigned long long>(first.first),
                static_cast<unsigned long long>(first.second));
    EXPECT_EQ(run(sim::test_seed()), first);
    EXPECT_NE(run(sim::test_seed() + 1), first);
}

}  // namespace
}  // namespace gyre::test

#include <gtest/gtest.h>

#include "tests/sim/checks.hpp"

namespace gyre::test {
namespace {

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
    EXPECT_TRUE(cluster.world.run_until(
        [&] { return cluster.inside("lobby_0").host.entities() == 0; }, 1s));
    EXPECT_EQ(cluster.inside("gate_0").info.sessions, 0u);
    expect_whole(cluster);
    for (std::size_t i = 0; i < cluster.players(); ++i)
        EXPECT_EQ(cluster.document(cluster.player(i).id())->owner.node, "") << "given up at logout";
}

TEST(ClusterSim, players_with_accounts_keep_their_avatar) {
    ClusterOptions options = seeded(4);
    options.nodes.push_back("account_0");
    SimCluster cluster(options);
    const auto name = [](std::size_t i) { return "Player_" + std::to_string(i); };
    for (std::size_t i = 0; i < 4; ++i)
        cluster.player(i).begin(cluster.player(i).sign_up(name(i)));
    cluster.finish(1min);
    cluster.together([](Player& player) { return player.play(); }, 1min);
    cluster.together([](Player& player) { return player.log_out(); }, 1min);
    cluster.kill("account_0");
    cluster.restart("account_0");
    for (std::size_t i = 0; i < 4; ++i) {
        Player& player = cluster.player(i);
        EXPECT_EQ(code_of(cluster, player, player.sign_up("PLAYER_" + std::to_string(i))), "name_taken");
        EXPECT_EQ(code_of(cluster, player, player.ask_token(name(i), "battery staple")), errc::unauthorized);
        cluster.run(player, player.ask_token(name(i), Player::password));
        cluster.run(player, player.log_in());
        EXPECT_EQ(player.gate->entity(), player.id());
        const auto status = cluster.run(player, player.status());
        EXPECT_EQ(status.name, name(i));
        EXPECT_EQ(status.matches, 1u);
    }
    expect_whole(cluster);
}

TEST(ClusterSim, tokens_that_do_not_prove_who_it_is_are_refused) {
    SimCluster cluster(seeded(1));
    Player& player = cluster.player(0);
    const auto with = [&](std::string token) {
        sdk::ConnectOptions options;
        options.endpoint = cluster.gate();
        options.server_key = cluster.server_key();
        options.credential = std::move(token);
        try {
            cluster.run(player, sdk::Client::connect(player.machine(), player.machine().scope(), options));
        } catch (const Error& error) {
            return error.code();
        }
        return std::string();
    };
    const std::string good = cluster.token(player.id(), 10min);
    EXPECT_EQ(with(good), "");
    EXPECT_EQ(with(""), errc::unauthorized);
    EXPECT_EQ(with(good.substr(0, good.size() - 2)), errc::unauthorized);
    EXPECT_EQ(with(std::string(8000, 'x')), errc::unauthorized);
    EXPECT_EQ(with(cluster.token(0)), errc::unauthorized);
    cluster.world.run_for(10min);
    EXPECT_EQ(with(good), errc::unauthorized) << "expired";
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

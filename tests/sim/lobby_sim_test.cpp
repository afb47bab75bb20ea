#include "tests/sim/checks.hpp"

namespace gyre::test {
namespace {

arena::MatchOver won(EntityId match) { return {match, true, true, 2, 60}; }

TEST(LobbySim, clients_stay_at_the_gate_while_the_lobby_dies_and_comes_back) {
    SimCluster cluster(seeded(8));
    cluster.together([](Player& player) { return player.play(); }, 1min);
    std::vector<std::uint64_t> sessions;
    for (std::size_t i = 0; i < cluster.players(); ++i)
        sessions.push_back(cluster.player(i).gate->session());
    cluster.kill("lobby_0");
    cluster.world.run_for(1s);
    cluster.restart("lobby_0");
    cluster.settle();
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        Player& player = cluster.player(i);
        const auto status = cluster.run(player, player.status());
        EXPECT_EQ(status.gold, player.rewarded->gold) << "what was acknowledged is there";
        EXPECT_EQ(player.gate->session(), sessions[i]);
        EXPECT_TRUE(player.gate->open());
    }
    cluster.together([](Player& player) { return player.play(); }, 1min);
    expect_whole(cluster);
}

TEST(LobbySim, killed_while_matches_run_it_still_gets_their_results) {
    SimCluster cluster(seeded(8));
    cluster.begin([](Player& player) { return player.endure(2); });
    cluster.world.run_for(4s);
    cluster.kill("lobby_0");
    cluster.world.run_for(2s);
    cluster.restart("lobby_0");
    cluster.finish(2min);
    cluster.world.run_for(10s);
    expect_whole(cluster);
}

TEST(LobbySim, another_takes_over_the_avatars_of_one_that_died) {
    SimCluster cluster(two_lobbies(12));
    cluster.together([](Player& player) { return player.play(); }, 1min);
    std::set<std::string> homes;
    for (std::size_t i = 0; i < cluster.players(); ++i) homes.insert(home_of(cluster, cluster.player(i)));
    EXPECT_EQ(homes, (std::set<std::string>{"lobby_0", "lobby_1"}));
    cluster.kill("lobby_1");
    EXPECT_TRUE(cluster.world.run_until(
        [&] {
            for (std::size_t i = 0; i < cluster.players(); ++i)
                if (home_of(cluster, cluster.player(i)) != "lobby_0") return false;
            return true;
        },
        8s));
    cluster.together([](Player& player) { return player.play(); }, 1min);
    cluster.restart("lobby_1");
    cluster.settle();
    cluster.together([](Player& player) { return player.play(); }, 1min);
    homes.clear();
    for (std::size_t i = 0; i < cluster.players(); ++i) homes.insert(home_of(cluster, cluster.player(i)));
    EXPECT_EQ(homes.size(), 2u) << "it has its share again";
    expect_whole(cluster);
}

TEST(LobbySim, one_that_ends_in_good_order_hands_over_without_an_error) {
    SimCluster cluster(two_lobbies(12));
    cluster.together([](Player& player) { return player.play(); }, 1min);
    cluster.stop("lobby_1");
    cluster.together([](Player& player) { return player.play(); }, 1min);
    for (std::size_t i = 0; i < cluster.players(); ++i)
        EXPECT_EQ(home_of(cluster, cluster.player(i)), "lobby_0");
    expect_whole(cluster);
}

TEST(LobbySim, frozen_past_its_lease_it_is_fenced_and_nothing_counts_twice) {
    SimCluster cluster(two_lobbies(6));
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        Player& player = cluster.player(i);
        cluster.run(player, player.log_in());
        tell_result(cluster, player.id(), won(1));
    }
    const std::string frozen = home_of(cluster, cluster.player(0));
    std::vector<Player*> moved;
    for (std::size_t i = 0; i < cluster.players(); ++i)
        if (home_of(cluster, cluster.player(i)) == frozen) moved.push_back(&cluster.player(i));
    // Changed in memory only: what is not saved may be lost, but must not overwrite.
    for (Player* player : moved) cluster.run(*player, player->take_medal());
    cluster.machine(frozen).freeze(15s);
    cluster.world.run_for(9s);
    for (Player* player : moved) {
        EXPECT_NE(home_of(cluster, *player), "");
        tell_result(cluster, player->id(), won(2));
        EXPECT_EQ(cluster.run(*player, player->status()).gold, 120);
    }
    cluster.world.run_for(20s);
    EXPECT_GE(cluster.inside(frozen).persist.fenced(), moved.size());
    for (Player* player : moved) {
        tell_result(cluster, player->id(), won(2));  // again
        const auto status = cluster.run(*player, player->status());
        EXPECT_EQ(status.gold, 120);
        EXPECT_EQ(status.medals, 2u);
        EXPECT_EQ(status.matches, 2u);
        EXPECT_EQ(cluster.stored(player->id()).Bag.gold, 120);
    }
}

TEST(LobbySim, frozen_past_its_lease_it_shows_nothing_old) {
    SimCluster cluster(two_lobbies(6));
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        Player& player = cluster.player(i);
        cluster.run(player, player.log_in());
        tell_result(cluster, player.id(), won(1));
    }
    const std::string frozen = home_of(cluster, cluster.player(0));
    cluster.machine(frozen).freeze(15s);
    cluster.world.run_for(9s);
    for (std::size_t i = 0; i < cluster.players(); ++i) tell_result(cluster, cluster.player(i).id(), won(2));
    cluster.world.run_for(20s);
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        Player& player = cluster.player(i);
        EXPECT_EQ(cluster.run(player, player.status()).gold, 120) << home_of(cluster, player);
    }
}

TEST(LobbySim, an_avatar_that_is_not_loaded_is_loaded_for_its_result) {
    SimCluster cluster(seeded(2));
    Player& player = cluster.player(0);
    cluster.run(player, player.log_in());
    cluster.run(player, player.log_out());
    EXPECT_EQ(home_of(cluster, player), "");
    tell_result(cluster, player.id(), won(5));
    tell_result(cluster, player.id(), won(5));
    tell_result(cluster, player.id(), won(6));
    EXPECT_EQ(cluster.stored(player.id()).Bag.gold, 120);
    EXPECT_EQ(cluster.stored(player.id()).Career.matches, 2u);
    EXPECT_TRUE(cluster.world.run_until([&] { return home_of(cluster, player).empty(); }, 2min))
        << "and unloaded again, since nobody plays it";
    cluster.run(player, player.log_in());
    EXPECT_EQ(cluster.run(player, player.status()).gold, 120);
    // Nobody has ever seen this one: it cannot be rewarded into being.
    EXPECT_THROW(tell_result(cluster, cluster.player(1).id(), won(5)), Error);
    EXPECT_FALSE(cluster.document(cluster.player(1).id()));
}

TEST(LobbySim, results_that_come_twice_at_once_count_once) {
    SimCluster cluster(seeded(1));
    Player& player = cluster.player(0);
    cluster.run(player, player.log_in());
    cluster.lose_replies("lobby_0", true);  // saved, but nobody hears of it
    EXPECT_THROW(tell_result(cluster, player.id(), won(5)), Error);
    cluster.lose_replies("lobby_0", false);
    tell_result(cluster, player.id(), won(5));
    EXPECT_EQ(cluster.stored(player.id()).Bag.gold, 60);
    EXPECT_EQ(cluster.run(player, player.status()).gold, 60);
}

TEST(LobbySim, a_login_at_another_gate_replaces_the_older_session) {
    auto options = seeded(2);
    options.nodes.push_back("gate_1");
    SimCluster cluster(options);
    Player &player = cluster.player(0), &other = cluster.player(1);
    other.at_gate = "gate_1";
    for (auto* one : {&player, &other}) cluster.run(*one, one->log_in());
    for (int i = 0; i < 4; ++i) {
        auto older = std::move(player.gate);
        player.at_gate = i % 2 ? "gate_0" : "gate_1";
        cluster.run(player, player.log_in());
        ASSERT_TRUE(cluster.world.run_until([&] { return !older->open(); }, 1s));
        EXPECT_EQ(older->close_reason()->code(), "replaced");
        cluster.world.run_for(1s);  // the goodbye of the older one changes nothing
        EXPECT_EQ(cluster.run(player, player.status()).gold, 0);
        EXPECT_EQ(cluster.inside(player.at_gate).info.sessions, player.at_gate == "gate_1" ? 2u : 1u);
    }
    EXPECT_TRUE(other.gate->open());
    // Players of two gates meet in one match, and each is told its reward by its own gate.
    player.at_gate = "gate_0";
    cluster.together([](Player& one) { return one.play(); }, 1min);
    expect_whole(cluster);
}

TEST(LobbySim, a_battle_node_that_stops_hands_its_results_over) {
    auto options = seeded(4);
    options.nodes = {"gate_0", "lobby_0", "dispatcher_0", "battle_0"};
    SimCluster cluster(options);
    cluster.begin([](Player& player) { return player.endure(1); });
    const auto over = [&] {
        std::size_t told = 0;
        for (std::size_t i = 0; i < cluster.players(); ++i) told += !cluster.player(i).results.empty();
        return told == cluster.players();
    };
    const auto playing = [&] { return cluster.inside("battle_0").host.ids("Match").size() > 0; };
    ASSERT_TRUE(cluster.world.run_until(playing, 10s));
    cluster.lose_replies("lobby_0", true);  // saved, but nobody hears of it: told again and again
    ASSERT_TRUE(cluster.world.run_until(over, 30s));
    cluster.world.run_for(1s);
    auto& registry = cluster.machine("registry");
    auto recover = [](SimCluster* c) -> Task<> {
        co_await sleep(500ms);
        c->lose_replies("lobby_0", false);
    };
    auto recovery = go(registry.scope(), recover(&cluster));
    cluster.stop("battle_0");
    EXPECT_TRUE(recovery.done()) << "it has waited for the lobby";
    for (std::size_t i = 0; i < cluster.players(); ++i)
        EXPECT_EQ(cluster.stored(cluster.player(i).id()).Career.matches, 1u);
    cluster.finish(1min);
}

TEST(LobbySim, the_newer_session_replaces_the_older) {
    SimCluster cluster(seeded(1));
    Player& player = cluster.player(0);
    cluster.run(player, player.log_in());
    auto older = std::move(player.gate);
    std::string why;
    cluster.run(player, player.log_in());
    EXPECT_TRUE(cluster.world.run_until([&] { return !older->open(); }, 1s));
    EXPECT_EQ(older->close_reason()->code(), "replaced");
    cluster.world.run_for(1s);
    EXPECT_TRUE(player.gate->open());
    EXPECT_EQ(cluster.run(player, player.status()).gold, 0);
    cluster.world.run_for(1min);  // the late goodbye of the older one unloads nothing
    EXPECT_EQ(home_of(cluster, player), "lobby_0");
}

TEST(LobbySim, an_avatar_without_a_client_is_saved_and_unloaded) {
    SimCluster cluster(seeded(1));
    Player& player = cluster.player(0);
    cluster.run(player, player.log_in());
    tell_result(cluster, player.id(), won(5));
    cluster.run(player, player.take_medal());
    player.gate->close();
    EXPECT_TRUE(cluster.world.run_until([&] { return home_of(cluster, player).empty(); }, 40s));
    EXPECT_EQ(cluster.document(player.id())->owner.node, "");
    cluster.run(player, player.log_in());
    EXPECT_EQ(cluster.run(player, player.status()).medals, 0u);
}

TEST(LobbySim, an_avatar_that_was_taken_elsewhere_comes_back_to_its_client) {
    SimCluster cluster(two_lobbies(2));
    Player& player = cluster.player(0);
    cluster.run(player, player.log_in());
    tell_result(cluster, player.id(), won(5));
    cluster.run(player, player.take_medal());
    const std::string home = home_of(cluster, player);
    const std::string other = home == "lobby_0" ? "lobby_1" : "lobby_0";
    auto& there = cluster.inside(other);
    cluster.run_in(other, there.persist.activate(player.id(), *there.host.find_type("Avatar")));
    EXPECT_EQ(there.host.entities(), 1u) << "given up by the first, with what was not saved yet";
    player.rewarded.reset();
    cluster.world.run_for(1s);
    EXPECT_EQ(home_of(cluster, player), home);
    tell_result(cluster, player.id(), won(6));
    cluster.world.run_for(100ms);
    ASSERT_TRUE(player.rewarded) << "its client hears of it";
    EXPECT_EQ(player.rewarded->gold, 120);
    EXPECT_EQ(player.rewarded->medals, 1u);
}

TEST(LobbySim, a_node_that_ends_while_everybody_plays_loses_nothing) {
    SimCluster cluster(two_lobbies(12));
    cluster.begin([](Player& player) { return player.endure(3); });
    cluster.world.run_for(7s);
    cluster.stop("lobby_1");
    cluster.world.run_for(3s);
    cluster.start("lobby_1");
    cluster.world.run_for(3s);
    cluster.stop("battle_0");
    cluster.world.run_for(3s);
    cluster.start("battle_0");
    cluster.stop("dispatcher_0");
    cluster.world.run_for(1s);
    cluster.start("dispatcher_0");
    cluster.finish(3min);
    cluster.world.run_for(10s);
    expect_whole(cluster);
}

TEST(LobbySim, avatars_do_not_stay_for_the_clients_of_a_gate_that_died) {
    SimCluster cluster(seeded(4));
    cluster.together([](Player& player) { return player.log_in(); }, 1min);
    cluster.kill("gate_0");
    cluster.world.run_for(1s);
    cluster.restart("gate_0");
    cluster.settle();
    for (std::size_t i : {0, 1}) cluster.run(cluster.player(i), cluster.player(i).log_in());
    EXPECT_EQ(cluster.inside("lobby_0").host.entities(), 4u);
    cluster.world.run_for(1min);
    EXPECT_EQ(home_of(cluster, cluster.player(0)), "lobby_0");
    EXPECT_EQ(cluster.inside("lobby_0").host.entities(), 2u);
}

TEST(LobbySim, a_gate_that_was_taken_for_dead_brings_its_clients_again) {
    SimCluster cluster(seeded(4));
    cluster.together([](Player& player) { return player.log_in(); }, 1min);
    cluster.cut_from_registry("gate_0", true);
    cluster.world.run_for(8s);
    cluster.cut_from_registry("gate_0", false);
    cluster.world.run_for(1min);
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        Player& player = cluster.player(i);
        ASSERT_TRUE(player.gate->open());
        tell_result(cluster, player.id(), won(6));
        cluster.world.run_for(100ms);
        EXPECT_TRUE(player.rewarded);
    }
}

TEST(LobbySim, a_goodbye_that_cannot_be_told_is_told_later) {
    SimCluster cluster(seeded(1));
    Player& player = cluster.player(0);
    cluster.run(player, player.log_in());
    cluster.run(player, player.find_match());
    auto &gate = cluster.machine("gate_0"), &lobby = cluster.machine("lobby_0");
    cluster.world.partition(gate, lobby);
    cluster.world.run_for(1s);
    player.gate->close();
    cluster.world.run_for(9s);
    cluster.world.heal(gate, lobby);
    cluster.world.run_for(6s);
    EXPECT_EQ(waiting(cluster), 0u);
    EXPECT_TRUE(cluster.world.run_until([&] { return home_of(cluster, player).empty(); }, 40s));
}

TEST(LobbySim, a_broken_link_moves_no_avatar) {
    SimCluster cluster(two_lobbies(8));
    cluster.together([](Player& player) { return player.log_in(); }, 1min);
    cluster.begin([](Player& player) { return player.play(); });
    std::vector<std::string> homes;
    for (std::size_t i = 0; i < cluster.players(); ++i) homes.push_back(home_of(cluster, cluster.player(i)));
    for (int i = 0; i < 40; ++i) {
        cluster.world.run_for(100ms);
        for (const char* lobby : {"lobby_0", "lobby_1"})
            for (const char* other : {"gate_0", "battle_0", "battle_1"})
                if (cluster.world.random("cuts").fork(other, i).chance(0.1))
                    cluster.world.cut(cluster.machine(lobby), cluster.machine(other));
        for (std::size_t p = 0; p < cluster.players(); ++p)
            ASSERT_EQ(home_of(cluster, cluster.player(p)), homes[p]);
    }
    cluster.world.run_for(20s);
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        EXPECT_EQ(home_of(cluster, cluster.player(i)), homes[i]);
        EXPECT_TRUE(cluster.player(i).lost.empty()) << "its match still ran";
        EXPECT_EQ(cluster.stored(cluster.player(i).id()).Career.matches, 1u);
    }
}

TEST(LobbySim, without_the_registry_everything_goes_on) {
    SimCluster cluster(seeded(8));
    cluster.together([](Player& player) { return player.log_in(); }, 1min);
    cluster.registry().pause(true);
    cluster.together([](Player& player) { return player.play(); }, 1min);
    cluster.world.run_for(30s);
    cluster.together([](Player& player) { return player.play(); }, 1min);
    cluster.registry().pause(false);
    cluster.world.run_for(20s);
    cluster.together([](Player& player) { return player.play(); }, 1min);
    for (std::size_t i = 0; i < cluster.players(); ++i) EXPECT_EQ(cluster.player(i).troubles, 0u);
    expect_whole(cluster);
}

}  // namespace
}  // namespace gyre::test

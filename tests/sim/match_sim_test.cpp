#include <gyre/secure/token.hpp>

#include "tests/sim/checks.hpp"

namespace gyre::test {
namespace {

/// Until all of them fight.
void begin_matches(SimCluster& cluster, const std::function<Task<>(Player&)>& script) {
    cluster.begin(script);
    ASSERT_TRUE(cluster.world.run_until(
        [&] {
            for (std::size_t i = 0; i < cluster.players(); ++i)
                if (cluster.player(i).snapshots < 10) return false;
            return true;
        },
        30s));
}
bool all_lost(SimCluster& cluster) {
    for (std::size_t i = 0; i < cluster.players(); ++i)
        if (cluster.player(i).lost.empty()) return false;
    return true;
}
Task<> until_ticket(Player& player, match::Ticket* ticket) {
    if (!player.gate) co_await player.log_in();
    co_await player.find_match();
    *ticket = co_await player.wait_ticket();
}

TEST(MatchSim, players_of_a_killed_battle_node_are_told_within_two_seconds_and_play_on) {
    SimCluster cluster(seeded(4));
    begin_matches(cluster, [](Player& player) { return player.endure(1); });
    const std::string battle = battle_with_matches(cluster);
    cluster.kill(battle);
    EXPECT_TRUE(cluster.world.run_until([&] { return all_lost(cluster); }, 2s));
    cluster.finish(1min);
    cluster.restart(battle);
    cluster.settle();
    cluster.together([](Player& player) { return player.play(); }, 1min);
    expect_whole(cluster);
}

TEST(MatchSim, players_of_a_frozen_battle_node_are_told_within_two_seconds_and_play_on) {
    SimCluster cluster(seeded(4));
    begin_matches(cluster, [](Player& player) { return player.endure(1); });
    cluster.machine(battle_with_matches(cluster)).freeze(40s);
    EXPECT_TRUE(cluster.world.run_until([&] { return all_lost(cluster); }, 2s + 10ms));
    cluster.finish(1min);
    cluster.world.run_for(1min);  // it comes back and tells its old results
    cluster.together([](Player& player) { return player.play(); }, 1min);
    expect_whole(cluster);
}

TEST(MatchSim, a_restarted_dispatcher_finds_the_waiting_again) {
    ClusterOptions options = seeded(3);
    options.config = R"({"dispatcher": {"players": 3, "players_min": 3}})";
    SimCluster cluster(options);
    for (int i : {0, 1}) {
        cluster.run(cluster.player(i), cluster.player(i).log_in());
        cluster.run(cluster.player(i), cluster.player(i).find_match());
    }
    cluster.world.run_for(2s);
    EXPECT_EQ(waiting(cluster), 2u);
    cluster.kill("dispatcher_0");
    cluster.world.run_for(3s);
    cluster.restart("dispatcher_0");
    cluster.settle();
    cluster.world.run_for(3s);
    EXPECT_EQ(waiting(cluster), 2u);
    cluster.run(cluster.player(2), cluster.player(2).play());
    EXPECT_TRUE(cluster.player(0).ticket);
    EXPECT_TRUE(cluster.player(1).ticket);
}

TEST(MatchSim, cancel_logout_and_a_lost_session_leave_the_queue) {
    SimCluster cluster(seeded(1));
    Player& player = cluster.player(0);
    const auto queue = [&] {
        if (!player.gate || !player.gate->open()) cluster.run(player, player.log_in());
        cluster.run(player, player.find_match());
        cluster.world.run_for(50ms);
        EXPECT_EQ(waiting(cluster), 1u);
    };
    const auto gone = [&] {
        return cluster.world.run_until([&] { return cluster.inside("dispatcher_0").info.load == 0; }, 1s);
    };
    queue();
    cluster.run(player, player.cancel());
    EXPECT_EQ(waiting(cluster), 0u);
    EXPECT_EQ(code_of(cluster, player, player.cancel()), "not_queued");
    queue();
    cluster.run(player, player.log_out());
    EXPECT_TRUE(gone());
    queue();
    player.gate->close();
    EXPECT_TRUE(gone());
    queue();
    cluster.world.cut(player.machine(), cluster.machine("gate_0"));
    EXPECT_TRUE(gone());
    cluster.world.run_for(5s);  // nobody asks for it again
    EXPECT_EQ(waiting(cluster), 0u);
}

TEST(MatchSim, who_does_not_come_in_time_has_lost_the_seat_and_nobody_waits_for_it) {
    SimCluster cluster(seeded(4));
    std::vector<match::Ticket> tickets(4);
    for (std::size_t i = 0; i < 4; ++i)
        cluster.player(i).begin(until_ticket(cluster.player(i), &tickets[i]));
    cluster.finish(10s);
    for (std::size_t i = 0; i < 3; ++i)
        cluster.player(i).begin(cluster.player(i).fight_with(tickets[i]));
    cluster.world.run_for(4s);
    EXPECT_EQ(cluster.player(0).fighters_seen, 3u) << "the match begins without the fourth";
    EXPECT_GT(cluster.player(0).snapshots, 10u);
    cluster.finish(1min);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(cluster.player(i).results.size(), 1u);
    EXPECT_TRUE(cluster.world.run_until(
        [&] { return cluster.player(3).rewarded.has_value(); }, 10s));
    const StoredAvatar absent = cluster.stored(cluster.player(3).id());
    EXPECT_EQ(absent.Career.rewarded, std::vector{tickets[3].match});
    EXPECT_EQ(absent.Career.matches, 0u);
    EXPECT_EQ(absent.Bag.gold, 0);
    EXPECT_EQ(code_of(cluster, cluster.player(3), cluster.player(3).enter(tickets[3])), "match_over");
    cluster.together([](Player& player) { return player.play(); }, 1min);
    expect_whole(cluster);
}

TEST(MatchSim, ten_seconds_after_the_start_a_seat_is_lost) {
    ClusterOptions options = seeded(2);
    options.config = R"({"arena": {"seconds": 60}, "dispatcher": {"players": 2}})";
    SimCluster cluster(options);
    std::vector<match::Ticket> tickets(2);
    for (std::size_t i = 0; i < 2; ++i)
        cluster.player(i).begin(until_ticket(cluster.player(i), &tickets[i]));
    cluster.finish(10s);
    cluster.player(0).begin(cluster.player(0).fight_with(tickets[0]));
    cluster.world.run_for(11s);
    Player& late = cluster.player(1);
    cluster.run(late, late.enter(tickets[1]));
    EXPECT_TRUE(cluster.world.run_until([&] { return !late.battle->open(); }, 1s));
    EXPECT_EQ(late.battle_closed, "no_show");
    EXPECT_EQ(late.snapshots, 0u);
    cluster.finish(2min);
}

TEST(MatchSim, a_match_nobody_comes_to_ends_after_ten_seconds) {
    SimCluster cluster(seeded(4));
    std::vector<match::Ticket> tickets(4);
    for (std::size_t i = 0; i < 4; ++i)
        cluster.player(i).begin(until_ticket(cluster.player(i), &tickets[i]));
    cluster.finish(10s);
    cluster.world.run_for(9s);
    EXPECT_NE(battle_with_matches(cluster), "");
    cluster.world.run_for(2s);
    EXPECT_EQ(battle_with_matches(cluster), "");
    cluster.together([](Player& player) { return player.play(); }, 1min);
    expect_whole(cluster);
}

TEST(MatchSim, nobody_is_in_two_matches_or_misses_one_when_battle_nodes_are_full) {
    ClusterOptions options = seeded(22);
    options.config = R"({"battle": {"max_matches": 1}, "arena": {"seconds": 1.5},
                         "dispatcher": {"patience": "300ms", "players_min": 1}})";
    SimCluster cluster(options);
    cluster.world.network().latency = 60ms;
    cluster.world.network().jitter = 120ms;
    cluster.together([](Player& player) { return player.play_times(4); }, 5min);
    cluster.world.run_for(30s);
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        const StoredAvatar avatar = cluster.stored(cluster.player(i).id());
        EXPECT_EQ(avatar.Career.rewarded.size(), avatar.Career.matches) << "it came to all of them";
    }
}

class TicketSim : public testing::Test {
protected:
    TicketSim() {
        ClusterOptions options = seeded(2);
        options.config = R"({"arena": {"seconds": 120, "kills": 1000}, "dispatcher": {"players": 2}})";
        cluster.emplace(options);
        for (std::size_t i = 0; i < 2; ++i)
            cluster->player(i).begin(until_ticket(cluster->player(i), &tickets[i]));
        cluster->finish(10s);
    }
    Player& player(std::size_t i) { return cluster->player(i); }
    std::string use(std::size_t i, match::Ticket ticket) {
        return code_of(*cluster, player(i), player(i).enter(std::move(ticket)));
    }
    match::TicketClaims claims(const match::Ticket& ticket) {
        const secure::SignedToken tokens(cluster->keys().ticket, match::ticket_purpose);
        return decode<match::TicketClaims>(tokens.open(ticket.ticket).value()).value();
    }
    match::Ticket sign(match::Ticket ticket, const match::TicketClaims& c, const secure::Key& key) {
        ticket.ticket = secure::SignedToken(key, match::ticket_purpose).sign(encode(c));
        return ticket;
    }
    std::optional<SimCluster> cluster;
    match::Ticket tickets[2];
};

TEST_F(TicketSim, opens_one_session) {
    EXPECT_EQ(use(0, tickets[0]), "");
    EXPECT_EQ(player(0).battle->entity(), player(0).id());
    EXPECT_EQ(use(0, tickets[0]), errc::unauthorized) << "used twice";
    EXPECT_EQ(use(1, tickets[1]), "");
}
TEST_F(TicketSim, of_somebody_else_makes_nobody_else_of_its_holder) {
    EXPECT_EQ(use(0, tickets[1]), "");  // whoever holds it is that player, once
    EXPECT_EQ(player(0).battle->entity(), player(1).id());
    EXPECT_EQ(use(1, tickets[1]), errc::unauthorized);
}
TEST_F(TicketSim, expires) {
    cluster->player(1).begin(player(1).fight_with(tickets[1]));
    cluster->world.run_for(31s);
    EXPECT_EQ(use(0, tickets[0]), errc::unauthorized);
}
TEST_F(TicketSim, must_be_signed_and_for_this_node_and_match) {
    auto c = claims(tickets[0]);
    EXPECT_EQ(use(0, sign(tickets[0], c, cluster->keys().login)), errc::unauthorized);
    auto wrong = tickets[0];
    wrong.ticket[5] ^= 1;
    EXPECT_EQ(use(0, wrong), errc::unauthorized);
    wrong.ticket = "";
    EXPECT_EQ(use(0, wrong), errc::unauthorized);
    wrong.ticket = cluster->token(player(0).id());
    EXPECT_EQ(use(0, wrong), errc::unauthorized);
    c.match += 1, c.number += 1;
    EXPECT_EQ(use(0, sign(tickets[0], c, cluster->keys().ticket)), "match_over");
    c = claims(tickets[0]);
    c.node = c.node == "battle_0" ? "battle_1" : "battle_0";
    EXPECT_EQ(use(0, sign(tickets[0], c, cluster->keys().ticket)), errc::unauthorized);
    c = claims(tickets[0]);
    c.player = 77, c.number += 2;  // has no seat
    EXPECT_EQ(use(0, sign(tickets[0], c, cluster->keys().ticket)), "");
    EXPECT_TRUE(cluster->world.run_until([&] { return !player(0).battle->open(); }, 1s));
    EXPECT_EQ(player(0).battle_closed, errc::forbidden);
    EXPECT_EQ(use(0, tickets[0]), "") << "the real one is still good";
}
TEST_F(TicketSim, to_a_node_that_was_restarted_is_refused) {
    const std::string battle = battle_with_matches(*cluster);
    cluster->kill(battle);
    cluster->restart(battle);
    EXPECT_EQ(use(0, tickets[0]), errc::unauthorized);
}
TEST_F(TicketSim, is_made_anew_for_who_comes_back) {
    EXPECT_EQ(use(0, tickets[0]), "");
    EXPECT_EQ(use(1, tickets[1]), "");
    cluster->world.run_for(3s);
    cluster->world.cut(player(0).machine(), cluster->machine(battle_with_matches(*cluster)));
    EXPECT_TRUE(cluster->world.run_until([&] { return !player(0).battle->open(); }, 1s));
    cluster->world.cut(player(0).machine(), cluster->machine("gate_0"));
    EXPECT_TRUE(cluster->world.run_until([&] { return !player(0).gate->open(); }, 1s));
    cluster->run(player(0), player(0).log_in());
    const auto fresh = cluster->run(player(0), player(0).rejoin());
    EXPECT_EQ(fresh.match, tickets[0].match);
    const auto before = player(0).snapshots;
    EXPECT_EQ(use(0, fresh), "");
    cluster->world.run_for(1s);
    EXPECT_GT(player(0).snapshots, before + 20) << "back in the same match";
    EXPECT_EQ(code_of(*cluster, player(0), player(0).find_match()), "already_playing");
}
TEST_F(TicketSim, a_client_calls_what_clients_may_and_its_own_entity_only) {
    EXPECT_EQ(use(0, tickets[0]), "");
    Player& me = player(0);
    const auto raw = [&](sdk::Client& client, std::string method, Bytes arguments, EntityId entity) {
        return code_of(*cluster, me, client.call_raw(std::move(method), std::move(arguments), entity));
    };
    const Bytes none = encode(std::tuple());
    const Bytes over = encode(std::tuple(arena::MatchOver{1, true, true, 9, 1'000'000}));
    EXPECT_EQ(raw(*me.gate, "Avatar.match_result", over, 0), errc::forbidden);
    EXPECT_EQ(raw(*me.gate, "Avatar.match_result", over, player(1).id()), errc::forbidden);
    EXPECT_EQ(raw(*me.gate, "Avatar.status", none, player(1).id()), errc::forbidden);
    EXPECT_EQ(raw(*me.gate, "Online.attach", encode(std::tuple(ClientRef{})), 0), errc::forbidden);
    EXPECT_EQ(raw(*me.gate, "Matchmaking.match_found", encode(std::tuple(match::Reservation{})), 0),
              errc::forbidden);
    EXPECT_EQ(raw(*me.gate, "Lobby.leave", encode(std::tuple(me.id(), std::uint64_t{1})), 0),
              errc::unknown_method);
    EXPECT_EQ(raw(*me.gate, "Bag.take", none, 0), errc::bad_arguments);
    EXPECT_EQ(raw(*me.battle, "Match.open", encode(std::tuple(match::Plan{})), 0), errc::forbidden);
    EXPECT_EQ(raw(*me.battle, "Match.leave", encode(std::tuple(player(1).id(), std::uint64_t{1})), 0),
              errc::forbidden);
    EXPECT_EQ(raw(*me.battle, "Battle.reserve", encode(std::tuple(match::Plan{})), 0),
              errc::unknown_method);
    EXPECT_EQ(cluster->run(me, me.status()).gold, 0);
}

}  // namespace
}  // namespace gyre::test

#pragma once
#include <gtest/gtest.h>

#include "tests/sim/player.hpp"

namespace gyre::test {

inline ClusterOptions seeded(std::size_t players = 20) {
    ClusterOptions options;
    options.seed = sim::test_seed();
    options.players = players;
    return options;
}
inline ClusterOptions two_lobbies(std::size_t players) {
    ClusterOptions options = seeded(players);
    options.nodes = {"gate_0", "lobby_0", "lobby_1", "dispatcher_0", "battle_0", "battle_1"};
    return options;
}

/// Everything a player was promised is in the database, once, and no avatar lives twice.
/// A battle node that dies may take results with it of which no reward was told.
enum class Results { all_counted, may_have_died };
void expect_whole(SimCluster& cluster, Results results = Results::all_counted);

/// The code a task ends with; empty: none.
template <class T>
std::string code_of(SimCluster& cluster, Player& player, Task<T> task) {
    try {
        (void)cluster.run(player, std::move(task));
    } catch (const Error& error) {
        return error.code();
    }
    return {};
}
inline std::string code_of(SimCluster& cluster, Player& player, Task<> task) {
    try {
        cluster.run(player, std::move(task));
    } catch (const Error& error) {
        return error.code();
    }
    return {};
}

/// The node on which matches run now.
std::string battle_with_matches(SimCluster& cluster);
/// The lobby that has the avatar loaded; empty: none.
std::string home_of(SimCluster& cluster, Player& player);
std::uint64_t waiting(SimCluster& cluster);  ///< In the dispatcher's queue.
/// As a battle node tells it: the avatar is loaded for it.
void tell_result(SimCluster& cluster, EntityId avatar, arena::MatchOver over);

}  // namespace gyre::test

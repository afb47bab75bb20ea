#include "tests/sim/checks.hpp"

namespace gyre::test {

namespace {
/// Loaded on its owner in the database, or nowhere.
void expect_one_home(SimCluster& cluster, Player& player) {
    const auto document = cluster.document(player.id());
    ASSERT_TRUE(document);
    std::vector<std::string> homes;
    for (const auto& name : cluster.names())
        if (name.starts_with("lobby") && cluster.runs(name) &&
            cluster.inside(name).host.find(player.id()))
            homes.push_back(name);
    ASSERT_LE(homes.size(), 1u) << player.describe();
    if (homes.size() == 1) EXPECT_EQ(document->owner.node, homes.front());
}
}  // namespace

void expect_whole(SimCluster& cluster, Results results) {
    for (std::size_t i = 0; i < cluster.players(); ++i) {
        Player& player = cluster.player(i);
        expect_one_home(cluster, player);
        const StoredAvatar avatar = cluster.stored(player.id());
        std::set<EntityId> rewarded(avatar.Career.rewarded.begin(), avatar.Career.rewarded.end());
        EXPECT_EQ(rewarded.size(), avatar.Career.rewarded.size()) << "a match counts twice";
        std::int64_t gold = 0;
        std::size_t known = 0;
        std::uint32_t wins = 0, matches = 0;
        for (const auto& [id, over] : player.results) {
            const bool counted = rewarded.contains(id);
            EXPECT_TRUE(counted || results == Results::may_have_died) << player.describe();
            if (!counted) continue;
            ++known;
            gold += over.gold, wins += over.won, matches += over.arrived;
        }
        EXPECT_GE(avatar.Bag.gold, player.best.gold) << "an acknowledged reward is lost";
        EXPECT_GE(avatar.Career.matches, player.best.matches);
        if (rewarded.size() == known) {  // it has seen every result
            EXPECT_EQ(avatar.Bag.gold, gold) << player.describe();
            EXPECT_EQ(avatar.Career.wins, wins);
            EXPECT_EQ(avatar.Career.matches, matches);
        }
    }
}

std::string battle_with_matches(SimCluster& cluster) {
    for (const char* name : {"battle_0", "battle_1"})
        if (!cluster.inside(name).host.ids("Match").empty()) return name;
    return {};
}
std::string home_of(SimCluster& cluster, Player& player) {
    for (const auto& name : cluster.names())
        if (name.starts_with("lobby") && cluster.runs(name) &&
            cluster.inside(name).host.find(player.id()))
            return name;
    return {};
}

namespace {
Task<match::DispatcherStatus> ask(io::Endpoint dispatcher) {
    co_return co_await at(dispatcher).service<match::Dispatcher>().call<&match::Dispatcher::status>();
}
Task<> tell(EntityId avatar, arena::MatchOver over) {
    co_await remote(Id<arena::Avatar>{avatar}).call<&arena::Avatar::match_result>(over);
}
}  // namespace

std::uint64_t waiting(SimCluster& cluster) {
    return cluster.run_in("gate_0", ask(cluster.inside("dispatcher_0").info.address)).waiting;
}
void tell_result(SimCluster& cluster, EntityId avatar, arena::MatchOver over) {
    cluster.run_in("battle_0", tell(avatar, over));
}

}  // namespace gyre::test

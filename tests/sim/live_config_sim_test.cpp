#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/checks.hpp"
#include "tests/sim/player.hpp"

namespace gyre::test {
namespace {

/// What a player hears who asks so often at once.
Task<> ask(Player& player, int times, std::map<std::string, int>* heard) {
    for (int i = 0; i < times; ++i) {
        const auto status = co_await as_result(player.status());
        ++(*heard)[status ? "ok" : std::string(status.error().code())];
    }
}

class LiveConfigSim : public testing::Test {
protected:
    LiveConfigSim() {
        ClusterOptions options = seeded(2);
        options.config = R"({"arena": {"seconds": 60, "kills": 1000}, "dispatcher": {"players": 2},
                             "lobby": {"unload_after": "10min"}})";
        cluster.emplace(options);
    }
    std::map<std::string, int> heard(std::size_t of, int times) {
        std::map<std::string, int> found;
        cluster->run(cluster->player(of), ask(cluster->player(of), times, &found));
        return found;
    }
    std::optional<SimCluster> cluster;
};

TEST_F(LiveConfigSim, a_gate_limits_calls_from_now_on_and_lets_its_clients_be) {
    cluster->run(cluster->player(0), cluster->player(0).log_in());
    EXPECT_EQ(heard(0, 30)["ok"], 30);
    cluster->configure(R"({"gate": {"calls_per_second": 2}})");
    const auto limited = heard(0, 30);
    EXPECT_GT(limited.at("overloaded"), 15);
    EXPECT_TRUE(cluster->player(0).gate->open());
    cluster->configure(R"({"gate": {"calls_per_second": 0, "max_sessions": 1}})");
    EXPECT_EQ(heard(0, 30)["ok"], 30);
    EXPECT_EQ(code_of(*cluster, cluster->player(1), cluster->player(1).log_in()), errc::overloaded);
    cluster->configure(R"({"gate": {"max_sessions": 2, "min_client_version": 1000}})");
    EXPECT_EQ(code_of(*cluster, cluster->player(1), cluster->player(1).log_in()), "update_required");
    cluster->configure(R"({"gate": {"min_client_version": 0}})");
    EXPECT_EQ(code_of(*cluster, cluster->player(1), cluster->player(1).log_in()), "");
}

TEST_F(LiveConfigSim, the_next_match_has_the_new_rules) {
    cluster->configure(R"({"arena": {"seconds": 2}})");
    const auto begun = cluster->world.now();
    cluster->together([](Player& player) { return player.play(); }, 2min);
    EXPECT_LT(cluster->world.now() - begun, 20s) << "not sixty";
}

TEST_F(LiveConfigSim, lobby_and_dispatcher_read_theirs_at_each_use) {
    cluster->configure(R"({"dispatcher": {"players": 1, "players_min": 1}, "lobby": {"unload_after": "1s"}, "arena": {"seconds": 1}})");
    Player& alone = cluster->player(0);
    cluster->run(alone, alone.play());
    EXPECT_EQ(alone.results.size(), 1u);
    const auto loaded = [&] {
        return std::ranges::any_of(cluster->names(), [&](const std::string& name) {
            return name.starts_with("lobby") && cluster->inside(name).host.owns(alone.id());
        });
    };
    EXPECT_TRUE(loaded());
    cluster->run(alone, alone.log_out());
    EXPECT_TRUE(cluster->world.run_until([&] { return !loaded(); }, 10s));
}

}  // namespace
}  // namespace gyre::test

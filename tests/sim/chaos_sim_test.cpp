#include "tests/sim/checks.hpp"

namespace gyre::test {
namespace {

Task<> play_or_not(Player& player) { return player.endure(3); }

/// The streams of a bad day, then of a good one.
void storm(sim::World& world) {
    auto& network = world.network();
    network.latency = 5ms;
    network.jitter = 40ms;
    network.stall_probability = 0.002;
    network.stall_max = 3s;
    network.cut_probability = 0.0005;
}

/// Players get through, then everything is as if nothing had been.
void expect_recovered(SimCluster& cluster, Results results) {
    cluster.world.network() = {};
    cluster.world.heal();
    cluster.registry().pause(false);
    for (const auto& name : cluster.names())
        if (!cluster.runs(name)) cluster.restart(name);
    cluster.finish(5min);
    cluster.world.run_for(30s);
    cluster.settle();
    expect_whole(cluster, results);
    for (std::size_t i = 0; i < cluster.players(); ++i)
        if (cluster.player(i).gate) cluster.player(i).gate->close();
    cluster.world.run_for(1s);
    for (std::size_t i = 0; i < cluster.players(); ++i) cluster.player(i).gate.reset();
    cluster.together([](Player& player) { return player.play(); }, 2min);
    cluster.together([](Player& player) { return player.log_out(); }, 1min);
    cluster.world.run_for(1min);
    expect_whole(cluster, results);
    for (const auto& name : cluster.names())
        EXPECT_EQ(cluster.inside(name).host.entities(), 0u) << name << " keeps what nobody plays";
    EXPECT_EQ(waiting(cluster), 0u);
    EXPECT_EQ(cluster.inside("gate_0").info.sessions, 0u);
}

TEST(ChaosSim, streams_that_stall_and_break_lose_no_reward) {
    SimCluster cluster(two_lobbies(20));
    storm(cluster.world);
    cluster.begin(play_or_not);
    (void)cluster.world.run_until([&] { return cluster.finished(); }, 5min);
    expect_recovered(cluster, Results::all_counted);
}

class Faults {
public:
    explicit Faults(SimCluster& cluster)
        : cluster_(cluster), world_(cluster.world), random_(world_.random("faults")) {}

    void one() {
        world_.run_for(between(50ms, 3s));
        const std::string name = any();
        switch (random_.below(12)) {
            case 0: return world_.cut(cluster_.machine(name), cluster_.machine(any()));
            case 1: return world_.cut(cluster_.player(random_.below(4)).machine(), cluster_.machine(name));
            case 2: return kill(name);
            case 3: return cluster_.machine(name).freeze(between(100ms, 4s));
            case 4: return cluster_.machine(name).freeze(between(4s, 12s));
            case 5: return pause_registry();
            case 6: return weather();
            case 7: return split(name, any());
            case 8: return restart(name);
            case 9: return lose_replies(random_.chance(0.5) ? "lobby_0" : "lobby_1");
            case 10: return cluster_.machine("database").freeze(between(100ms, 4s));
            case 11: return cut_from_registry(name);
        }
    }

private:
    Duration between(Duration a, Duration b) {
        return a + Duration(static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>((b - a).count()))));
    }
    std::string any() {
        const auto names = cluster_.names();
        return names[random_.below(names.size())];
    }
    void kill(const std::string& name) {
        cluster_.kill(name);
        world_.run_for(between(10ms, 8s));
        cluster_.restart(name);
    }
    void restart(const std::string& name) {
        cluster_.stop(name);
        cluster_.start(name);
    }
    void pause_registry() {
        cluster_.registry().pause(true);
        world_.run_for(between(100ms, 10s));
        cluster_.registry().pause(false);
    }
    void weather() {
        storm(world_);
        world_.after(between(1s, 8s), [this] { world_.network() = {}; });
    }
    /// The database does what it is told, but nobody hears of it.
    void lose_replies(const std::string& lobby) {
        cluster_.lose_replies(lobby, true);
        world_.run_for(between(50ms, 4s));
        cluster_.lose_replies(lobby, false);
    }
    void cut_from_registry(const std::string& name) {
        cluster_.cut_from_registry(name, true);
        world_.run_for(between(100ms, 12s));
        cluster_.cut_from_registry(name, false);
    }
    void split(const std::string& a, const std::string& b) {
        world_.partition(cluster_.machine(a), cluster_.machine(b));
        world_.after(between(100ms, 6s), [this] { world_.heal(); });
    }
    SimCluster& cluster_;
    sim::World& world_;
    sim::Random random_;
};

std::pair<std::uint64_t, std::uint64_t> live_through(std::uint64_t seed) {
    ClusterOptions options = two_lobbies(20);
    options.seed = seed;
    SimCluster cluster(options);
    cluster.begin(play_or_not);
    Faults faults(cluster);
    for (int i = 0; i < 20; ++i) faults.one();
    expect_recovered(cluster, Results::may_have_died);
    return {cluster.world.trace_hash(), cluster.world.trace_events()};
}

TEST(ChaosSim, whatever_happens_avatars_stay_whole_and_the_run_repeats_itself) {
    const std::uint64_t seed = sim::test_seed();
    const auto first = live_through(seed);
    std::printf("seed=%llu trace=%016llx events=%llu\n", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(first.first),
                static_cast<unsigned long long>(first.second));
    EXPECT_EQ(live_through(seed), first);
}

}  // namespace
}  // namespace gyre::test

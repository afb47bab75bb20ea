#include "games/arena/bots/pilot.hpp"

#include <gtest/gtest.h>

namespace arena {
namespace {

using namespace std::chrono_literals;
constexpr gyre::TimePoint start{};

Snapshot two_fighters(std::uint32_t last_input, float enemy_x, std::int32_t enemy_health = 100) {
    Snapshot snapshot;
    snapshot.fighters.push_back({0, 10, 10, 100, 0, last_input});
    snapshot.fighters.push_back({1, enemy_x, 10, enemy_health, 0, 0});
    return snapshot;
}

TEST(Pilot, times_each_input_until_a_snapshot_shows_it) {
    Pilot pilot(1);
    pilot.joined(0);
    std::vector<gyre::Duration> ages;
    const auto see = [&](std::uint32_t last_input, gyre::Duration at) {
        pilot.saw(two_fighters(last_input, 20), start + at, [&](gyre::Duration age) { ages.push_back(age); });
    };
    EXPECT_FALSE(pilot.in_match());
    see(0, 0ms);
    EXPECT_TRUE(pilot.in_match());
    EXPECT_EQ(pilot.decide(start + 10ms).sequence, 1u);
    EXPECT_EQ(pilot.decide(start + 20ms).sequence, 2u);
    see(0, 30ms);
    EXPECT_TRUE(ages.empty()) << "not shown yet";
    see(2, 50ms);
    EXPECT_EQ(ages, (std::vector<gyre::Duration>{40ms, 30ms}));
    see(2, 60ms);
    EXPECT_EQ(ages.size(), 2u) << "once each";
}

TEST(Pilot, aims_at_the_nearest_enemy_that_lives) {
    Pilot pilot(1);
    pilot.joined(0);
    const auto ignore = [](gyre::Duration) {};
    Snapshot snapshot = two_fighters(0, 15);
    snapshot.fighters.push_back({2, 10, 2, 100, 0, 0});
    pilot.saw(snapshot, start, ignore);
    Input input = pilot.decide(start);
    EXPECT_FLOAT_EQ(input.aim_x, 1);
    EXPECT_FLOAT_EQ(input.aim_y, 0);
    EXPECT_TRUE(input.fire);
    snapshot.fighters[1].health = 0;
    pilot.saw(snapshot, start, ignore);
    input = pilot.decide(start);
    EXPECT_FLOAT_EQ(input.aim_x, 0);
    EXPECT_FLOAT_EQ(input.aim_y, -1);
    snapshot.fighters[2].health = 0;
    pilot.saw(snapshot, start, ignore);
    input = pilot.decide(start);
    EXPECT_FALSE(input.fire) << "nobody to shoot at";
    EXPECT_GT(std::abs(input.move_x) + std::abs(input.move_y), 0.9f) << "but it walks on";
}

TEST(Pilot, two_of_them_shoot_each_other) {
    ArenaSim sim({.kill_limit = 3, .match_seconds = 60}, 7);
    Pilot pilots[] = {Pilot(1), Pilot(2)};
    for (std::uint32_t slot : {0u, 1u}) {
        sim.add_fighter(slot);
        pilots[slot].joined(slot);
    }
    gyre::TimePoint now = start;
    std::size_t timed = 0;
    while (!sim.finished()) {
        sim.tick();
        now += 33ms;
        for (std::uint32_t slot : {0u, 1u}) {
            pilots[slot].saw(sim.snapshot(), now, [&](gyre::Duration age) { timed += age == 33ms; });
            sim.apply_input(slot, pilots[slot].decide(now));
        }
    }
    std::uint32_t kills = 0;
    for (const auto& one : sim.standings()) kills += one.kills;
    EXPECT_GE(kills, 1u);
    EXPECT_GT(timed, 100u);
}

}  // namespace
}  // namespace arena

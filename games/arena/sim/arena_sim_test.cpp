#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "games/arena/sim/arena_sim.hpp"

namespace arena {
namespace {

Input move(std::uint32_t sequence, float x, float y) {
    Input input;
    input.sequence = sequence;
    input.move_x = x;
    input.move_y = y;
    return input;
}

TEST(ArenaSim, a_fighter_moves_and_walls_hold_it) {
    ArenaSim sim({}, 1);
    sim.add_fighter(0);
    const float before = sim.snapshot().fighters[0].x;
    sim.apply_input(0, move(1, -1, 0));
    sim.tick();
    EXPECT_NEAR(sim.snapshot().fighters[0].x, before - 6.0f / 30, 1e-4);
    EXPECT_EQ(sim.snapshot().fighters[0].last_input, 1u);
    for (int i = 0; i < 290; ++i) sim.tick();
    EXPECT_FLOAT_EQ(sim.snapshot().fighters[0].x, 0.5f);
}

TEST(ArenaSim, inputs_are_cleaned_and_old_ones_ignored) {
    ArenaSim sim({}, 1);
    sim.add_fighter(0);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    sim.apply_input(0, move(5, nan, std::numeric_limits<float>::infinity()));
    sim.apply_input(0, move(4, 1, 0));
    sim.apply_input(9, move(6, 1, 0));
    const auto before = sim.snapshot().fighters[0];
    sim.tick();
    EXPECT_EQ(sim.snapshot().fighters[0].x, before.x);
    sim.apply_input(0, move(6, 1000, 1000));
    sim.tick();
    const auto after = sim.snapshot().fighters[0];
    EXPECT_LE(std::hypot(after.x - before.x, after.y - before.y), 6.0f / 30 + 1e-4);
}

/// One chases the other and shoots: somebody dies, and comes back.
std::uint64_t duel(std::uint64_t seed, int ticks, Snapshot* last = nullptr, std::vector<Standing>* end = nullptr) {
    ArenaConfig config;
    config.match_seconds = 60;
    config.kill_limit = 3;
    ArenaSim sim(config, seed);
    sim.add_fighter(0);
    sim.add_fighter(1);
    std::uint64_t hashes = 0;
    for (int i = 0; i < ticks && !sim.finished(); ++i) {
        const auto& s = sim.snapshot();
        Input input = move(static_cast<std::uint32_t>(i + 1), s.fighters[1].x - s.fighters[0].x,
                           s.fighters[1].y - s.fighters[0].y);
        input.aim_x = input.move_x / 50;
        input.aim_y = input.move_y / 50;
        input.fire = true;
        sim.apply_input(0, input);
        sim.tick();
        hashes = hashes * 31 + sim.hash();
    }
    if (last) *last = sim.snapshot();
    if (end) *end = sim.standings();
    return hashes;
}

TEST(ArenaSim, shots_hit_kills_count_and_the_limit_ends_it) {
    Snapshot last;
    std::vector<Standing> end;
    duel(7, 1800, &last, &end);
    EXPECT_EQ(last.fighters[0].kills, 3u);
    EXPECT_LT(last.tick, 1800u);
    EXPECT_TRUE(end[0].won);
    EXPECT_FALSE(end[1].won);
}

TEST(ArenaSim, the_same_inputs_give_the_same_match) {
    EXPECT_EQ(duel(7, 300), duel(7, 300));
    EXPECT_NE(duel(7, 300), duel(8, 300));
}

}  // namespace
}  // namespace arena

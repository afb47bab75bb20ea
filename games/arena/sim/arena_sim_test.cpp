#include "games/arena/sim/arena_sim.hpp"

#include <gtest/gtest.h>
#include <gyre/base/hash.hpp>
#include <gyre/codec/codec.hpp>
#include <gyre/ecs/state_hash.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

namespace arena {
namespace {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint32_t bits() {
        return static_cast<std::uint32_t>(gyre::mix(state_ += 0x9e3779b97f4a7c15u) >> 32);
    }
    std::uint32_t below(std::uint32_t limit) {
        return static_cast<std::uint32_t>((std::uint64_t{bits()} * limit) >> 32);
    }
    float unit() { return static_cast<float>(bits() >> 8) / 8388608.0f - 1; }  // [-1, 1)

private:
    std::uint64_t state_;
};

ArenaConfig config_of(float seconds, std::uint32_t kill_limit = 0) {
    ArenaConfig config;
    config.match_seconds = seconds;
    config.kill_limit = kill_limit;
    return config;
}

Input walk(std::uint32_t sequence, float x, float y, bool fire = false) {
    Input input;
    input.sequence = sequence;
    input.move_x = x, input.move_y = y;
    input.aim_x = input.aim_y = 0;
    input.fire = fire;
    return input;
}

FighterState fighter(ArenaSim& sim, std::uint32_t slot) {
    for (const FighterState& state : sim.snapshot().fighters)
        if (state.slot == slot) return state;
    ADD_FAILURE() << "no fighter in slot " << slot;
    return {};
}

float distance(const FighterState& a, const FighterState& b) {
    return std::sqrt((a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y));
}

/// `from` walks toward `to`, aims at it and fires.
Input hunt(ArenaSim& sim, std::uint32_t from, std::uint32_t to, std::uint32_t sequence) {
    const FighterState a = fighter(sim, from), b = fighter(sim, to);
    Input input = walk(sequence, b.x - a.x, b.y - a.y, true);
    input.aim_x = b.x - a.x, input.aim_y = b.y - a.y;
    return input;
}

/// Four players whose wishes come from a seed; they hunt each other, so that shots hit.
void play(ArenaSim& sim, std::uint64_t seed, int ticks) {
    Random random(seed);
    for (std::uint32_t slot = 0; slot < 4; ++slot) sim.add_fighter(slot);
    for (int i = 1; i <= ticks; ++i) {
        for (std::uint32_t slot = 0; slot < 4; ++slot) {
            Input input =
                hunt(sim, slot, (slot + 1 + random.below(3)) % 4, static_cast<std::uint32_t>(i));
            if (random.below(3) == 0) input.move_x = random.unit(), input.move_y = random.unit();
            if (random.below(4) != 0) sim.apply_input(slot, input);
        }
        if (random.below(200) == 0) {
            const std::uint32_t slot = random.below(4);
            sim.remove_fighter(slot);
            sim.add_fighter(slot);
        }
        sim.tick();
    }
}

std::uint64_t hash_of(const Snapshot& snapshot) {
    const gyre::Bytes bytes = gyre::encode(snapshot);
    gyre::ecs::StateHasher hasher;
    hasher.bytes(bytes.data(), bytes.size());
    return hasher.value();
}

TEST(ArenaSim, equal_seeds_and_inputs_give_equal_matches) {
    ArenaSim a(config_of(600), 7), b(config_of(600), 7), other(config_of(600), 8);
    play(a, 1, 2'000);
    play(b, 1, 2'000);
    play(other, 1, 2'000);
    EXPECT_EQ(a.hash(), b.hash());
    EXPECT_EQ(hash_of(a.snapshot()), hash_of(b.snapshot()));
    EXPECT_NE(a.hash(), other.hash());
    std::uint32_t kills = 0;
    for (const Standing& one : a.standings()) kills += one.kills;
    EXPECT_GT(kills, 3u) << "the players never fought";
}

TEST(ArenaSim, every_build_plays_the_same_match) {
    ArenaSim sim(config_of(600), 42);
    play(sim, 42, 3'000);
    EXPECT_EQ(hash_of(sim.snapshot()), 11567200550305209249u)
        << "a new rule or encoding changes this figure; a compiler must not";
}

TEST(ArenaSim, goes_on_the_same_in_new_code) {
    ArenaSim kept(config_of(600), 42), moved, adopted(config_of(600), 42);
    play(kept, 42, 600);
    play(adopted, 42, 600);
    kept.remove_fighter(3);
    adopted.remove_fighter(3);
    const auto bytes = gyre::encode(kept, gyre::Form::names);
    gyre::Reader reader(bytes);
    ASSERT_TRUE(gyre::Codec<ArenaSim>::decode(reader, moved) && reader.finish())
        << reader.error_message();
    moved.add_systems();
    static_cast<ArenaRows&>(adopted.world()).gyre_adopt();
    EXPECT_TRUE(adopted.world().systems().empty());
    adopted.add_systems();
    std::set<std::uint64_t> seen;
    for (std::uint32_t i = 1000; i < 1600; ++i) {
        for (ArenaSim* sim : {&kept, &moved, &adopted}) {
            if (i == 1100) sim->add_fighter(3);
            for (std::uint32_t slot = 0; slot < 3; ++slot)
                sim->apply_input(slot, hunt(*sim, slot, (slot + 1) % 3, i));
            sim->tick();
        }
        ASSERT_EQ(moved.hash(), kept.hash()) << "input " << i;
        ASSERT_EQ(adopted.hash(), kept.hash()) << "input " << i;
        seen.insert(kept.hash());
    }
    EXPECT_EQ(seen.size(), 600u) << "and something happened";
}

TEST(ArenaSim, every_member_is_described) {
    const auto whole = gyre::check_layout("ArenaSim", sizeof(ArenaSim), alignof(ArenaSim),
                                          gyre::fields_of<ArenaSim>());
    EXPECT_TRUE(whole.ok()) << whole.error().what();
}

TEST(ArenaSim, walks_at_the_configured_speed_and_not_through_walls) {
    const ArenaConfig config = config_of(60);
    ArenaSim sim(config, 1);
    sim.add_fighter(0);
    const FighterState before = fighter(sim, 0);
    sim.apply_input(0, walk(1, before.x > 20 ? -1.0f : 1.0f, 0));
    for (int i = 0; i < 10; ++i) sim.tick();
    const FighterState after = fighter(sim, 0);
    EXPECT_NEAR(std::fabs(after.x - before.x), config.speed / 3, 1e-4);
    EXPECT_EQ(after.y, before.y);
    EXPECT_EQ(after.last_input, 1u);
    for (std::uint32_t i = 2; i < 600; ++i) {
        sim.apply_input(0, walk(i, 1, 1));
        sim.tick();
    }
    const FighterState corner = fighter(sim, 0);
    EXPECT_EQ(corner.x, config.width - config.radius);
    EXPECT_EQ(corner.y, config.height - config.radius);
    EXPECT_EQ(corner.vx, 0);
}

TEST(ArenaSim, input_stays_in_force_for_its_time_only) {
    ArenaConfig config;
    config.input_hold_ticks = 6;
    ArenaSim sim(config, 1);
    sim.add_fighter(0);
    const float x = fighter(sim, 0).x, way = x > 20 ? -1.0f : 1.0f;
    sim.apply_input(0, walk(1, way, 0));
    for (int i = 0; i < 60; ++i) sim.tick();
    EXPECT_NEAR(fighter(sim, 0).x, x + way * config.speed * 6 * ArenaSim::tick_s, 1e-3);
}

TEST(ArenaSim, old_inputs_are_ignored_across_wrap_around) {
    ArenaSim sim({}, 1);
    sim.add_fighter(0);
    EXPECT_EQ(sim.apply_input(0, walk(0xfffffffeu, 0, 0)), InputAnswer::applied);
    EXPECT_EQ(sim.apply_input(0, walk(0xfffffffeu, 0, 0)), InputAnswer::old);
    EXPECT_EQ(sim.apply_input(0, walk(0xfffffff0u, 0, 0)), InputAnswer::old);
    EXPECT_EQ(sim.apply_input(0, walk(2, 0, 0)), InputAnswer::applied);
    EXPECT_EQ(sim.apply_input(0, walk(0xffffffffu, 0, 0)), InputAnswer::old);
    EXPECT_EQ(sim.apply_input(1, walk(1, 0, 0)), InputAnswer::no_fighter);
    EXPECT_EQ(sim.apply_input(0xffffffffu, walk(1, 0, 0)), InputAnswer::no_fighter);
    EXPECT_EQ(fighter(sim, 0).last_input, 2u);
}

TEST(ArenaSim, a_shot_fired_between_two_ticks_is_not_lost) {
    ArenaSim sim({}, 1);
    sim.add_fighter(0);
    sim.apply_input(0, walk(1, 0, 0, true));
    sim.apply_input(0, walk(2, 0, 0, false));
    for (int i = 0; i < 20; ++i) sim.tick();
    EXPECT_EQ(sim.snapshot().shots.size(), 1u);  // And it is one.
}

TEST(ArenaSim, fires_no_faster_than_the_cooldown_and_shots_end) {
    ArenaConfig config = config_of(60);
    config.width = config.height = 1'000;
    config.shot_ticks = 30, config.cooldown_ticks = 15;
    ArenaSim sim(config, 1);
    sim.add_fighter(0);
    std::set<std::uint32_t> ids;
    for (std::uint32_t i = 0; i < 150; ++i) {
        sim.apply_input(0, walk(i + 1, 0, 0, true));
        sim.tick();
        ASSERT_LE(sim.snapshot().shots.size(), 3u);
        for (const ShotState& shot : sim.snapshot().shots) {
            ids.insert(shot.id);
            EXPECT_NEAR(std::sqrt(shot.vx * shot.vx + shot.vy * shot.vy), config.shot_speed, 1e-3);
        }
    }
    EXPECT_EQ(ids.size(), 10u);
    for (int i = 0; i < 70; ++i) sim.tick();
    EXPECT_TRUE(sim.snapshot().shots.empty());
}

TEST(ArenaSim, a_shot_faster_than_a_fighter_is_wide_still_hits) {
    ArenaConfig config = config_of(60, 1);
    config.shot_speed = 200;  // 6.7 m a tick, a fighter is 1 m wide.
    config.speed = 0;
    config.damage = 100;
    ArenaSim sim(config, 5);
    sim.add_fighter(0);
    sim.add_fighter(1);
    for (std::uint32_t i = 1; i < 30; ++i) {
        sim.apply_input(0, hunt(sim, 0, 1, i));
        sim.tick();
    }
    EXPECT_EQ(fighter(sim, 0).kills, 1u);
}

/// 0 hunts 1, who stands still, until the first kill.
void first_kill(ArenaSim& sim) {
    sim.add_fighter(0);
    sim.add_fighter(1);
    for (std::uint32_t i = 1; i < 2'000 && fighter(sim, 1).deaths == 0; ++i) {
        sim.apply_input(0, hunt(sim, 0, 1, i));
        sim.tick();
    }
    EXPECT_EQ(fighter(sim, 1).deaths, 1u);
}

TEST(ArenaSim, enough_hits_kill_count_and_bring_back_elsewhere) {
    const ArenaConfig config = config_of(600);
    ArenaSim sim(config, 3);
    first_kill(sim);
    EXPECT_EQ(fighter(sim, 0).kills, 1u);
    EXPECT_EQ(fighter(sim, 0).health, config.health);
    const FighterState dead = fighter(sim, 1);
    EXPECT_EQ(dead.health, 0);
    for (std::uint32_t i = 1; i <= config.respawn_ticks; ++i) {  // The dead neither move nor shoot.
        EXPECT_EQ(fighter(sim, 1).health, 0);
        EXPECT_EQ(distance(fighter(sim, 1), dead), 0);
        sim.apply_input(1, walk(i, 1, 0, i < config.respawn_ticks));
        sim.apply_input(0, walk(5'000 + i, 0, 0));
        sim.tick();
    }
    const FighterState back = fighter(sim, 1);
    EXPECT_EQ(back.health, config.health);
    EXPECT_GT(distance(back, fighter(sim, 0)), 15.0f);
    EXPECT_EQ(fighter(sim, 0).kills, 1u);
}

TEST(ArenaSim, the_kill_limit_ends_the_match_and_names_the_winner) {
    ArenaSim sim(config_of(600, 1), 3);
    first_kill(sim);
    EXPECT_TRUE(sim.finished());
    const std::uint64_t hash = sim.hash();
    sim.tick();
    EXPECT_EQ(sim.hash(), hash);
    const auto standings = sim.standings();
    ASSERT_EQ(standings.size(), 2u);
    EXPECT_TRUE(standings[0].won);
    EXPECT_EQ(standings[0].kills, 1u);
    EXPECT_FALSE(standings[1].won);
}

TEST(ArenaSim, time_ends_the_match_and_without_a_kill_nobody_won) {
    ArenaSim sim(config_of(2), 1);
    sim.add_fighter(5);
    sim.add_fighter(2);
    for (int i = 0; i < 59; ++i) sim.tick();
    EXPECT_FALSE(sim.finished());
    for (int i = 0; i < 5; ++i) sim.tick();
    EXPECT_TRUE(sim.finished());
    EXPECT_EQ(sim.ticks(), 60u);
    const auto standings = sim.standings();
    ASSERT_EQ(standings.size(), 2u);
    EXPECT_EQ(standings[0].slot, 2u);
    EXPECT_FALSE(standings[0].won || standings[1].won);
}

TEST(ArenaSim, shots_of_one_who_left_count_for_nobody) {
    ArenaConfig config = config_of(600);
    config.health = 1;
    ArenaSim sim(config, 3);
    sim.add_fighter(0);
    sim.add_fighter(1);
    for (std::uint32_t i = 1; i < 1'000 && sim.snapshot().shots.empty(); ++i) {
        Input input = hunt(sim, 0, 1, i);
        input.fire = distance(fighter(sim, 0), fighter(sim, 1)) < 10;
        sim.apply_input(0, input);
        sim.tick();
    }
    ASSERT_EQ(sim.snapshot().shots.size(), 1u);
    EXPECT_TRUE(sim.remove_fighter(0));
    EXPECT_FALSE(sim.remove_fighter(0));
    sim.add_fighter(0);  // Another player in the same slot.
    for (int i = 0; i < 60 && fighter(sim, 1).deaths == 0; ++i) sim.tick();
    EXPECT_EQ(fighter(sim, 1).deaths, 1u);
    EXPECT_EQ(fighter(sim, 0).kills, 0u);
}

TEST(ArenaSim, fighters_start_apart) {
    ArenaSim sim({}, 9);
    for (std::uint32_t slot = 0; slot < 8; ++slot) sim.add_fighter(slot);
    for (std::uint32_t a = 0; a < 8; ++a)
        for (std::uint32_t b = 0; b < a; ++b)
            EXPECT_GT(distance(fighter(sim, a), fighter(sim, b)), 4.0f);
}

TEST(ArenaSim, hostile_inputs_change_nothing_but_what_a_player_may) {
    const float infinity = std::numeric_limits<float>::infinity();
    const ArenaConfig config = config_of(600);
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const auto any_float = [&random, infinity] {
            switch (random.below(6)) {
                case 0: return std::numeric_limits<float>::quiet_NaN();
                case 1: return random.below(2) != 0u ? infinity : -infinity;
                case 2: return std::numeric_limits<float>::max() * random.unit();
                case 3: return std::numeric_limits<float>::denorm_min();
                case 4: {
                    const std::uint32_t bits = random.bits();
                    float value;
                    std::memcpy(&value, &bits, sizeof value);
                    return value;
                }
                default: return random.unit();
            }
        };
        ArenaSim sim(config, seed);
        for (std::uint32_t slot = 0; slot < 6; ++slot) sim.add_fighter(slot);
        for (std::uint32_t i = 0; i < 600; ++i) {
            const Snapshot before = sim.snapshot();
            for (std::uint32_t k = 0; k < 12; ++k) {
                Input input;
                input.sequence = random.below(4) == 0 ? random.bits() : i * 20 + k;
                input.move_x = any_float(), input.move_y = any_float();
                input.aim_x = any_float(), input.aim_y = any_float();
                input.fire = random.below(2) != 0u;
                sim.apply_input(random.below(7), input);
            }
            sim.tick();
            const Snapshot& now = sim.snapshot();
            ASSERT_EQ(now.fighters.size(), 6u);
            for (std::size_t f = 0; f < 6; ++f) {
                const FighterState &is = now.fighters[f], &was = before.fighters[f];
                ASSERT_GE(is.x, config.radius);
                ASSERT_LE(is.x, config.width - config.radius);
                ASSERT_GE(is.y, config.radius);
                ASSERT_LE(is.y, config.height - config.radius);
                ASSERT_LE(is.health, config.health);
                if (was.health > 0) {
                    ASSERT_LE(distance(is, was), config.speed * ArenaSim::tick_s * 1.001f);
                }
            }
            ASSERT_LE(now.shots.size(), 6u * 5u);
            for (const ShotState& shot : now.shots)
                ASSERT_NEAR(std::sqrt(shot.vx * shot.vx + shot.vy * shot.vy), config.shot_speed,
                            1e-2);
        }
    }
}

TEST(ArenaSim, not_a_number_is_refused_and_leaves_the_last_input_in_force) {
    ArenaSim sim({}, 1);
    sim.add_fighter(0);
    const FighterState before = fighter(sim, 0);
    sim.apply_input(0, walk(1, before.x > 20 ? -1.0f : 1.0f, 0));
    EXPECT_EQ(sim.apply_input(0, walk(2, std::numeric_limits<float>::quiet_NaN(), 0)),
              InputAnswer::not_finite);
    EXPECT_EQ(sim.apply_input(0, walk(2, 0, std::numeric_limits<float>::infinity())),
              InputAnswer::not_finite);
    sim.tick();
    EXPECT_EQ(fighter(sim, 0).last_input, 1u);
    EXPECT_GT(distance(fighter(sim, 0), before), 0.1f);
}

TEST(ArenaSim, a_snapshot_survives_the_codec) {
    ArenaSim sim(config_of(600), 42);
    play(sim, 42, 500);
    const auto back = gyre::decode<Snapshot>(gyre::encode(sim.snapshot()));
    ASSERT_TRUE(back);
    EXPECT_EQ(hash_of(*back), hash_of(sim.snapshot()));
    EXPECT_EQ(back->fighters.size(), 4u);
}

}  // namespace
}  // namespace arena

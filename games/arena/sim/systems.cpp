#include "games/arena/sim/systems.hpp"

#include <algorithm>
#include <cmath>

namespace arena {
namespace {

using namespace gyre::ecs;

constexpr int spawn_points = 12;

/// Point i of spawn_points, even along a rectangle inside the walls.
Position spawn_point(const ArenaConfig& config, int i) {
    const float inset = config.radius + std::min(config.width, config.height) * 0.1f;
    const float w = config.width - inset * 2, h = config.height - inset * 2;
    float along = (w + h) * 2 * static_cast<float>(i) / spawn_points;
    if (along < w) return {inset + along, inset};
    along -= w;
    if (along < h) return {inset + w, inset + along};
    along -= h;
    if (along < w) return {inset + w - along, inset + h};
    return {inset, inset + h - (along - w)};
}

float squared(float x, float y) { return x * x + y * y; }

/// When a point going from `from` by (dx, dy) first comes within `reach` of `to`: [0, 1], or 2 for
/// never.
float time_of_contact(Position from, float dx, float dy, Position to, float reach) {
    const float x = from.x - to.x, y = from.y - to.y;
    const float c = squared(x, y) - reach * reach;
    if (c <= 0) return 0;
    const float a = squared(dx, dy), b = x * dx + y * dy;
    const float discriminant = b * b - a * c;
    if (b >= 0 || discriminant < 0) return 2;
    const float t = (-b - std::sqrt(discriminant)) / a;
    return t <= 1 ? t : 2;
}

struct Walls {
    float left, top, right, bottom;
    Walls(const ArenaConfig& config, float radius)
        : left(radius), top(radius), right(config.width - radius), bottom(config.height - radius) {}
};

void steer(const ArenaConfig& config, Fighter& fighter, Control& control, Velocity& velocity) {
    if (++control.age_ticks > config.input_hold_ticks)
        control.move_x = control.move_y = 0, control.fire = 0;
    velocity = {control.move_x * config.speed, control.move_y * config.speed};
    if (control.aim_x != 0 || control.aim_y != 0)
        fighter.aim_x = control.aim_x, fighter.aim_y = control.aim_y;
}

void walk(const Walls& walls, Position& position, Velocity& velocity) {
    const float x = position.x + velocity.x * ArenaSim::tick_s,
                y = position.y + velocity.y * ArenaSim::tick_s;
    position = {std::clamp(x, walls.left, walls.right), std::clamp(y, walls.top, walls.bottom)};
    if (position.x != x) velocity.x = 0;
    if (position.y != y) velocity.y = 0;
}

void fire(World& world, const ArenaConfig& config, Row match) {
    auto& state = world.get<MatchState>(match);
    world.each<Fighter, Control, const Position, Without<Respawn>>(
        [&](Row row, Fighter& fighter, Control& control, const Position& position) {
            const bool wanted = control.fire != 0 || control.fire_once != 0;
            control.fire_once = 0;
            if (fighter.cooldown_ticks > 0) --fighter.cooldown_ticks;
            if (!wanted || fighter.cooldown_ticks > 0) return;
            fighter.cooldown_ticks = config.cooldown_ticks;
            world.commands().spawn(
                Shot{++state.last_shot, config.shot_ticks, row},
                Position{position.x + fighter.aim_x * config.radius,
                         position.y + fighter.aim_y * config.radius},
                Velocity{fighter.aim_x * config.shot_speed, fighter.aim_y * config.shot_speed});
        });
}

void fly(World& world, const ArenaConfig& config) {
    const float reach = config.radius + ArenaSim::shot_radius;
    world.each<Shot, Position, const Velocity>(
        [&](Row row, Shot& shot, Position& position, const Velocity& velocity) {
            const float dx = velocity.x * ArenaSim::tick_s, dy = velocity.y * ArenaSim::tick_s;
            float first = 2;
            std::uint32_t first_slot = 0;
            Row victim;
            world.each<const Fighter, const Position, Without<Respawn>>(
                [&](Row target, const Fighter& fighter, const Position& at) {
                    if (target == shot.owner) return;
                    const float t = time_of_contact(position, dx, dy, at, reach);
                    if (t > 1 || t > first || (t == first && fighter.slot > first_slot)) return;
                    first = t, first_slot = fighter.slot, victim = target;
                });
            position.x += dx, position.y += dy;
            if (victim) world.commands().spawn(Hit{victim, shot.owner});
            const bool outside = position.x < 0 || position.y < 0 || position.x > config.width ||
                                 position.y > config.height;
            if (victim || outside || shot.life_ticks <= 1) world.commands().destroy(row);
            --shot.life_ticks;
        });
}

void damage(World& world, const ArenaConfig& config) {
    world.each<const Hit>([&](Row row, const Hit& hit) {
        world.commands().destroy(row);
        auto* victim = world.find<Fighter>(hit.victim);
        if (!victim || victim->health <= 0) return;
        victim->health -= config.damage;
        if (victim->health > 0) return;
        victim->health = 0;
        ++victim->deaths;
        if (auto* killer = world.find<Fighter>(hit.owner)) ++killer->kills;
        world.get<Velocity>(hit.victim) = {};
        world.commands().add(hit.victim, Respawn{config.respawn_ticks});
    });
}

void respawn(World& world, const ArenaConfig& config, Row match) {
    auto& state = world.get<MatchState>(match);
    world.each<Respawn, Fighter, Position, Control>(
        [&](Row row, Respawn& wait, Fighter& fighter, Position& position, Control& control) {
            control.fire_once = 0;
            if (wait.ticks > 1) {
                --wait.ticks;
                return;
            }
            position = pick_spawn(world, config, state.random);
            const Velocity aim = toward_middle(config, position);
            fighter.aim_x = aim.x, fighter.aim_y = aim.y;
            fighter.health = config.health;
            fighter.cooldown_ticks = 0;
            world.commands().remove<Respawn>(row);
        });
}

void judge(World& world, const ArenaConfig& config, Row match) {
    auto& state = world.get<MatchState>(match);
    ++state.tick;
    if (static_cast<float>(state.tick) * ArenaSim::tick_s >= config.match_seconds)
        state.finished = 1;
    if (config.kill_limit == 0) return;
    world.each<const Fighter>([&](const Fighter& fighter) {
        if (fighter.kills >= config.kill_limit) state.finished = 1;
    });
}

}  // namespace

Position pick_spawn(World& world, const ArenaConfig& config, std::uint64_t& random) {
    random += 0x9e3779b97f4a7c15u;
    const int start = static_cast<int>(gyre::mix(random) % spawn_points);
    Position best;
    float best_distance = -1;
    for (int i = 0; i < spawn_points; ++i) {
        const Position point = spawn_point(config, (start + i) % spawn_points);
        float nearest = squared(config.width, config.height);
        world.each<const Fighter, const Position>([&](const Fighter& fighter, const Position& at) {
            if (fighter.health > 0)
                nearest = std::min(nearest, squared(at.x - point.x, at.y - point.y));
        });
        if (nearest > best_distance) best = point, best_distance = nearest;
    }
    return best;
}

Velocity toward_middle(const ArenaConfig& config, Position from) {
    const float x = config.width / 2 - from.x, y = config.height / 2 - from.y;
    const float length = std::sqrt(squared(x, y));
    return length > 0 ? Velocity{x / length, y / length} : Velocity{1, 0};
}

void add_systems(World& world, const ArenaConfig& config, Row match) {
    const Walls walls(config, config.radius);
    world.add({"arena.respawn", Phase::input, reads<>,
               writes<MatchState, Respawn, Fighter, Position, Control>,
               [config, match](World& w, float) { respawn(w, config, match); }});
    world.system<Fighter, Control, Velocity, Without<Respawn>>(
        "arena.steer", Phase::input,
        [config](Fighter& fighter, Control& control, Velocity& velocity) {
            steer(config, fighter, control, velocity);
        });
    world.system<Position, Velocity, With<Fighter>, Without<Respawn>>(
        "arena.walk", Phase::simulate,
        [walls](Position& position, Velocity& velocity) { walk(walls, position, velocity); });
    world.add({"arena.fire", Phase::simulate, reads<Position>, writes<MatchState, Fighter, Control>,
               [config, match](World& w, float) { fire(w, config, match); }});
    world.add({"arena.fly", Phase::simulate, reads<Fighter, Velocity>, writes<Shot, Position>,
               [config](World& w, float) { fly(w, config); }});
    world.add({"arena.damage", Phase::resolve, reads<Hit>, writes<Fighter, Velocity>,
               [config](World& w, float) { damage(w, config); }});
    world.add({"arena.judge", Phase::resolve, reads<Fighter>, writes<MatchState>,
               [config, match](World& w, float) { judge(w, config, match); }});
}

}  // namespace arena

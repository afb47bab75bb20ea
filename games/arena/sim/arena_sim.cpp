#include "games/arena/sim/arena_sim.hpp"

#include <gyre/base/hash.hpp>

#include <algorithm>
#include <cmath>

namespace arena {

namespace ecs = gyre::ecs;

namespace {

struct Position {
    static constexpr std::string_view ecs_name = "position";
    float x = 0, y = 0;
};
struct Fighter {
    static constexpr std::string_view ecs_name = "fighter";
    std::uint32_t slot = 0;
    std::int32_t health = 0;
    std::uint32_t kills = 0;
    std::uint32_t cooldown = 0;
    std::uint32_t respawn = 0;
};
struct Command {
    static constexpr std::string_view ecs_name = "command";
    std::uint32_t sequence = 0;
    float move_x = 0, move_y = 0, aim_x = 1, aim_y = 0;
    std::uint32_t fire = 0;
};
struct Shot {
    static constexpr std::string_view ecs_name = "shot";
    float vx = 0, vy = 0;
    std::uint32_t owner = 0;  // slot
    std::uint32_t left = 0;   // ticks
};

/// Cut to length 1; nonsense is no direction.
void clean(float& x, float& y) {
    if (!std::isfinite(x) || !std::isfinite(y)) x = y = 0;
    x = std::clamp(x, -1.0f, 1.0f);
    y = std::clamp(y, -1.0f, 1.0f);
    const float length = std::sqrt(x * x + y * y);
    if (length > 1) x /= length, y /= length;
}

}  // namespace

ArenaSim::ArenaSim(ArenaConfig config, std::uint64_t seed) : config_(config), random_(seed) {
    add_systems();
}

void ArenaSim::place(std::uint32_t slot, float& x, float& y) {
    random_ = gyre::mix(random_ + 0x9e3779b97f4a7c15u + slot);
    const auto unit = [](std::uint64_t bits) { return static_cast<float>(bits & 0xffff) / 65536.0f; };
    x = 2 + unit(random_) * (config_.width - 4);
    y = 2 + unit(random_ >> 16) * (config_.height - 4);
}

void ArenaSim::add_fighter(std::uint32_t slot) {
    Position at;
    place(slot, at.x, at.y);
    Fighter fighter;
    fighter.slot = slot;
    fighter.health = config_.health;
    const auto row = world_.spawn(at, fighter, Command{});
    if (fighters_.size() <= slot) fighters_.resize(slot + 1);
    fighters_[slot] = row;
}

void ArenaSim::apply_input(std::uint32_t slot, Input input) {
    if (slot >= fighters_.size() || !world_.alive(fighters_[slot])) return;
    auto& command = world_.get<Command>(fighters_[slot]);
    if (input.sequence <= command.sequence) return;
    clean(input.move_x, input.move_y);
    clean(input.aim_x, input.aim_y);
    if (input.aim_x == 0 && input.aim_y == 0) input.fire = false;
    command = {input.sequence, input.move_x, input.move_y, input.aim_x, input.aim_y, input.fire};
}

void ArenaSim::add_systems() {
    world_.system<Position, Fighter, const Command>(
        "move", ecs::Phase::input, [this](float dt_s, Position& p, Fighter& f, const Command& c) {
            if (f.cooldown > 0) --f.cooldown;
            if (f.health <= 0) {
                if (f.respawn > 0 && --f.respawn == 0) {
                    f.health = config_.health;
                    place(f.slot, p.x, p.y);
                }
                return;
            }
            const float r = config_.radius;
            p.x = std::clamp(p.x + c.move_x * config_.speed * dt_s, r, config_.width - r);
            p.y = std::clamp(p.y + c.move_y * config_.speed * dt_s, r, config_.height - r);
        });
    world_.add({"shoot", ecs::Phase::input, ecs::reads<Position, Command>, ecs::writes<Fighter>,
                [this](ecs::World& world, float) {
                    world.each<const Position, Fighter, const Command>(
                        [&](const Position& p, Fighter& f, const Command& c) {
                            if (!c.fire || f.health <= 0 || f.cooldown > 0) return;
                            const float length = std::sqrt(c.aim_x * c.aim_x + c.aim_y * c.aim_y);
                            const float scale = config_.shot_speed / length;
                            f.cooldown = config_.cooldown_ticks;
                            world.commands().spawn(
                                Position{p.x, p.y},
                                Shot{c.aim_x * scale, c.aim_y * scale, f.slot, config_.shot_ticks});
                        });
                }});
    world_.add({"fly", ecs::Phase::simulate, ecs::reads<>, ecs::writes<Position, Shot>,
                [this](ecs::World& world, float dt_s) {
                    world.each<Position, Shot>([&](ecs::Row row, Position& p, Shot& s) {
                        p.x += s.vx * dt_s;
                        p.y += s.vy * dt_s;
                        const bool outside = p.x < 0 || p.y < 0 || p.x > config_.width || p.y > config_.height;
                        if (s.left == 0 || --s.left == 0 || outside) world.commands().destroy(row);
                    });
                }});
    world_.add({"hit", ecs::Phase::resolve, ecs::reads<Position, Shot>, ecs::writes<Fighter>,
                [this](ecs::World& world, float) {
                    world.each<const Position, const Shot>([&](ecs::Row shot, const Position& at, const Shot& s) {
                        for (const auto row : fighters_) {
                            if (!world.alive(row)) continue;
                            auto& target = world.get<Fighter>(row);
                            if (target.slot == s.owner || target.health <= 0) continue;
                            const auto& p = world.get<const Position>(row);
                            const float dx = p.x - at.x, dy = p.y - at.y;
                            const float reach = config_.radius + 0.1f;
                            if (dx * dx + dy * dy > reach * reach) continue;
                            world.commands().destroy(shot);
                            target.health -= config_.damage;
                            if (target.health > 0) return;
                            target.health = 0;
                            target.respawn = config_.respawn_ticks;
                            auto& killer = world.get<Fighter>(fighters_[s.owner]);
                            if (++killer.kills >= config_.kill_limit) limit_reached_ = true;
                            return;
                        }
                    });
                }});
}

void ArenaSim::tick() {
    if (finished()) return;
    world_.tick(tick_s);
    ++tick_;
}

const Snapshot& ArenaSim::snapshot() {
    snapshot_.tick = tick_;
    snapshot_.fighters.clear();
    snapshot_.shots.clear();
    for (const auto row : fighters_) {
        if (!world_.alive(row)) continue;
        const auto& f = world_.get<const Fighter>(row);
        const auto& p = world_.get<const Position>(row);
        snapshot_.fighters.push_back(
            {f.slot, p.x, p.y, f.health, f.kills, world_.get<const Command>(row).sequence});
    }
    world_.each<const Position, const Shot>(
        [&](const Position& p, const Shot&) { snapshot_.shots.push_back({p.x, p.y}); });
    return snapshot_;
}

bool ArenaSim::finished() const {
    return limit_reached_ || static_cast<float>(tick_) * tick_s >= config_.match_seconds;
}

std::vector<Standing> ArenaSim::standings() const {
    std::vector<Standing> all;
    std::uint32_t most = 0;
    for (const auto row : fighters_) {
        if (!world_.alive(row)) continue;
        const auto& f = world_.get<const Fighter>(row);
        all.push_back({f.slot, f.kills, false});
        most = std::max(most, f.kills);
    }
    for (auto& one : all) one.won = most > 0 && one.kills == most;
    return all;
}

}  // namespace arena

#include "games/arena/sim/arena_sim.hpp"

#include <algorithm>
#include <cmath>

#include "games/arena/sim/systems.hpp"

namespace arena {

using namespace gyre::ecs;

namespace {

/// Cut to length 1. Of finite numbers of any size.
void limit_length(float& x, float& y) {
    x = std::clamp(x, -1.0f, 1.0f), y = std::clamp(y, -1.0f, 1.0f);
    const float square = x * x + y * y;
    if (square <= 1) return;
    const float length = std::sqrt(square);
    x /= length, y /= length;
}

/// To length 1, or (0, 0) for what has no direction. Of finite numbers of any size.
void normalize(float& x, float& y) {
    const float larger = std::max(std::fabs(x), std::fabs(y));
    if (larger < 1e-6f) {
        x = y = 0;
        return;
    }
    x /= larger, y /= larger;
    const float length = std::sqrt(x * x + y * y);
    x /= length, y /= length;
}

bool is_finite(const Input& input) {
    return std::isfinite(input.move_x) && std::isfinite(input.move_y) &&
           std::isfinite(input.aim_x) && std::isfinite(input.aim_y);
}

}  // namespace

ArenaSim::ArenaSim(ArenaConfig config, std::uint64_t seed) : config_(config) {
    GYRE_ASSERT(config.width > config.radius * 2 && config.height > config.radius * 2,
                "arena: a fighter does not fit between the walls");
    GYRE_ASSERT(config.health > 0 && config.damage > 0, "arena: health and damage are at least 1");
    MatchState first;
    first.random = seed;
    match_ = world_.spawn(first);
    add_systems();
}

void ArenaSim::add_systems() {
    world_.remove_systems();
    arena::add_systems(world_, config_, match_);
}

void ArenaSim::add_fighter(std::uint32_t slot) {
    GYRE_ASSERT(slot < slots_max && !fighter(slot), "arena: no such slot, or it is taken");
    if (fighters_.size() <= slot) fighters_.resize(slot + 1);
    const Position at = pick_spawn(world_, config_, world_.get<MatchState>(match_).random);
    const Velocity aim = toward_middle(config_, at);
    Fighter fighter;
    fighter.slot = slot;
    fighter.aim_x = aim.x, fighter.aim_y = aim.y;
    fighter.health = config_.health;
    fighters_[slot] = world_.spawn(fighter, Control{}, at, Velocity{});
}

bool ArenaSim::remove_fighter(std::uint32_t slot) {
    const Row row = fighter(slot);
    if (!row) return false;
    fighters_[slot] = {};
    return world_.destroy(row);
}

InputAnswer ArenaSim::apply_input(std::uint32_t slot, Input input) {
    const Row row = fighter(slot);
    if (!row) return InputAnswer::no_fighter;
    if (!is_finite(input)) return InputAnswer::not_finite;
    auto& control = world_.get<Control>(row);
    const auto newer_by =
        static_cast<std::int32_t>(input.sequence - control.sequence);  // Survives wrap-around.
    if (control.any != 0 && newer_by <= 0) return InputAnswer::old;
    limit_length(input.move_x, input.move_y);
    normalize(input.aim_x, input.aim_y);
    control.move_x = input.move_x, control.move_y = input.move_y;
    control.aim_x = input.aim_x, control.aim_y = input.aim_y;
    control.fire = input.fire;
    control.fire_once |= control.fire;
    control.sequence = input.sequence;
    control.age_ticks = 0;
    control.any = 1;
    return InputAnswer::applied;
}

void ArenaSim::tick() {
    if (!finished()) world_.tick(tick_s);
}

const Snapshot& ArenaSim::snapshot() {
    const World& world = world_;
    Snapshot& out = snapshot_;
    out.tick = ticks();
    out.fighters.clear();
    out.shots.clear();
    for (const Row row : fighters_) {
        if (!row) continue;
        const auto& fighter = world.get<const Fighter>(row);
        const auto& at = world.get<const Position>(row);
        const auto& velocity = world.get<const Velocity>(row);
        out.fighters.push_back({fighter.slot, at.x, at.y, fighter.health, fighter.kills,
                                world.get<const Control>(row).sequence, velocity.x, velocity.y,
                                fighter.deaths});
    }
    world.each<const Shot, const Position, const Velocity>(
        [&](const Shot& shot, const Position& at, const Velocity& velocity) {
            out.shots.push_back({at.x, at.y, velocity.x, velocity.y, shot.id});
        });
    std::sort(out.shots.begin(), out.shots.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    return out;
}

std::vector<Standing> ArenaSim::standings() const {
    std::vector<Standing> all;
    std::uint32_t most = 1;
    for (const Row row : fighters_) {
        if (!row) continue;
        const auto& fighter = world_.get<const Fighter>(row);
        all.push_back({fighter.slot, fighter.kills, false});
        most = std::max(most, fighter.kills);
    }
    for (Standing& one : all) one.won = one.kills == most;
    return all;
}

}  // namespace arena

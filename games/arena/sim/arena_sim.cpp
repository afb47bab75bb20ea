#include "games/arena/sim/arena_sim.hpp"

#include <algorithm>
#include <cmath>

#include "games/arena/sim/systems.hpp"

namespace arena {

using namespace gyre::ecs;

struct ArenaSim::State {
    State(const ArenaConfig& arena_config, std::uint64_t seed) : config(arena_config) {
        GYRE_ASSERT(config.width > config.radius * 2 && config.height > config.radius * 2,
                    "arena: a fighter does not fit between the walls");
        GYRE_ASSERT(config.health > 0 && config.damage > 0,
                    "arena: health and damage are at least 1");
        Match first;
        first.random = seed;
        match = world.spawn(first);
        add_systems(world, config, match);
    }
    Row fighter(std::uint32_t slot) const {
        return slot < fighters.size() ? fighters[slot] : Row{};
    }
    const Match& now() const { return world.get<const Match>(match); }

    ArenaConfig config;
    World world;
    Row match;
    std::vector<Row> fighters;  ///< By slot; Row{} where there is none.
    Snapshot snapshot;
};

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

ArenaSim::ArenaSim(ArenaConfig config, std::uint64_t seed)
    : state_(std::make_unique<State>(config, seed)) {}
ArenaSim::~ArenaSim() = default;
ArenaSim::ArenaSim(ArenaSim&&) noexcept = default;
ArenaSim& ArenaSim::operator=(ArenaSim&&) noexcept = default;

void ArenaSim::add_fighter(std::uint32_t slot) {
    State& s = *state_;
    GYRE_ASSERT(slot < slots_max && !s.fighter(slot), "arena: no such slot, or it is taken");
    if (s.fighters.size() <= slot) s.fighters.resize(slot + 1);
    const Position at = pick_spawn(s.world, s.config, s.world.get<Match>(s.match).random);
    const Velocity aim = toward_middle(s.config, at);
    Fighter fighter;
    fighter.slot = slot;
    fighter.aim_x = aim.x, fighter.aim_y = aim.y;
    fighter.health = s.config.health;
    s.fighters[slot] = s.world.spawn(fighter, Control{}, at, Velocity{});
}

bool ArenaSim::remove_fighter(std::uint32_t slot) {
    const Row row = state_->fighter(slot);
    if (!row) return false;
    state_->fighters[slot] = {};
    return state_->world.destroy(row);
}

InputAnswer ArenaSim::apply_input(std::uint32_t slot, Input input) {
    const Row row = state_->fighter(slot);
    if (!row) return InputAnswer::no_fighter;
    if (!is_finite(input)) return InputAnswer::not_finite;
    auto& control = state_->world.get<Control>(row);
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
    if (!finished()) state_->world.tick(tick_s);
}

bool ArenaSim::finished() const { return state_->now().finished != 0; }
std::uint32_t ArenaSim::ticks() const { return state_->now().tick; }
World& ArenaSim::world() { return state_->world; }
std::uint64_t ArenaSim::hash() const { return state_->world.state_hash(); }

const Snapshot& ArenaSim::snapshot() {
    const World& world = state_->world;
    Snapshot& out = state_->snapshot;
    out.tick = ticks();
    out.fighters.clear();
    out.shots.clear();
    for (const Row row : state_->fighters) {
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
    for (const Row row : state_->fighters) {
        if (!row) continue;
        const auto& fighter = state_->world.get<const Fighter>(row);
        all.push_back({fighter.slot, fighter.kills, false});
        most = std::max(most, fighter.kills);
    }
    for (Standing& one : all) one.won = one.kills == most;
    return all;
}

}  // namespace arena

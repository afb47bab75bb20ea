#pragma once
#include <gyre/ecs/world.hpp>

#include "games/arena/sim/arena_sim.hpp"

namespace arena {

/// Adds the systems of the arena to an empty world. `match` has the MatchState.
void add_systems(gyre::ecs::World& world, const ArenaConfig& config, gyre::ecs::Row match);

/// The spawn point farthest from those alive; among equals one drawn with `random`.
Position pick_spawn(gyre::ecs::World& world, const ArenaConfig& config, std::uint64_t& random);

/// A unit vector from `from` to the middle of the arena.
Velocity toward_middle(const ArenaConfig& config, Position from);

}  // namespace arena

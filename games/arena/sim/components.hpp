#pragma once
#include <gyre/ecs/row.hpp>

#include <cstdint>
#include <string_view>

// All are plain bytes without padding, so a state hash covers them.
namespace arena {

struct Position {
    static constexpr std::string_view ecs_name = "arena.position";
    float x = 0, y = 0;
};

struct Velocity {
    static constexpr std::string_view ecs_name = "arena.velocity";
    float x = 0, y = 0;  ///< Units a second.
};

/// A player's body. Stays while it is dead.
struct Fighter {
    static constexpr std::string_view ecs_name = "arena.fighter";
    std::uint32_t slot = 0;
    float aim_x = 1, aim_y = 0;  ///< Length 1.
    std::int32_t health = 0;
    std::uint32_t cooldown_ticks = 0;
    std::uint32_t kills = 0, deaths = 0;
};

/// What its player wants. Already checked.
struct Control {
    static constexpr std::string_view ecs_name = "arena.control";
    float move_x = 0, move_y = 0;  ///< Length at most 1.
    float aim_x = 0, aim_y = 0;    ///< Length 1, or 0 for no change.
    std::uint32_t fire = 0;
    std::uint32_t fire_once = 0;  ///< Pressed since the last tick, though perhaps no longer.
    std::uint32_t sequence = 0;
    std::uint32_t age_ticks = 0;
    std::uint32_t any = 0;  ///< An input ever came.
};

/// On a dead fighter.
struct Respawn {
    static constexpr std::string_view ecs_name = "arena.respawn";
    std::uint32_t ticks = 0;
};

struct Shot {
    static constexpr std::string_view ecs_name = "arena.shot";
    std::uint32_t id = 0;
    std::uint32_t life_ticks = 0;
    gyre::ecs::Row owner;
};

/// From simulate to resolve of one tick.
struct Hit {
    static constexpr std::string_view ecs_name = "arena.hit";
    gyre::ecs::Row victim, owner;  ///< The owner may have left.
};

/// One row: the match itself.
struct Match {
    static constexpr std::string_view ecs_name = "arena.match";
    std::uint64_t random = 0;
    std::uint32_t tick = 0;
    std::uint32_t last_shot = 0;
    std::uint32_t finished = 0;
    std::uint32_t unused = 0;
};

}  // namespace arena

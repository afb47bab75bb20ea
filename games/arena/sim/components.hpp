#pragma once
#include <gyre/world/rows.hpp>

#include <cstdint>

// All are plain bytes without padding, so a state hash covers them.
namespace arena {

struct Position {
    float x = 0, y = 0;
    static consteval auto describe() {
        return gyre::type<Position>("arena.position", gyre::field<&Position::x>(),
                                gyre::field<&Position::y>());
    }
};

struct Velocity {
    float x = 0, y = 0;  ///< Units a second.
    static consteval auto describe() {
        return gyre::type<Velocity>("arena.velocity", gyre::field<&Velocity::x>(),
                                gyre::field<&Velocity::y>());
    }
};

/// A player's body. Stays while it is dead.
struct Fighter {
    std::uint32_t slot = 0;
    float aim_x = 1, aim_y = 0;  ///< Length 1.
    std::int32_t health = 0;
    std::uint32_t cooldown_ticks = 0;
    std::uint32_t kills = 0, deaths = 0;
    static consteval auto describe() {
        return gyre::type<Fighter>("arena.fighter", gyre::field<&Fighter::slot>(),
                                gyre::field<&Fighter::aim_x>(), gyre::field<&Fighter::aim_y>(),
                                gyre::field<&Fighter::health>(),
                                gyre::field<&Fighter::cooldown_ticks>(),
                                gyre::field<&Fighter::kills>(), gyre::field<&Fighter::deaths>());
    }
};

/// What its player wants. Already checked.
struct Control {
    float move_x = 0, move_y = 0;  ///< Length at most 1.
    float aim_x = 0, aim_y = 0;    ///< Length 1, or 0 for no change.
    std::uint32_t fire = 0;
    std::uint32_t fire_once = 0;  ///< Pressed since the last tick, though perhaps no longer.
    std::uint32_t sequence = 0;
    std::uint32_t age_ticks = 0;
    std::uint32_t any = 0;  ///< An input ever came.
    static consteval auto describe() {
        return gyre::type<Control>("arena.control", gyre::field<&Control::move_x>(),
                                gyre::field<&Control::move_y>(), gyre::field<&Control::aim_x>(),
                                gyre::field<&Control::aim_y>(), gyre::field<&Control::fire>(),
                                gyre::field<&Control::fire_once>(),
                                gyre::field<&Control::sequence>(),
                                gyre::field<&Control::age_ticks>(), gyre::field<&Control::any>());
    }
};

/// On a dead fighter.
struct Respawn {
    std::uint32_t ticks = 0;
    static consteval auto describe() {
        return gyre::type<Respawn>("arena.respawn", gyre::field<&Respawn::ticks>());
    }
};

struct Shot {
    std::uint32_t id = 0;
    std::uint32_t life_ticks = 0;
    gyre::ecs::Row owner;
    static consteval auto describe() {
        return gyre::type<Shot>("arena.shot", gyre::field<&Shot::id>(),
                                gyre::field<&Shot::life_ticks>(), gyre::field<&Shot::owner>());
    }
};

/// From simulate to resolve of one tick.
struct Hit {
    gyre::ecs::Row victim, owner;  ///< The owner may have left.
    static consteval auto describe() {
        return gyre::type<Hit>("arena.hit", gyre::field<&Hit::victim>(),
                                gyre::field<&Hit::owner>());
    }
};

/// One row: the match itself.
struct MatchState {
    std::uint64_t random = 0;
    std::uint32_t tick = 0;
    std::uint32_t last_shot = 0;
    std::uint32_t finished = 0;
    std::uint32_t unused = 0;
    static consteval auto describe() {
        return gyre::type<MatchState>("arena.match", gyre::field<&MatchState::random>(),
                                gyre::field<&MatchState::tick>(),
                                gyre::field<&MatchState::last_shot>(),
                                gyre::field<&MatchState::finished>(),
                                gyre::field<&MatchState::unused>());
    }
};

using ArenaRows =
    gyre::Rows<Position, Velocity, Fighter, Control, Respawn, Shot, Hit, MatchState>;

}  // namespace arena

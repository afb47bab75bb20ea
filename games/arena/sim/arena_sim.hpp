#pragma once
#include <gyre/codec/describe.hpp>
#include <gyre/ecs/world.hpp>
#include <vector>

namespace arena {

struct ArenaConfig {
    float width = 40, height = 30;       ///< Metres; walls all around.
    float speed = 6;                     ///< Of a fighter, m/s.
    float radius = 0.5f;                 ///< Of a fighter, m.
    float shot_speed = 18;               ///< m/s.
    std::uint32_t shot_ticks = 45;       ///< A shot flies at most this long.
    std::uint32_t cooldown_ticks = 10;   ///< Between two shots of a fighter.
    std::int32_t health = 100, damage = 34;
    std::uint32_t respawn_ticks = 45;
    std::uint32_t kill_limit = 10;
    float match_seconds = 10;
};

/// What a player wants, told by its client: anything in it may be a lie.
struct Input {
    std::uint32_t sequence = 0;        ///< Grows; older ones are ignored.
    float move_x = 0, move_y = 0;      ///< Direction, cut to length 1.
    float aim_x = 1, aim_y = 0;        ///< Direction of shots.
    bool fire = false;
    static consteval auto describe() {
        return gyre::type<Input>("Input", gyre::field<&Input::sequence>(),
                                 gyre::field<&Input::move_x>(), gyre::field<&Input::move_y>(),
                                 gyre::field<&Input::aim_x>(), gyre::field<&Input::aim_y>(),
                                 gyre::field<&Input::fire>());
    }
};

struct FighterState {
    std::uint32_t slot = 0;
    float x = 0, y = 0;
    std::int32_t health = 0;  ///< 0: waits to come back.
    std::uint32_t kills = 0;
    std::uint32_t last_input = 0;  ///< Sequence of the newest input in this state.
    static consteval auto describe() {
        return gyre::type<FighterState>("FighterState", gyre::field<&FighterState::slot>(),
                                        gyre::field<&FighterState::x>(), gyre::field<&FighterState::y>(),
                                        gyre::field<&FighterState::health>(),
                                        gyre::field<&FighterState::kills>(),
                                        gyre::field<&FighterState::last_input>());
    }
};
struct ShotState {
    float x = 0, y = 0;
    static consteval auto describe() {
        return gyre::type<ShotState>("ShotState", gyre::field<&ShotState::x>(), gyre::field<&ShotState::y>());
    }
};
/// All there is to see, after a tick.
struct Snapshot {
    std::uint32_t tick = 0;
    std::vector<FighterState> fighters;  ///< By slot.
    std::vector<ShotState> shots;
    static consteval auto describe() {
        return gyre::type<Snapshot>("Snapshot", gyre::field<&Snapshot::tick>(),
                                    gyre::field<&Snapshot::fighters>(), gyre::field<&Snapshot::shots>());
    }
};

struct Standing {
    std::uint32_t slot = 0, kills = 0;
    bool won = false;  ///< Most kills, at least one; shared by equals.
};

/// The rules of one match: all state in rows of an ecs world, changed by systems only. The same
/// inputs at the same ticks give the same match on every build.
class ArenaSim {
public:
    static constexpr float tick_s = 1.0f / 30;
    ArenaSim(ArenaConfig config, std::uint64_t seed);
    ArenaSim(const ArenaSim&) = delete;

    void add_fighter(std::uint32_t slot);
    void apply_input(std::uint32_t slot, Input input);  ///< Cleaned; the last before a tick counts.
    void tick();
    const Snapshot& snapshot();
    bool finished() const;
    std::vector<Standing> standings() const;  ///< By slot.
    std::uint32_t ticks() const { return tick_; }
    std::uint64_t hash() const { return world_.state_hash(); }

private:
    void add_systems();
    void place(std::uint32_t slot, float& x, float& y);
    ArenaConfig config_;
    std::uint64_t random_;
    gyre::ecs::World world_;
    std::vector<gyre::ecs::Row> fighters_;
    Snapshot snapshot_;
    std::uint32_t tick_ = 0;
    bool limit_reached_ = false;
};

}  // namespace arena

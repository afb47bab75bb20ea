#pragma once
#include <cstdint>
#include <gyre/codec/describe.hpp>
#include <vector>

#include "games/arena/sim/components.hpp"

namespace arena {

struct ArenaConfig {
    float width = 40, height = 30;      ///< Metres; walls all around.
    float speed = 6;                    ///< Of a fighter, m/s.
    float radius = 0.5f;                ///< Of a fighter, m.
    float shot_speed = 18;              ///< m/s.
    std::uint32_t shot_ticks = 45;      ///< A shot flies at most this long.
    std::uint32_t cooldown_ticks = 10;  ///< Between two shots of a fighter.
    std::int32_t health = 100, damage = 34;
    std::uint32_t respawn_ticks = 45;
    std::uint32_t kill_limit = 10;  ///< 0: none.
    float match_seconds = 10;
    std::uint32_t input_hold_ticks = 30;  ///< The last input stays in force so long.
    static consteval auto describe() {
        return gyre::type<ArenaConfig>("ArenaConfig", gyre::field<&ArenaConfig::width>(),
            gyre::field<&ArenaConfig::height>(), gyre::field<&ArenaConfig::speed>(),
            gyre::field<&ArenaConfig::radius>(), gyre::field<&ArenaConfig::shot_speed>(),
            gyre::field<&ArenaConfig::shot_ticks>(), gyre::field<&ArenaConfig::cooldown_ticks>(),
            gyre::field<&ArenaConfig::health>(), gyre::field<&ArenaConfig::damage>(),
            gyre::field<&ArenaConfig::respawn_ticks>(), gyre::field<&ArenaConfig::kill_limit>(),
            gyre::field<&ArenaConfig::match_seconds>(),
            gyre::field<&ArenaConfig::input_hold_ticks>());
    }
};

/// What a player wants, told by its client: anything in it may be a lie.
struct Input {
    std::uint32_t sequence = 0;    ///< Grows, may wrap around; older ones are ignored.
    float move_x = 0, move_y = 0;  ///< Direction, cut to length 1.
    float aim_x = 1, aim_y = 0;    ///< Direction of shots, of any length; (0, 0): as before.
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
    float vx = 0, vy = 0;          ///< m/s.
    std::uint32_t deaths = 0;
    static consteval auto describe() {
        return gyre::type<FighterState>(
            "FighterState", gyre::field<&FighterState::slot>(), gyre::field<&FighterState::x>(),
            gyre::field<&FighterState::y>(), gyre::field<&FighterState::health>(),
            gyre::field<&FighterState::kills>(), gyre::field<&FighterState::last_input>(),
            gyre::field<&FighterState::vx>(), gyre::field<&FighterState::vy>(),
            gyre::field<&FighterState::deaths>());
    }
};
struct ShotState {
    float x = 0, y = 0;
    float vx = 0, vy = 0;
    std::uint32_t id = 0;  ///< Unique in the match.
    static consteval auto describe() {
        return gyre::type<ShotState>("ShotState", gyre::field<&ShotState::x>(),
                                     gyre::field<&ShotState::y>(), gyre::field<&ShotState::vx>(),
                                     gyre::field<&ShotState::vy>(), gyre::field<&ShotState::id>());
    }
};
/// All there is to see, after a tick.
struct Snapshot {
    std::uint32_t tick = 0;
    std::vector<FighterState> fighters;  ///< By slot.
    std::vector<ShotState> shots;        ///< By id.
    static consteval auto describe() {
        return gyre::type<Snapshot>("Snapshot", gyre::field<&Snapshot::tick>(),
                                    gyre::field<&Snapshot::fighters>(),
                                    gyre::field<&Snapshot::shots>());
    }
};

struct Standing {
    std::uint32_t slot = 0, kills = 0;
    bool won = false;  ///< Most kills, at least one; shared by equals.
};

enum class InputAnswer : std::uint8_t {
    applied,
    old,         ///< Its sequence is not newer than the last one's.
    not_finite,  ///< NaN or infinite: nothing changed.
    no_fighter,
};

/// The rules of one match: all state in rows of an ecs world, changed by systems only. The same
/// config, seed and inputs at the same ticks give the same match on every build.
/// A described type: it can be a member of an entity, and outlives the code of its rules.
class ArenaSim {
public:
    static constexpr std::uint32_t ticks_per_second = 30;
    static constexpr float tick_s = 1.0f / ticks_per_second;
    static constexpr float shot_radius = 0.1f;
    static constexpr std::uint32_t slots_max = 256;

    ArenaSim() = default;  ///< To read one into; then add_systems().
    ArenaSim(ArenaConfig config, std::uint64_t seed);

    /// The rules, anew. The constructor has called it; on_after_reload() of the owner does.
    void add_systems();
    /// Away from those alive. A slot, below slots_max, holds one fighter at a time.
    void add_fighter(std::uint32_t slot);
    /// Its shots fly on and score for nobody. False: no such fighter.
    bool remove_fighter(std::uint32_t slot);
    /// Any values are safe. The last before a tick counts, but a shot fired among them is not lost.
    InputAnswer apply_input(std::uint32_t slot, Input input);
    void tick();  ///< Nothing happens when finished.
    const Snapshot& snapshot();
    bool finished() const { return now().finished != 0; }
    std::vector<Standing> standings() const;  ///< By slot.
    std::uint32_t ticks() const { return now().tick; }
    std::uint64_t hash() const { return world_.state_hash(); }
    gyre::ecs::World& world() { return world_; }  ///< To tick and to look at.

    static consteval auto describe() {
        return gyre::type<ArenaSim>("ArenaSim", gyre::field<&ArenaSim::config_>(),
                                    gyre::field<&ArenaSim::world_>(), gyre::field<&ArenaSim::match_>(),
                                    gyre::field<&ArenaSim::fighters_>(),
                                    gyre::field<&ArenaSim::snapshot_>());
    }

private:
    gyre::ecs::Row fighter(std::uint32_t slot) const {
        return slot < fighters_.size() ? fighters_[slot] : gyre::ecs::Row{};
    }
    const MatchState& now() const { return world_.get<const MatchState>(match_); }

    ArenaConfig config_;
    ArenaRows world_;
    gyre::ecs::Row match_;
    std::vector<gyre::ecs::Row> fighters_;  ///< By slot; Row{} where there is none.
    Snapshot snapshot_;                     ///< The last one; kept for its memory.
};

}  // namespace arena

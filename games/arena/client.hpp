#pragma once
#include <functional>
#include <gyre/module/gyre.hpp>

#include "games/arena/sim/arena_sim.hpp"

namespace arena {

/// What the owner of an avatar sees of it.
struct AvatarStatus {
    std::string name;
    std::int64_t gold = 0;
    std::uint32_t wins = 0, matches = 0;
    std::uint32_t medals = 0;
    static consteval auto describe() {
        return gyre::type<AvatarStatus>("AvatarStatus",
            gyre::field<&AvatarStatus::name>(), gyre::field<&AvatarStatus::gold>(),
            gyre::field<&AvatarStatus::wins>(), gyre::field<&AvatarStatus::matches>(),
            gyre::field<&AvatarStatus::medals>());
    }
};

/// How a match ended for one player.
struct MatchOver {
    gyre::EntityId match = 0;
    bool won = false;
    bool arrived = true;  ///< False: a no-show.
    std::uint32_t kills = 0;
    std::int64_t gold = 0;
    static consteval auto describe() {
        return gyre::type<MatchOver>("MatchOver",
            gyre::field<&MatchOver::match>(), gyre::field<&MatchOver::won>(),
            gyre::field<&MatchOver::arrived>(), gyre::field<&MatchOver::kills>(),
            gyre::field<&MatchOver::gold>());
    }
};

/// What a client of the arena answers: it sets the functions it cares for.
struct ArenaClient {
    std::function<void(std::uint32_t slot)> on_joined;
    std::function<void(Snapshot&&)> on_snapshot;
    std::function<void(const MatchOver&)> on_over;
    std::function<void(const AvatarStatus&)> on_rewarded;

    void joined(std::uint32_t slot) { if (on_joined) on_joined(slot); }           ///< Which fighter is yours.
    void snapshot(Snapshot snapshot) { if (on_snapshot) on_snapshot(std::move(snapshot)); }
    void over(MatchOver over) { if (on_over) on_over(over); }                     ///< By the battle node.
    void rewarded(AvatarStatus status) { if (on_rewarded) on_rewarded(status); }  ///< By the lobby: stored.

    static consteval auto describe() {
        return gyre::type<ArenaClient>("ArenaClient",
            gyre::method<&ArenaClient::joined>(gyre::Caller::anyone),
            gyre::method<&ArenaClient::snapshot>(gyre::Caller::anyone, gyre::Order::sequenced, gyre::Care::economy),
            gyre::method<&ArenaClient::over>(gyre::Caller::anyone),
            gyre::method<&ArenaClient::rewarded>(gyre::Caller::anyone));
    }
};

}  // namespace arena

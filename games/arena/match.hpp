#pragma once
#include <map>
#include <optional>

#include "games/arena/avatar.hpp"

namespace arena {

struct MatchRules {
    static constexpr std::string_view config_section = "arena";
    double seconds = 10;
    std::uint32_t kills = 10;
    std::int64_t gold_win = 50, gold_kill = 5;
    static consteval auto describe() {
        return gyre::type<MatchRules>("MatchRules",
            gyre::field<&MatchRules::seconds>(gyre::live, gyre::range(1.0, 3600.0), gyre::unit("seconds"), gyre::about("length of a match; of those that begin from now on, as all of it")),
            gyre::field<&MatchRules::kills>(gyre::live, gyre::range(1, 1000), gyre::about("of one player; they end a match earlier")),
            gyre::field<&MatchRules::gold_win>(gyre::live, gyre::about("for a won match")),
            gyre::field<&MatchRules::gold_kill>(gyre::live, gyre::about("for each kill")));
    }
};

/// One running match on a battle node: 30 ticks a second, all rules in the ecs world of `sim`.
struct Match : gyre::Entity<Match> {
    static constexpr std::string_view role = "battle";
    static constexpr gyre::Duration no_show_after = std::chrono::seconds(10);

    gyre::Task<> open(gyre::match::Plan plan);
    gyre::Task<> join(gyre::EntityId player, gyre::ClientRef client);
    gyre::Task<> leave(gyre::EntityId player, std::uint64_t session);
    /// Of a player's client, one way; anything it sends is clamped.
    void input(Input input);
    gyre::Task<> tick();
    void on_after_reload();  ///< What is code of it; also at the start.

    static consteval auto describe() {
        return gyre::type<Match>("Match",
            gyre::method<&Match::open>(), gyre::method<&Match::join>(), gyre::method<&Match::leave>(),
            gyre::method<&Match::input>(gyre::Caller::anyone, gyre::Care::urgent), gyre::method<&Match::tick>(),
            gyre::field<&Match::seats_>(), gyre::field<&Match::sim_>(), gyre::field<&Match::rules_>(),
            gyre::field<&Match::opened_>(), gyre::field<&Match::started_>(),
            gyre::field<&Match::over_>());
    }

private:
    struct Seat {
        std::uint32_t slot = 0;
        std::string name;
        gyre::ClientRef client;
        bool arrived = false;
        static consteval auto describe() {
            return gyre::type<Seat>("Seat", gyre::field<&Seat::slot>(), gyre::field<&Seat::name>(),
                                    gyre::field<&Seat::client>(), gyre::field<&Seat::arrived>());
        }
    };
    bool everyone_is_here() const;
    void finish();
    void publish();
    std::map<gyre::EntityId, Seat> seats_;
    std::optional<ArenaSim> sim_;
    MatchRules rules_;
    gyre::TimePoint opened_{};
    bool started_ = false, over_ = false;
};

}  // namespace arena

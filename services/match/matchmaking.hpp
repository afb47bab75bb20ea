#pragma once
#include "services/match/match.hpp"

namespace gyre::match {

/// Lets the client of an entity queue for a match and come back to it. The entity also has Online.
struct Matchmaking : Component<Matchmaking> {
    enum class State : std::uint8_t { idle, queued, playing };
    State state = State::idle;
    std::string player_name;  ///< Shown to the others; set by the game.

    /// Queued once; asking again changes nothing. Error: already_playing (rejoin instead).
    Task<> find_match(std::string mode);
    /// Error: not_queued, when a match was found before.
    Task<> cancel_match();
    /// A fresh ticket to the running match. Error: no_match.
    Task<Ticket> rejoin();
    /// Of the dispatcher. False: the player has left the queue.
    Task<bool> match_found(Reservation reservation);
    /// The game calls it when the client is gone: leaves the queue.
    void leave_queue();

    static consteval auto describe() {
        return type<Matchmaking>("Matchmaking", field<&Matchmaking::state>(),
                                 field<&Matchmaking::player_name>(), field<&Matchmaking::mode_>(),
                                 field<&Matchmaking::match_>(), field<&Matchmaking::number_>(),
                                 field<&Matchmaking::broken_links_>(),
                                 method<&Matchmaking::find_match>(Caller::owner),
                                 method<&Matchmaking::cancel_match>(Caller::owner),
                                 method<&Matchmaking::rejoin>(Caller::owner),
                                 method<&Matchmaking::match_found>(),
                                 method<&Matchmaking::stay_queued>(restartable), method<&Matchmaking::watch>(restartable));
    }

private:
    Task<> stay_queued();  // repeated while queued
    Task<> watch();        // repeated while playing
    void end_queue();
    Task<> leave_dispatcher(std::uint64_t number);
    Ticket make_ticket() const;
    std::string mode_;
    Reservation match_;
    std::uint64_t number_ = 0;        // of this time in the queue
    std::uint32_t broken_links_ = 0;  // to the battle node, in a row
};

}  // namespace gyre::match

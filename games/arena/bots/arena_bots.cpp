#include <gyre/task/sync.hpp>
#include <gyre_sdk/bots.hpp>

#include "games/arena/bots/pilot.hpp"
#include "games/arena/match.hpp"

// The client's half of what matching tells it.
void gyre::match::MatchClient::ticket(Ticket ticket) {
    if (on_ticket) on_ticket(ticket);
}
void gyre::match::MatchClient::lost(EntityId match, std::string reason) {
    if (on_lost) on_lost(match, reason);
}

namespace arena {
namespace {

using gyre::Error;
using gyre::Task;
using gyre::as_result;
using gyre::match::Matchmaking;
using gyre::match::Ticket;
using namespace std::chrono_literals;

constexpr gyre::Duration input_period = 97ms;  // no multiple of a tick: all phases are seen
constexpr gyre::Duration ticket_limit = 60s;  // who is left over waits for others to finish
constexpr gyre::Duration idle_limit = 10s;    // until the lobby knows that a match has ended

/// Handlers of a client, for as long as this lives.
template <class T>
class Handling {
public:
    Handling(gyre::sdk::Client& client, T& object) : client_(client), object_(object) {
        client_.handle(object_);
    }
    ~Handling() { client_.remove_handler(&object_); }
    Handling(const Handling&) = delete;

private:
    gyre::sdk::Client& client_;
    T& object_;
};

/// One session: match after match.
class Player {
public:
    explicit Player(gyre::sdk::Bot bot) : bot_(bot) {
        lobby_.on_ticket = [this](const Ticket& ticket) {
            bot_.count_messages();
            tickets_.take_all();  // a newer one replaces it
            (void)tickets_.try_push(ticket);
        };
        lobby_.on_lost = [this](gyre::EntityId match, const std::string&) {
            bot_.count_messages();
            lost_ = match;
        };
        arena_.on_rewarded = [this](const AvatarStatus&) { bot_.count_messages(); };
    }

    Task<> play() {
        Handling<gyre::match::MatchClient> tickets(bot_.gate(), lobby_);
        Handling<ArenaClient> rewards(bot_.gate(), arena_);
        for (;;) {
            auto ticket = co_await next_ticket();
            if (!ticket) continue;
            co_await fight(*std::move(ticket), /*again=*/true);
        }
    }

private:
    /// None: it was counted, ask again.
    Task<std::optional<Ticket>> next_ticket() {
        const auto until = bot_.io().now() + idle_limit;
        tickets_.take_all();
        for (;;) {
            bot_.count_messages(2);
            const auto asked = co_await as_result(
                bot_.gate().call<&Matchmaking::find_match>(std::string("duel")));
            if (asked) break;
            if (asked.error().is(gyre::errc::cancelled) || !bot_.gate().open()) throw asked.error();
            // The lobby hears of a match's end a moment after its players.
            const bool still_playing = asked.error().is("already_playing");
            if (still_playing && last_match_ == 0) {
                const auto back = co_await rejoin();
                if (back) co_return back;  // of a session before this one
            }
            if (still_playing && bot_.io().now() < until) {
                co_await gyre::sleep(100ms);
                continue;
            }
            bot_.failed("find match", asked.error());
            co_await gyre::sleep(1s);
            co_return std::nullopt;
        }
        auto ticket = co_await as_result(gyre::with_timeout(ticket_limit, tickets_.pop()));
        if (ticket) co_return *std::move(ticket);
        if (ticket.error().is(gyre::errc::cancelled)) throw ticket.error();
        bot_.failed("wait for a match", ticket.error());
        co_return std::nullopt;
    }

    Task<std::optional<Ticket>> rejoin() {
        bot_.count_messages(2);
        auto back = co_await as_result(bot_.gate().call<&Matchmaking::rejoin>());
        if (back) co_return *std::move(back);
        if (back.error().is(gyre::errc::cancelled)) throw back.error();
        co_return std::nullopt;
    }

    /// A match that ends without a result is one error; it is gone back to once, as a player would.
    Task<> fight(Ticket ticket, bool again) {
        last_match_ = ticket.match;
        const auto fought = co_await as_result(battle(ticket));
        if (fought) co_return;
        if (fought.error().is(gyre::errc::cancelled)) throw fought.error();
        if (again) bot_.failed("match", fought.error());
        co_await gyre::sleep(200ms);
        if (!again || lost_ == ticket.match) co_return;
        auto back = co_await rejoin();
        if (back && back->match == ticket.match) co_await fight(*std::move(back), false);
    }

    /// Errors: what ends it before its result.
    Task<> battle(Ticket ticket) {
        auto client = co_await bot_.connect(ticket.address, ticket.ticket);
        Pilot pilot(bot_.random());
        bool over = false;
        ArenaClient seen;
        seen.on_joined = [&](std::uint32_t slot) {
            bot_.count_messages();
            pilot.joined(slot);
        };
        seen.on_snapshot = [&](Snapshot&& snapshot) {
            bot_.count_messages();
            pilot.saw(snapshot, bot_.io().now(), [&](gyre::Duration age) { bot_.measured(age); });
        };
        seen.on_over = [&](const MatchOver& result) {
            bot_.count_messages();
            over = result.match == ticket.match;
        };
        Handling<ArenaClient> handling(client, seen);
        while (!over && client.open()) {
            if (pilot.in_match()) {
                client.notify<&Match::input>(pilot.decide(bot_.io().now()));
                bot_.count_messages();
            }
            co_await gyre::sleep(input_period);
        }
        if (!over) throw *client.close_reason();
        bot_.count_match(ticket.match);
    }

    gyre::sdk::Bot bot_;
    gyre::match::MatchClient lobby_;
    ArenaClient arena_;
    gyre::Queue<Ticket> tickets_;
    gyre::EntityId last_match_ = 0, lost_ = 0;
};

Task<> play(gyre::sdk::Bot bot) {
    Player player(bot);
    co_await player.play();
}
Task<> ping(gyre::sdk::Bot bot) { (void)co_await bot.gate().call<&Avatar::status>(); }
Task<> leave(gyre::sdk::Bot bot) {
    const auto left = co_await as_result(bot.gate().call<&Avatar::logout>());
    // The goodbye may overtake the answer.
    const auto& reason = bot.gate().close_reason();
    if (!left && !(reason && reason->is("logged_out"))) throw left.error();
}

}  // namespace
}  // namespace arena

GYRE_BOTS("arena", &arena::play, &arena::ping, &arena::leave)

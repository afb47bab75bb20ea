#include "services/match/matchmaking.hpp"

#include <gyre/secure/token.hpp>

namespace gyre::match {
namespace {
constexpr std::string_view queue_key = "match.queue", watch_key = "match.watch";
}

Task<> Matchmaking::find_match(std::string mode) {
    if (state == State::playing)
        throw Error("already_playing", "match=" + std::to_string(match_.match) + ": rejoin it");
    if (state == State::queued) co_return;
    if (mode.empty() || mode.size() > 32) throw Error(errc::bad_arguments, "mode: 1 to 32 bytes");
    mode_ = std::move(mode);
    state = State::queued;
    number_ = this_node().io.random_u64();
    // Repeated, so that a dispatcher that comes back knows us again, and forgets us when we die.
    timers().every<&Matchmaking::stay_queued>(1s, queue_key, {.first = 0ms});
}

Task<> Matchmaking::stay_queued() {
    if (state != State::queued) co_return;
    // Players of one mode meet at one dispatcher.
    const auto queued = co_await as_result(
        hashed<Dispatcher>(mode_).within(1s).call<&Dispatcher::enqueue>(
            {entity_id(), player_name, mode_, this_node().rpc.address(), number_}));
    if (!queued) log::debug("match.enqueue_failed", {{"error", queued.error().what()}});
}

void Matchmaking::end_queue() {
    timers().cancel(queue_key);
    state = State::idle;
}

Task<> Matchmaking::leave_dispatcher(std::uint64_t number) {
    const auto left = co_await as_result(
        hashed<Dispatcher>(mode_).within(1s).call<&Dispatcher::cancel>(entity_id(), number));
    if (!left) log::debug("match.cancel_failed", {{"error", left.error().what()}});
}

Task<> Matchmaking::cancel_match() {
    if (state != State::queued) throw Error("not_queued", "there is nothing to cancel");
    end_queue();
    co_await leave_dispatcher(number_);
}

void Matchmaking::leave_queue() {
    if (state != State::queued) return;
    end_queue();
    (void)go(scope(), leave_dispatcher(number_));
}

Task<bool> Matchmaking::match_found(Reservation reservation) {
    if (state != State::queued) co_return false;
    end_queue();
    state = State::playing;
    match_ = std::move(reservation);
    broken_links_ = 0;
    timers().every<&Matchmaking::watch>(100ms, watch_key, {.first = 0ms});
    push<&MatchClient::ticket>(get<Online>().client, make_ticket());
    co_return true;
}

/// A call stays open all the time: it ends with the match, or with the battle node. None is open for
/// long, so that code that was replaced soon has none.
Task<> Matchmaking::watch() {
    const Reservation watched = match_;
    const auto battle = [&] { return at(watched.link).service<Battle>(); };
    auto ended = co_await as_result(
        battle().within(5s).call<&Battle::wait_end>(watched.match, watched.incarnation));
    if (!ended && ended.error().is(errc::timed_out)) {
        // Not over yet, or nobody there.
        const auto alive = co_await as_result(battle().within(2s).call<&Battle::status>());
        if (alive) broken_links_ = 0;
        if (alive) co_return;
        ended = alive.error();
    }
    if (match_.match != watched.match || state != State::playing) co_return;
    if (!ended && ended.error().is(errc::cancelled)) co_return;  // the avatar ends, or its code
    if (!ended && ended.error().is("reloading")) co_return;
    // A link that breaks is no node that dies: another one tells. One that falls silent is enough.
    if (!ended && ended.error().is(errc::disconnected) &&
        !ended.error().message().starts_with(errc::timed_out) && ++broken_links_ <= 10)
        co_return;
    timers().cancel(watch_key);
    state = State::idle;
    match_ = {};
    if (ended) co_return;
    log::warn("match.lost", {{"match", watched.match}, {"node", watched.node},
                             {"error", ended.error().what()}});
    push<&MatchClient::lost>(get<Online>().client, watched.match,
                             "battle node " + watched.node + " is gone");
}

Ticket Matchmaking::make_ticket() const {
    const auto now = this_node().io.wall_now().time_since_epoch() / 1ms;
    const TicketClaims claims{match_.match,
                              entity_id(),
                              match_.node,
                              match_.incarnation,
                              now + ticket_life / 1ms,
                              this_node().io.random_u64()};
    const secure::SignedToken signer(this_node().keys.ticket, ticket_purpose);
    return {match_.match, match_.clients, signer.sign(encode(claims))};
}

Task<Ticket> Matchmaking::rejoin() {
    if (state != State::playing) throw Error("no_match", "no match of this player is running");
    co_return make_ticket();
}

}  // namespace gyre::match

#include "services/match/matchmaking.hpp"

#include <gyre/secure/token.hpp>

namespace gyre::match {

Task<> Matchmaking::find_match(std::string mode) {
    if (state == State::playing)
        throw Error("already_playing", "match=" + std::to_string(match_.match) + ": rejoin it");
    if (state == State::queued) co_return;
    if (mode.empty() || mode.size() > 32) throw Error(errc::bad_arguments, "mode: 1 to 32 bytes");
    mode_ = std::move(mode);
    state = State::queued;
    number_ = this_node().io.random_u64();
    (void)go(scope(), keep_queued(++turn_));
}

Task<> Matchmaking::keep_queued(std::uint64_t turn) {
    // Repeated, so that a dispatcher that comes back knows us again, and forgets us when we die.
    while (turn == turn_) {
        // Players of one mode meet at one dispatcher.
        const auto queued = co_await as_result(
            hashed<Dispatcher>(mode_).within(1s).call<&Dispatcher::enqueue>(
                {entity_id(), player_name, mode_, this_node().rpc.address(), number_}));
        if (!queued) log::debug("match.enqueue_failed", {{"error", queued.error().what()}});
        co_await sleep(1s);
    }
}

Task<> Matchmaking::leave_dispatcher(std::uint64_t number) {
    const auto left = co_await as_result(
        hashed<Dispatcher>(mode_).within(1s).call<&Dispatcher::cancel>(entity_id(), number));
    if (!left) log::debug("match.cancel_failed", {{"error", left.error().what()}});
}

Task<> Matchmaking::cancel_match() {
    if (state != State::queued) throw Error("not_queued", "there is nothing to cancel");
    ++turn_;
    state = State::idle;
    co_await leave_dispatcher(number_);
}

void Matchmaking::leave_queue() {
    if (state != State::queued) return;
    ++turn_;
    state = State::idle;
    (void)go(scope(), leave_dispatcher(number_));
}

Task<bool> Matchmaking::match_found(Reservation reservation) {
    if (state != State::queued) co_return false;
    ++turn_;
    state = State::playing;
    match_ = std::move(reservation);
    (void)go(scope(), watch(match_));
    push<&MatchClient::ticket>(get<Online>().client, make_ticket());
    co_return true;
}

/// One call stays open for the whole match: it ends with the match, or with the battle node.
Task<> Matchmaking::watch(Reservation reservation) {
    const auto wait = [](Reservation r) -> Task<> {
        co_await at(r.link).service<Battle>().within(24h).call<&Battle::wait_end>(r.match, r.incarnation);
    };
    auto ended = co_await as_result(wait(reservation));
    // A link that breaks is no node that dies: another one tells. One that falls silent is enough.
    for (int tries = 0; tries < 10 && !ended && ended.error().is(errc::disconnected) &&
                        !ended.error().message().starts_with(errc::timed_out); ++tries) {
        co_await sleep(100ms);
        ended = co_await as_result(wait(reservation));
    }
    if (!ended && ended.error().is(errc::cancelled)) co_return;  // it is the avatar that ends
    if (match_.match != reservation.match || state != State::playing) co_return;
    ++turn_;
    state = State::idle;
    match_ = {};
    if (ended) co_return;
    log::warn("match.lost", {{"match", reservation.match}, {"node", reservation.node},
                             {"error", ended.error().what()}});
    push<&MatchClient::lost>(get<Online>().client, reservation.match,
                             "battle node " + reservation.node + " is gone");
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

#include "games/arena/match.hpp"

#include <algorithm>

namespace arena {

using gyre::Error;
using gyre::Task;
using gyre::this_node;

namespace {
constexpr gyre::Duration start_after = std::chrono::seconds(2);  // with whoever has arrived

/// Tells the avatar's lobby until it acknowledges: at least once, and the avatar ignores repeats.
Task<> deliver(gyre::EntityId player, MatchOver over) {
    for (gyre::Duration wait = std::chrono::milliseconds(200);;
         wait = std::min<gyre::Duration>(wait * 2, std::chrono::seconds(5))) {
        const auto told = co_await gyre::as_result(
            gyre::remote(gyre::Id<Avatar>{player}).call<&Avatar::match_result>(over));
        if (told) co_return;
        if (told.error().is(gyre::errc::cancelled)) throw told.error();
        gyre::log::warn("arena.result_not_taken", {{"match", over.match}, {"player", player},
                                                   {"error", told.error().what()}});
        co_await gyre::sleep(wait);
    }
}
}  // namespace

Task<> Match::open(gyre::match::Plan plan) {
    rules_ = this_node().config.as<MatchRules>().value();
    ArenaConfig config;
    config.match_seconds = static_cast<float>(rules_.seconds);
    config.kill_limit = rules_.kills;
    sim_.emplace(config, id().value);
    std::uint32_t slot = 0;
    for (auto& player : plan.players) {
        Seat seat;
        seat.slot = slot++;
        seat.name = player.name;
        seats_.emplace(player.avatar, std::move(seat));
    }
    opened_ = gyre::now();
    on_after_reload();
    co_return;
}

void Match::on_after_reload() {
    if (!sim_) return;
    sim_->add_systems();
    ticks().add<&Match::tick>(sim_->world(), gyre::TickRate{ArenaSim::ticks_per_second}, "arena");
}

Task<> Match::join(gyre::EntityId player, gyre::ClientRef client) {
    const auto found = seats_.find(player);
    if (found == seats_.end()) throw Error(gyre::errc::forbidden, "this player has no seat in the match");
    Seat& seat = found->second;
    if (seat.client && seat.client != client)
        gyre::kick(seat.client, Error("replaced", "joined again from elsewhere"));
    seat.client = client;
    if (!seat.arrived) {
        if (gyre::now() - opened_ > no_show_after) throw Error("no_show", "the match began without this player");
        seat.arrived = true;
        sim_->add_fighter(seat.slot);
    }
    gyre::push<&ArenaClient::joined>(client, seat.slot);
    co_return;
}

Task<> Match::leave(gyre::EntityId player, std::uint64_t session) {
    const auto found = seats_.find(player);
    // The fighter stays: a cut client comes back with a fresh ticket.
    if (found != seats_.end() && found->second.client.session == session) found->second.client = {};
    co_return;
}

void Match::input(Input input) {
    const auto found = seats_.find(gyre::calling_entity());
    if (found == seats_.end() || !found->second.arrived || over_) return;
    if (found->second.client.session != gyre::calling_session()) return;
    sim_->apply_input(found->second.slot, input);
}

bool Match::everyone_is_here() const {
    return std::all_of(seats_.begin(), seats_.end(), [](const auto& one) { return one.second.arrived; });
}

Task<> Match::tick() {
    if (over_) co_return;
    const auto age = gyre::now() - opened_;
    if (!started_) {
        const bool somebody = std::any_of(seats_.begin(), seats_.end(),
                                          [](const auto& one) { return one.second.arrived; });
        started_ = everyone_is_here() || (somebody && age > start_after);
        if (!started_) {
            if (age > no_show_after) finish();  // nobody came
            co_return;
        }
    }
    sim_->tick();
    publish();
    if (sim_->finished()) finish();
}

void Match::publish() {
    // Encoded once for all.
    const auto bytes = gyre::encode(std::tuple(sim_->snapshot()));
    for (auto& [player, seat] : seats_)
        if (seat.client)
            gyre::module::push_encoded(seat.client, gyre::rpc::method_name<&ArenaClient::snapshot>, bytes);
}

void Match::finish() {
    over_ = true;
    const auto standings = sim_->standings();
    for (auto& [player, seat] : seats_) {
        MatchOver over;
        over.match = id().value;
        over.arrived = seat.arrived;
        for (const auto& one : standings)
            if (one.slot == seat.slot && seat.arrived) {
                over.kills = one.kills;
                over.won = one.won;
            }
        over.gold = rules_.gold_kill * over.kills + (over.won ? rules_.gold_win : 0);
        gyre::push<&ArenaClient::over>(seat.client, over);
        gyre::kick(seat.client, Error("match_over", "the match has ended"));
        (void)gyre::go(gyre::drain_scope(), deliver(player, over));
    }
    gyre::retire(id());
}

}  // namespace arena

GYRE_MODULE("arena", arena::Avatar, arena::Match, arena::MatchRules)

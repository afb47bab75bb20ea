#include "duel.hpp"

#include <algorithm>

namespace duel {

using gyre::Task;

namespace {
/// Read at each use: a change counts at once.
DuelRules rules() { return gyre::this_node().config.as<DuelRules>().value(); }
}  // namespace

Task<> Hero::on_start() {
    get<gyre::match::Matchmaking>().player_name = "hero-" + std::to_string(id().value % 1000);
    co_return;
}

Task<> Hero::on_client() {
    if (!get<gyre::Online>().is_online()) get<gyre::match::Matchmaking>().leave_queue();
    co_return;
}

Task<> Hero::won(gyre::EntityId duel) {
    if (std::find(paid.begin(), paid.end(), duel) == paid.end()) {
        paid.push_back(duel);
        if (paid.size() > 64) paid.erase(paid.begin());
        get<Bag>().gold += rules().gold;
    }
    co_await gyre::save_now();  // Gold and duel id are one document: both are stored, or neither.
    gyre::push<&DuelClient::paid>(get<gyre::Online>().client, get<Bag>().gold);
}

Task<> Duel::open(gyre::match::Plan plan) {
    for (const auto& player : plan.players) seats_.emplace(player.avatar, Seat());
    timers().after<&Duel::finish>(rules().limit, "limit");
    co_return;
}

Task<> Duel::join(gyre::EntityId player, gyre::ClientRef client) {
    const auto seat = seats_.find(player);
    if (seat == seats_.end()) throw gyre::Error(gyre::errc::forbidden, "no seat in this duel");
    seat->second.client = client;
    co_return;
}

Task<> Duel::leave(gyre::EntityId player, std::uint64_t session) {
    const auto seat = seats_.find(player);
    if (seat != seats_.end() && seat->second.client.session == session) seat->second.client = {};
    co_return;
}

Task<std::uint32_t> Duel::roll() {
    const auto seat = seats_.find(gyre::calling_entity());
    if (seat == seats_.end()) throw gyre::Error(gyre::errc::forbidden, "no seat in this duel");
    auto& rolled = seat->second.rolled;
    if (rolled == 0) rolled = 1 + static_cast<std::uint32_t>(gyre::this_node().io.random_u64() % rules().sides);
    const bool all = std::all_of(seats_.begin(), seats_.end(), [](const auto& s) { return s.second.rolled > 0; });
    // Not at once: the reply to this call goes out before the session ends.
    if (all) timers().after<&Duel::finish>(std::chrono::milliseconds(100), "limit");
    co_return rolled;
}

namespace {
/// Until the lobby has stored it: at least once, and Hero::won ignores repeats.
Task<> pay(gyre::EntityId winner, gyre::EntityId duel) {
    for (;;) {
        const auto told = co_await gyre::as_result(gyre::remote(gyre::Id<Hero>{winner}).call<&Hero::won>(duel));
        if (told) co_return;
        if (told.error().is(gyre::errc::cancelled)) throw told.error();
        co_await gyre::sleep(std::chrono::seconds(1));
    }
}
}  // namespace

void Duel::finish() {
    for (auto& [player, seat] : seats_) {
        std::uint32_t best_other = 0;
        for (const auto& [other, their] : seats_)
            if (other != player) best_other = std::max(best_other, their.rolled);
        gyre::push<&DuelClient::over>(seat.client, seat.rolled, best_other);
        gyre::kick(seat.client, gyre::Error("match_over", "the duel has ended"));
        // In the node's scope: it goes on when this entity is gone.
        if (seat.rolled > best_other) (void)gyre::go(gyre::node_scope(), pay(player, id().value));
    }
    gyre::retire(id());
}

}  // namespace duel

GYRE_MODULE("duel", duel::Hero, duel::Duel, duel::DuelRules)

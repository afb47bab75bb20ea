#include <algorithm>

#include "services/match/matchmaking.hpp"

namespace gyre::match {
namespace {
/// The section "dispatcher" of gyre.json.
struct DispatcherConfig {
    std::uint32_t players = 4;      ///< In a full match.
    std::uint32_t players_min = 2;  ///< After `patience`, so many will do.
    std::chrono::milliseconds patience{1500};
    static consteval auto describe() {
        return type<DispatcherConfig>("DispatcherConfig", field<&DispatcherConfig::players>(),
                                      field<&DispatcherConfig::players_min>(),
                                      field<&DispatcherConfig::patience>());
    }
    Result<> validate() const {
        return config::Check().range("players", players, 1, 64).range("players_min", players_min, 1, players);
    }
};
constexpr Duration entry_life = 4s;
}  // namespace

Task<> Dispatcher::on_start() {
    (void)this_node().config.as<DispatcherConfig>("dispatcher").value();
    timers().every<&Dispatcher::pair>(50ms, "pair");
    co_return;
}

void Dispatcher::enqueue(QueueEntry entry) {
    for (auto& one : waiting_)
        if (one.entry.avatar == entry.avatar) {
            one.entry = std::move(entry);
            one.refreshed = now();
            return;
        }
    waiting_.push_back({std::move(entry), now(), now()});
}

bool Dispatcher::cancel(EntityId avatar) {
    return std::erase_if(waiting_, [&](const auto& one) { return one.entry.avatar == avatar; }) > 0;
}

Task<> Dispatcher::pair() {
    this_node().info.load = waiting_.size();
    if (pairing_) co_return;
    pairing_ = true;
    struct Leave {
        bool& flag;
        ~Leave() { flag = false; }
    } leave{pairing_};
    const auto config = this_node().config.as<DispatcherConfig>("dispatcher").value();
    const TimePoint at = now();
    std::erase_if(waiting_, [&](const auto& one) { return at - one.refreshed > entry_life; });
    std::vector<std::string> modes;
    for (const auto& one : waiting_)
        if (std::find(modes.begin(), modes.end(), one.entry.mode) == modes.end())
            modes.push_back(one.entry.mode);
    for (const auto& mode : modes) {
        for (;;) {
            std::vector<Waiting> group;
            for (const auto& one : waiting_)
                if (one.entry.mode == mode && group.size() < config.players) group.push_back(one);
            const bool full = group.size() == config.players;
            const bool patient = group.empty() || at - group.front().since < config.patience;
            if (!full && (patient || group.size() < config.players_min)) break;
            std::erase_if(waiting_, [&](const auto& one) {
                return std::any_of(group.begin(), group.end(), [&](const auto& g) {
                    return g.entry.avatar == one.entry.avatar;
                });
            });
            if (!co_await reserve(mode, group)) {
                // Nobody takes them now: they wait on, in front.
                waiting_.insert(waiting_.begin(), group.begin(), group.end());
                break;
            }
        }
    }
}

Task<bool> Dispatcher::reserve(std::string mode, std::vector<Waiting> group) {
    Plan plan{std::move(mode), {}};
    for (const auto& one : group) plan.players.push_back({one.entry.avatar, one.entry.name});
    // The least loaded first; each pick counts for a while, so a burst spreads.
    std::vector<cluster::NodeInfo> nodes;
    if (const auto best = this_node().directory.pick_least_loaded("battle")) nodes.push_back(*best);
    for (auto& other : this_node().directory.of_role("battle"))
        if (nodes.empty() || other.name != nodes.front().name) nodes.push_back(std::move(other));
    for (const auto& battle : nodes) {
        if (battle.draining) continue;
        const auto reserved = co_await as_result(
            at(battle.address).service<Battle>().within(1s).call<&Battle::reserve>(plan));
        if (!reserved) {
            ++refused_;
            log::warn("dispatcher.refused", {{"node", battle.name}, {"error", reserved.error().what()}});
            continue;
        }
        ++matches_;
        // Only now the lobbies hear of it. Who has left the queue since is a no-show.
        const auto tell = [](io::Endpoint lobby, EntityId avatar, Reservation found) -> Task<> {
            const auto told = co_await as_result(
                at(lobby).entity(Id<Matchmaking>{avatar}).within(1s).call<&Matchmaking::match_found>(found));
            if (!told) log::warn("dispatcher.not_told", {{"avatar", avatar}, {"error", told.error().what()}});
        };
        for (const auto& one : group) (void)go(scope(), tell(one.entry.lobby, one.entry.avatar, *reserved));
        co_return true;
    }
    co_return false;
}

DispatcherStatus Dispatcher::status() { return {waiting_.size(), matches_, refused_}; }

}  // namespace gyre::match

GYRE_MODULE("dispatcher", gyre::match::Dispatcher)

#include <algorithm>

#include "services/match/matchmaking.hpp"

namespace gyre::match {
namespace {
struct DispatcherConfig {
    static constexpr std::string_view config_section = "dispatcher";
    std::uint32_t players = 4;
    std::uint32_t players_min = 2;
    std::chrono::milliseconds patience{1500};
    static consteval auto describe() {
        return type<DispatcherConfig>("DispatcherConfig",
            field<&DispatcherConfig::players>(live, range(1, 64), about("in a full match")),
            field<&DispatcherConfig::players_min>(live, range_min(1), about("enough after `patience`; at most `players`")),
            field<&DispatcherConfig::patience>(live, range_min(0ms), about("how long the first of a group waits for a full match")));
    }
    Result<> validate() const {
        return config::Check().that(players_min <= players, "players_min", "is above players");
    }
};
constexpr Duration entry_life = 4s;
constexpr Duration late_repeat = 30s;  // no call is under way for longer
}  // namespace

Task<> Dispatcher::on_start() {
    (void)this_node().config.as<DispatcherConfig>().value();
    timers().every<&Dispatcher::pair>(50ms, "pair");
    co_return;
}

void Dispatcher::enqueue(QueueEntry entry) {
    if (ended_.contains(entry.number)) return;
    for (auto& one : waiting_)
        if (one.entry.avatar == entry.avatar) {
            one.entry = std::move(entry);
            one.refreshed = now();
            return;
        }
    waiting_.push_back({std::move(entry), now(), now()});
}

bool Dispatcher::cancel(EntityId avatar, std::uint64_t number) { return end(avatar, number); }

bool Dispatcher::end(EntityId avatar, std::uint64_t number) {
    ended_[number] = now();
    return std::erase_if(waiting_, [&](const Waiting& one) {
        return one.entry.avatar == avatar && one.entry.number == number;
    }) > 0;
}

Task<> Dispatcher::pair() {
    this_node().info.load = waiting_.size();
    const auto config = this_node().config.as<DispatcherConfig>().value();
    const TimePoint at = now();
    std::erase_if(waiting_, [&](const auto& one) { return at - one.refreshed > entry_life; });
    std::erase_if(ended_, [&](const auto& one) { return at - one.second > late_repeat; });
    std::vector<std::string> modes;
    for (const auto& one : waiting_)
        if (std::find(modes.begin(), modes.end(), one.entry.mode) == modes.end())
            modes.push_back(one.entry.mode);
    for (const auto& mode : modes) {
        for (;;) {
            std::vector<QueueEntry> group;
            TimePoint since = at;
            for (const auto& one : waiting_)
                if (one.entry.mode == mode && group.size() < config.players) {
                    since = std::min(since, one.since);
                    group.push_back(one.entry);
                }
            const bool full = group.size() == config.players;
            if (!full && (group.size() < config.players_min || at - since < config.patience)) break;
            // They wait on while a battle node is asked: they may leave, and repeats find them.
            if (!co_await reserve(mode, group)) break;
            for (const auto& one : group) end(one.avatar, one.number);
        }
    }
}

Task<bool> Dispatcher::reserve(std::string mode, std::vector<QueueEntry> group) {
    Plan plan{std::move(mode), {}};
    for (const auto& one : group) plan.players.push_back({one.avatar, one.name});
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
        for (const auto& one : group) (void)go(scope(), tell(one, *reserved));
        co_return true;
    }
    co_return false;
}

Task<> Dispatcher::tell(QueueEntry to, Reservation found) {
    const auto told = co_await as_result(
        at(to.lobby).entity(Id<Matchmaking>{to.avatar}).within(1s).call<&Matchmaking::match_found>(found));
    if (told) co_return;
    log::warn("dispatcher.not_told", {{"avatar", to.avatar}, {"error", told.error().what()}});
    ended_.erase(to.number);  // if it still asks for a match, it has not heard
}

DispatcherStatus Dispatcher::status() { return {waiting_.size(), matches_, refused_}; }

}  // namespace gyre::match

GYRE_MODULE("dispatcher", gyre::match::Dispatcher, gyre::match::DispatcherConfig)

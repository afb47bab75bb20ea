#include "games/arena/avatar.hpp"

#include <algorithm>

namespace arena {

using gyre::Error;
using gyre::Task;

constexpr std::size_t rewarded_kept = 64;

Task<> Profile::rename(std::string to) {
    if (to.empty() || to.size() > 24)
        throw Error(gyre::errc::bad_arguments, "name: " + std::to_string(to.size()) + " bytes, 1 to 24 allowed");
    name = std::move(to);
    get<gyre::match::Matchmaking>().player_name = name;
    co_await gyre::save_now();
}

void Bag::put(ItemId item, std::uint16_t count) {
    for (auto& stack : stacks)
        if (stack.item == item) {
            stack.count = static_cast<std::uint16_t>(std::min<std::uint32_t>(60'000u, stack.count + 0u + count));
            return;
        }
    stacks.push_back({item, count});
}

Task<ItemStack> Bag::take(ItemId item, std::uint16_t count) {
    for (auto& stack : stacks)
        if (stack.item == item && stack.count >= count) {
            stack.count = static_cast<std::uint16_t>(stack.count - count);
            co_return ItemStack{item, count};
        }
    throw Error("not_enough_items", "item=" + std::string(gyre::enum_name(item)) + " wanted=" + std::to_string(count));
}

Task<> Avatar::on_start() {
    auto& profile = get<Profile>();
    if (profile.name.empty()) profile.name = get<gyre::Online>().account;
    if (profile.name.empty()) profile.name = "player-" + std::to_string(id().value % 100'000);
    get<gyre::match::Matchmaking>().player_name = profile.name;
    co_return;
}

Task<> Avatar::on_client() {
    if (!get<gyre::Online>().is_online()) get<gyre::match::Matchmaking>().leave_queue();
    co_return;
}

Task<AvatarStatus> Avatar::status() {
    const auto& bag = get<Bag>();
    const auto& career = get<Career>();
    std::uint32_t medals = 0;
    for (const auto& stack : bag.stacks)
        if (stack.item == ItemId::medal) medals += stack.count;
    co_return AvatarStatus{get<Profile>().name, bag.gold, career.wins, career.matches, medals};
}

Task<> Avatar::logout() {
    get<gyre::match::Matchmaking>().leave_queue();
    co_await gyre::save_now();
    const auto client = std::exchange(get<gyre::Online>().client, {});
    gyre::kick(client, Error("logged_out", "goodbye"));
    gyre::retire(id());
}

Task<> Avatar::match_result(MatchOver over) {
    auto& career = get<Career>();
    auto& seen = career.rewarded;
    if (std::find(seen.begin(), seen.end(), over.match) == seen.end()) {
        seen.push_back(over.match);
        if (seen.size() > rewarded_kept) seen.erase(seen.begin());
        if (over.arrived) {
            ++career.matches;
            career.wins += over.won;
            get<Bag>().gold += over.gold;
            if (over.won) get<Bag>().put(ItemId::medal, 1);
        }
    }
    // Reward and match id are in one document: stored together, or not at all.
    co_await gyre::save_now();
    gyre::push<&ArenaClient::rewarded>(get<gyre::Online>().client, co_await status());
}

}  // namespace arena

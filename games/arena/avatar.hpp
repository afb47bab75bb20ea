#pragma once
#include "games/arena/client.hpp"
#include "services/match/matchmaking.hpp"

namespace arena {

enum class ItemId : std::uint32_t { none, medal, potion };

struct ItemStack {
    ItemId item = ItemId::none;
    std::uint16_t count = 0;
    static consteval auto describe() {
        return gyre::type<ItemStack>("ItemStack", gyre::field<&ItemStack::item>(),
                                     gyre::field<&ItemStack::count>());
    }
};

struct Profile : gyre::Component<Profile> {
    std::string name;

    /// Shown to other players; 1 to 24 bytes. Error: bad_arguments.
    gyre::Task<> rename(std::string to);

    static consteval auto describe() {
        return gyre::type<Profile>("Profile",
            gyre::field<&Profile::name>(gyre::persist | gyre::to_owner | gyre::to_near),
            gyre::method<&Profile::rename>(gyre::Caller::owner));
    }
};

struct Bag : gyre::Component<Bag> {
    std::vector<ItemStack> stacks;
    std::int64_t gold = 0;

    void put(ItemId item, std::uint16_t count);
    /// Error: not_enough_items. Changes nothing on error.
    gyre::Task<ItemStack> take(ItemId item, std::uint16_t count);

    static consteval auto describe() {
        return gyre::type<Bag>("Bag",
            gyre::field<&Bag::stacks>(gyre::persist | gyre::to_owner),
            gyre::field<&Bag::gold>(gyre::persist | gyre::to_owner),
            gyre::method<&Bag::take>(gyre::Caller::owner, gyre::serial));
    }
};

/// What the matches of a player came to.
struct Career : gyre::Component<Career> {
    std::uint32_t wins = 0;
    std::uint32_t matches = 0;
    std::vector<gyre::EntityId> rewarded;  ///< The last matches, so that none counts twice.

    static consteval auto describe() {
        return gyre::type<Career>("Career",
            gyre::field<&Career::wins>(gyre::persist | gyre::to_owner),
            gyre::field<&Career::matches>(gyre::persist | gyre::to_owner),
            gyre::field<&Career::rewarded>(gyre::persist));
    }
};

struct Avatar : gyre::Entity<Avatar, gyre::Online, Profile, Bag, Career, gyre::match::Matchmaking> {
    static constexpr std::string_view role = "lobby";

    gyre::Task<> on_start();
    gyre::Task<> on_client();  ///< A client came or went.
    gyre::Task<AvatarStatus> status();
    /// Ends the session and unloads the avatar, saved.
    gyre::Task<> logout();
    /// Of a battle node, repeated until it returns: then reward and match id are stored together.
    gyre::Task<> match_result(MatchOver over);

    static consteval auto describe() {
        return gyre::type<Avatar>("Avatar",
            gyre::method<&Avatar::on_client>(),
            gyre::method<&Avatar::status>(gyre::Caller::owner),
            gyre::method<&Avatar::logout>(gyre::Caller::owner),
            gyre::method<&Avatar::match_result>(gyre::serial));
    }
};

}  // namespace arena

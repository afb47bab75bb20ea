#pragma once
#include <functional>
#include <map>

#include "bag.hpp"
#include "services/match/matchmaking.hpp"

namespace duel {

/// What an operator may set, in gyre.json.
struct DuelRules {
    static constexpr std::string_view config_section = "duel";
    std::uint32_t sides = 6;
    std::int64_t gold = 10;
    std::chrono::seconds limit{30};

    static consteval auto describe() {
        using namespace gyre;
        return type<DuelRules>("DuelRules",
            field<&DuelRules::sides>(live, range(2, 100), about("of the dice")),
            field<&DuelRules::gold>(live, range_min(0), about("for who wins")),
            field<&DuelRules::limit>(live, range(1s, 10min), about("a duel that lasts longer ends")));
    }
};

/// What a player owns. Lives on a lobby, lasts in the store.
struct Hero : gyre::Entity<Hero, gyre::Online, gyre::match::Matchmaking, Bag> {
    static constexpr std::string_view role = "lobby";
    std::vector<gyre::EntityId> paid;  ///< Duels that have been paid, so that none is paid twice.

    gyre::Task<> on_start();
    gyre::Task<> on_client();
    gyre::Task<> won(gyre::EntityId duel);

    static consteval auto describe() {
        return gyre::type<Hero>("Hero", gyre::field<&Hero::paid>(gyre::persist),
                                gyre::method<&Hero::on_client>(),
                                gyre::method<&Hero::won>(gyre::serial));
    }
};

/// What a client of this game answers. The client fills in the functions.
struct DuelClient {
    std::function<void(std::uint32_t mine, std::uint32_t theirs)> on_over;
    std::function<void(std::int64_t gold)> on_paid;
    void over(std::uint32_t mine, std::uint32_t theirs) { if (on_over) on_over(mine, theirs); }
    void paid(std::int64_t gold) { if (on_paid) on_paid(gold); }

    static consteval auto describe() {
        return gyre::type<DuelClient>("DuelClient",
            gyre::method<&DuelClient::over>(gyre::Caller::anyone),
            gyre::method<&DuelClient::paid>(gyre::Caller::anyone));
    }
};

/// Two players, one roll each, the higher one wins 10 gold. Lives on a battle node.
struct Duel : gyre::Entity<Duel> {
    static constexpr std::string_view role = "battle";

    gyre::Task<> open(gyre::match::Plan plan);
    gyre::Task<> join(gyre::EntityId player, gyre::ClientRef client);
    gyre::Task<> leave(gyre::EntityId player, std::uint64_t session);
    /// Of a player's client; rolls once. Error: forbidden, for a stranger.
    gyre::Task<std::uint32_t> roll();

    static consteval auto describe() {
        return gyre::type<Duel>("Match",  // The battle service calls it by this name.
            gyre::method<&Duel::open>(), gyre::method<&Duel::join>(), gyre::method<&Duel::leave>(),
            gyre::method<&Duel::roll>(gyre::Caller::anyone), gyre::method<&Duel::finish>(),
            gyre::field<&Duel::seats_>());
    }

private:
    struct Seat {
        gyre::ClientRef client;
        std::uint32_t rolled = 0;  // from 1; 0: not yet
        static consteval auto describe() {
            return gyre::type<Seat>("Seat", gyre::field<&Seat::client>(),
                                    gyre::field<&Seat::rolled>());
        }
    };
    void finish();
    std::map<gyre::EntityId, Seat> seats_;
};

}  // namespace duel

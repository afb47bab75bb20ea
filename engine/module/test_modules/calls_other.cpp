// Calls the types of another module, whose methods are defined nowhere here. Built without optimization.
#include <gyre/module/gyre.hpp>

namespace other {
struct Bag : gyre::Component<Bag> {
    int gold = 0;
    int take(int count);
    gyre::Task<int> take_later(int count);
    static consteval auto describe() {
        return gyre::type<Bag>("OtherBag", gyre::field<&Bag::gold>(), gyre::method<&Bag::take>(gyre::serial),
                               gyre::method<&Bag::take_later>());
    }
};
struct Hero : gyre::Entity<Hero, Bag> {
    gyre::Task<> on_start();
    gyre::Task<int> rename(std::string name);
    static consteval auto describe() { return gyre::type<Hero>("OtherHero", gyre::method<&Hero::rename>()); }
};
struct Rank : gyre::Service<Rank> {
    static constexpr std::string_view role = "rank";
    int top();
    static consteval auto describe() { return gyre::type<Rank>("OtherRank", gyre::method<&Rank::top>()); }
};
}  // namespace other

namespace {
struct Caller : gyre::Service<Caller> {
    static constexpr std::string_view role = "rank";
    gyre::Task<int> ask(gyre::EntityId id) {
        const gyre::Id<other::Hero> hero{id};
        int all = co_await gyre::remote(hero).call<&other::Bag::take>(3);
        all += co_await gyre::remote(hero).call<&other::Bag::take_later>(3);
        all += co_await gyre::remote(hero).call<&other::Hero::rename>("Ann");
        all += co_await gyre::any<other::Rank>().call<&other::Rank::top>();
        all += co_await gyre::at("10.0.0.1:1").service<other::Rank>().call<&other::Rank::top>();
        for (auto& [node, value] : co_await gyre::all<other::Rank>().call<&other::Rank::top>()) all += value.ok();
        gyre::remote(hero).notify<&other::Hero::rename>("Bob");
        gyre::push<&other::Rank::top>({});
        gyre::broadcast<&other::Hero::rename>("Cid");
        co_return all;
    }
    static consteval auto describe() { return gyre::type<Caller>("Caller", gyre::method<&Caller::ask>()); }
};
}  // namespace

GYRE_MODULE("calls_other", Caller)

#pragma once
#include <gyre/module/gyre.hpp>

namespace duel {

struct Bag : gyre::Component<Bag> {
    std::int64_t gold = 0;

    /// Returns what is left. Error: not_enough_gold; then nothing has changed.
    gyre::Task<std::int64_t> spend(std::uint32_t amount) {
        if (gold < amount) throw gyre::Error("not_enough_gold", "gold=" + std::to_string(gold));
        gold -= amount;
        co_await gyre::save_now();  // The database has it when this line is done.
        co_return gold;
    }
    static consteval auto describe() {
        return gyre::type<Bag>("Bag", gyre::field<&Bag::gold>(gyre::persist),
                               gyre::method<&Bag::spend>(gyre::Caller::owner, gyre::serial));
    }
};

}  // namespace duel

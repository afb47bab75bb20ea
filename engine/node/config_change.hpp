#pragma once
#include <gyre/config/config.hpp>
#include <string>
#include <vector>

namespace gyre::node {

/// When a changed key is obeyed.
enum class TakesEffect : std::uint8_t {
    now,        ///< The key is declared `live`.
    next_read,  ///< Whenever somebody reads it: nobody declared it ("x-...").
    restart,    ///< All others.
};

struct ConfigChange {
    std::string key;            ///< "arena.kills"
    std::string before, after;  ///< JSON; empty: not there. Of a secret: "(secret)".
    TakesEffect takes_effect = TakesEffect::now;
    static consteval auto describe() {
        return type<ConfigChange>("ConfigChange", field<&ConfigChange::key>(), field<&ConfigChange::before>(),
                                  field<&ConfigChange::after>(), field<&ConfigChange::takes_effect>());
    }
};

/// What differs, by key. before: the running one, which knows what is declared.
/// Errors: bad_config, of a document whose macros cannot be replaced.
Result<std::vector<ConfigChange>> diff(const config::Document& before, const config::Document& after);

}  // namespace gyre::node

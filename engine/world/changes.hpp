#pragma once
#include <algorithm>
#include <cstdint>
#include <gyre/codec/describe.hpp>
#include <string>
#include <vector>

namespace gyre::world {

enum class Change : std::uint8_t {
    none,       ///< Its functions may still be others.
    methods,    ///< Other methods, residents or hooks; objects stay as they are.
    layout,     ///< Objects are to be carried over.
    added,
    removed,
};

struct TypeChange {
    std::string type;
    Change change = Change::none;
    std::vector<std::string> details;  ///< "gold: long -> std::basic_string<char>"
    std::uint64_t objects = 0;         ///< Alive on this node.
    static consteval auto describe() {
        return gyre::type<TypeChange>("TypeChange", field<&TypeChange::type>(), field<&TypeChange::change>(),
                                      field<&TypeChange::details>(), field<&TypeChange::objects>());
    }
};

/// What another build of a module means for a node.
struct Changes {
    std::vector<TypeChange> types;     ///< By name.
    std::vector<std::string> refused;  ///< Why it cannot be; empty: it can.
    bool needs_carry_over() const {
        return std::ranges::count(types, Change::layout, &TypeChange::change) > 0;
    }
    static consteval auto describe() {
        return gyre::type<Changes>("Changes", field<&Changes::types>(), field<&Changes::refused>());
    }
};

struct CarryReport {
    std::uint64_t objects = 0;    ///< Carried over.
    std::uint64_t bytes = 0;      ///< Of them, encoded.
    std::uint64_t cancelled = 0;  ///< Tasks that had not ended in time.
    std::uint64_t waited = 0;     ///< Calls that were held.
    static consteval auto describe() {
        return gyre::type<CarryReport>("CarryReport", field<&CarryReport::objects>(), field<&CarryReport::bytes>(),
                                       field<&CarryReport::cancelled>(), field<&CarryReport::waited>());
    }
};

}  // namespace gyre::world

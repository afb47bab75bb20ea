#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace gyre {

/// Names one entity wherever it lives: 10 bits of zone, 54 random bits. 0 names nothing.
using EntityId = std::uint64_t;

/// The same, knowing the kind of entity: what game code stores and sends.
template <class E>
struct Id {
    EntityId value = 0;
    constexpr explicit operator bool() const { return value != 0; }
    friend constexpr auto operator<=>(Id, Id) = default;
};

constexpr EntityId make_entity_id(std::uint16_t zone, std::uint64_t random) {
    const EntityId low = random & ((std::uint64_t{1} << 54) - 1);
    return (static_cast<EntityId>(zone & 0x3ff) << 54) | (low ? low : 1);
}

}  // namespace gyre

template <class E>
struct std::hash<gyre::Id<E>> {
    std::size_t operator()(gyre::Id<E> id) const noexcept { return id.value; }
};

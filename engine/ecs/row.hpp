#pragma once
#include <compare>
#include <cstdint>

namespace gyre::ecs {

/// Names one row of one World. An index is reused, a pair of index and generation is not
/// (before 2^32 - 1 reuses of the index). Row{} names no row.
struct Row {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;

    explicit constexpr operator bool() const noexcept { return generation != 0; }
    friend constexpr bool operator==(Row, Row) = default;
    friend constexpr auto operator<=>(Row, Row) = default;
};

}  // namespace gyre::ecs

#pragma once
#include <gyre/ecs/component.hpp>
#include <gyre/ecs/row.hpp>

#include <cstdint>
#include <vector>

namespace gyre::ecs {

/// The rows of a world without their values: what names them, where they lie, in which order.
struct Image {
    /// Rows with the same components, in the order of iteration.
    struct Kind {
        std::vector<ComponentId> components;  ///< Each once.
        std::vector<Row> rows;  ///< Row{}: a hole, left by one that went and not yet settled.
    };
    std::uint64_t version = 0;
    std::uint64_t ticks = 0;
    std::vector<std::uint32_t> generations;  ///< Of every row that is or was, by index.
    std::vector<std::uint32_t> unused;       ///< Indexes of no living row, in order of reuse.
    std::vector<Kind> kinds;                 ///< In the order they were first made.
};

/// Makes a default value of each component. Tags need none.
struct Constructor {
    ComponentId id;
    void (*construct)(void* at);
};
using Constructors = std::vector<Constructor>;

}  // namespace gyre::ecs

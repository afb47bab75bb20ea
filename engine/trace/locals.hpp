#pragma once
#include <cstddef>
#include <gyre/base/time.hpp>
#include <gyre/trace/frames.hpp>
#include <string>

namespace gyre::trace {

struct LocalsLimits {
    std::size_t bytes = 2048;  ///< Of the text; of one variable a quarter of it.
    std::size_t depth = 3;     ///< Structures in structures.
    std::size_t elements = 8;  ///< Of one container or array.
    Duration time = std::chrono::milliseconds(5);
};

/// The variables of one frame of a live stack as "name=value name=value", arguments first: those
/// that are in scope at its pc and declared before it. Those that the compiler removed are left
/// out; empty: no debug information, or not indexed. Names that look secret are shown as (secret).
/// Reads memory through the kernel: a wild pointer is <unreadable>. Never throws. Any thread.
/// Cost: 0.1 ms for 20 variables; half a millisecond when their types are seen first.
std::string locals(const FrameState& frame, const LocalsLimits& limits = {});

}  // namespace gyre::trace

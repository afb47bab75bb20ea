#pragma once
#include <cstddef>
#include <cstdint>

namespace gyre {

/// Coroutine frames of this thread, recycled by size class; a warm path allocates nothing.
/// Cost: a load and a store. Frames above 4 KiB go to the heap.
void* allocate_frame(std::size_t bytes);
void release_frame(void* frame, std::size_t bytes) noexcept;

struct FrameCounters {
    std::uint64_t live = 0;       ///< Frames in use.
    std::uint64_t from_heap = 0;  ///< Frames that needed the heap since start.
    std::uint64_t recycled = 0;   ///< Frames served from the pool since start.
};
FrameCounters frame_counters() noexcept;  ///< Of the calling thread.

}  // namespace gyre

#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace gyre {

namespace detail {
/// Free frames of one thread by size, in steps of 16 bytes. A frame that is not there is cut from a
/// slab; slabs go back to the heap when the thread ends with no frame in use.
struct FramePool {
    static constexpr std::size_t granule_bytes = 16;
    static constexpr std::size_t sizes = 4096 / granule_bytes + 1;
    struct Free {
        Free* next;
    };
    std::array<Free*, sizes> free{};
    std::array<std::uint16_t, sizes> next_refill{};  // frames to cut at once, doubles
    std::int64_t peak = 0;
    std::int64_t below_peak = 0;  // so that one subtraction counts the live ones and their peak
    std::uint64_t refills = 0, slab_bytes = 0, oversize = 0;
    Free* slabs = nullptr;
};
extern thread_local constinit FramePool frame_pool __attribute__((tls_model("initial-exec")));
void* allocate_frame_slowly(std::size_t bytes);
void release_frame_slowly(void* frame, std::size_t bytes) noexcept;
}  // namespace detail

/// Coroutine frames of this thread, recycled by size; a warm path allocates nothing. Cost: about 8
/// instructions. Frames above 4 KiB, and all under a sanitizer, are allocations of their own.
inline void* allocate_frame(std::size_t bytes) {
    detail::FramePool& pool = detail::frame_pool;
    const std::size_t size = (bytes + pool.granule_bytes - 1) / pool.granule_bytes;
    if (size < pool.sizes) {
        if (auto* frame = pool.free[size]; frame && pool.below_peak > 0) [[likely]] {
            pool.free[size] = frame->next;
            --pool.below_peak;
            return frame;
        }
    }
    return detail::allocate_frame_slowly(bytes);
}
inline void release_frame(void* frame, std::size_t bytes) noexcept {
#if !defined(GYRE_SANITIZED)
    detail::FramePool& pool = detail::frame_pool;
    const std::size_t size = (bytes + pool.granule_bytes - 1) / pool.granule_bytes;
    if (size < pool.sizes) [[likely]] {
        auto* free = static_cast<detail::FramePool::Free*>(frame);
        free->next = pool.free[size];
        pool.free[size] = free;
        ++pool.below_peak;
        return;
    }
#endif
    detail::release_frame_slowly(frame, bytes);
}

struct FrameCounters {
    std::uint64_t live = 0;     ///< Frames in use: of tasks, and one for each go().
    std::uint64_t peak = 0;     ///< Most at once since the thread began.
    std::uint64_t bytes = 0;    ///< Held by the pool, in use or free.
    std::uint64_t refills = 0;  ///< Times the heap was asked; does not move when warm.
};
FrameCounters frame_counters() noexcept;  ///< Of the calling thread.

}  // namespace gyre

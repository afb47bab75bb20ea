#include <gyre/task/frame_pool.hpp>

#include <algorithm>
#include <new>

namespace gyre {

thread_local constinit detail::FramePool detail::frame_pool{};

namespace {
using detail::FramePool;
constexpr std::size_t slab_bytes_max = 64 * 1024;
constexpr std::size_t slab_head_bytes = FramePool::granule_bytes;

/// Gives the slabs back with the thread, unless frames of it are still in use somewhere.
struct Reaper {
    ~Reaper() {
        FramePool& pool = detail::frame_pool;
        if (pool.peak != pool.below_peak) return;
        pool.free = {};
        while (auto* slab = pool.slabs) {
            pool.slabs = slab->next;
            ::operator delete(slab);
        }
    }
};

[[maybe_unused]] void refill(FramePool& pool, std::size_t size) {
    const std::size_t bytes = size * FramePool::granule_bytes;
    const std::size_t fits = std::max<std::size_t>(1, (slab_bytes_max - slab_head_bytes) / bytes);
    const std::size_t count = std::clamp<std::size_t>(pool.next_refill[size], 4, std::max<std::size_t>(4, fits));
    auto* slab = static_cast<std::byte*>(::operator new(slab_head_bytes + count * bytes));
    thread_local Reaper reaper;
    (void)reaper;
    pool.slabs = new (slab) FramePool::Free{pool.slabs};
    for (std::size_t i = count; i-- > 0;)
        pool.free[size] = new (slab + slab_head_bytes + i * bytes) FramePool::Free{pool.free[size]};
    pool.next_refill[size] = static_cast<std::uint16_t>(count * 2);
    pool.slab_bytes += slab_head_bytes + count * bytes;
    ++pool.refills;
}
}  // namespace

void* detail::allocate_frame_slowly(std::size_t bytes) {
    FramePool& pool = frame_pool;
    if (pool.below_peak > 0) --pool.below_peak;
    else ++pool.peak;
#if !defined(GYRE_SANITIZED)
    const std::size_t size = (bytes + FramePool::granule_bytes - 1) / FramePool::granule_bytes;
    if (size < FramePool::sizes) {
        if (!pool.free[size]) refill(pool, size);
        FramePool::Free* frame = pool.free[size];
        pool.free[size] = frame->next;
        return frame;
    }
#endif
    ++pool.refills;
    pool.oversize += bytes;
    return ::operator new(bytes);
}

void detail::release_frame_slowly(void* frame, std::size_t bytes) noexcept {
    ++frame_pool.below_peak;
    frame_pool.oversize -= bytes;
    ::operator delete(frame);
}

FrameCounters frame_counters() noexcept {
    const FramePool& pool = detail::frame_pool;
    return {.live = static_cast<std::uint64_t>(pool.peak - pool.below_peak),
            .peak = static_cast<std::uint64_t>(pool.peak),
            .bytes = pool.slab_bytes + pool.oversize,
            .refills = pool.refills};
}

}  // namespace gyre

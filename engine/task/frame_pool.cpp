#include <gyre/task/frame_pool.hpp>

#include <array>
#include <new>

namespace gyre {
namespace {
constexpr std::size_t granule_bytes = 64;
constexpr std::size_t classes = 64;

struct FreeFrame {
    FreeFrame* next;
};
struct Pool {
    std::array<FreeFrame*, classes> free{};
    FrameCounters counters;
};
// No destructor: frames may be released by other thread-locals later than this one would die.
thread_local constinit Pool pool __attribute__((tls_model("initial-exec"))){};

std::size_t class_of(std::size_t bytes) { return (bytes + granule_bytes - 1) / granule_bytes; }
}  // namespace

void* allocate_frame(std::size_t bytes) {
    ++pool.counters.live;
    const std::size_t size_class = class_of(bytes);
    if (size_class < classes) {
        if (FreeFrame* frame = pool.free[size_class]) {
            pool.free[size_class] = frame->next;
            ++pool.counters.recycled;
            return frame;
        }
        bytes = size_class * granule_bytes;
    }
    ++pool.counters.from_heap;
    return ::operator new(bytes);
}

void release_frame(void* frame, std::size_t bytes) noexcept {
    --pool.counters.live;
    const std::size_t size_class = class_of(bytes);
#if defined(GYRE_SANITIZED)
    // Under a sanitizer each frame is its own allocation, so that a use after its end is seen.
    (void)size_class;
    ::operator delete(frame);
#else
    if (size_class < classes) {
        pool.free[size_class] = new (frame) FreeFrame{pool.free[size_class]};
        return;
    }
    ::operator delete(frame);
#endif
}

FrameCounters frame_counters() noexcept { return pool.counters; }

}  // namespace gyre

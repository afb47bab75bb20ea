#include <gyre/ecs/detail/block_pool.hpp>

#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace gyre::ecs::detail {
namespace {
constexpr std::size_t slab_bytes = 2 * 1024 * 1024;
constexpr std::size_t singles_max = slab_bytes / BlockPool::block_bytes;
}  // namespace

BlockPool::~BlockPool() {
    for (std::byte* block : singles_) ::operator delete(block, std::align_val_t{alignment});
    for (std::byte* slab : slabs_) ::operator delete(slab, std::align_val_t{slab_bytes});
}

std::byte* BlockPool::take() {
    if (free_.empty()) {
        if (singles_.size() < singles_max) {
            singles_.reserve(singles_max);
            singles_.push_back(
                static_cast<std::byte*>(::operator new(block_bytes, std::align_val_t{alignment})));
            return singles_.back();
        }
        slabs_.reserve(slabs_.size() + 1);
        auto* slab =
            static_cast<std::byte*>(::operator new(slab_bytes, std::align_val_t{slab_bytes}));
        slabs_.push_back(slab);
#ifdef __linux__
        ::madvise(slab, slab_bytes, MADV_HUGEPAGE);  // Without effect where there are none.
#endif
        for (std::size_t at = slab_bytes; at > 0; at -= block_bytes) give(slab + at - block_bytes);
    }
    std::byte* block = free_.back();
    free_.pop_back();
    return block;
}

}  // namespace gyre::ecs::detail

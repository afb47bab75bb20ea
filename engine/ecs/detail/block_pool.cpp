#include <gyre/ecs/detail/block_pool.hpp>

#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace gyre::ecs::detail {
namespace {
std::align_val_t alignment_of(std::size_t bytes) {
    return std::align_val_t{bytes >= BlockPool::full_bytes ? BlockPool::full_bytes
                                                           : BlockPool::alignment};
}
}  // namespace

BlockPool::~BlockPool() {
    for (const Size& size : sizes_)
        for (std::byte* block : size.all) ::operator delete(block, alignment_of(size.bytes));
}

BlockPool::Size& BlockPool::size_of(std::size_t bytes) {
    for (Size& size : sizes_)
        if (size.bytes == bytes) return size;
    sizes_.push_back({bytes, {}, {}});
    return sizes_.back();
}

std::byte* BlockPool::take(std::size_t bytes) {
    Size& size = size_of(bytes);
    if (size.free.empty()) {
        size.all.push_back(nullptr);
        size.all.back() = static_cast<std::byte*>(::operator new(bytes, alignment_of(bytes)));
#ifdef __linux__
        // Random access misses the TLB less. Without effect where there are no huge pages.
        if (bytes >= full_bytes) ::madvise(size.all.back(), full_bytes, MADV_HUGEPAGE);
#endif
        return size.all.back();
    }
    std::byte* block = size.free.back();
    size.free.pop_back();
    return block;
}

}  // namespace gyre::ecs::detail

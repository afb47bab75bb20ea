#pragma once
#include <cstddef>
#include <vector>

namespace gyre::ecs::detail {

/// The memory of one world's rows, in blocks of one size, kept for reuse until the world ends.
/// The first are allocated singly; a world that needs more takes 2 MiB slabs, which the system is
/// asked to back with huge pages: random access then misses the TLB far less.
class BlockPool {
public:
    static constexpr std::size_t block_bytes = 256 * 1024;
    static constexpr std::size_t alignment = 64;

    BlockPool() = default;
    ~BlockPool();
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    std::byte* take();  ///< Uninitialized.
    void give(std::byte* block) { free_.push_back(block); }

private:
    std::vector<std::byte*> free_, singles_, slabs_;
};

}  // namespace gyre::ecs::detail

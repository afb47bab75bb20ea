#pragma once
#include <cstddef>
#include <vector>

namespace gyre::ecs::detail {

/// The memory of one world's rows, in blocks of a few sizes, kept for reuse until the world ends.
class BlockPool {
public:
    /// Long runs keep the hardware's prefetch going: at 256 KiB a loop over 1 M rows took 1.5 times
    /// as long as over plain arrays, from 1 MiB on 1.1 times.
    static constexpr std::size_t full_bytes = 2 * 1024 * 1024;
    static constexpr std::size_t alignment = 64;

    BlockPool() = default;
    ~BlockPool();
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    std::byte* take(std::size_t bytes);  ///< Uninitialized.
    void give(std::byte* block, std::size_t bytes) { free_of(bytes).push_back(block); }

private:
    struct Size {
        std::size_t bytes;
        std::vector<std::byte*> free, all;
    };
    Size& size_of(std::size_t bytes);
    std::vector<std::byte*>& free_of(std::size_t bytes) { return size_of(bytes).free; }

    std::vector<Size> sizes_;
};

}  // namespace gyre::ecs::detail

#pragma once
#include <cstddef>
#include <cstdint>
#include <gyre/base/assert.hpp>
#include <new>
#include <utility>

namespace gyre::net {

/// Memory of links in blocks of four sizes, for all links of a loop: links that have nothing to say hold none.
class BlockPool {
public:
    static constexpr std::size_t sizes[] = {64, 160, 512, 1600};
    static constexpr std::size_t block_bytes_max = sizes[3];

    explicit BlockPool(std::size_t kept_bytes_max = 4 << 20) : kept_bytes_max_(kept_bytes_max) {}
    BlockPool(const BlockPool&) = delete;
    ~BlockPool() {
        for (Free* block : free_)
            while (block) ::operator delete(std::exchange(block, block->next));
    }
    static unsigned class_of(std::size_t bytes) {
        GYRE_ASSERT(bytes <= block_bytes_max, "a block holds a datagram");
        unsigned found = 0;
        while (sizes[found] < bytes) ++found;
        return found;
    }
    void* take(unsigned size_class) {
        Free*& first = free_[size_class];
        if (!first) return ::operator new(sizes[size_class]);
        kept_bytes_ -= sizes[size_class];
        return std::exchange(first, first->next);
    }
    void give_back(void* block, unsigned size_class) noexcept {
        if (kept_bytes_ + sizes[size_class] > kept_bytes_max_) return ::operator delete(block);
        kept_bytes_ += sizes[size_class];
        free_[size_class] = new (block) Free{free_[size_class]};
    }

private:
    struct Free {
        Free* next;
    };
    Free* free_[4] = {};
    std::size_t kept_bytes_ = 0;
    const std::size_t kept_bytes_max_;
};

/// Pointers by number: a power of two of slots, none while it is empty. Numbers in use span less than its size.
template <class T>
class NumberRing {
public:
    T* at(std::uint64_t number) const { return slots_ ? slots_[number & mask_] : nullptr; }
    void set(std::uint64_t number, T* value) { slots_[number & mask_] = value; }
    /// Makes room for numbers [begin, end).
    void reserve(std::uint64_t begin, std::uint64_t end) {
        const std::uint64_t wanted = end - begin;
        if (wanted <= size()) return;
        std::uint64_t larger = 16;
        while (larger < wanted) larger *= 2;
        T** slots = new T*[larger]();
        for (std::uint64_t n = begin; slots_ && n < begin + size(); ++n) slots[n & (larger - 1)] = slots_[n & mask_];
        delete[] std::exchange(slots_, slots);
        mask_ = larger - 1;
    }
    std::uint64_t size() const { return slots_ ? mask_ + 1 : 0; }
    void release() {  ///< It is empty: keeps nothing.
        delete[] std::exchange(slots_, nullptr);
        mask_ = 0;
    }
    NumberRing() = default;
    NumberRing(const NumberRing&) = delete;
    ~NumberRing() { release(); }

private:
    T** slots_ = nullptr;
    std::uint64_t mask_ = 0;
};

}  // namespace gyre::net

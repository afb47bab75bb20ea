#pragma once
#include <gyre/ecs/detail/block_pool.hpp>
#include <gyre/ecs/row.hpp>

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace gyre::ecs::detail {

/// Where each row of a world lies, by index. Pages never move once full-sized.
class Slots {
public:
    struct Slot {
        std::uint32_t generation;
        std::uint32_t archetype;  ///< Or reserved or unused.
        std::uint32_t row;        ///< In the archetype; while unused the next unused slot.
        std::uint32_t padding;    ///< A slot never crosses a cache line.
    };
    static constexpr std::uint32_t reserved = 0xfffffffeu;  ///< Named, not yet placed.
    static constexpr std::uint32_t unused = 0xffffffffu;

    explicit Slots(BlockPool& pool) : pool_(pool) {}

    std::uint32_t size() const noexcept { return size_; }
    std::uint32_t first_unused() const noexcept { return first_unused_; }
    Slot& operator[](std::uint32_t index) noexcept { return pages_[index >> shift][index & mask]; }
    const Slot& operator[](std::uint32_t index) const noexcept {
        return pages_[index >> shift][index & mask];
    }

    /// Null: no living row.
    const Slot* find(Row row) const noexcept {
        if (row.index >= size_) return nullptr;
        const Slot& slot = (*this)[row.index];
        return slot.generation == row.generation && slot.archetype < reserved ? &slot : nullptr;
    }
    Slot* find(Row row) noexcept { return const_cast<Slot*>(std::as_const(*this).find(row)); }
    void prefetch(std::uint32_t index) const noexcept {
        if (index < size_) __builtin_prefetch(&(*this)[index], 1);
    }

    Row take() {
        if (first_unused_ == unused) {
            if (size_ == capacity_) grow();
            (*this)[size_] = {1, reserved, 0, 0};
            return {size_++, 1};
        }
        const std::uint32_t index = first_unused_;
        Slot& slot = (*this)[index];
        first_unused_ = slot.row;
        slot.archetype = reserved;
        return {index, slot.generation};
    }
    /// Takes one for each of `rows` and places them in an archetype from `at` on.
    void take_many(std::span<Row> rows, std::uint32_t archetype, std::uint32_t at);
    /// Starts anew: all reserved but the unused ones, of which the first is taken next.
    void reset(std::span<const std::uint32_t> generations, std::span<const std::uint32_t> unused_ones);
    void give(std::uint32_t index, Slot& slot) noexcept {
        if (++slot.generation == 0) slot.generation = 1;  // 0 names no row.
        slot.archetype = unused;
        slot.row = first_unused_;
        first_unused_ = index;
    }

private:
    static constexpr std::uint32_t shift = 17;
    static constexpr std::uint32_t page_slots = 1u << shift;
    static constexpr std::uint32_t mask = page_slots - 1;
    static_assert(page_slots * sizeof(Slot) == BlockPool::full_bytes);

    void grow();

    BlockPool& pool_;
    std::vector<Slot*> pages_;
    std::unique_ptr<Slot[]> small_;  ///< The only page while the world is small.
    std::uint32_t size_ = 0, capacity_ = 0;
    std::uint32_t first_unused_ = unused;
};

}  // namespace gyre::ecs::detail

#include <gyre/base/assert.hpp>
#include <gyre/ecs/detail/slots.hpp>

#include <algorithm>

namespace gyre::ecs::detail {

void Slots::grow() {
    GYRE_ASSERT(capacity_ < 0x80000000u, "ecs: more than 2^31 rows");
    if (capacity_ >= page_slots) {
        pages_.push_back(reinterpret_cast<Slot*>(pool_.take(BlockPool::full_bytes)));
        capacity_ += page_slots;
        return;
    }
    const std::uint32_t capacity = std::max(64u, capacity_ * 2);
    std::unique_ptr<Slot[]> larger;
    Slot* page = nullptr;
    if (capacity == page_slots) {
        page = reinterpret_cast<Slot*>(pool_.take(BlockPool::full_bytes));
    } else {
        larger.reset(new Slot[capacity]);
        page = larger.get();
    }
    std::copy_n(small_.get(), size_, page);
    pages_.assign(1, page);
    small_ = std::move(larger);
    capacity_ = capacity;
}

void Slots::reset(std::span<const std::uint32_t> generations,
                  std::span<const std::uint32_t> unused_ones) {
    size_ = 0;
    first_unused_ = unused;
    while (capacity_ < generations.size()) grow();
    for (const std::uint32_t generation : generations) (*this)[size_++] = {generation, reserved, 0, 0};
    for (std::size_t k = unused_ones.size(); k-- > 0;) {
        Slot& slot = (*this)[unused_ones[k]];
        slot.archetype = unused;
        slot.row = std::exchange(first_unused_, unused_ones[k]);
    }
}

void Slots::take_many(std::span<Row> rows, std::uint32_t archetype, std::uint32_t at) {
    std::size_t done = 0;
    for (; done < rows.size() && first_unused_ != unused; ++done) {
        const Row row = rows[done] = take();
        Slot& slot = (*this)[row.index];
        slot.archetype = archetype;
        slot.row = at++;
    }
    while (done < rows.size()) {
        if (size_ == capacity_) grow();
        const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(
            rows.size() - done, std::min(capacity_ - size_, page_slots - (size_ & mask))));
        Slot* const slots = &(*this)[size_];
        Row* const out = rows.data() + done;
        for (std::uint32_t k = 0; k < count; ++k) slots[k] = {1, archetype, at + k, 0};
        for (std::uint32_t k = 0; k < count; ++k) out[k] = {size_ + k, 1};
        size_ += count, at += count, done += count;
    }
}

}  // namespace gyre::ecs::detail

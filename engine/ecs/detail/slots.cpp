#include <gyre/base/assert.hpp>
#include <gyre/ecs/detail/slots.hpp>

#include <algorithm>

namespace gyre::ecs::detail {

void Slots::grow() {
    GYRE_ASSERT(capacity_ < 0x80000000u, "ecs: more than 2^31 rows");
    if (capacity_ >= page_slots) {
        pages_.push_back(reinterpret_cast<Slot*>(pool_.take()));
        capacity_ += page_slots;
        return;
    }
    const std::uint32_t capacity = std::max(64u, capacity_ * 2);
    std::unique_ptr<Slot[]> larger;
    Slot* page = nullptr;
    if (capacity == page_slots) {
        page = reinterpret_cast<Slot*>(pool_.take());
    } else {
        larger.reset(new Slot[capacity]);
        page = larger.get();
    }
    std::copy_n(small_.get(), size_, page);
    pages_.assign(1, page);
    small_ = std::move(larger);
    capacity_ = capacity;
}

}  // namespace gyre::ecs::detail

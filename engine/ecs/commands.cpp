#include <gyre/ecs/world.hpp>

#include <algorithm>

namespace gyre::ecs {
namespace {
constexpr std::size_t page_bytes = 16 * 1024;
}

Commands::~Commands() {
    for (std::size_t i = applied_; i < queue_.size(); ++i)
        if (queue_[i].drop) queue_[i].drop(queue_[i].payload);
}

Row Commands::reserve_row() { return world_.slots_.take(); }

void Commands::destroy(Row row) {
    queue_.push_back(
        {[](World& world, Row target, void*) { world.destroy(target); }, nullptr, nullptr, row});
}

void* Commands::allocate(std::size_t size, std::size_t align) {
    for (;; ++page_, used_ = 0) {
        if (page_ == pages_.size()) {
            const std::size_t bytes = std::max(page_bytes, size + align);
            pages_.push_back({std::unique_ptr<std::byte[]>(new std::byte[bytes]), bytes});
        }
        void* at = pages_[page_].bytes.get() + used_;
        std::size_t space = pages_[page_].size - used_;
        if (std::align(align, size, at, space)) {
            used_ = pages_[page_].size - space + size;
            return at;
        }
    }
}

void Commands::apply() {
    GYRE_ASSERT(!applying_, "ecs: commands applied while they are being applied");
    struct Guard {  // A hook may throw: what is left is applied next time.
        bool& applying;
        explicit Guard(bool& flag) : applying(flag) { applying = true; }
        ~Guard() { applying = false; }
    } guard(applying_);
    constexpr std::size_t ahead = 16;
    while (applied_ < queue_.size()) {
        if (applied_ + ahead < queue_.size())
            world_.slots_.prefetch(queue_[applied_ + ahead].row.index);
        const Command command = queue_[applied_++];
        command.apply(world_, command.row, command.payload);
    }
    queue_.clear();
    applied_ = page_ = used_ = 0;
}

}  // namespace gyre::ecs

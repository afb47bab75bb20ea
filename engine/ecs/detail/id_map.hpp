#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gyre::ecs::detail {

/// 64-bit hash -> small number. Insert only, never iterated, so it cannot leak an order.
class IdMap {
public:
    static constexpr std::uint32_t none = 0xffffffffu;

    IdMap() : entries_(4), mask_(3) {}

    std::uint32_t find(std::uint64_t key) const noexcept {
        for (std::size_t i = static_cast<std::size_t>(key) & mask_;; i = (i + 1) & mask_) {
            const Entry& entry = entries_[i];
            if (entry.value == none) return none;
            if (entry.key == key) return entry.value;
        }
    }

    void insert(std::uint64_t key, std::uint32_t value) {
        if (++count_ * 2 > entries_.size()) {
            std::vector<Entry> old(entries_.size() * 2);
            old.swap(entries_);
            mask_ = entries_.size() - 1;
            for (const Entry& entry : old)
                if (entry.value != none) free_entry(entry.key) = entry;
        }
        free_entry(key) = {key, value};
    }

private:
    struct Entry {
        std::uint64_t key = 0;
        std::uint32_t value = none;
    };
    Entry& free_entry(std::uint64_t key) {
        std::size_t i = static_cast<std::size_t>(key) & mask_;
        while (entries_[i].value != none) i = (i + 1) & mask_;
        return entries_[i];
    }

    std::vector<Entry> entries_;
    std::size_t mask_;
    std::size_t count_ = 0;
};

}  // namespace gyre::ecs::detail

#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace gyre::log::detail {

/// Text that grows at its end, by hand: ask for room, write, say where it ends. Never zeroed.
class Buffer {
public:
    /// Where at least `bytes` may be written.
    char* room(std::size_t bytes) {
        if (capacity_ - size_ < bytes) grow(bytes);
        return bytes_.get() + size_;
    }
    void end(const char* at) { size_ = static_cast<std::size_t>(at - bytes_.get()); }
    std::string_view view() const { return {bytes_.get(), size_}; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    void clear() { size_ = 0; }
    void drop_front(std::size_t bytes) {
        std::memmove(bytes_.get(), bytes_.get() + bytes, size_ - bytes);
        size_ -= bytes;
    }

private:
    void grow(std::size_t bytes) {
        const std::size_t capacity = std::max(size_ + bytes, 2 * capacity_);
        auto larger = std::make_unique_for_overwrite<char[]>(capacity);
        if (size_) std::memcpy(larger.get(), bytes_.get(), size_);
        bytes_ = std::move(larger);
        capacity_ = capacity;
    }
    std::unique_ptr<char[]> bytes_;
    std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace gyre::log::detail

#pragma once
#include <algorithm>
#include <cstring>
#include <gyre/base/bytes.hpp>
#include <memory>

namespace gyre::io::detail {

/// Bytes on their way out: appended at the end, taken from the front. Its memory is not cleared
/// and, while it is used, not given back.
class Output {
public:
    static constexpr std::size_t kept_bytes = 16 * 1024;  ///< Kept by one that is seldom used.

    std::size_t size() const { return end_ - begin_; }
    BytesView view() const { return {memory_.get() + begin_, size()}; }
    void append(BytesView bytes) {
        if (capacity_ - end_ < bytes.size()) make_room(bytes.size());
        std::memcpy(memory_.get() + end_, bytes.data(), bytes.size());
        end_ += bytes.size();
    }
    void take(std::size_t bytes) { begin_ += bytes; }
    /// All has left. Memory that four turns in a row had no use for goes.
    void clear() {
        const bool large = end_ > capacity_ / 4;
        begin_ = end_ = 0;
        if (capacity_ <= kept_bytes || large) {
            unused_ = 0;
        } else if (++unused_ == 4) {
            memory_.reset();
            capacity_ = unused_ = 0;
        }
    }

private:
    void make_room(std::size_t more) {
        if (begin_ >= size() + more) {  // the front is free: each byte moves at most once for it
            std::memcpy(memory_.get(), memory_.get() + begin_, size());
        } else {
            const std::size_t capacity = std::max({std::size_t{1024}, 2 * capacity_, size() + more});
            std::unique_ptr<std::uint8_t[]> larger(new std::uint8_t[capacity]);
            if (size() > 0) std::memcpy(larger.get(), memory_.get() + begin_, size());
            memory_ = std::move(larger);
            capacity_ = capacity;
        }
        end_ -= begin_;
        begin_ = 0;
    }
    std::unique_ptr<std::uint8_t[]> memory_;
    std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
    unsigned unused_ = 0;
};

}  // namespace gyre::io::detail

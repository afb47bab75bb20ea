#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <gyre/base/assert.hpp>
#include <memory>

namespace gyre::log::detail {

/// Variable-size frames from many threads to one reader; lock-free, bounded, never waits.
/// A frame is 4 bytes of size, then the payload; size 0 says its writer has not committed yet.
/// The reader zeroes what it has read, so the next lap finds zero wherever a frame may begin.
class Ring {
public:
    /// capacity: power of two.
    explicit Ring(std::size_t capacity)
        : bytes_(static_cast<std::uint8_t*>(std::calloc(capacity, 1))), capacity_(capacity) {
        GYRE_ASSERT(bytes_ && (capacity & (capacity - 1)) == 0, "ring capacity");
    }

    std::size_t capacity() const { return capacity_; }

    /// Room for `payload` bytes, or null when less than `keep_free` bytes would stay free.
    std::uint8_t* reserve(std::size_t payload, std::size_t keep_free) {
        const std::uint64_t size = frame_bytes(payload);
        std::uint64_t at = head_.load(std::memory_order_relaxed);
        std::uint64_t skip = 0;
        do {
            const std::uint64_t offset = at & (capacity_ - 1);
            skip = offset + size > capacity_ ? capacity_ - offset : 0;
            // Signed: `at` may be older than the tail; then the exchange fails and it is read anew.
            const auto used =
                static_cast<std::int64_t>(at + skip + size - tail_.load(std::memory_order_acquire));
            if (used > static_cast<std::int64_t>(capacity_ - keep_free)) return nullptr;
        } while (!head_.compare_exchange_weak(at, at + skip + size, std::memory_order_relaxed));
        if (skip)
            size_at(at).store(static_cast<std::uint32_t>(skip) | skip_bit,
                              std::memory_order_release);
        return &bytes_.get()[(at + skip) & (capacity_ - 1)] + sizeof(std::uint32_t);
    }
    /// `at` from reserve(), with the same payload.
    void commit(std::uint8_t* at, std::size_t payload) {
        std::atomic_ref(*reinterpret_cast<std::uint32_t*>(at - sizeof(std::uint32_t)))
            .store(frame_bytes(payload), std::memory_order_release);
    }

    /// Reader: the oldest frame's payload; null when there is none or it is still being written.
    const std::uint8_t* front() {
        for (;;) {
            const std::uint32_t size = size_at(read_).load(std::memory_order_acquire);
            if (size == 0) return nullptr;
            if ((size & skip_bit) == 0) {
                return &bytes_.get()[read_ & (capacity_ - 1)] + sizeof(std::uint32_t);
            }
            pass(sizeof(std::uint32_t), size & ~skip_bit);
        }
    }
    /// Its room is free at the next release(), or when so much has come together that writers want it.
    void pop() {
        const std::uint32_t size = size_at(read_).load(std::memory_order_relaxed);
        pass(size, size);
        if (read_ - tail_.load(std::memory_order_relaxed) >= release_bytes) release();
    }
    std::uint64_t read() const { return read_; }  ///< Reader: where it is.
    void release() { tail_.store(read_, std::memory_order_release); }

    std::uint64_t head() const { return head_.load(std::memory_order_acquire); }
    std::uint64_t tail() const { return tail_.load(std::memory_order_acquire); }

private:
    static constexpr std::uint32_t skip_bit = 1;  // sizes are multiples of 8
    static constexpr std::uint64_t release_bytes = 8 << 10;
    static std::uint32_t frame_bytes(std::size_t payload) {
        return static_cast<std::uint32_t>((payload + sizeof(std::uint32_t) + 7) & ~std::size_t{7});
    }
    std::atomic_ref<std::uint32_t> size_at(std::uint64_t at) {
        return std::atomic_ref(
            *reinterpret_cast<std::uint32_t*>(&bytes_.get()[at & (capacity_ - 1)]));
    }
    void pass(std::size_t used, std::uint64_t size) {
        std::memset(&bytes_.get()[read_ & (capacity_ - 1)], 0, used);
        read_ += size;
    }

    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    std::unique_ptr<std::uint8_t, Free> bytes_;
    std::size_t capacity_;
    alignas(64) std::atomic<std::uint64_t> head_ = 0;
    alignas(64) std::atomic<std::uint64_t> tail_ = 0;
    alignas(64) std::uint64_t read_ = 0;  // of the reader; tail_ follows it
};

}  // namespace gyre::log::detail

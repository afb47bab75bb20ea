#pragma once
#include <gyre/base/hash.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gyre::ecs {

/// Hash of a state, to compare two runs. Order matters. Not for hostile input.
class StateHasher {
public:
    void number(std::uint64_t value) noexcept {
        state_ = mix(state_ ^ value) + 0x9e3779b97f4a7c15u;
    }
    void bytes(const void* data, std::size_t count) noexcept {
        const auto* at = static_cast<const unsigned char*>(data);
        for (; count >= 8; at += 8, count -= 8) {
            std::uint64_t word;
            std::memcpy(&word, at, 8);
            number(word);
        }
        if (count != 0) {
            std::uint64_t word = 0;
            std::memcpy(&word, at, count);
            number(word);
        }
    }
    std::uint64_t value() const noexcept { return mix(state_); }

private:
    std::uint64_t state_ = 0x243f6a8885a308d3u;
};

}  // namespace gyre::ecs

#pragma once
#include <array>
#include <gyre/base/hash.hpp>
#include <gyre/base/time.hpp>
#include <span>

namespace gyre::sim {

/// The same numbers for the same seed on every build (xoshiro256**). Not for secrets.
class Random {
public:
    explicit Random(std::uint64_t seed) : seed_(seed) {
        for (auto& word : state_) word = mix(seed += 0x9e3779b97f4a7c15u);
    }
    /// Another generator for one purpose. What was drawn from this one does not matter to it, so
    /// a new purpose shifts no other.
    Random fork(std::string_view purpose, std::uint64_t index = 0) const {
        return Random(mix(mix(seed_ ^ fnv1a(purpose)) + index));
    }
    std::uint64_t next() {
        const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = rotate(state_[3], 45);
        return result;
    }
    /// [0, limit), limit > 0.
    std::uint64_t below(std::uint64_t limit) { return next() % limit; }
    bool chance(double probability) {
        return probability > 0 && static_cast<double>(next() >> 11) * 0x1p-53 < probability;
    }
    /// [from, to]; `from` when to <= from.
    Duration between(Duration from, Duration to) {
        if (to <= from) return from;
        return from + Duration(below(static_cast<std::uint64_t>((to - from).count()) + 1));
    }
    void fill(std::span<std::uint8_t> out) {
        std::uint64_t bits = 0;
        for (std::size_t i = 0; i < out.size(); ++i, bits >>= 8) {
            if (i % 8 == 0) bits = next();
            out[i] = static_cast<std::uint8_t>(bits);
        }
    }

private:
    static std::uint64_t rotate(std::uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }
    std::uint64_t seed_;
    std::array<std::uint64_t, 4> state_;
};

}  // namespace gyre::sim

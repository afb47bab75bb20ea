#pragma once
#include <cstdint>
#include <string_view>

namespace gyre {

/// FNV-1a, 64 bits: the identity of described names. Same on every build and machine.
constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t hash = 14695981039346656037u) {
    for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211u;
    return hash;
}

/// Spreads the bits of an integer (finalizer of splitmix64).
constexpr std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

}  // namespace gyre

#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gyre {
using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

inline BytesView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(BytesView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline void append(Bytes& to, BytesView more) { to.insert(to.end(), more.begin(), more.end()); }
}  // namespace gyre

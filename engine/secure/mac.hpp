#pragma once
#include <array>
#include <cstdint>
#include <gyre/base/bytes.hpp>

namespace gyre::secure {

using Mac = std::array<std::uint8_t, 32>;

/// HMAC-SHA256 (RFC 2104, FIPS 180-4). key: any length, 32 bytes or more.
Mac mac(BytesView key, BytesView message);

/// Whether `expected` is the mac of `message`, in time that depends on no byte of it.
bool verify_mac(BytesView key, BytesView message, BytesView expected);

}  // namespace gyre::secure

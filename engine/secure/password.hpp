#pragma once
#include <array>
#include <cstdint>
#include <gyre/base/result.hpp>
#include <string>
#include <string_view>

namespace gyre::secure {

/// What one hash costs whoever computes it. The simulator uses the minimum.
struct PasswordCost {
    std::uint64_t memory_bytes = 64u << 20;  ///< [8 KiB, 1 GiB], whole KiB.
    std::uint32_t passes = 2;                ///< [1, 16].
};

using PasswordSalt = std::array<std::uint8_t, 16>;

/// Longer passwords are refused, shorter than any form field needs.
inline constexpr std::size_t password_bytes_max = 1024;

/// argon2id as "$argon2id$v=19$m=65536,t=2,p=1$salt$hash" (RFC 9106). `salt` is random and used once.
/// Blocks for tens of milliseconds: run it on the pool.
/// Errors: bad_arguments (cost out of range, password too long), overloaded (no memory).
Result<std::string> hash_password(std::string_view password, PasswordCost cost, const PasswordSalt& salt);

/// Whether `hash` is of this password. A hash that makes no sense or costs more than the range above
/// matches nothing. Blocks like hash_password.
bool verify_password(std::string_view hash, std::string_view password);

/// Whether `hash` should be replaced by a new one of this cost after the next successful log-in.
bool needs_rehash(std::string_view hash, PasswordCost cost);

}  // namespace gyre::secure

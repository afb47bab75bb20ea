#pragma once
#include <gyre/secure/key.hpp>
#include <string>
#include <string_view>

namespace gyre::secure {

/// A token nobody can guess, as base64url: `bytes` drawn from `seed`, [16, 1024]. A seed is used once.
std::string random_token(const Seed& seed, std::size_t bytes = 24);

/// Claims that only holders of the key can write, as text: base64url(claims) "." base64url(mac).
/// Readable by everybody: not for secrets. A token of one purpose is refused for any other.
/// Says nothing about time: put an expiry into the claims.
class SignedToken {
public:
    static constexpr std::size_t claims_bytes_max = 4096;

    SignedToken(const Key& key, std::string_view purpose);

    std::string sign(BytesView claims) const;  ///< Asserts claims_bytes_max.
    /// The claims. Errors: unauthorized when it is no token or was not signed with this key and purpose.
    Result<Bytes> open(std::string_view text) const;

private:
    Key key_;
};

}  // namespace gyre::secure

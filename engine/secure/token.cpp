#include <gyre/secure/base64url.hpp>
#include <gyre/secure/detail/sodium.hpp>
#include <gyre/secure/mac.hpp>
#include <gyre/secure/token.hpp>

namespace gyre::secure {

std::string random_token(const Seed& seed, std::size_t bytes) {
    GYRE_ASSERT(bytes >= 16 && bytes <= 1024, "a token has 16 to 1024 bytes");
    detail::prepare_sodium();
    Bytes drawn(bytes);
    randombytes_buf_deterministic(drawn.data(), drawn.size(), seed.data());
    return to_base64url(drawn);
}

SignedToken::SignedToken(const Key& key, std::string_view purpose)
    : key_(key.derive("gyre token " + std::string(purpose))) {}

std::string SignedToken::sign(BytesView claims) const {
    GYRE_ASSERT(claims.size() <= claims_bytes_max, "claims of a token are too long");
    return to_base64url(claims) + "." + to_base64url(mac(key_.bytes(), claims));
}

Result<Bytes> SignedToken::open(std::string_view text) const {
    if (text.size() > claims_bytes_max / 3 * 4 + 64)
        return Error(errc::unauthorized, "token of " + std::to_string(text.size()) + " bytes is too long");
    const auto dot = text.find('.');
    if (dot == text.npos) return Error(errc::unauthorized, "not a token: no dot");
    auto claims = from_base64url(text.substr(0, dot));
    const auto signature = from_base64url(text.substr(dot + 1));
    if (!claims || !signature) return Error(errc::unauthorized, "not a token: no base64url");
    if (!verify_mac(key_.bytes(), *claims, *signature))
        return Error(errc::unauthorized, "token was not signed with this key for this purpose");
    return *std::move(claims);
}

}  // namespace gyre::secure

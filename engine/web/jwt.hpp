#pragma once
#include <cstdint>
#include <gyre/base/bytes.hpp>
#include <gyre/base/result.hpp>
#include <map>
#include <string>
#include <string_view>

namespace gyre::web {

/// Claims of a JSON Web Token (RFC 7519). Empty strings and zero times are absent.
struct JwtClaims {
    std::string subject;              ///< sub: the account.
    std::string issuer;               ///< iss
    std::string audience;             ///< aud; of a list, the one that was expected.
    std::int64_t issued_at_s = 0;     ///< iat, seconds since 1970.
    std::int64_t not_before_s = 0;    ///< nbf
    std::int64_t expires_at_s = 0;    ///< exp, required: a token without it is refused.
    std::string id;                   ///< jti
    std::map<std::string, std::string> extra;  ///< Strings; other JSON values read as their JSON text.
};

/// What a token must say to be believed. An empty issuer or audience is not compared.
struct JwtExpectation {
    std::int64_t now_s = 0;
    std::string_view issuer, audience;
    std::int64_t leeway_s = 0;  ///< For clocks that differ.
};

inline constexpr std::size_t jwt_bytes_max = 8192;

/// HS256 (RFC 7515). key: 32 bytes or more. Asserts expires_at_s.
std::string jwt_sign(const JwtClaims& claims, BytesView key);

/// The claims of a token signed with this key by HS256: no other algorithm exists here, `none` least of all.
/// Errors: unauthorized, with the reason.
Result<JwtClaims> jwt_verify(std::string_view text, BytesView key, const JwtExpectation& expected);

}  // namespace gyre::web

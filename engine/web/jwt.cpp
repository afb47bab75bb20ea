#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <gyre/base/assert.hpp>
#include <gyre/secure/base64url.hpp>
#include <gyre/secure/mac.hpp>
#include <gyre/web/jwt.hpp>

namespace gyre::web {
namespace {

namespace json = boost::json;
constexpr double seconds_max = 1e15;  // Exact in a double, and no sum with a leeway overflows.

Error refused(const std::string& reason) { return Error(errc::unauthorized, "jwt: " + reason); }

Result<json::object> parse_object(const std::optional<Bytes>& bytes, const char* what) {
    if (!bytes) return refused(std::string(what) + " is no base64url");
    boost::system::error_code failure;
    json::parse_options options;
    options.max_depth = 8;
    auto value = json::parse(json::string_view(as_text(*bytes).data(), bytes->size()), failure, {}, options);
    if (failure || !value.is_object()) return refused(std::string(what) + " is no JSON object");
    return std::move(value.get_object());
}

Result<std::int64_t> time_of(const json::object& claims, std::string_view name) {
    const auto* value = claims.if_contains(name);
    if (!value) return std::int64_t{0};
    if (value->is_number()) {
        const double seconds = value->to_number<double>();
        if (seconds > 0 && seconds <= seconds_max) return static_cast<std::int64_t>(std::floor(seconds));
    }
    return refused(std::string(name) + " is no time");
}

Result<std::string> text_of(const json::object& claims, std::string_view name) {
    const auto* value = claims.if_contains(name);
    if (!value) return std::string();
    if (!value->is_string()) return refused(std::string(name) + " is no string");
    return std::string(value->get_string());
}

/// aud: a string, or a list of which one is expected (RFC 7519 section 4.1.3).
Result<std::string> audience_of(const json::object& claims, std::string_view expected) {
    const auto* value = claims.if_contains("aud");
    if (!value || !value->is_array()) return text_of(claims, "aud");
    std::string first;
    for (const auto& entry : value->get_array()) {
        if (!entry.is_string()) return refused("aud is no list of strings");
        std::string name(entry.get_string());
        if (name == expected) return name;
        if (first.empty()) first = std::move(name);
    }
    return first;
}

Result<> check_header(const json::object& header) {
    const auto algorithm = text_of(header, "alg");
    if (!algorithm || *algorithm != "HS256") return refused("alg is not HS256");
    if (header.contains("crit")) return refused("crit names extensions, and none is known");
    return {};
}

Result<> check(const JwtClaims& claims, const JwtExpectation& expected) {
    const auto late = [](const char* what, std::int64_t at, std::int64_t now) {
        return refused(std::string(what) + std::to_string(at) + " now_s=" + std::to_string(now));
    };
    if (claims.expires_at_s == 0) return refused("exp is missing");
    if (expected.now_s >= claims.expires_at_s + expected.leeway_s)
        return late("expired at_s=", claims.expires_at_s, expected.now_s);
    if (expected.now_s + expected.leeway_s < claims.not_before_s)
        return late("not valid before_s=", claims.not_before_s, expected.now_s);
    if (!expected.issuer.empty() && claims.issuer != expected.issuer)
        return refused("issuer is not " + std::string(expected.issuer));
    if (!expected.audience.empty() && claims.audience != expected.audience)
        return refused("audience is not " + std::string(expected.audience));
    return {};
}

constexpr std::string_view known[] = {"sub", "iss", "aud", "jti", "iat", "nbf", "exp"};

}  // namespace

std::string jwt_sign(const JwtClaims& claims, BytesView key) {
    GYRE_ASSERT(claims.expires_at_s > 0, "a token needs an end");
    json::object payload;
    for (const auto& [name, value] : claims.extra) {
        GYRE_ASSERT(std::ranges::find(known, name) == std::end(known), "extra claim has a name of its own");
        payload[name] = value;
    }
    const auto text = [&](const char* name, const std::string& value) {
        if (!value.empty()) payload[name] = value;
    };
    const auto time = [&](const char* name, std::int64_t value) {
        if (value != 0) payload[name] = value;
    };
    text("sub", claims.subject), text("iss", claims.issuer), text("aud", claims.audience), text("jti", claims.id);
    time("iat", claims.issued_at_s), time("nbf", claims.not_before_s), time("exp", claims.expires_at_s);
    std::string signed_part = secure::to_base64url(as_bytes(R"({"alg":"HS256","typ":"JWT"})")) + "." +
                              secure::to_base64url(as_bytes(json::serialize(payload)));
    const auto mac = secure::mac(key, as_bytes(signed_part));
    return signed_part + "." + secure::to_base64url(mac);
}

Result<JwtClaims> jwt_verify(std::string_view text, BytesView key, const JwtExpectation& expected) {
    if (text.size() > jwt_bytes_max) return refused("longer than " + std::to_string(jwt_bytes_max) + " bytes");
    const auto dot = text.find('.'), last = text.rfind('.');
    if (dot == text.npos || dot == last || text.find('.', dot + 1) != last)
        return refused("not three parts");
    // The mac first: nothing else of a stranger's token is looked at.
    const auto mac = secure::from_base64url(text.substr(last + 1));
    if (!mac || !secure::verify_mac(key, as_bytes(text.substr(0, last)), *mac))
        return refused("wrong signature");

    const auto header = parse_object(secure::from_base64url(text.substr(0, dot)), "header");
    if (!header) return header.error();
    if (const auto good = check_header(*header); !good) return good.error();
    const auto payload = parse_object(secure::from_base64url(text.substr(dot + 1, last - dot - 1)), "payload");
    if (!payload) return payload.error();

    JwtClaims claims;
    const std::pair<Result<std::string>, std::string*> texts[] = {
        {text_of(*payload, "sub"), &claims.subject},
        {text_of(*payload, "iss"), &claims.issuer},
        {audience_of(*payload, expected.audience), &claims.audience},
        {text_of(*payload, "jti"), &claims.id}};
    for (const auto& [value, place] : texts) {
        if (!value) return value.error();
        *place = *value;
    }
    const std::pair<Result<std::int64_t>, std::int64_t*> times[] = {
        {time_of(*payload, "iat"), &claims.issued_at_s},
        {time_of(*payload, "nbf"), &claims.not_before_s},
        {time_of(*payload, "exp"), &claims.expires_at_s}};
    for (const auto& [value, place] : times) {
        if (!value) return value.error();
        *place = *value;
    }
    for (const auto& [name, value] : *payload)
        if (std::ranges::find(known, std::string_view(name)) == std::end(known))
            claims.extra[std::string(name)] =
                value.is_string() ? std::string(value.get_string()) : json::serialize(value);
    if (const auto good = check(claims, expected); !good) return good.error();
    return claims;
}

}  // namespace gyre::web

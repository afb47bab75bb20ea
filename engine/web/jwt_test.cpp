#include <gtest/gtest.h>

#include <gyre/secure/base64url.hpp>
#include <gyre/secure/mac.hpp>
#include <gyre/web/jwt.hpp>

namespace gyre::web {
namespace {

const Bytes key(32, 0x42);
const JwtExpectation expected{.now_s = 1'000, .issuer = "account", .audience = "gate"};

JwtClaims claims_of(std::int64_t expires_at_s = 2'000) {
    return {.subject = "7", .issuer = "account", .audience = "gate", .issued_at_s = 900,
            .expires_at_s = expires_at_s, .id = "n1", .extra = {{"zone", "3"}}};
}

/// A token with these parts and a right mac over them.
std::string token(std::string_view header, std::string_view payload, BytesView with = key) {
    const std::string text = secure::to_base64url(as_bytes(header)) + "." + secure::to_base64url(as_bytes(payload));
    return text + "." + secure::to_base64url(secure::mac(with, as_bytes(text)));
}
const std::string hs256 = R"({"alg":"HS256"})";

std::string reason(const std::string& text, const JwtExpectation& expectation = {.now_s = 1'000}) {
    const auto result = jwt_verify(text, key, expectation);
    if (result.ok()) return "accepted";
    EXPECT_TRUE(result.error().is(errc::unauthorized));
    return result.error().message();
}

TEST(Jwt, claims_return) {
    const auto claims = jwt_verify(jwt_sign(claims_of(), key), key, expected);
    ASSERT_TRUE(claims.ok()) << claims.error().what();
    EXPECT_EQ(claims->subject, "7");
    EXPECT_EQ(claims->issued_at_s, 900);
    EXPECT_EQ(claims->expires_at_s, 2'000);
    EXPECT_EQ(claims->id, "n1");
    EXPECT_EQ(claims->extra.at("zone"), "3");
}

// RFC 7515 appendix A.1.
TEST(Jwt, reads_the_token_of_the_standard) {
    const std::string text =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const auto secret = secure::from_base64url(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    ASSERT_TRUE(secret);
    const auto claims = jwt_verify(text, *secret, {.now_s = 1300819379, .issuer = "joe"});
    ASSERT_TRUE(claims.ok()) << claims.error().what();
    EXPECT_EQ(claims->extra.at("http://example.com/is_root"), "true");
    EXPECT_FALSE(jwt_verify(text, *secret, {.now_s = 1300819380}).ok());
    EXPECT_TRUE(jwt_verify(text, *secret, {.now_s = 1300819380, .leeway_s = 1}).ok());
}

TEST(Jwt, every_other_algorithm_is_refused_even_when_signed) {
    const std::string payload = R"({"exp":2000})";
    EXPECT_EQ(reason(token(hs256, payload)), "accepted");
    for (const char* header : {R"({"alg":"none"})", R"({"alg":"None"})", R"({"alg":"hs256"})", R"({"alg":"HS384"})",
                               R"({"alg":"RS256"})", R"({"alg":""})", R"({"alg":null})", R"({"alg":["HS256"]})", "{}"})
        EXPECT_EQ(reason(token(header, payload)), "jwt: alg is not HS256") << header;
    EXPECT_NE(reason(token(R"({"alg":"HS256","crit":["exp"]})", payload)), "accepted");

    const std::string unsigned_token = secure::to_base64url(as_bytes(R"({"alg":"none"})")) + "." +
                                       secure::to_base64url(as_bytes(payload)) + ".";
    EXPECT_EQ(reason(unsigned_token), "jwt: wrong signature");
}

TEST(Jwt, every_changed_or_missing_character_is_refused) {
    const std::string text = jwt_sign(claims_of(), key);
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string wrong = text;
        wrong[i] = text[i] == 'A' ? 'B' : 'A';
        EXPECT_NE(reason(wrong), "accepted") << i;
        EXPECT_NE(reason(text.substr(0, i)), "accepted") << i;
    }
    EXPECT_NE(reason(text + "="), "accepted");
    EXPECT_NE(reason(text + "."), "accepted");
    EXPECT_FALSE(jwt_verify(text, Bytes(32, 0x43), expected).ok()) << "another key";
}

TEST(Jwt, times_are_held) {
    EXPECT_EQ(reason(jwt_sign(claims_of(1'000), key)), "jwt: expired at_s=1000 now_s=1000");
    EXPECT_EQ(reason(jwt_sign(claims_of(1'001), key)), "accepted");
    EXPECT_EQ(reason(token(hs256, R"({"sub":"7"})")), "jwt: exp is missing");
    EXPECT_EQ(reason(token(hs256, R"({"exp":2000,"nbf":1001})")), "jwt: not valid before_s=1001 now_s=1000");
    EXPECT_EQ(reason(token(hs256, R"({"exp":2000.5})")), "accepted");
    for (const char* exp : {"\"2000\"", "-1", "0", "1e300", "null", "[]"})
        EXPECT_EQ(reason(token(hs256, std::string(R"({"exp":)") + exp + "}")), "jwt: exp is no time") << exp;
}

TEST(Jwt, issuer_and_audience_are_held) {
    const std::string text = jwt_sign(claims_of(), key);
    EXPECT_EQ(reason(text, {.now_s = 1'000, .issuer = "other"}), "jwt: issuer is not other");
    EXPECT_EQ(reason(text, {.now_s = 1'000, .audience = "other"}), "jwt: audience is not other");
    const std::string list = token(hs256, R"({"exp":2000,"aud":["rank","gate"]})");
    EXPECT_EQ(reason(list, {.now_s = 1'000, .audience = "gate"}), "accepted");
    EXPECT_EQ(reason(list, {.now_s = 1'000, .audience = "ran"}), "jwt: audience is not ran");
    EXPECT_EQ(reason(token(hs256, R"({"exp":2000})"), {.now_s = 1'000, .audience = "gate"}),
              "jwt: audience is not gate");
}

TEST(Jwt, rubbish_is_refused) {
    for (const std::string& text : {std::string(), std::string("."), std::string(".."), std::string("..."),
                                    std::string(9'000, 'A'), token("[]", "{}"), token(hs256, "[]"), token(hs256, "{"),
                                    token(hs256, R"({"exp":2000,"sub":7})"), token("\xff", "{}"),
                                    token(hs256, std::string(2'000, '[')),
                                    token(hs256, R"({"exp":2000,"aud":[7]})")})
        EXPECT_NE(reason(text), "accepted") << text;
}

}  // namespace
}  // namespace gyre::web

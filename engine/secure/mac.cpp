#include <gyre/secure/detail/sodium.hpp>
#include <gyre/secure/mac.hpp>

namespace gyre::secure {

Mac mac(BytesView key, BytesView message) {
    detail::prepare_sodium();
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key.data(), key.size());
    crypto_auth_hmacsha256_update(&state, message.data(), message.size());
    Mac result;
    crypto_auth_hmacsha256_final(&state, result.data());
    sodium_memzero(&state, sizeof state);
    return result;
}

bool verify_mac(BytesView key, BytesView message, BytesView expected) {
    const Mac right = mac(key, message);
    return expected.size() == right.size() &&
           sodium_memcmp(expected.data(), right.data(), right.size()) == 0;
}

}  // namespace gyre::secure

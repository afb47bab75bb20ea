#include <gyre/base/assert.hpp>
#include <gyre/secure/cookie.hpp>
#include <gyre/secure/detail/sodium.hpp>

#include <cstring>

namespace gyre::secure {
namespace {
std::uint32_t period_of(TimePoint now) {
    return static_cast<std::uint32_t>(now.time_since_epoch() / CookieJar::valid_for);
}
}  // namespace

Cookie CookieJar::make_for(std::uint32_t period, std::uint64_t address, BytesView bound) const {
    GYRE_ASSERT(bound.size() <= 256, "a cookie is bound to something short");
    detail::prepare_sodium();
    Cookie cookie;
    for (int i = 0; i < 4; ++i) cookie[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(period >> (8 * i));
    std::array<std::uint8_t, 12 + 256> message;
    std::memcpy(message.data(), cookie.data(), 4);
    std::memcpy(message.data() + 4, &address, 8);
    if (!bound.empty()) std::memcpy(message.data() + 12, bound.data(), bound.size());
    crypto_generichash(cookie.data() + 4, 16, message.data(), 12 + bound.size(), key_.bytes().data(), Key::size);
    return cookie;
}

Cookie CookieJar::make(std::uint64_t address, BytesView bound, TimePoint now) const {
    return make_for(period_of(now), address, bound);
}

bool CookieJar::check(const Cookie& cookie, std::uint64_t address, BytesView bound, TimePoint now) const {
    std::uint32_t period = 0;
    for (int i = 0; i < 4; ++i) period |= std::uint32_t{cookie[static_cast<std::size_t>(i)]} << (8 * i);
    if (const std::uint32_t age = period_of(now) - period; age > 1) return false;
    const Cookie expected = make_for(period, address, bound);
    return sodium_memcmp(cookie.data(), expected.data(), cookie.size()) == 0;
}

}  // namespace gyre::secure

#pragma once
#include <array>
#include <gyre/base/bytes.hpp>
#include <gyre/base/time.hpp>
#include <gyre/secure/key.hpp>

namespace gyre::secure {

using Cookie = std::array<std::uint8_t, 20>;

/// Shows that who asks receives what is sent to its address, without keeping anything about it.
/// Cost: half a microsecond.
class CookieJar {
public:
    static constexpr Duration valid_for = 4s;  ///< At least; at most twice as long.

    explicit CookieJar(const Seed& fresh) : key_(fresh) {}
    /// bound: what the cookie is good for besides, at most 256 bytes.
    Cookie make(std::uint64_t address, BytesView bound, TimePoint now) const;
    bool check(const Cookie& cookie, std::uint64_t address, BytesView bound, TimePoint now) const;

private:
    Cookie make_for(std::uint32_t period, std::uint64_t address, BytesView bound) const;
    Key key_;
};

}  // namespace gyre::secure

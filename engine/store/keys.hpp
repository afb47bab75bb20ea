#pragma once
#include <gyre/base/time.hpp>
#include <gyre/task/task.hpp>
#include <optional>
#include <string>

namespace gyre::store {

/// Small values that expire, seen by every node: single-use tickets, denied tokens, counters.
/// Each call is atomic. Errors as of Documents.
class Keys {
public:
    static constexpr Duration forever = Duration::max();

    virtual ~Keys() = default;
    virtual Task<std::optional<std::string>> get(std::string key) = 0;
    virtual Task<> put(std::string key, std::string value, Duration ttl) = 0;
    /// False when the key is there: the way to use something once.
    virtual Task<bool> put_if_absent(std::string key, std::string value, Duration ttl) = 0;
    /// False when it was not there.
    virtual Task<bool> erase(std::string key) = 0;
    /// Adds to a number, 0 when missing, and returns the sum. `ttl` counts from the first call.
    /// Error: bad_data, when the value is no number or the sum leaves 64 bits.
    virtual Task<std::int64_t> increment(std::string key, std::int64_t by, Duration ttl) = 0;
};

}  // namespace gyre::store

#pragma once
#include <cstdint>
#include <limits>

namespace gyre::log::detail {

/// The zone of the machine (TZ), or UTC. Used by one thread at a time.
class Zone {
public:
    explicit Zone(bool local) : local_(local) {}
    bool local() const { return local_; }
    /// Seconds that its clocks are ahead of UTC at this second since 1970 UTC.
    std::int64_t offset_s(std::int64_t utc_s);
    std::int64_t to_local(std::int64_t utc_s) { return utc_s + offset_s(utc_s); }
    /// When its clocks first reach `local_s` after `after_utc_s`; where they jump over it: when they jump.
    std::int64_t to_utc(std::int64_t local_s, std::int64_t after_utc_s);

private:
    bool local_;
    std::int64_t from_s_ = std::numeric_limits<std::int64_t>::max();  // the offset was asked for the
    std::int64_t offset_ = 0;  // quarter of an hour that begins there; offsets change between those
};

/// Rounds down, before 1970 too.
constexpr std::int64_t floor_div(std::int64_t value, std::int64_t by) {
    return value / by - (value % by < 0 ? 1 : 0);
}

/// A second as a calendar has it.
struct Calendar {
    int year;
    unsigned month, day, hour, minute, second;
    explicit Calendar(std::int64_t seconds);
};

}  // namespace gyre::log::detail

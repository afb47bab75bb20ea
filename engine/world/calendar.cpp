#include <gyre/base/error.hpp>
#include <gyre/world/calendar.hpp>
#include <string>

namespace gyre {
namespace {

using std::chrono::days;

void check(const char* field, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (value < least || value > most)
        throw Error(errc::bad_arguments, std::string(field) + "=" + std::to_string(value) +
                                             ", not in [" + std::to_string(least) + ", " +
                                             std::to_string(most) + "]");
}

/// From a UTC midnight to the time, of that day where the offset is kept.
Duration offset_of(const TimeOfDay& time) {
    check("hour", time.hour, 0, 23);
    check("minute", time.minute, 0, 59);
    check("second", time.second, 0, 59);
    check("utc_offset_minutes", time.utc_offset.count(), -14 * 60, 14 * 60);
    return std::chrono::hours(time.hour) + std::chrono::minutes(time.minute) +
           std::chrono::seconds(time.second) - time.utc_offset;
}

}  // namespace

WallTime latest_daily(WallTime until, const TimeOfDay& time) {
    const Duration offset = offset_of(time);
    return std::chrono::floor<days>(until - offset) + offset;
}
WallTime next_daily(WallTime after, const TimeOfDay& time) {
    return latest_daily(after, time) + days(1);
}

WallTime latest_weekly(WallTime until, Weekday day, const TimeOfDay& time) {
    check("weekday", static_cast<int>(day), 1, 7);
    const WallTime latest = latest_daily(until, time);
    const std::chrono::weekday found(std::chrono::floor<days>(latest + time.utc_offset));
    return latest - (found - std::chrono::weekday(static_cast<unsigned>(day)));
}
WallTime next_weekly(WallTime after, Weekday day, const TimeOfDay& time) {
    return latest_weekly(after, day, time) + days(7);
}

}  // namespace gyre

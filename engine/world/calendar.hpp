#pragma once
#include <cstdint>
#include <gyre/base/time.hpp>

namespace gyre {

/// A time of day where clocks show UTC + utc_offset all year: a game's day begins for all at once,
/// and no day is an hour shorter.
struct TimeOfDay {
    int hour = 0;                        ///< [0, 23]
    int minute = 0;                      ///< [0, 59]
    int second = 0;                      ///< [0, 59]
    std::chrono::minutes utc_offset{0};  ///< [-14 h, 14 h]
};

enum class Weekday : std::uint8_t {
    monday = 1,
    tuesday,
    wednesday,
    thursday,
    friday,
    saturday,
    sunday
};

// The first occurrence after a time, and the latest one up to it: whoever stores when it last reset
// compares it with the latest one. Error: bad_arguments names the field, its value and range.
WallTime next_daily(WallTime after, const TimeOfDay& time);
WallTime latest_daily(WallTime until, const TimeOfDay& time);
WallTime next_weekly(WallTime after, Weekday day, const TimeOfDay& time);
WallTime latest_weekly(WallTime until, Weekday day, const TimeOfDay& time);

}  // namespace gyre

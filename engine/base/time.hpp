#pragma once
#include <chrono>
#include <cstdint>

namespace gyre {
using namespace std::chrono_literals;

using Duration = std::chrono::nanoseconds;

/// Time since an arbitrary start that never goes back; virtual under the simulator. It has no
/// now(): ask the Executor or the io door.
struct MonotonicClock {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = Duration;
    using time_point = std::chrono::time_point<MonotonicClock>;
    static constexpr bool is_steady = true;
};
using TimePoint = MonotonicClock::time_point;

/// Time of day for people and tokens: nanoseconds since 1970 UTC.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

constexpr double to_ms(Duration d) { return static_cast<double>(d.count()) / 1e6; }
}  // namespace gyre

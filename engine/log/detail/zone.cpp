#include "zone.hpp"

#include <time.h>

#include <chrono>

namespace gyre::log::detail {
namespace {
constexpr std::int64_t quarter_s = 900, day_s = 86'400;
}

std::int64_t Zone::offset_s(std::int64_t utc_s) {
    if (!local_) return 0;
    const std::int64_t from = floor_div(utc_s, quarter_s) * quarter_s;
    if (from != from_s_) {
        const time_t when = utc_s;
        tm fields{};
        offset_ = ::localtime_r(&when, &fields) ? fields.tm_gmtoff : 0;
        from_s_ = from;
    }
    return offset_;
}

std::int64_t Zone::to_utc(std::int64_t local_s, std::int64_t after_utc_s) {
    const std::int64_t before = offset_s(after_utc_s);
    std::int64_t first = local_s - before;
    const std::int64_t after = offset_s(first);
    if (after == before) return first;
    std::int64_t second = local_s - after;
    if (offset_s(second) == after) return second;
    while (first - second > 1) {  // clocks jump in between
        const std::int64_t middle = second + (first - second) / 2;
        (offset_s(middle) == after ? first : second) = middle;
    }
    return first;
}

Calendar::Calendar(std::int64_t seconds) {
    using namespace std::chrono;
    const std::int64_t days_since = floor_div(seconds, day_s);
    const year_month_day date{sys_days(days(days_since))};
    const auto of_day = static_cast<unsigned>(seconds - days_since * day_s);
    year = static_cast<int>(date.year());
    month = static_cast<unsigned>(date.month());
    day = static_cast<unsigned>(date.day());
    hour = of_day / 3'600;
    minute = of_day / 60 % 60;
    second = of_day % 60;
}

}  // namespace gyre::log::detail

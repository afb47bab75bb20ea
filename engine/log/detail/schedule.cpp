#include "schedule.hpp"

#include <charconv>
#include <cstdio>
#include <gyre/base/error.hpp>
#include <limits>

namespace gyre::log::detail {
namespace {
constexpr std::int64_t day_s = 86'400, count_max = 1'000;
constexpr std::int64_t monday = 3;  // 1970-01-01 was a Thursday

Error bad(std::string_view rotate) {
    return Error(errc::bad_config,
                 "log.rotate: \"" + std::string(rotate) +
                     "\" is none of S, M, H, D (with a count in [1, 1000], as \"6H\"), midnight, W0 to W6, \"\"");
}
}  // namespace

Result<Schedule> Schedule::parse(std::string_view rotate, bool local) {
    if (rotate.empty()) return Schedule(Unit::none, 1, local);
    if (rotate == "midnight") return Schedule(Unit::day, 1, local);
    if (rotate.size() == 2 && rotate[0] == 'W' && rotate[1] >= '0' && rotate[1] <= '6')
        return Schedule(Unit::week, rotate[1] - '0', local);
    std::int64_t count = 1;
    const char* const unit = &rotate.back();
    if (unit != rotate.data()) {
        const auto read = std::from_chars(rotate.data(), unit, count);
        if (read.ec != std::errc() || read.ptr != unit || count < 1 || count > count_max)
            return bad(rotate);
    }
    switch (*unit) {
        case 'S': return Schedule(Unit::second, count, local);
        case 'M': return Schedule(Unit::minute, count, local);
        case 'H': return Schedule(Unit::hour, count, local);
        case 'D': return Schedule(Unit::day, count, local);
        default: return bad(rotate);
    }
}

Schedule::Period Schedule::period(std::int64_t utc_s) {
    const std::int64_t local_s = zone_.to_local(utc_s);
    const std::int64_t day = floor_div(local_s, day_s);
    std::int64_t length_s = 0;
    switch (unit_) {
        case Unit::none: return {day * day_s, std::numeric_limits<std::int64_t>::max()};
        case Unit::day: {
            const std::int64_t begin = floor_div(day, count_) * count_;
            return {begin * day_s, zone_.to_utc((begin + count_) * day_s, utc_s)};
        }
        case Unit::week: {
            const std::int64_t begin = floor_div(day + monday - count_, 7) * 7 - monday + count_;
            return {begin * day_s, zone_.to_utc((begin + 7) * day_s, utc_s)};
        }
        case Unit::hour: length_s = count_ * 3'600; break;
        case Unit::minute: length_s = count_ * 60; break;
        case Unit::second: length_s = count_; break;
    }
    const std::int64_t begin = floor_div(local_s, length_s) * length_s;
    // Up to an hour time runs through where clocks are set; longer periods end by the clocks.
    if (length_s <= 3'600) return {begin, utc_s + (begin + length_s - local_s)};
    return {begin, zone_.to_utc(begin + length_s, utc_s)};
}

std::string Schedule::stamp(std::int64_t label_s) const {
    const Calendar at(label_s);
    char text[64];
    int size = std::snprintf(text, sizeof text, "%04d-%02u-%02u", at.year, at.month, at.day);
    const auto more = [&](const char* format, unsigned value) {
        size += std::snprintf(text + size, sizeof text - static_cast<std::size_t>(size), format, value);
    };
    if (unit_ == Unit::hour || unit_ == Unit::minute || unit_ == Unit::second) more("_%02u", at.hour);
    if (unit_ == Unit::minute || unit_ == Unit::second) more("-%02u", at.minute);
    if (unit_ == Unit::second) more("-%02u", at.second);
    return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace gyre::log::detail

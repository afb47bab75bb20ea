#pragma once
#include <cstdint>
#include <gyre/base/result.hpp>
#include <string>
#include <string_view>

#include "zone.hpp"

namespace gyre::log::detail {

/// When a file of the log ends and the next begins (Config::rotate). Seconds since 1970.
class Schedule {
public:
    /// Errors: bad_config.
    static Result<Schedule> parse(std::string_view rotate, bool local);

    struct Period {
        std::int64_t label_s;  ///< Its begin by the clocks of the zone.
        std::int64_t end_s;    ///< UTC.
    };
    Period period(std::int64_t utc_s);
    /// What the name of its file says: "2026-11-23", "2026-11-23_15" by hour, "_15-04", "_15-04-05".
    std::string stamp(std::int64_t label_s) const;

private:
    enum class Unit : std::uint8_t { none, second, minute, hour, day, week };
    Schedule(Unit unit, std::int64_t count, bool local) : unit_(unit), count_(count), zone_(local) {}

    Unit unit_;
    std::int64_t count_;  // of a week: the day it begins on, Monday 0
    Zone zone_;
};

}  // namespace gyre::log::detail

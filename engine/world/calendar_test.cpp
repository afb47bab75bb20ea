#include <gtest/gtest.h>

#include <gyre/base/error.hpp>
#include <gyre/world/calendar.hpp>

namespace gyre {
namespace {

using namespace std::chrono;

WallTime utc(int y, unsigned m, unsigned d, Duration time = {}) {
    return sys_days(year(y) / month(m) / day(d)) + time;
}

TEST(Calendar, the_next_is_after_and_the_latest_up_to) {
    const TimeOfDay four{.hour = 4};
    EXPECT_EQ(next_daily(utc(2026, 3, 1, 3h), four), utc(2026, 3, 1, 4h));
    EXPECT_EQ(next_daily(utc(2026, 3, 1, 4h) - 1ns, four), utc(2026, 3, 1, 4h));
    EXPECT_EQ(next_daily(utc(2026, 3, 1, 4h), four), utc(2026, 3, 2, 4h));
    EXPECT_EQ(latest_daily(utc(2026, 3, 1, 4h), four), utc(2026, 3, 1, 4h));
    EXPECT_EQ(latest_daily(utc(2026, 3, 1, 4h) - 1ns, four), utc(2026, 2, 28, 4h));
}

TEST(Calendar, leap_days_and_the_turn_of_the_year) {
    const TimeOfDay late{.hour = 23, .minute = 59, .second = 59};
    EXPECT_EQ(next_daily(utc(2028, 2, 28, 24h - 1s), late), utc(2028, 2, 29, 24h - 1s));
    EXPECT_EQ(next_daily(utc(2028, 2, 29, 24h - 1s), late), utc(2028, 3, 1, 24h - 1s));
    EXPECT_EQ(next_daily(utc(2100, 2, 28, 24h - 1s), late), utc(2100, 3, 1, 24h - 1s));
    EXPECT_EQ(next_daily(utc(2026, 12, 31, 24h - 1s), late), utc(2027, 1, 1, 24h - 1s));
    EXPECT_EQ(next_daily(utc(1969, 12, 31, 12h), {}), utc(1970, 1, 1)) << "before 1970 too";
    EXPECT_EQ(latest_daily(utc(1969, 12, 31, 12h), {}), utc(1969, 12, 31));
}

TEST(Calendar, an_offset_moves_the_day) {
    const TimeOfDay tokyo{.hour = 5, .utc_offset = 9h}, new_york{.hour = 22, .utc_offset = -5h};
    EXPECT_EQ(next_daily(utc(2026, 5, 1), tokyo), utc(2026, 5, 1, 20h));
    EXPECT_EQ(next_daily(utc(2026, 5, 1, 20h), tokyo), utc(2026, 5, 2, 20h));
    EXPECT_EQ(next_daily(utc(2026, 5, 1), new_york), utc(2026, 5, 1, 3h));
    EXPECT_EQ(next_daily(utc(2026, 5, 1), {.hour = 0, .utc_offset = 5h + 45min}),
              utc(2026, 5, 1, 18h + 15min));
}

TEST(Calendar, weeks_cross_months_and_years) {
    const TimeOfDay four{.hour = 4};
    EXPECT_EQ(next_weekly(utc(2026, 12, 30), Weekday::monday, four), utc(2027, 1, 4, 4h));
    EXPECT_EQ(next_weekly(utc(2027, 1, 4, 4h), Weekday::monday, four), utc(2027, 1, 11, 4h));
    EXPECT_EQ(latest_weekly(utc(2027, 1, 3), Weekday::monday, four), utc(2026, 12, 28, 4h));
    EXPECT_EQ(next_weekly(utc(2028, 2, 23), Weekday::tuesday, four), utc(2028, 2, 29, 4h));
    EXPECT_EQ(next_weekly(utc(2028, 2, 29, 4h), Weekday::sunday, four), utc(2028, 3, 5, 4h));
    // Monday 02:00 in Tokyo is still Sunday in UTC.
    EXPECT_EQ(next_weekly(utc(2026, 11, 18), Weekday::monday, {.hour = 2, .utc_offset = 9h}),
              utc(2026, 11, 22, 17h));
    // Sunday 23:00 in New York is Monday in UTC.
    EXPECT_EQ(next_weekly(utc(2026, 11, 18), Weekday::sunday, {.hour = 23, .utc_offset = -5h}),
              utc(2026, 11, 23, 4h));
}

TEST(Calendar, every_weekday_comes_once_a_week) {
    for (int at = 0; at < 7 * 24; ++at)
        for (int d = 1; d <= 7; ++d) {
            const WallTime from = utc(2026, 10, 25) + hours(at);
            const auto weekday_ = static_cast<Weekday>(d);
            const WallTime next = next_weekly(from, weekday_, {.hour = 4});
            EXPECT_GT(next, from);
            EXPECT_LE(next, from + days(7));
            EXPECT_EQ(weekday(floor<days>(next)).iso_encoding(), static_cast<unsigned>(d));
            EXPECT_EQ(latest_weekly(next, weekday_, {.hour = 4}), next);
        }
}

TEST(Calendar, a_wrong_time_is_named) {
    const auto error = [](TimeOfDay time, Weekday day = Weekday::monday) {
        try {
            (void)next_weekly({}, day, time);
        } catch (const Error& caught) {
            EXPECT_TRUE(caught.is(errc::bad_arguments));
            return std::string(caught.what());
        }
        return std::string("none");
    };
    EXPECT_NE(error({.hour = 24}).find("hour=24, not in [0, 23]"), std::string::npos);
    EXPECT_NE(error({.minute = -1}).find("minute=-1"), std::string::npos);
    EXPECT_NE(error({.second = 60}).find("second=60"), std::string::npos);
    EXPECT_NE(error({.utc_offset = 15h}).find("utc_offset_minutes=900"), std::string::npos);
    EXPECT_NE(error({}, static_cast<Weekday>(0)).find("weekday=0"), std::string::npos);
}

}  // namespace
}  // namespace gyre

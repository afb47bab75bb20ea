#include "schedule.hpp"

#include <gtest/gtest.h>
#include <time.h>

#include "test_files.hpp"

namespace gyre::log::detail {
namespace {

constexpr std::int64_t hour = 3'600, day = 24 * hour;

std::int64_t utc(int year, unsigned month, unsigned date, int hours = 0, int minutes = 0, int seconds = 0) {
    const std::chrono::year_month_day at{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(date)};
    return std::chrono::sys_days(at).time_since_epoch().count() * day + hours * hour + minutes * 60 +
           seconds;
}

struct Periods {
    Schedule schedule;
    Periods(std::string_view rotate, bool local) : schedule(Schedule::parse(rotate, local).value()) {}
    std::string stamp(std::int64_t at) { return schedule.stamp(schedule.period(at).label_s); }
    /// From one end to the next, in hours.
    double hours_after(std::int64_t at) {
        const auto begin = schedule.period(at).end_s;
        return static_cast<double>(schedule.period(begin).end_s - begin) / 3'600;
    }
    std::int64_t end(std::int64_t at) { return schedule.period(at).end_s; }
};

TEST(LogSchedule, refuses_what_it_is_not) {
    for (const char* wrong : {"X", "6X", "0H", "-1H", "1001H", "H6", "W7", "W", "Midnight", "1.5H", " H", "99999999999999999999S"}) {
        const auto parsed = Schedule::parse(wrong, false);
        ASSERT_FALSE(parsed.ok()) << wrong;
        EXPECT_TRUE(parsed.error().is(errc::bad_config));
        EXPECT_NE(parsed.error().message().find(wrong), std::string::npos);
    }
    for (const char* right : {"S", "30S", "M", "5M", "H", "6H", "D", "7D", "midnight", "W0", "W6", ""})
        EXPECT_TRUE(Schedule::parse(right, true).ok()) << right;
}

TEST(LogSchedule, names_the_begin_and_ends_with_the_unit) {
    const auto at = utc(2026, 11, 25, 15, 4, 5);  // a Wednesday
    const auto expect = [at](std::string_view rotate, std::string_view stamp, std::int64_t end) {
        Periods periods(rotate, false);
        EXPECT_EQ(periods.stamp(at), stamp) << rotate;
        EXPECT_EQ(periods.end(at), end) << rotate;
    };
    expect("S", "2026-11-25_15-04-05", at + 1);
    expect("10S", "2026-11-25_15-04-00", at + 5);
    expect("M", "2026-11-25_15-04", utc(2026, 11, 25, 15, 5));
    expect("30M", "2026-11-25_15-00", utc(2026, 11, 25, 15, 30));
    expect("H", "2026-11-25_15", utc(2026, 11, 25, 16));
    expect("6H", "2026-11-25_12", utc(2026, 11, 25, 18));
    expect("D", "2026-11-25", utc(2026, 11, 26));
    expect("midnight", "2026-11-25", utc(2026, 11, 26));
    expect("2D", "2026-11-25", utc(2026, 11, 27));
    expect("W0", "2026-11-23", utc(2026, 11, 30));
    expect("W2", "2026-11-25", utc(2026, 12, 2));
    expect("W3", "2026-11-19", utc(2026, 11, 26));
    expect("W6", "2026-11-22", utc(2026, 11, 29));
    EXPECT_EQ(Periods("", false).stamp(at), "2026-11-25");
    EXPECT_GT(Periods("", false).end(at), at + 10'000 * day);
}

TEST(LogSchedule, days_of_23_and_25_hours_end_at_midnight) {
    {
        const TestZone zone("Europe/Berlin");
        Periods days("midnight", true);
        EXPECT_EQ(days.end(utc(2026, 3, 28, 12)), utc(2026, 3, 28, 23));
        EXPECT_EQ(days.hours_after(utc(2026, 3, 28, 12)), 23);
        EXPECT_EQ(days.stamp(utc(2026, 3, 28, 23)), "2026-03-29");
        EXPECT_EQ(days.hours_after(utc(2026, 10, 24, 12)), 25);
        EXPECT_EQ(days.hours_after(utc(2026, 10, 25, 12)), 24);
        Periods weeks("W0", true);
        EXPECT_EQ(weeks.hours_after(utc(2026, 3, 20)), 7 * 24 - 1);
        EXPECT_EQ(weeks.hours_after(utc(2026, 10, 15)), 7 * 24 + 1);
        Periods quarters("6H", true);
        EXPECT_EQ(quarters.stamp(utc(2026, 3, 29, 3)), "2026-03-29_00");  // 5 o'clock
        EXPECT_EQ(quarters.end(utc(2026, 3, 29, 3)), utc(2026, 3, 29, 4));
    }
    {
        const TestZone zone("America/New_York");
        Periods days("D", true);
        EXPECT_EQ(days.end(utc(2026, 3, 8, 6)), utc(2026, 3, 9, 4));
        EXPECT_EQ(days.hours_after(utc(2026, 3, 7, 12)), 23);
        EXPECT_EQ(days.hours_after(utc(2026, 10, 31, 12)), 25);
    }
}

TEST(LogSchedule, an_hour_that_comes_twice_is_two_files_and_none_is_skipped) {
    const TestZone zone("Europe/Berlin");
    Periods hours("H", true);
    const auto first = utc(2026, 10, 25, 0, 30);  // 02:30, summer
    EXPECT_EQ(hours.stamp(first), "2026-10-25_02");
    EXPECT_EQ(hours.end(first), utc(2026, 10, 25, 1));
    EXPECT_EQ(hours.stamp(utc(2026, 10, 25, 1)), "2026-10-25_02");
    EXPECT_EQ(hours.end(utc(2026, 10, 25, 1)), utc(2026, 10, 25, 2));
    EXPECT_EQ(hours.stamp(utc(2026, 10, 25, 2)), "2026-10-25_03");
}

TEST(LogSchedule, a_midnight_that_does_not_exist_is_when_clocks_jump_over_it) {
    const auto crosses = [](const char* name, std::int64_t jump, std::string_view before,
                            std::string_view after) {
        const TestZone zone(name);
        Periods days("midnight", true);
        EXPECT_EQ(days.end(jump - 5 * hour), jump) << name;
        EXPECT_EQ(days.stamp(jump - 1), before) << name;
        EXPECT_EQ(days.stamp(jump), after) << name;
        EXPECT_EQ(days.hours_after(jump - 5 * hour), 23) << name;
    };
    crosses("America/Havana", utc(2026, 3, 8, 5), "2026-03-07", "2026-03-08");
    crosses("Asia/Beirut", utc(2026, 3, 28, 22), "2026-03-28", "2026-03-29");
    // A midnight that comes twice ends the day once.
    const TestZone zone("America/Havana");
    Periods days("midnight", true);
    EXPECT_EQ(days.hours_after(utc(2026, 10, 31, 12)), 25);
    EXPECT_EQ(days.stamp(utc(2026, 11, 1, 5, 30)), "2026-11-01");  // 00:30 again
    EXPECT_EQ(days.end(utc(2026, 11, 1, 5, 30)), days.end(utc(2026, 11, 1, 4, 30)));
}

/// Every period ends after it begins, at once followed by the next, over two years of every kind.
TEST(LogSchedule, periods_follow_each_other) {
    for (const char* name : {"UTC", "Europe/Berlin", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe", "Asia/Kathmandu"}) {
        const TestZone zone(name);
        for (const char* rotate : {"7M", "H", "5H", "6H", "D", "3D", "W4"}) {
            Periods periods(rotate, true);
            std::int64_t at = utc(2025, 1, 1);
            const std::int64_t until = rotate == std::string_view("7M") ? utc(2025, 4, 15) : utc(2027, 1, 1);
            std::int64_t label = 0;
            while (at < until) {
                const auto period = periods.schedule.period(at);
                ASSERT_GT(period.end_s, at) << name << " " << rotate << " " << at;
                ASSERT_LE(period.end_s, at + 8 * day);
                const auto inside = periods.schedule.period(period.end_s - 1);
                if (std::string_view(rotate).ends_with('D') || rotate[0] == 'W') {
                    ASSERT_GT(period.label_s, label) << name << " " << rotate << " " << at;
                    ASSERT_EQ(inside.label_s, period.label_s) << name << " " << rotate << " " << at;
                    ASSERT_EQ(inside.end_s, period.end_s) << name << " " << rotate << " " << at;
                }
                label = period.label_s;
                at = period.end_s;
            }
        }
    }
}

}  // namespace
}  // namespace gyre::log::detail

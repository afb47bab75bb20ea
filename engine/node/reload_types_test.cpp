#include <gtest/gtest.h>

#include <gyre/node/reload_types.hpp>

namespace gyre::node {
namespace {

using Methods = std::vector<MethodVitals>;

Vitals calls(Methods methods) { return {.methods = std::move(methods)}; }
Vitals ticks(std::uint64_t count, std::uint64_t late, double ms) {
    return {.ticks = count, .overruns = late, .tick_ms = ms};
}

TEST(Decline, nothing_happened_is_well) {
    EXPECT_EQ(Decline{}.reason({}, {}, {}), "");
    const Vitals usual = calls({{"Bag.take", 900, 400}});
    EXPECT_EQ(Decline{}.reason({}, usual, usual), "");
}

TEST(Decline, a_share_of_failed_calls_that_rose) {
    const Vitals before = calls({{"Bag.take", 100, 20}});
    EXPECT_EQ(Decline{}.reason({}, before, calls({{"Bag.take", 200, 49}})), "") << "0.2 and 0.29";
    EXPECT_EQ(Decline{}.reason({}, before, calls({{"Bag.take", 200, 51}})),
              "failed calls of Bag.take rose from 20.0 % to 31.0 % of 100");
    EXPECT_EQ(Decline{.failures = 0.5}.reason({}, before, calls({{"Bag.take", 200, 51}})), "");
}

TEST(Decline, fewer_calls_than_the_least_say_nothing) {
    EXPECT_EQ(Decline{}.reason({}, {}, calls({{"Bag.take", 19, 19}})), "");
    EXPECT_EQ(Decline{}.reason({}, {}, calls({{"Bag.take", 20, 20}})),
              "failed calls of Bag.take rose from 0.0 % to 100.0 % of 20");
}

TEST(Decline, what_is_called_often_hides_nothing_and_the_worst_is_named) {
    const Vitals before = calls({{"Bag.give", 10, 0}, {"Bag.take", 10, 0}, {"Match.beat", 1'000'000, 0}});
    const Vitals now = calls({{"Bag.give", 110, 30}, {"Bag.take", 50, 30}, {"Match.beat", 9'000'000, 0}});
    EXPECT_EQ(Decline{}.reason({}, before, now), "failed calls of Bag.take rose from 0.0 % to 75.0 % of 40");
}

TEST(Decline, a_method_that_is_new_is_judged_and_one_that_is_gone_is_not) {
    EXPECT_EQ(Decline{}.reason({}, calls({{"Bag.old", 100, 0}}), calls({{"Bag.fresh", 50, 25}})),
              "failed calls of Bag.fresh rose from 0.0 % to 50.0 % of 50");
    EXPECT_EQ(Decline{}.reason({}, calls({{"Bag.old", 100, 100}}), calls({{"Bag.fresh", 50, 0}})), "");
}

TEST(Decline, calls_that_began_before_and_failed_since_are_no_more_than_all) {
    EXPECT_EQ(Decline{}.reason({}, calls({{"Bag.take", 100, 0}}), calls({{"Bag.take", 120, 90}})),
              "failed calls of Bag.take rose from 0.0 % to 100.0 % of 20");
}

TEST(Decline, only_what_came_after_the_start_counts_as_before) {
    const Vitals start = calls({{"Bag.take", 1'000, 1'000}}), swapped = calls({{"Bag.take", 2'000, 1'000}});
    EXPECT_EQ(Decline{}.reason(start, swapped, calls({{"Bag.take", 2'100, 1'050}})),
              "failed calls of Bag.take rose from 0.0 % to 50.0 % of 100");
    EXPECT_EQ(Decline{}.reason({}, swapped, calls({{"Bag.take", 2'100, 1'050}})), "");
}

TEST(Decline, late_ticks) {
    const Vitals before = ticks(1'000, 100, 0);
    EXPECT_EQ(Decline{}.reason({}, before, ticks(1'029, 129, 0)), "") << "too few to say";
    EXPECT_EQ(Decline{}.reason({}, before, ticks(1'100, 129, 0)), "") << "0.1 and 0.29";
    EXPECT_EQ(Decline{}.reason({}, before, ticks(1'100, 131, 0)), "late ticks rose from 10.0 % to 31.0 % of 100");
    EXPECT_EQ(Decline{.overruns = 0.5}.reason({}, before, ticks(1'100, 131, 0)), "");
}

TEST(Decline, ticks_that_take_longer_where_that_is_asked) {
    const Vitals before = ticks(1'000, 0, 2'000), now = ticks(1'100, 0, 2'500);
    const Decline twice{.tick_factor = 2};
    EXPECT_EQ(Decline{}.reason({}, before, now), "") << "a probation does not ask";
    EXPECT_EQ(twice.reason({}, before, now), "a tick takes 5.00 ms, before 2.00 ms");
    EXPECT_EQ(twice.reason({}, before, ticks(1'100, 0, 2'390)), "");
    EXPECT_EQ(twice.reason({}, before, ticks(1'029, 0, 9'000)), "") << "too few to say";
    EXPECT_EQ(twice.reason({}, {}, ticks(100, 0, 900)), "") << "nothing to compare with";
    EXPECT_EQ(twice.reason({}, ticks(1'000, 0, 100), ticks(1'100, 0, 190)), "") << "below a millisecond is short";
}

}  // namespace
}  // namespace gyre::node

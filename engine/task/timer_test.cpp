#include <gtest/gtest.h>

#include <algorithm>
#include <gyre/task/executor.hpp>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace gyre {
namespace {

constexpr TimePoint at(Duration since) { return TimePoint(since); }

/// What the wheel has to do, said plainly: the earliest deadline first, of equal ones the first
/// armed.
class Model {
public:
    void arm(int name, TimePoint deadline) {
        disarm(name);
        all_.push_back({std::max(deadline, now_), armed_++, name});
    }
    void disarm(int name) {
        std::erase_if(all_, [&](const One& one) { return one.name == name; });
    }
    std::vector<int> turn(TimePoint now) {
        now_ = now;
        std::sort(all_.begin(), all_.end());
        std::vector<int> fired;
        while (!all_.empty() && all_.front().deadline <= now) {
            fired.push_back(all_.front().name);
            all_.erase(all_.begin());
        }
        return fired;
    }
    TimePoint earliest() const {
        const auto first = std::min_element(all_.begin(), all_.end());
        return first == all_.end() ? TimePoint::max() : first->deadline;
    }
    std::size_t size() const { return all_.size(); }

private:
    struct One {
        TimePoint deadline;
        std::uint64_t order;
        int name;
        auto operator<=>(const One&) const = default;
    };
    TimePoint now_{};
    std::uint64_t armed_ = 0;
    std::vector<One> all_;
};

struct Named : Timer {
    Named(Executor& executor, std::vector<int>& out, int n)
        : Timer(executor,
                [](Timer& timer) {
                    auto& self = static_cast<Named&>(timer);
                    self.fired.push_back(self.name);
                }),
          fired(out),
          name(n) {}
    std::vector<int>& fired;
    int name;
};

/// Deadlines near and far, on the edges of slots and levels, now, in the past, and never.
Duration random_delay(std::mt19937_64& random) {
    switch (random() % 8) {
        case 0: return Duration(static_cast<std::int64_t>(random() % 3) - 1);
        case 1: return Duration(static_cast<std::int64_t>(random() % 2'000'000));
        case 2: return -Duration(static_cast<std::int64_t>(random() % 2'000'000'000));
        case 3:
            return Duration((std::int64_t{1} << (random() % 62)) +
                            static_cast<std::int64_t>(random() % 5) - 2);
        case 4: return Duration(static_cast<std::int64_t>(random() % 16) << 20);
        case 5: return Duration::max();
        case 6: return Duration(static_cast<std::int64_t>(random() % 60'000'000'000));
        default: return Duration(static_cast<std::int64_t>(random() % 400'000'000));
    }
}

void compare_with_model(std::uint64_t seed, int timers, int steps) {
    std::mt19937_64 random(seed);
    Executor executor;
    Model model;
    std::vector<int> fired;
    std::vector<std::unique_ptr<Named>> all;
    for (int i = 0; i < timers; ++i) all.push_back(std::make_unique<Named>(executor, fired, i));
    executor.advance(at(Duration(static_cast<std::int64_t>(random() % (std::uint64_t{1} << 50)))));
    (void)model.turn(executor.now());
    for (int step = 0; step < steps; ++step) {
        for (std::uint64_t n = random() % 12; n > 0; --n) {
            const int name = static_cast<int>(random() % static_cast<std::uint64_t>(timers));
            auto& timer = *all[static_cast<std::size_t>(name)];
            if (random() % 3 == 0) {
                timer.disarm();
                model.disarm(name);
            } else {
                const TimePoint deadline = executor.after(random_delay(random));
                timer.arm(deadline);
                model.arm(name, deadline);
            }
        }
        ASSERT_EQ(executor.timers(), model.size());
        if (timers <= 200) {
            ASSERT_EQ(executor.next_deadline(), model.earliest());
        } else {
            ASSERT_LE(executor.next_deadline(), model.earliest());
        }
        TimePoint now = executor.now();
        switch (random() % 6) {
            case 0: break;
            case 1:
                now = executor.after(Duration(static_cast<std::int64_t>(random() % 100'000)));
                break;
            case 2:
                now = executor.after(Duration(static_cast<std::int64_t>(random() % 2'000'000'000)));
                break;
            case 3: now = executor.after(random() % 50 == 0 ? 1h : 1ms); break;
            default:
                if (const TimePoint next = executor.next_deadline(); next < at(Duration::max() / 2))
                    now = std::max(now, next);
        }
        executor.turn(now);
        ASSERT_EQ(fired, model.turn(now)) << "seed " << seed << " step " << step;
        fired.clear();
    }
}

TEST(TimerWheel, does_what_a_sorted_list_does) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) compare_with_model(seed, 40, 2'000);
    compare_with_model(21, 200, 5'000);
    compare_with_model(22, 3'000, 5'000);
}

TEST(TimerWheel, many_in_one_slot_fire_exactly_and_wake_the_loop_once_a_level) {
    Executor executor;
    executor.advance(at(5min));
    std::vector<int> fired;
    std::vector<std::unique_ptr<Named>> all;
    constexpr int count = 5'000;
    for (int i = 0; i < count; ++i) {
        all.push_back(std::make_unique<Named>(executor, fired, i));
        all.back()->arm_in(30 * 24h + Duration((i * 7919) % count) * 100);
    }
    all[0]->disarm();  // the earliest: what is next has to be found anew
    int turns = 0;
    TimePoint last{};
    while (executor.timers() > 0) {
        const TimePoint next = executor.next_deadline();
        ASSERT_GT(next, last) << "a loop that waits for it must not spin";
        last = next;
        const std::size_t before = fired.size();
        executor.turn(next);
        turns += fired.size() == before;
    }
    EXPECT_LE(turns, 5) << "turns for nothing";
    ASSERT_EQ(fired.size(), count - 1u);
    for (std::size_t i = 0; i < fired.size(); ++i)
        ASSERT_EQ(fired[i] * 7919 % count, static_cast<int>(i) + 1);
}

TEST(TimerWheel, equal_deadlines_keep_the_order_of_arming_across_levels) {
    Executor executor;
    std::vector<int> fired;
    Named first(executor, fired, 1), second(executor, fired, 2), third(executor, fired, 3),
        moved(executor, fired, 4);
    const TimePoint due = at(100s + 7ns);
    moved.arm(due);
    first.arm(due);
    executor.turn(at(90s));
    second.arm(due);
    executor.turn(at(100s));
    third.arm(due);
    moved.arm(due);  // again: behind all others
    executor.turn(due - 1ns);
    EXPECT_TRUE(fired.empty()) << "never early, not by a nanosecond";
    executor.turn(due);
    EXPECT_EQ(fired, (std::vector{1, 2, 3, 4}));
}

TEST(TimerWheel, now_past_and_negative_run_in_the_next_turn) {
    Executor executor;
    executor.advance(at(1h));
    int fired = 0;
    std::optional<Alarm> alarm;
    alarm.emplace(executor, [&] {
        ++fired;
        alarm->in(Duration::min());
    });
    for (const Duration delay : {Duration(0), Duration(-1), Duration(-2h), Duration::min()}) {
        alarm->in(delay);
        EXPECT_EQ(fired, 0) << "never at once";
        EXPECT_EQ(executor.next_deadline(), executor.now());
        executor.turn(executor.now());
        EXPECT_EQ(std::exchange(fired, 0), 1) << "armed again within the turn: the next one";
        EXPECT_EQ(executor.next_deadline(), executor.now());
    }
    alarm.reset();
}

TEST(TimerWheel, never_and_centuries_are_deadlines_too) {
    Executor executor;
    executor.advance(at(24h));
    std::vector<int> fired;
    Named never(executor, fired, 1), century(executor, fired, 2);
    never.arm_in(Duration::max());
    EXPECT_EQ(executor.next_deadline(), TimePoint::max());
    century.arm_in(100 * 8760h);
    EXPECT_EQ(executor.next_deadline(), executor.now() + 100 * 8760h);
    executor.turn(executor.now() + 100 * 8760h - 1ns);
    EXPECT_TRUE(fired.empty());
    executor.turn(executor.now() + 1ns);
    EXPECT_EQ(fired, std::vector{2});
    EXPECT_EQ(executor.next_deadline(), TimePoint::max());
    EXPECT_EQ(executor.timers(), 1u);
    never.disarm();
    EXPECT_EQ(executor.timers(), 0u);
}

TEST(TimerWheel, those_due_together_may_cancel_move_and_destroy_each_other) {
    Executor executor;
    std::string order;
    std::optional<Alarm> cancelled, moved, destroyed;
    Alarm first(executor, [&] {
        order += "first ";
        cancelled->cancel();
        moved->in(Duration::zero());
        destroyed.reset();
        EXPECT_EQ(executor.next_deadline(), executor.now());
    });
    first.in(1ms);
    cancelled.emplace(executor, [&] { order += "cancelled "; });
    moved.emplace(executor, [&] { order += "moved "; });
    destroyed.emplace(executor, [&] { order += "destroyed "; });
    Alarm last(executor, [&] { order += "last "; });
    for (Alarm* alarm : {&*cancelled, &*moved, &*destroyed, &last}) alarm->in(1ms);
    executor.turn(at(1ms));
    EXPECT_EQ(order, "first last ");
    EXPECT_EQ(executor.timers(), 1u);
    executor.turn(at(1ms));
    EXPECT_EQ(order, "first last moved ");
    EXPECT_EQ(executor.timers(), 0u);
}

TEST(TimerWheel, a_clock_that_jumps_an_hour_costs_what_is_armed_not_what_has_passed) {
    Executor executor;
    int fired = 0;
    std::vector<std::unique_ptr<Alarm>> all;
    for (int i = 0; i < 100; ++i) {
        all.push_back(std::make_unique<Alarm>(executor, [&] { ++fired; }));
        all.back()->every(1ms);
    }
    executor.turn(at(1h));
    for (int i = 0; i < 20; ++i) executor.turn(executor.now());
    EXPECT_GE(fired, 100);
    EXPECT_LE(fired, 100 * (Alarm::catch_up_max + 2));
    fired = 0;
    executor.turn(at(1h + 1ms));
    EXPECT_EQ(fired, 100) << "back in step";
}

}  // namespace
}  // namespace gyre

#include <gtest/gtest.h>

#include <atomic>
#include <gyre/task/dump.hpp>
#include <gyre/task/pool.hpp>
#include <gyre/task/sync.hpp>
#include <string>
#include <thread>
#include <vector>

namespace gyre {
namespace {

struct Bed {
    ~Bed() {
        Scope closer(executor, "closer");
        (void)go(closer, scope.close());
        advance(1h);
    }
    void advance(Duration by) {
        const TimePoint end = executor.now() + by;
        do {
            const TimePoint next = executor.idle() ? std::min(end, executor.next_deadline()) : executor.now();
            executor.turn(std::max(executor.now(), next));
        } while (!executor.idle() || executor.next_deadline() <= end);
        executor.turn(end);
    }
    Executor executor;
    Scope scope{executor, "match_7"};
};

constexpr unsigned inner_line = __LINE__ + 1;
Task<> inner() { co_await sleep(1h); }
constexpr unsigned outer_line = __LINE__ + 1;
Task<> outer() { co_await inner(); }

TEST(Dump, tells_who_awaits_what_where_and_since_when) {
    Bed bed;
    Context context;
    context.executor = &bed.executor;
    context.scope = &bed.scope;
    context.entity = 12;
    context.session = 3;
    context.call = 99;
    bed.advance(5s);
    (void)detail::spawn(bed.scope, outer(), context);
    bed.advance(2s);
    const auto tasks = suspended_tasks(bed.executor);
    ASSERT_EQ(tasks.size(), 1u);
    EXPECT_EQ(tasks[0].scope, "match_7");
    EXPECT_EQ(tasks[0].entity, 12u);
    EXPECT_EQ(tasks[0].session, 3u);
    EXPECT_EQ(tasks[0].call, 99u);
    EXPECT_EQ(tasks[0].waiting, 2s);
    EXPECT_EQ(tasks[0].waits_for, "sleep, 3598.000 s left");
    const std::string file = __FILE__;
    ASSERT_EQ(tasks[0].awaits.size(), 2u);
    EXPECT_EQ(tasks[0].awaits[0], file + ":" + std::to_string(inner_line));
    EXPECT_EQ(tasks[0].awaits[1], file + ":" + std::to_string(outer_line));
    EXPECT_EQ(dump_tasks(bed.executor),
              "task 1 scope=match_7 entity=12 session=3 call=99 waiting=2.000 s for sleep, 3598.000 s left at " +
                  tasks[0].awaits[0] + " < " + tasks[0].awaits[1] + "\n");
}

Task<> hold(Mutex* mutex) {
    const auto held = co_await mutex->lock();
    co_await sleep(1h);
}
Task<> wait_event(Event* event) { co_await event->wait(); }
Task<> pop(Queue<int>* queue) { (void)co_await queue->pop(); }
Task<> wait_join(Join<> job) { co_await job; }
Task<> wait_group() { (void)co_await when_all(inner(), inner()); }
Task<> close(Scope* scope) { co_await scope->close(); }
Task<> stubborn() { co_await shielded(inner()); }
Task<> see(std::string* text) {
    *text = dump_tasks();
    co_return;
}
TEST(Dump, names_whom_a_task_waits_for) {
    Bed bed;
    Mutex mutex;
    Event event;
    Queue<int> queue;
    Scope other(bed.executor, "other");
    (void)go(bed.scope, hold(&mutex));                   // 1
    (void)go(bed.scope, hold(&mutex));                   // 2
    (void)go(bed.scope, wait_event(&event));             // 3
    (void)go(bed.scope, pop(&queue));                    // 4
    (void)go(bed.scope, wait_join(go(bed.scope, inner())));  // the inner: 5, the outer: 6
    (void)go(bed.scope, wait_group());                   // 7 waits for 8 and 9
    (void)go(other, stubborn());                         // 11, after 10
    (void)go(bed.scope, close(&other));                  // 10
    std::vector<std::string> waits;
    for (const auto& task : suspended_tasks(bed.executor)) waits.push_back(task.waits_for);
    const std::string sleeping = "sleep, 3600.000 s left";
    EXPECT_EQ(waits, (std::vector<std::string>{sleeping, "a mutex held by task 1", "an event", "a queue", sleeping,
                                               "the end of task 5", "the end of task 8, task 9", sleeping, sleeping,
                                               "the end of scope other, 1 tasks", sleeping}));
    EXPECT_TRUE(suspended_tasks(bed.executor).back().cancelled);
    EXPECT_EQ(suspended_tasks(bed.executor, 3).size(), 3u);
    std::string text;
    (void)go(bed.scope, see(&text));  // the running one is not suspended
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
    event.set();
    EXPECT_EQ(suspended_tasks(bed.executor)[2].waits_for, "its turn to go on");
    bed.advance(2h);
}

#if !defined(GYRE_SANITIZED)  // It leaks on purpose.
TEST(Dump, an_executor_that_ends_first_tells_what_is_still_there) {
    std::string told;
    auto* leaked = new Event;
    {
        Executor executor;
        executor.on_leak = [&](std::string_view text) { told = text; };
        auto* scope = new Scope(executor, "forgotten");
        (void)go(*scope, wait_event(leaked));
    }
    EXPECT_NE(told.find("scope forgotten is still there, with 1 tasks\n"), std::string::npos) << told;
    EXPECT_NE(told.find("scope=forgotten waiting=0.000 s for an event at "), std::string::npos) << told;
    EXPECT_NE(told.find("dump_test.cpp:"), std::string::npos) << told;
}
#endif

TEST(Dump, a_scope_that_ends_after_its_executor_is_told_and_harmless) {
    std::string told;
    auto executor = std::make_unique<Executor>();
    executor->on_leak = [&](std::string_view text) { told = text; };
    Scope late(*executor, "late"), later(*executor, "later");
    executor.reset();
    EXPECT_EQ(told, "scope late is still there, with 0 tasks\nscope later is still there, with 0 tasks\n");
}

TEST(DumpDeathTest, a_scope_destroyed_with_live_tasks_names_them) {
    EXPECT_DEATH(
        {
            Executor executor;
            Event event;
            Scope scope(executor, "early");
            (void)go(scope, wait_event(&event));
        },
        "scope early destroyed with 1 live tasks:\n  .*dump_test.cpp:");
}

Task<> close_own(std::string* code) {
    *code = (co_await as_result(current->scope->close())).error().code();
}
TEST(BadInput, a_scope_is_not_closed_from_inside) {
    Bed bed;
    std::string code, nested, pooled;
    (void)go(bed.scope, close_own(&code));
    auto outer_task = [](std::string* out) -> Task<> { co_await with_timeout(1s, close_own(out)); };
    (void)go(bed.scope, outer_task(&nested));
    auto starts = [](std::string* out) -> Task<> { co_await go(close_own(out)); };
    (void)go(bed.scope, starts(&pooled));
    bed.advance(0ms);
    EXPECT_EQ(code, "closed_from_inside");
    EXPECT_EQ(nested, "closed_from_inside");
    EXPECT_EQ(pooled, "closed_from_inside");
    EXPECT_FALSE(bed.scope.closing());
}

Task<> throws_int() {
    co_await yield();
    throw 7;
}
TEST(BadInput, what_is_no_error_arrives_as_internal) {
    Bed bed;
    std::vector<std::string> dropped;
    bed.executor.on_dropped_failure = [&](const Error& error, const std::exception_ptr&) { dropped.push_back(error.code()); };
    std::string caught;
    auto catches = [](std::string* out) -> Task<> {
        *out = (co_await as_result(throws_int())).error().code();
        try {
            co_await throws_int();
        } catch (int value) {
            *out += std::to_string(value);
        }
    };
    (void)go(bed.scope, catches(&caught));
    (void)go(bed.scope, throws_int());
    bed.advance(0ms);
    EXPECT_EQ(caught, "internal7");
    EXPECT_EQ(dropped, std::vector<std::string>{"internal"});
}

TEST(BadInput, tasks_dropped_before_their_start_free_what_they_hold) {
    const auto live = frame_counters().live;
    {
        const auto held = std::make_shared<int>(1);
        auto keeps = [](std::shared_ptr<int> value) -> Task<int> { co_return *value; };
        {
            auto never = keeps(held);
            auto moved = std::move(never);
            never = keeps(held);
        }
        EXPECT_EQ(held.use_count(), 1);
    }
    EXPECT_EQ(frame_counters().live, live);
}

TEST(BadInput, a_value_whose_copy_throws_is_a_failure) {
    struct Fragile {
        explicit Fragile(bool f) : fails(f) {}
        Fragile(const Fragile& other) : fails(other.fails) {
            if (fails) throw Error("fragile");
        }
        bool fails;
    };
    Bed bed;
    std::string code;
    auto make = [](bool fails) -> Task<Fragile> {
        const Fragile value(fails);
        co_return value;
    };
    auto take = [](Task<Fragile> task, std::string* out) -> Task<> {
        try {
            [[maybe_unused]] const auto value = co_await std::move(task);
            *out += "fine ";
        } catch (const Error& error) {
            *out += error.code();
        }
    };
    (void)go(bed.scope, take(make(false), &code));
    (void)go(bed.scope, take(make(true), &code));
    EXPECT_EQ(code, "fine fragile");
}

/// An executor a thread, each with its own frames, pool, context and clock.
TEST(Threads, executors_of_several_threads_share_nothing) {
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&wrong] {
            const auto before = frame_counters().live;
            {
                Bed bed;
                int sum = 0;
                auto work = [](int* out) -> Task<> {
                    Mutex mutex;
                    for (int i = 0; i < 200; ++i) {
                        const auto held = co_await mutex.lock();
                        auto [a, b] = co_await when_all([]() -> Task<int> { co_return 1; }(),
                                                        []() -> Task<int> { co_await yield(); co_return 2; }());
                        *out += a + b;
                        co_await go([]() -> Task<> { co_await sleep(1ms); }());
                    }
                };
                (void)go(bed.scope, work(&sum));
                bed.advance(1s);
                if (sum != 600 || current || dump_tasks(bed.executor) != "") ++wrong;
            }
            if (frame_counters().live != before) ++wrong;
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace gyre

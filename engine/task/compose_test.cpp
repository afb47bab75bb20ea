#include <gtest/gtest.h>

#include <gyre/task/sync.hpp>
#include <string>
#include <vector>

namespace gyre {
namespace {

class ComposeTest : public testing::Test {
protected:
    ComposeTest() {
        executor.on_dropped_failure = [this](const Error& error, const std::exception_ptr&) { dropped.push_back(error.code()); };
    }
    ~ComposeTest() override {
        Scope closer(executor, "closer");
        (void)go(closer, scope.close());
        advance(1h);
        EXPECT_EQ(executor.timers(), 0u);
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
    std::vector<std::string> dropped;
    Scope scope{executor, "test"};
    std::string log;
};

Task<int> value_in(Duration delay, int value) {
    co_await sleep(delay);
    co_return value;
}
Task<int> fails_in(Duration delay, std::string code) {
    co_await sleep(delay);
    throw Error(code);
}
Task<int> now(int value) { co_return value; }
Task<> mark(std::string* log, std::string label, Duration delay) {
    try {
        co_await sleep(delay);
        *log += label + " ";
    } catch (const Error& error) {
        *log += label + ":" + error.code() + " ";
        throw;
    }
}
Task<std::string> word(std::string text) { co_return text; }

Task<> all_of_three(std::string* log) {
    auto [number, text, nothing] = co_await when_all(value_in(5ms, 7), word("seven"), mark(log, "m", 1ms));
    static_assert(std::is_same_v<decltype(nothing), std::monostate>);
    *log += std::to_string(number) + text;
}
TEST_F(ComposeTest, when_all_gives_all_values) {
    (void)go(scope, all_of_three(&log));
    advance(4ms);
    EXPECT_EQ(log, "m ");
    advance(1ms);
    EXPECT_EQ(log, "m 7seven");
}

template <class A>
Task<> to_log(A awaitable, std::string* log) {
    auto result = co_await as_result(std::move(awaitable));
    if (!result) *log += result.error().code() + " ";
    else if constexpr (requires { result->size(); }) {
        for (const int each : *result) *log += std::to_string(each) + " ";
    } else if constexpr (requires { result->index; }) {
        *log += std::to_string(result->index) + " ";
    } else {
        *log += "ended ";
    }
}
template <class... T>
auto list(Task<T>... tasks) {
    std::vector<std::common_type_t<Task<T>...>> all;
    (all.push_back(std::move(tasks)), ...);
    return all;
}

TEST_F(ComposeTest, when_all_of_a_vector_keeps_the_order_of_the_tasks) {
    (void)go(scope, to_log(when_all(list(value_in(3ms, 1), now(2), value_in(1ms, 3))), &log));
    (void)go(scope, to_log(when_all(std::vector<Task<int>>{}), &log));
    (void)go(scope, to_log(when_all(std::vector<Task<>>{}), &log));
    EXPECT_EQ(log, "ended ");
    advance(5ms);
    EXPECT_EQ(log, "ended 1 2 3 ");
}

TEST_F(ComposeTest, when_all_throws_the_first_failure_after_the_others_have_ended) {
    (void)go(scope, to_log(when_all(mark(&log, "a", 1h), fails_in(5ms, "broken"), fails_in(6ms, "later"),
                                    mark(&log, "b", 1ms)),
                           &log));
    advance(5ms);
    EXPECT_EQ(log, "b a:cancelled broken ");
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_TRUE(dropped.empty());
    log.clear();
    (void)go(scope, to_log(when_all(list(value_in(1h, 1), fails_in(-1s, "broken"))), &log));
    advance(0ms);
    EXPECT_EQ(log, "broken ");
}

TEST_F(ComposeTest, when_all_cancelled_cancels_and_joins) {
    auto stubborn = [](std::string* out) -> Task<> { co_await shielded(mark(out, "shielded", 10ms)); };
    auto job = go(scope, to_log(when_all(mark(&log, "a", 1h), stubborn(&log)), &log));
    advance(5ms);
    job.cancel();
    advance(1ms);
    EXPECT_EQ(log, "a:cancelled ");
    EXPECT_FALSE(job.done());
    advance(4ms);
    EXPECT_EQ(log, "a:cancelled shielded cancelled ");
    EXPECT_TRUE(job.done());
}

Task<> any_of_two(std::string* log) {
    auto first = co_await when_any(value_in(5ms, 7), word("seven"));
    *log += std::to_string(first.index) + std::get<1>(first.value) + " ";
    auto second = co_await when_any(mark(log, "slow", 1h), value_in(5ms, 7));
    *log += std::to_string(second.index) + std::to_string(std::get<1>(second.value));
}
TEST_F(ComposeTest, when_any_gives_the_first_and_ends_the_others) {
    (void)go(scope, any_of_two(&log));
    EXPECT_EQ(log, "");  // the others are ending
    advance(0ms);
    EXPECT_EQ(log, "1seven ");
    advance(5ms);
    EXPECT_EQ(log, "1seven slow:cancelled 17");
    EXPECT_EQ(scope.running(), 0u);
}

TEST_F(ComposeTest, when_any_of_a_vector_also_when_the_first_fails_or_two_end_at_once) {
    (void)go(scope, to_log(when_any(list(value_in(5ms, 1), fails_in(1ms, "broken"))), &log));
    (void)go(scope, to_log(when_any(list(value_in(3ms, 1), value_in(3ms, 2))), &log));
    (void)go(scope, to_log(when_any(std::vector<Task<int>>{}), &log));
    advance(5ms);
    EXPECT_EQ(log, "bad_arguments broken 0 ");
    log.clear();
    auto job = go(scope, to_log(when_any(list(mark(&log, "a", 1h), mark(&log, "b", 1h))), &log));
    job.cancel();
    advance(0ms);
    EXPECT_EQ(log, "a:cancelled b:cancelled cancelled ");
}

Task<> races(int rounds, int* sum) {
    for (int i = 0; i < rounds; ++i) {
        auto first = co_await when_any(list(value_in(Duration(i % 3 * 1ms), 1), value_in(1ms, 1)));
        *sum += first.value;
        auto [a, b] = co_await when_all(now(1), value_in(Duration(i % 2 * 1ms), 1));
        *sum += a + b;
    }
}
TEST_F(ComposeTest, thousands_of_races_leak_nothing) {
    const auto live = frame_counters().live;
    int sum = 0;
    (void)go(scope, races(3'000, &sum));
    advance(30s);
    EXPECT_EQ(sum, 9'000);
    EXPECT_EQ(frame_counters().live, live);
}

TEST_F(ComposeTest, as_result_and_timeouts_take_anything_that_can_be_awaited) {
    Event event;
    Queue<int> queue;
    Mutex mutex;
    (void)go(scope, to_log(event.wait(), &log));
    (void)go(scope, to_log(with_timeout(5ms, queue.pop()), &log));
    (void)go(scope, to_log(with_timeout(5ms, event.wait()), &log));
    (void)go(scope, to_log(with_timeout(5ms, go(scope, value_in(1h, 1))), &log));
    (void)go(scope, to_log(shielded(mutex.lock()), &log));
    EXPECT_EQ(log, "ended ");
    event.set();
    advance(1ms);
    EXPECT_EQ(log, "ended ended ended ");
    advance(5ms);
    EXPECT_EQ(log, "ended ended ended timed_out timed_out ");
    EXPECT_EQ(mutex.free(), 1u);
}

Task<> deadline_inside(std::string* log, TimePoint expected) {
    EXPECT_EQ(current->deadline, expected);
    co_await mark(log, "x", 1h);
}
Task<> with_limits(std::string* log) {
    const TimePoint now = Chain::running().executor->now();
    // The nearer of two deadlines counts, and is what the task sees.
    co_await with_deadline(now + 20ms, with_timeout(1h, deadline_inside(log, now + 20ms)));
}
TEST_F(ComposeTest, deadlines_nest) {
    (void)go(scope, to_log(with_limits(&log), &log));
    advance(20ms);
    EXPECT_EQ(log, "x:cancelled timed_out ");
    EXPECT_EQ(scope.running(), 0u);
}

Task<int> load_level(int player) { co_return player; }
Task<std::string> load_name(int player) {
    co_await sleep(10ms);
    co_return "player " + std::to_string(player);
}
Task<> save(std::string* log) {
    co_await sleep(1ms);
    *log += "saved ";
}
// The examples of docs/tasks.md.
Task<std::string> show(int player) {
    const std::string name = co_await load_name(player);  // others run meanwhile
    co_return name + " of level " + std::to_string(co_await load_level(player));
}
Task<> together(Queue<int>* queue, std::string* log) {
    auto [level, name] = co_await when_all(load_level(7), load_name(7));    // also of a std::vector<Task<T>>
    auto first = co_await when_any(load_name(1), load_name(2));             // first.index, first.value
    auto next = co_await as_result(with_timeout(2s, queue->pop()));         // or with_deadline(at, x)
    *log += name + std::to_string(level) + std::to_string(first.index) + next.error().code() + " ";
}
Task<> leave(std::string* log) {
    co_await shielded(save(log));  // completes first; the next await throws
    {
        Shield shield;             // or a whole block
        co_await save(log);
        co_await save(log);
    }
    co_await yield();
}
TEST_F(ComposeTest, examples_of_the_documentation) {
    Queue<int> queue;
    auto shown = go(scope, show(7));
    (void)go(scope, together(&queue, &log));
    advance(3s);
    EXPECT_EQ(shown.take(), "player 7 of level 7");
    EXPECT_EQ(log, "player 770timed_out ");
    log.clear();
    auto left = go(scope, leave(&log));
    left.cancel();
    advance(1s);
    EXPECT_EQ(log, "saved saved saved ");
    EXPECT_TRUE(left.chain().ended_cancelled());
}

/// Each primitive, when nothing has to be waited for.
Task<> await_nth(int which, Event* event, Queue<int>* queue, Semaphore* semaphore, Join<int>* job) {
    switch (which) {
        case 0: co_await event->wait(); break;
        case 1: (void)co_await queue->pop(); break;
        case 2: co_await queue->push(1); break;
        case 3: (void)co_await semaphore->acquire(); break;
        case 4: (void)co_await *job; break;
        case 5: co_await yield(); break;
        case 6: co_await sleep(0ms); break;
        case 7: (void)co_await when_all(now(1), now(2)); break;
        case 8: (void)co_await when_any(now(1), now(2)); break;
        default: break;
    }
}
TEST_F(ComposeTest, a_cancelled_task_throws_at_each_await_also_when_nothing_is_waited_for) {
    for (int which = 0; which < 9; ++which) {
        Event event;
        event.set();
        Queue<int> queue(10);
        queue.try_push(1);
        Semaphore semaphore(1);
        auto done = go(scope, now(1));
        log.clear();
        auto self_cancelled = [](Task<> task, std::string* out) -> Task<> {
            Chain::running().cancel();
            *out += (co_await as_result(std::move(task))).error().code();
        };
        (void)go(scope, self_cancelled(await_nth(which, &event, &queue, &semaphore, &done), &log));
        advance(0ms);
        EXPECT_EQ(log, "cancelled") << which;
        EXPECT_EQ(queue.size(), 1u);
        EXPECT_EQ(semaphore.free(), 1u);
        EXPECT_EQ(scope.running(), 0u);
    }
}
TEST_F(ComposeTest, a_task_cancelled_while_it_waits_in_any_primitive_ends_this_turn) {
    for (int which = 0; which < 7; ++which) {
        Event event;
        Queue<int> empty, full(1);
        full.try_push(1);
        Semaphore semaphore(1);
        auto hold = [](Semaphore* s) -> Task<> {
            const auto permit = co_await s->acquire();
            co_await sleep(1ms);
        };
        (void)go(scope, hold(&semaphore));
        auto running = go(scope, value_in(1ms, 1));
        log.clear();
        auto job = go(scope, to_log(await_nth(which, &event, which == 1 ? &empty : &full, &semaphore, &running), &log));
        job.cancel();
        job.cancel();
        EXPECT_EQ(log, "");
        executor.turn(executor.now());
        EXPECT_EQ(log, "cancelled ") << which;
        EXPECT_TRUE(job.done());
        advance(2ms);
        event.set();
        EXPECT_EQ(full.take_all().size(), 1u);
        EXPECT_EQ(semaphore.free(), 1u);
    }
}

TEST_F(ComposeTest, shields_nest_and_end_with_their_block) {
    auto task = [](std::string* out) -> Task<> {
        Chain::running().cancel();
        {
            Shield outer;
            {
                Shield inner;
                co_await sleep(1ms);
            }
            co_await sleep(1ms);
            *out += "shielded ";
        }
        *out += (co_await as_result(sleep(1ms))).error().code();
    };
    (void)go(scope, task(&log));
    advance(2ms);
    EXPECT_EQ(log, "shielded cancelled");
}

}  // namespace
}  // namespace gyre

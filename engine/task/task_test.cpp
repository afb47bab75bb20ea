#include <gtest/gtest.h>

#include <gyre/task/sync.hpp>
#include <memory>
#include <string>
#include <vector>

namespace gyre {
namespace {

class TaskTest : public testing::Test {
protected:
    void advance(Duration by) { run_until(executor.now() + by); }
    void run_until(TimePoint end) {
        do {
            executor.turn(std::max(executor.now(), std::min(end, executor.next_deadline())));
        } while (!executor.idle() || executor.next_deadline() <= end);
        executor.turn(end);
    }
    ~TaskTest() override {
        Scope closer(executor, "closer");
        (void)go(closer, scope.close());
        advance(1h);
    }
    Executor executor;
    Scope scope{executor, "test"};
};

Task<int> number(int value) { co_return value; }
Task<int> sum(int a, int b) { co_return co_await number(a) + co_await number(b); }
Task<> store(Task<int> task, int* out) { *out = co_await std::move(task); }

TEST_F(TaskTest, awaits_a_chain_without_a_loop_turn) {
    int out = 0;
    (void)go(scope, store(sum(3, 4), &out));
    EXPECT_EQ(out, 7);
}

Task<> branch(bool* taken) {
    if (co_await number(1)) *taken = true;
}
TEST_F(TaskTest, condition_with_await_in_a_body_without_locals) {
    bool taken = false;
    (void)go(scope, branch(&taken));
    EXPECT_TRUE(taken);
}

Task<> nap(Duration length, std::vector<int>* order, int label) {
    co_await sleep(length);
    order->push_back(label);
}
TEST_F(TaskTest, sleeps_end_in_order_of_their_deadlines) {
    std::vector<int> order;
    (void)go(scope, nap(30ms, &order, 3));
    (void)go(scope, nap(10ms, &order, 1));
    (void)go(scope, nap(10ms, &order, 2));
    (void)go(scope, nap(-5ms, &order, 0));
    EXPECT_TRUE(order.empty());
    advance(100ms);
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
}

Task<> nap_until_cancelled(std::string* end) {
    try {
        co_await sleep(1h);
    } catch (const Error& error) {
        *end = error.code();
    }
    try {
        co_await sleep(1s);
    } catch (const Error& error) {
        *end += "+" + error.code();
    }
}
TEST_F(TaskTest, cancelling_ends_the_current_and_each_later_await) {
    std::string end;
    auto job = go(scope, nap_until_cancelled(&end));
    job.cancel();
    EXPECT_EQ(end, "");
    advance(0ms);
    EXPECT_EQ(end, "cancelled+cancelled");
    EXPECT_TRUE(job.done());
}

Task<> nap_and_say(Duration length, std::string* log) {
    co_await sleep(length);
    *log += "slept ";
}
Task<> shielded_nap(std::string* log) {
    co_await shielded(nap_and_say(10ms, log));
    *log += "then ";
    co_await sleep(1ms);
    *log += "never";
}
TEST_F(TaskTest, shielded_completes_first) {
    std::string log;
    auto job = go(scope, shielded_nap(&log));
    job.cancel();
    advance(5ms);
    EXPECT_EQ(log, "");
    advance(5ms);
    EXPECT_EQ(log, "slept then ");
    EXPECT_TRUE(job.done());
}

Task<> close_and_mark(Scope* s, bool* closed) {
    co_await s->close();
    *closed = true;
}
TEST_F(TaskTest, closing_a_scope_cancels_and_joins) {
    Scope inner(executor, "inner");
    std::string end, log;
    (void)go(inner, nap_until_cancelled(&end));
    (void)go(inner, shielded_nap(&log));
    bool closed = false;
    (void)go(scope, close_and_mark(&inner, &closed));
    advance(1ms);
    EXPECT_EQ(end, "cancelled+cancelled");
    EXPECT_FALSE(closed);
    advance(20ms);
    EXPECT_TRUE(closed);
    std::string late;
    (void)go(inner, nap_until_cancelled(&late));
    EXPECT_EQ(late, "cancelled+cancelled");
}

TEST_F(TaskTest, a_scope_closed_from_inside_says_so) {
    bool closed = false;
    std::string code;
    executor.on_dropped_failure = [&](const Error& error, const std::exception_ptr&) { code = error.code(); };
    (void)go(scope, close_and_mark(&scope, &closed));
    EXPECT_EQ(code, "closed_from_inside");
}

Task<int> slow(Duration length) {
    co_await sleep(length);
    co_return 1;
}
Task<> try_timeout(Duration limit, Duration length, std::string* out) {
    auto result = co_await as_result(with_timeout(limit, slow(length)));
    *out = result ? "value" : result.error().code();
}
TEST_F(TaskTest, timeouts) {
    std::string late, early, cancelled = "untouched";
    (void)go(scope, try_timeout(10ms, 20ms, &late));
    (void)go(scope, try_timeout(20ms, 10ms, &early));
    auto job = go(scope, try_timeout(20ms, 1h, &cancelled));
    advance(5ms);
    job.cancel();
    advance(100ms);
    EXPECT_EQ(late, "timed_out");
    EXPECT_EQ(early, "value");
    EXPECT_EQ(cancelled, "cancelled");
    EXPECT_EQ(scope.running(), 0u);
}

Task<> consume(Queue<int>* queue, std::vector<int>* out) {
    for (;;) {
        auto next = co_await as_result(queue->pop());
        if (!next) break;
        out->push_back(*next);
    }
    out->push_back(-1);
}
Task<> produce(Queue<int>* queue, int count) {
    for (int i = 0; i < count; ++i) co_await queue->push(i);
    queue->close();
}
TEST_F(TaskTest, a_bounded_queue_keeps_order_and_pushes_back) {
    Queue<int> queue(2);
    std::vector<int> out;
    (void)go(scope, produce(&queue, 5));
    EXPECT_EQ(queue.size(), 2u);
    EXPECT_FALSE(queue.try_push(9));
    (void)go(scope, consume(&queue, &out));
    advance(1ms);
    EXPECT_EQ(out, (std::vector<int>{0, 1, 2, 3, 4, -1}));
}

Task<> hold(Mutex* mutex, std::vector<int>* order, int label) {
    auto permit = co_await mutex->lock();
    order->push_back(label);
    co_await sleep(10ms);
    order->push_back(-label);
}
TEST_F(TaskTest, a_mutex_serves_in_order_and_survives_cancelled_waiters) {
    Mutex mutex;
    std::vector<int> order;
    (void)go(scope, hold(&mutex, &order, 1));
    auto second = go(scope, hold(&mutex, &order, 2));
    (void)go(scope, hold(&mutex, &order, 3));
    second.cancel();
    advance(50ms);
    EXPECT_EQ(order, (std::vector<int>{1, -1, 3, -3}));
    EXPECT_EQ(mutex.free(), 1u);
}

Task<int> fail() {
    co_await yield();
    throw Error("broken", "on purpose");
}
TEST_F(TaskTest, a_dropped_failure_is_reported_and_an_awaited_one_is_thrown) {
    std::vector<std::string> reported;
    executor.on_dropped_failure = [&](const Error& error, const std::exception_ptr&) { reported.push_back(error.code()); };
    (void)go(scope, fail());
    {
        auto kept = go(scope, fail());
        advance(1ms);
        EXPECT_EQ(reported.size(), 1u);
    }
    EXPECT_EQ(reported.size(), 2u);
    int out = 0;
    auto job = go(scope, store(fail(), &out));
    advance(1ms);
    std::string code;
    (void)go(scope, [](Join<> failed, std::string* c) -> Task<> {
        try {
            co_await failed;
        } catch (const Error& error) {
            *c = error.code();
        }
    }(std::move(job), &code));
    EXPECT_EQ(code, "broken");
    EXPECT_EQ(reported.size(), 2u);
}

TEST_F(TaskTest, an_await_chain_names_file_and_line) {
    std::string log;
    auto job = go(scope, shielded_nap(&log));
    EXPECT_NE(job.chain().describe().find("task_test.cpp:"), std::string::npos);
    EXPECT_NE(job.chain().describe().find(" < "), std::string::npos);
    advance(1s);
}

TEST_F(TaskTest, the_context_follows_its_task) {
    NodeIdentity a, b;
    a.name = "a", b.name = "b";
    Scope scope_a(executor, "a", {.node = &a}), scope_b(executor, "b", {.node = &b});
    std::vector<std::string> seen;
    auto watch = [](std::vector<std::string>* names) -> Task<> {
        for (int i = 0; i < 3; ++i) {
            names->push_back(current->node->name);
            co_await sleep(1ms);
        }
        names->push_back(current->node->name);
    };
    (void)go(scope_a, watch(&seen));
    (void)go(scope_b, watch(&seen));
    advance(10ms);
    EXPECT_EQ(current, nullptr);
    EXPECT_EQ(seen, (std::vector<std::string>{"a", "b", "a", "b", "a", "b", "a", "b"}));
}

TEST_F(TaskTest, warm_frames_come_from_the_pool) {
    int out = 0;
    (void)go(scope, store(sum(1, 2), &out));
    const auto before = frame_counters();
    for (int i = 0; i < 100; ++i) (void)go(scope, store(sum(1, 2), &out));
    const auto after = frame_counters();
    EXPECT_EQ(after.live, before.live);
#if !defined(GYRE_SANITIZED)
    EXPECT_EQ(after.refills, before.refills);
#endif
}

TEST(Executor, equal_deadlines_fire_in_order_and_disarmed_ones_never) {
    Executor executor;
    std::vector<int> fired;
    std::vector<std::unique_ptr<Alarm>> alarms;
    for (int i = 0; i < 1000; ++i) {
        alarms.push_back(std::make_unique<Alarm>(executor, [&fired, i] { fired.push_back(i); }));
        alarms.back()->in(Duration((i * 7919) % 10));
    }
    for (int i = 0; i < 1000; i += 3) alarms[static_cast<std::size_t>(i)]->cancel();
    executor.turn(TimePoint(1s));
    EXPECT_EQ(fired.size(), 666u);
    for (std::size_t i = 1; i < fired.size(); ++i) {
        const int before = (fired[i - 1] * 7919) % 10, at = (fired[i] * 7919) % 10;
        EXPECT_TRUE(before < at || (before == at && fired[i - 1] < fired[i]));
    }
}

TEST(Executor, a_period_does_not_drift) {
    Executor executor;
    int count = 0;
    Alarm alarm(executor, [&] { ++count; });
    alarm.every(10ms);
    executor.turn(TimePoint(19ms));
    executor.turn(TimePoint(20ms));
    EXPECT_EQ(count, 2);
}

/// Parks its task until somebody resumes it, by whatever means.
struct Parked : Waiter {
    explicit Parked(Parked** place) : Waiter([](Waiter&) {}) { *place = this; }
};
Task<> park(Parked** place, std::string* log, std::string label) {
    try {
        Parked parked(place);
        co_await parked;
        *log += label + " ";
        co_await yield();
        *log += label + "! ";
    } catch (const Error& error) {
        *log += label + ":" + error.code() + " ";
    }
}

TEST_F(TaskTest, resume_now_runs_the_chain_inside_the_call_and_restores_who_is_current) {
    Parked* place = nullptr;
    std::string log;
    (void)go(scope, park(&place, &log, "loop"));
    place->resume_now();
    EXPECT_EQ(log, "loop ");
    EXPECT_EQ(current, nullptr);
    (void)go(scope, park(&place, &log, "task"));
    auto resumer = [](Parked** p, std::string* l) -> Task<> {
        const Context* self = current;
        (*p)->resume_now();
        EXPECT_EQ(current, self);
        *l += "resumer ";
        co_return;
    };
    (void)go(scope, resumer(&place, &log));
    EXPECT_EQ(log, "loop task resumer ");
    advance(0ms);
    EXPECT_EQ(log, "loop task resumer loop! task! ");
}

TEST_F(TaskTest, a_waiter_is_resumed_once_whoever_comes_first) {
    Parked* place = nullptr;
    std::string log;
    auto cancelled = go(scope, park(&place, &log, "a"));
    cancelled.cancel();
    place->resume_now();
    EXPECT_EQ(log, "");
    advance(0ms);
    EXPECT_EQ(log, "a:cancelled ");
    (void)go(scope, park(&place, &log, "b"));
    place->wake();
    place->resume_now();
    place->wake();
    EXPECT_EQ(log, "a:cancelled ");
    advance(0ms);
    EXPECT_EQ(log, "a:cancelled b b! ");
    auto woken = go(scope, park(&place, &log, "c"));
    place->wake();
    woken.cancel();  // delivers what it waited for; the next await throws
    advance(0ms);
    EXPECT_EQ(log, "a:cancelled b b! c c:cancelled ");
}

TEST_F(TaskTest, a_waiter_resumed_from_its_own_await_suspend_is_queued) {
    struct Early : Waiter {
        Early() : Waiter(nullptr) {}
        void await_suspend(std::coroutine_handle<Task<>::promise_type> handle) {
            Waiter::await_suspend(handle);
            resume_now();
            touched = true;  // still there
        }
        bool touched = false;
    };
    std::string log;
    auto task = [](std::string* l) -> Task<> {
        Early early;
        co_await early;
        *l += early.touched ? "touched" : "not";
    };
    (void)go(scope, task(&log));
    EXPECT_EQ(log, "");
    advance(0ms);
    EXPECT_EQ(log, "touched");
}

Task<> resume_next(std::vector<Parked*>* places, std::size_t self, std::size_t* deepest) {
    Parked parked(&(*places)[self]);
    co_await parked;
    *deepest = self;
    if (self + 1 < places->size()) (*places)[self + 1]->resume_now();
}
TEST_F(TaskTest, chains_that_resume_each_other_10000_in_a_row_take_little_stack) {
    std::vector<Parked*> places(10'000);
    std::size_t reached = 0;
    for (std::size_t i = 0; i < places.size(); ++i) (void)go(scope, resume_next(&places, i, &reached));
    places.front()->resume_now();
    EXPECT_EQ(reached, Waiter::nested_resumes_max - 1);  // the next was queued
    executor.turn(executor.now());
    EXPECT_EQ(reached, places.size() - 1);
    EXPECT_EQ(scope.running(), 0u);
}

}  // namespace
}  // namespace gyre

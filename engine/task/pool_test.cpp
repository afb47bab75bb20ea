#include <gtest/gtest.h>

#include <gyre/task/dump.hpp>
#include <gyre/task/pool.hpp>
#include <gyre/task/sync.hpp>
#include <string>
#include <vector>

namespace gyre {
namespace {

class PoolTest : public testing::Test {
protected:
    ~PoolTest() override {
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
    Scope scope{executor, "test"};
    std::string log;
};

Task<> nap(std::string* log, std::string label, Duration length) {
    *log += label + " ";
    co_await sleep(length);
    *log += label + "! ";
}
Task<int> number(int value) { co_return value; }

TEST_F(PoolTest, runs_so_many_at_once_and_the_others_in_their_order) {
    Pool pool(executor, {.running = 2});
    for (const char* label : {"a", "b", "c", "d", "e"}) (void)pool.go(scope, nap(&log, label, 10ms));
    EXPECT_EQ(log, "a b ");
    EXPECT_EQ(pool.running(), 2u);
    EXPECT_EQ(pool.queued(), 3u);
    EXPECT_EQ(scope.running(), 5u);
    advance(10ms);
    EXPECT_EQ(log, "a b a! b! c d ");
    advance(20ms);
    EXPECT_EQ(log, "a b a! b! c d c! d! e e! ");
    EXPECT_EQ(pool.running() + pool.queued(), 0u);
    EXPECT_EQ(pool.peak(), 2u);
    EXPECT_EQ(pool.queued_peak(), 3u);
}

TEST_F(PoolTest, a_hundred_thousand_that_end_at_once_take_no_stack) {
    Pool pool(executor, {.running = 1});
    auto first = pool.go(scope, nap(&log, "x", 1ms));
    for (int i = 0; i < 100'000; ++i) (void)pool.go(scope, number(i));
    EXPECT_EQ(pool.queued(), 100'000u);
    advance(1ms);
    EXPECT_EQ(pool.queued(), 0u);
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_EQ(pool.peak(), 1u);
}

TEST_F(PoolTest, a_queued_task_that_is_cancelled_ends_without_a_start) {
    Pool pool(executor, {.running = 1});
    (void)pool.go(scope, nap(&log, "a", 10ms));
    auto b = pool.go(scope, nap(&log, "b", 10ms));
    auto c = pool.go(scope, nap(&log, "c", 10ms));
    b.cancel();
    EXPECT_EQ(pool.queued(), 1u);
    auto wait = [](Join<> job, std::string* out) -> Task<> {
        *out += (co_await as_result(std::move(job))).error().code() + " ";
    };
    (void)go(scope, wait(std::move(b), &log));
    advance(0ms);
    advance(20ms);
    EXPECT_EQ(log, "a cancelled a! c c! ");
    EXPECT_EQ(pool.peak(), 1u);
}

TEST_F(PoolTest, closing_the_scope_ends_what_is_queued_and_joins_it) {
    Pool pool(executor, {.running = 1});
    auto inner = std::make_unique<Scope>(executor, "inner");
    for (const char* label : {"a", "b", "c"}) (void)pool.go(*inner, nap(&log, label, 10ms));
    (void)pool.go(scope, nap(&log, "other", 10ms));
    auto close = [](Scope* s, std::string* out) -> Task<> {
        co_await s->close();
        *out += "closed ";
    };
    (void)go(scope, close(inner.get(), &log));
    (void)pool.go(*inner, nap(&log, "late", 1ms));  // born into a closing scope
    advance(0ms);
    EXPECT_EQ(log, "a other closed ");
    inner.reset();
    advance(10ms);
    EXPECT_EQ(log, "a other closed other! ");
    EXPECT_EQ(pool.running() + pool.queued(), 0u);
}

Task<int> tree(Pool* pool, Scope* in, int depth) {
    if (depth == 0) co_return 1;
    co_await yield();
    auto left = pool->go(*in, tree(pool, in, depth - 1));
    auto right = pool->go(*in, tree(pool, in, depth - 1));
    const int sum = co_await left;
    co_return sum + co_await right;
}
TEST_F(PoolTest, tasks_that_await_what_they_started_never_block_each_other) {
    Pool pool(executor, {.running = 1});
    auto job = pool.go(scope, tree(&pool, &scope, 10));
    advance(0ms);
    ASSERT_TRUE(job.done());
    EXPECT_EQ(job.take(), 1024);
    EXPECT_LE(pool.peak(), 12u);  // one path of the tree: the others wait suspended
}

Task<> deep(Pool* pool, Scope* in, int depth) {
    if (depth > 0) co_await pool->go(*in, deep(pool, in, depth - 1));
}
TEST_F(PoolTest, a_chain_of_10000_awaited_in_a_full_pool_takes_no_stack) {
    Pool pool(executor, {.running = 1});
    auto job = pool.go(scope, deep(&pool, &scope, 10'000));
    advance(0ms);
    EXPECT_TRUE(job.done());
}

TEST_F(PoolTest, waits_by_other_means_are_ended_by_patience) {
    Pool pool(executor, {.running = 2, .patience = 1s});
    Event event;
    auto wait = [](Event* e) -> Task<> { co_await e->wait(); };
    auto set = [](Event* e) -> Task<> {
        e->set();
        co_return;
    };
    (void)pool.go(scope, wait(&event));
    (void)pool.go(scope, wait(&event));
    (void)pool.go(scope, wait(&event));
    (void)pool.go(scope, set(&event));
    advance(999ms);
    EXPECT_EQ(pool.running(), 2u);
    EXPECT_EQ(pool.queued(), 2u);
    advance(1ms);
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_EQ(pool.overruns(), 2u);
    EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(PoolTest, patience_waits_while_tasks_end) {
    Pool pool(executor, {.running = 1, .patience = 1s});
    for (int i = 0; i < 5; ++i) (void)pool.go(scope, nap(&log, "x", 600ms));
    advance(4s);
    EXPECT_EQ(pool.peak(), 1u);
    EXPECT_EQ(pool.overruns(), 0u);
}

TEST_F(PoolTest, a_raised_limit_starts_what_waits) {
    Pool pool(executor, {.running = 1});
    for (int i = 0; i < 5; ++i) (void)pool.go(scope, nap(&log, "x", 10ms));
    pool.set_limits({.running = 3});
    advance(0ms);
    EXPECT_EQ(pool.running(), 3u);
    advance(20ms);
    EXPECT_EQ(pool.running(), 0u);
}

Task<> start_many(int count, std::string* log) {
    for (int i = 0; i < count; ++i) (void)go(nap(log, "", 10ms));
    co_return;
}
TEST_F(PoolTest, plain_go_runs_in_the_executors_pool) {
    (void)go(scope, start_many(2'000, &log));
    EXPECT_EQ(executor.pool().running(), 888u);
    EXPECT_EQ(executor.pool().queued(), 2'000u - 888u);
    EXPECT_EQ(suspended_tasks(executor).back().waits_for, "its start in the coroutine pool");
    advance(30ms);
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_EQ(executor.pool().overruns(), 0u);
}

TEST_F(PoolTest, a_dropped_handle_of_a_queued_task_frees_it_once) {
    const auto live = frame_counters().live;
    {
        Pool pool(executor, {.running = 1});
        (void)pool.go(scope, nap(&log, "a", 1ms));
        auto kept = pool.go(scope, nap(&log, "b", 1ms));
        { auto dropped = pool.go(scope, nap(&log, "c", 1ms)); }
        { auto dropped = pool.go(scope, nap(&log, "d", 1ms)); dropped.cancel(); }
        advance(10ms);
        EXPECT_EQ(log, "a a! b b! c c! ");
    }
    EXPECT_EQ(frame_counters().live, live);
}

}  // namespace
}  // namespace gyre

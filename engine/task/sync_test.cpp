#include <gtest/gtest.h>

#include <gyre/task/sync.hpp>
#include <memory>
#include <string>
#include <vector>

namespace gyre {
namespace {

class SyncTest : public testing::Test {
protected:
    SyncTest() {
        executor.on_dropped_failure = [this](const Error& error, const std::exception_ptr&) { dropped.push_back(error.code()); };
    }
    ~SyncTest() override {
        Scope closer(executor, "closer");
        (void)go(closer, scope.close());
        advance(1h);
    }
    void advance(Duration by) { run_until(executor.now() + by); }
    void run_until(TimePoint end) {
        do {
            executor.turn(std::max(executor.now(), std::min(end, executor.next_deadline())));
        } while (!executor.idle() || executor.next_deadline() <= end);
        executor.turn(end);
    }
    Executor executor;
    std::vector<std::string> dropped;
    Scope scope{executor, "test"};
    std::string log;
};

Task<> lock_and_log(Semaphore* semaphore, std::string* log, std::string label, Duration hold) {
    try {
        const auto permit = co_await semaphore->acquire();
        *log += label + " ";
        co_await sleep(hold);
        *log += label + "! ";
    } catch (const Error& error) {
        *log += label + ":" + error.code() + " ";
        throw;
    }
}

TEST_F(SyncTest, a_permit_handed_to_a_task_cancelled_before_it_runs_comes_back) {
    Semaphore semaphore(1);
    (void)go(scope, lock_and_log(&semaphore, &log, "a", 5ms));
    auto b = go(scope, lock_and_log(&semaphore, &log, "b", 5ms));
    (void)go(scope, lock_and_log(&semaphore, &log, "c", 5ms));
    // Runs after `a` has handed its permit to `b`, and before `b` runs.
    struct Canceller : Ready {
        explicit Canceller(Join<>& j) : Ready([](Ready& r) { static_cast<Canceller&>(r).job.cancel(); }), job(j) {}
        Join<>& job;
    } canceller(b);
    Alarm alarm(executor, [&] { executor.ready(canceller); });
    alarm.in(5ms);  // armed behind the sleep of `a`: wakes a, then cancels before b resumes
    advance(5ms);
    advance(20ms);
    EXPECT_EQ(log, "a a! b b:cancelled c c! ");
    EXPECT_EQ(semaphore.free(), 1u);
    EXPECT_TRUE(dropped.empty());
}

TEST_F(SyncTest, a_semaphore_cancelled_in_every_state_loses_no_permit) {
    // n tasks over 2 permits; one of them is cancelled at each instant in turn.
    for (int victim = 0; victim < 5; ++victim)
        for (int at = 0; at <= 16; ++at) {
            Semaphore semaphore(2);
            std::vector<Join<>> jobs;
            for (int i = 0; i < 5; ++i)
                jobs.push_back(go(scope, lock_and_log(&semaphore, &log, std::to_string(i), 3ms)));
            Alarm alarm(executor, [&] { jobs[static_cast<std::size_t>(victim)].cancel(); });
            alarm.in(Duration(at * 1ms));
            advance(50ms);
            EXPECT_EQ(semaphore.free(), 2u) << victim << " at " << at;
            for (auto& job : jobs) EXPECT_TRUE(job.done());
        }
}

TEST_F(SyncTest, a_permit_may_outlive_its_task_and_moves) {
    Semaphore semaphore(1);
    std::optional<Semaphore::Permit> kept;
    auto take = [](Semaphore* from, std::optional<Semaphore::Permit>* into) -> Task<> {
        into->emplace(co_await from->acquire());
    };
    (void)go(scope, take(&semaphore, &kept));
    EXPECT_EQ(semaphore.free(), 0u);
    Semaphore::Permit other = std::move(*kept);
    kept.reset();
    EXPECT_EQ(semaphore.free(), 0u);
    { const auto gone = std::move(other); }
    EXPECT_EQ(semaphore.free(), 1u);
}

Task<> pop_and_log(Queue<int>* queue, std::string* log, std::string label) {
    try {
        *log += label + std::to_string(co_await queue->pop()) + " ";
    } catch (const Error& error) {
        *log += label + ":" + error.code() + " ";
    }
}
TEST_F(SyncTest, a_value_is_not_lost_with_a_cancelled_reader) {
    Queue<int> queue;
    auto a = go(scope, pop_and_log(&queue, &log, "a"));
    (void)go(scope, pop_and_log(&queue, &log, "b"));
    a.cancel();  // waits: leaves the line
    queue.try_push(1);
    advance(0ms);
    EXPECT_EQ(log, "a:cancelled b1 ");
    log.clear();
    auto c = go(scope, pop_and_log(&queue, &log, "c"));
    (void)go(scope, pop_and_log(&queue, &log, "d"));
    queue.try_push(2);
    c.cancel();  // was woken: it delivers
    queue.try_push(3);
    advance(0ms);
    EXPECT_EQ(log, "c2 d3 ");
}

TEST_F(SyncTest, a_full_queue_wakes_its_writers_one_by_one_also_when_one_is_cancelled) {
    Queue<int> queue(1);
    auto push = [](Queue<int>* q, int value, std::string* out) -> Task<> {
        auto done = co_await as_result(q->push(value));
        *out += std::to_string(value) + (done ? "+ " : "- ");
    };
    (void)go(scope, push(&queue, 1, &log));
    auto second = go(scope, push(&queue, 2, &log));
    (void)go(scope, push(&queue, 3, &log));
    second.cancel();
    (void)go(scope, pop_and_log(&queue, &log, "r"));
    (void)go(scope, pop_and_log(&queue, &log, "r"));
    advance(0ms);
    EXPECT_EQ(log, "1+ r1 r3 2- 3+ ");
    EXPECT_EQ(queue.size(), 0u);
}

TEST_F(SyncTest, closing_a_queue_ends_both_sides_but_keeps_what_was_pushed) {
    Queue<int> queue(1);
    queue.try_push(7);
    auto push = [](Queue<int>* q, std::string* out) -> Task<> {
        *out += (co_await as_result(q->push(8))).error().code() + " ";
    };
    (void)go(scope, push(&queue, &log));
    queue.close();
    advance(0ms);
    (void)go(scope, pop_and_log(&queue, &log, "x"));
    (void)go(scope, pop_and_log(&queue, &log, "y"));
    EXPECT_EQ(log, "closed x7 y:closed ");
    EXPECT_FALSE(queue.try_push(9));
}

TEST_F(SyncTest, an_event_wakes_all_stays_set_and_lets_a_cancelled_waiter_go) {
    Event event;
    auto wait = [](Event* e, std::string* out, std::string label) -> Task<> {
        const auto done = co_await as_result([](Event* inner) -> Task<> { co_await inner->wait(); }(e));
        *out += label + (done ? "+ " : "- ");
    };
    (void)go(scope, wait(&event, &log, "a"));
    auto b = go(scope, wait(&event, &log, "b"));
    (void)go(scope, wait(&event, &log, "c"));
    b.cancel();
    event.set();
    advance(0ms);
    (void)go(scope, wait(&event, &log, "d"));
    EXPECT_EQ(log, "b- a+ c+ d+ ");
    event.reset();
    (void)go(scope, wait(&event, &log, "e"));
    EXPECT_EQ(log, "b- a+ c+ d+ ");
}

TEST_F(SyncTest, a_deferred_is_set_once_before_or_after_it_is_awaited) {
    Deferred<int> early, late;
    Deferred<void> failing;
    auto get = [](Deferred<int>* d, std::string* out) -> Task<> {
        *out += std::to_string(co_await d->get()) + " ";
    };
    EXPECT_TRUE(early.set(1));
    EXPECT_FALSE(early.set(2));
    (void)go(scope, get(&early, &log));
    (void)go(scope, get(&late, &log));
    EXPECT_FALSE(late.done());
    late.set(3);
    failing.set(Error("broken"));
    (void)go(scope, failing.get());
    advance(0ms);
    EXPECT_EQ(log, "1 3 ");
    EXPECT_EQ(dropped, std::vector<std::string>{"broken"});
}

Task<int> nap(Duration length) {
    co_await sleep(length);
    co_return 5;
}
Task<> timed(Duration limit, Task<int> task, std::string* out) {
    const auto result = co_await as_result(with_timeout(limit, std::move(task)));
    *out += (result ? std::to_string(*result) : result.error().code()) + " ";
}
TEST_F(SyncTest, a_timeout_at_the_very_instant_of_the_result) {
    (void)go(scope, timed(10ms, nap(10ms), &log));  // its sleep is armed first: it wins
    Deferred<int> late;
    Alarm answer(executor, [&] { late.set(6); });
    (void)go(scope, timed(10ms, late.get(), &log));
    answer.in(10ms);  // armed behind the limit: comes too late
    advance(20ms);
    EXPECT_EQ(log, "5 timed_out ");
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(SyncTest, a_limit_that_passes_while_a_cancelled_call_still_ends) {
    auto stubborn = []() -> Task<int> { co_return co_await shielded(nap(50ms)); };
    auto job = go(scope, timed(20ms, stubborn(), &log));
    advance(5ms);
    job.cancel();
    advance(40ms);  // past the limit, while the shielded part goes on
    EXPECT_FALSE(job.done());
    advance(20ms);
    EXPECT_TRUE(job.done());
    EXPECT_EQ(log, "cancelled ");
}

TEST_F(SyncTest, a_timeout_that_never_comes_and_one_that_has_passed) {
    (void)go(scope, timed(Duration::max(), nap(1ms), &log));
    (void)go(scope, timed(-1s, nap(1ms), &log));
    auto forever = []() -> Task<> { co_await sleep(Duration::max()); };
    auto job = go(scope, forever());
    advance(10ms);
    EXPECT_EQ(log, "timed_out 5 ");
    EXPECT_FALSE(job.done());
}

Task<int> deep(int levels) {
    if (levels == 0) co_return 1;
    co_return 1 + co_await deep(levels - 1);
}
Task<int> deep_failure(int levels) {
    if (levels == 0) {
        co_await yield();
        throw Error("deep");
    }
    co_return 1 + co_await deep_failure(levels - 1);
}
Task<> keep(Task<int> task, int* out) { *out = co_await std::move(task); }
TEST_F(SyncTest, a_chain_of_100000_awaits_takes_no_stack) {
    int out = 0;
    (void)go(scope, keep(deep(100'000), &out));
    EXPECT_EQ(out, 100'001);
    auto failing = go(scope, keep(deep_failure(2'000), &out));
    auto look = [](Join<> job, std::string* into) -> Task<> {
        const auto result = co_await as_result([](Join<> inner) -> Task<> { co_await inner; }(std::move(job)));
        *into = result ? "" : result.error().code();
    };
    (void)go(scope, look(std::move(failing), &log));
    advance(1ms);
    EXPECT_EQ(log, "deep");
}

Task<int> at_once(int value) { co_return value; }
Task<> many(std::int64_t* total) {
    for (int i = 0; i < 1'000'000; ++i) *total += co_await at_once(1);
}
Task<> many_jobs(std::int64_t* total) {
    for (int i = 0; i < 1'000'000; ++i) *total += co_await go(at_once(1));
}
TEST_F(SyncTest, a_million_tasks_that_end_at_once_take_no_stack) {
    std::int64_t total = 0;
    (void)go(scope, many(&total));
    (void)go(scope, many_jobs(&total));
    EXPECT_EQ(total, 2'000'000);
    const auto live = frame_counters().live;
    for (int i = 0; i < 100'000; ++i) (void)go(scope, at_once(1));
    EXPECT_EQ(frame_counters().live, live);
}

TEST_F(SyncTest, a_join_dropped_at_any_time_frees_the_task_once) {
    const auto live = frame_counters().live;
    { auto before = go(scope, nap(5ms)); }       // while it runs
    auto during = std::make_unique<Join<int>>(go(scope, nap(5ms)));
    auto after = std::make_unique<Join<int>>(go(scope, nap(5ms)));
    Alarm drop(executor, [&] { during.reset(); });  // in the turn in which it ends
    drop.in(5ms);
    advance(5ms);
    EXPECT_TRUE(after->done());
    after.reset();
    EXPECT_EQ(frame_counters().live, live);
}

TEST_F(SyncTest, a_waiter_of_a_join_may_be_cancelled_before_during_and_after_its_end) {
    auto wait = [](Join<int> job, std::string* out) -> Task<> {
        try {
            *out += std::to_string(co_await job) + " ";
            co_await sleep(1ms);
            *out += "free ";
        } catch (const Error& error) {
            *out += error.code() + " ";
        }
    };
    for (const int at : {1, 5, 6, 7}) {
        auto job = go(scope, wait(go(scope, nap(5ms)), &log));
        Alarm cancel(executor, [&] { job.cancel(); });
        cancel.in(Duration(at * 1ms));
        advance(10ms);
        EXPECT_TRUE(job.done());
    }
    EXPECT_EQ(log, "cancelled cancelled 5 cancelled 5 free ");
    EXPECT_EQ(scope.running(), 0u);
}

Task<> close_then(Scope* s, std::string* out, std::string label) {
    co_await s->close();
    *out += label;
}
Task<> stubborn_nap(Duration length) { (void)co_await shielded(nap(length)); }
TEST_F(SyncTest, a_scope_closed_by_several_tasks_that_themselves_are_cancelled) {
    auto inner = std::make_unique<Scope>(executor, "inner");
    (void)go(*inner, stubborn_nap(5ms));
    (void)go(scope, close_then(inner.get(), &log, "a"));
    auto b = go(scope, close_then(inner.get(), &log, "b"));
    b.cancel();  // closing is not left half done
    advance(1ms);
    EXPECT_EQ(log, "");
    (void)go(*inner, stubborn_nap(10ms));  // born into a closing scope: shielded work completes
    advance(5ms);
    EXPECT_EQ(log, "");
    advance(10ms);
    EXPECT_EQ(log, "ab");
}

TEST_F(SyncTest, a_scope_may_be_destroyed_right_after_close) {
    auto inner = std::make_unique<Scope>(executor, "inner");
    auto kept = go(*inner, stubborn_nap(1ms));
    for (int i = 0; i < 10; ++i) (void)go(*inner, stubborn_nap(1ms));
    auto destroy = [](std::unique_ptr<Scope> s) -> Task<> {
        co_await s->close();
        s.reset();
    };
    auto job = go(scope, destroy(std::move(inner)));
    advance(5ms);
    EXPECT_TRUE(job.done());
    EXPECT_TRUE(kept.done());  // a handle may outlive the scope
}

TEST_F(SyncTest, a_task_that_starts_tasks_while_its_scope_closes_is_waited_for) {
    auto inner = std::make_unique<Scope>(executor, "inner");
    auto breed = [](Scope* s, int* born) -> Task<> {
        try {
            co_await sleep(1h);
        } catch (const Error&) {
        }
        for (int i = 0; i < 3; ++i) {
            ++*born;
            (void)go(*s, stubborn_nap(2ms));
        }
    };
    int born = 0;
    (void)go(*inner, breed(inner.get(), &born));
    (void)go(scope, close_then(inner.get(), &log, "closed"));
    advance(1ms);
    EXPECT_EQ(born, 3);
    EXPECT_EQ(log, "");
    advance(5ms);
    EXPECT_EQ(log, "closed");
}

TEST_F(SyncTest, the_hearer_of_dropped_failures_may_itself_fail) {
    int heard = 0;
    executor.on_dropped_failure = [&](const Error&, const std::exception_ptr&) {
        ++heard;
        throw std::runtime_error("log is full");
    };
    auto fail = []() -> Task<> {
        co_await yield();
        throw Error("broken");
    };
    (void)go(scope, fail());
    { auto late = go(scope, fail()); advance(1ms); }
    EXPECT_EQ(heard, 2);
}

TEST_F(SyncTest, what_is_thrown_inside_a_catch_of_a_deep_chain) {
    auto rethrow = [](std::string* out) -> Task<> {
        try {
            (void)co_await deep_failure(10);
        } catch (const Error& error) {
            *out += error.code();
            throw std::runtime_error("foreign");
        }
    };
    (void)go(scope, rethrow(&log));
    advance(1ms);
    EXPECT_EQ(log, "deep");
    EXPECT_EQ(dropped, std::vector<std::string>{"internal"});
}

TEST(Alarm, may_destroy_cancel_or_move_itself_in_its_own_callback) {
    Executor executor;
    std::unique_ptr<Alarm> alarm;
    const auto big = std::make_shared<std::string>(100, 'x');
    std::string seen;
    // Captures that do not fit into std::function itself: asan sees a use after their end.
    alarm = std::make_unique<Alarm>(executor, [&alarm, &seen, big, text = *big] {
        alarm.reset();
        seen = text + *big;
    });
    alarm->every(1ms);
    executor.turn(TimePoint(1ms));
    EXPECT_EQ(seen.size(), 200u);
    EXPECT_EQ(executor.timers(), 0u);

    int fired = 0;
    Alarm again(executor, [&] {
        if (++fired < 3) again.in(1ms);
    });
    again.in(0ms);
    for (int ms = 1; ms < 10; ++ms) executor.turn(TimePoint(ms * 1ms));
    EXPECT_EQ(fired, 3);
    Alarm once(executor, [&] { ++fired, once.cancel(); });
    once.every(1ms);
    executor.turn(TimePoint(20ms));
    executor.turn(TimePoint(30ms));
    EXPECT_EQ(fired, 4);
}

TEST(Alarm, a_stall_is_made_up_for_within_bounds_and_keeps_its_phase) {
    Executor executor;
    int fired = 0;
    Alarm alarm(executor, [&] { ++fired; });
    alarm.every(10ms);
    executor.turn(TimePoint(10ms + 30ms));
    for (int i = 0; i < 10; ++i) executor.turn(executor.now());
    EXPECT_EQ(fired, 4);  // at 10, 20, 30 and 40
    executor.turn(TimePoint(1h + 5ms));
    for (int i = 0; i < 100; ++i) executor.turn(executor.now());
    EXPECT_LE(fired, 4 + Alarm::catch_up_max + 2);
    const int before = fired;
    executor.turn(TimePoint(1h + 9ms));
    EXPECT_EQ(fired, before);
    executor.turn(TimePoint(1h + 10ms));
    EXPECT_EQ(fired, before + 1);
}

TEST(Executor, a_timer_moved_into_the_past_does_not_delay_those_that_are_due) {
    Executor executor;
    std::string order;
    Alarm other(executor, [&] { order += "other "; });
    int again = 0;
    Alarm greedy(executor, [&] {
        order += "greedy ";
        if (++again < 3) greedy.in(-1h);
    });
    greedy.in(1ms);
    other.in(2ms);
    executor.turn(TimePoint(5ms));
    EXPECT_EQ(order, "greedy other ");
    executor.turn(TimePoint(5ms));
    EXPECT_EQ(order, "greedy other greedy ");
}

}  // namespace
}  // namespace gyre

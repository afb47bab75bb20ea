#include <benchmark/benchmark.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <gyre/task/dump.hpp>
#include <gyre/task/sync.hpp>
#include <memory>
#include <new>
#include <thread>
#include <vector>

// Tasks beside boost::asio::awaitable, both on one thread and inside of a started chain.
namespace gyre {
namespace {
namespace asio = boost::asio;

/// The measured loop runs inside a task, so that awaits are plain awaits.
template <class F>
void in_task(benchmark::State& state, F body) {
    Executor executor;
    Scope scope(executor, "bench");
    (void)go(scope, body(&state));
    while (scope.running() > 0) executor.turn(executor.now());
}
template <class F>
void in_asio(benchmark::State& state, F body) {
    asio::io_context context(1);
    asio::co_spawn(context, body(&state), asio::detached);
    context.run();
}

Task<long> one(long value) { co_return value; }
Task<> await_one(benchmark::State* state) {
    long sum = 0;
    for (auto _ : *state) benchmark::DoNotOptimize(sum += co_await one(1));
}
asio::awaitable<long> asio_one(long value) { co_return value; }
asio::awaitable<void> asio_await_one(benchmark::State* state) {
    long sum = 0;
    for (auto _ : *state) benchmark::DoNotOptimize(sum += co_await asio_one(1));
}
void task_create_await_destroy(benchmark::State& state) { in_task(state, await_one); }
void asio_create_await_destroy(benchmark::State& state) { in_asio(state, asio_await_one); }

Task<long> levels(long depth) {
    if (depth == 0) co_return 1;
    co_return 1 + co_await levels(depth - 1);
}
Task<> await_levels(benchmark::State* state) {
    for (auto _ : *state) benchmark::DoNotOptimize(co_await levels(4));
}
asio::awaitable<long> asio_levels(long depth) {
    if (depth == 0) co_return 1;
    co_return 1 + co_await asio_levels(depth - 1);
}
asio::awaitable<void> asio_await_levels(benchmark::State* state) {
    for (auto _ : *state) benchmark::DoNotOptimize(co_await asio_levels(4));
}
void task_5_deep(benchmark::State& state) { in_task(state, await_levels); }
void asio_5_deep(benchmark::State& state) { in_asio(state, asio_await_levels); }

Task<> await_started(benchmark::State* state) {
    for (auto _ : *state) benchmark::DoNotOptimize(co_await go(one(1)));
}
asio::awaitable<void> asio_await_started(benchmark::State* state) {
    auto executor = co_await asio::this_coro::executor;
    for (auto _ : *state)
        benchmark::DoNotOptimize(co_await asio::co_spawn(executor, asio_one(1), asio::use_awaitable));
}
void task_go_and_await(benchmark::State& state) { in_task(state, await_started); }
void asio_spawn_and_await(benchmark::State& state) { in_asio(state, asio_await_started); }

struct Parked : Waiter {
    explicit Parked(Parked** place) : Waiter([](Waiter&) {}) { *place = this; }
};
Task<> park(Parked** place, const bool* stop) {
    while (!*stop) {
        Parked parked(place);
        co_await parked;
    }
}
/// A parked task goes on and parks again.
void task_resume(benchmark::State& state) {
    Executor executor;
    Scope scope(executor, "bench");
    Parked* place = nullptr;
    bool stop = false;
    (void)go(scope, park(&place, &stop));
    for (auto _ : state) place->resume_now();
    stop = true;
    place->resume_now();
}
/// The same through the ready queue.
Task<> yields(benchmark::State* state) {
    for (auto _ : *state) co_await yield();
}
asio::awaitable<void> asio_posts(benchmark::State* state) {
    auto executor = co_await asio::this_coro::executor;
    for (auto _ : *state) co_await asio::post(executor, asio::use_awaitable);
}
void task_yield(benchmark::State& state) { in_task(state, yields); }
void asio_post(benchmark::State& state) { in_asio(state, asio_posts); }

Task<> locks(benchmark::State* state) {
    Mutex mutex;
    for (auto _ : *state) const auto held = co_await mutex.lock();
}
void task_mutex_free(benchmark::State& state) { in_task(state, locks); }

Task<> alls(benchmark::State* state) {
    for (auto _ : *state) benchmark::DoNotOptimize(co_await when_all(one(1), one(2)));
}
void task_when_all_2(benchmark::State& state) { in_task(state, alls); }

Task<> timeouts(benchmark::State* state) {
    for (auto _ : *state) benchmark::DoNotOptimize(co_await with_timeout(1s, one(1)));
}
void task_with_timeout(benchmark::State& state) { in_task(state, timeouts); }

Task<> waits(Event* event, std::uint64_t* sum) {
    co_await event->wait();
    ++*sum;
}
constexpr std::size_t million = 1'000'000;
/// A million tasks started, suspended on an event, woken and ended; per task. `bytes`: what one takes
/// of the heap while suspended, its chain and frame.
void task_million_suspended(benchmark::State& state) {
    std::uint64_t sum = 0, before = frame_counters().bytes, at_most = 0;
    for (auto _ : state) {
        Executor executor;
        Scope scope(executor, "bench");
        Event event;
        for (std::size_t i = 0; i < million; ++i) (void)go(scope, waits(&event, &sum));
        at_most = frame_counters().bytes;
        event.set();
        executor.turn(executor.now());
    }
    if (sum != million * state.iterations()) state.SkipWithError("not all have ended");
    state.counters["bytes"] = static_cast<double>(at_most - before) / million;
}

/// Bytes of one suspended task beyond its locals, as a row: the figure is bytes, not a time.
void task_bytes(benchmark::State& state) {
    constexpr std::size_t tasks = 100'000;
    double bytes = 0;
    std::thread([&bytes] {  // with a frame pool of its own
        Executor executor;
        Scope scope(executor, "bench");
        Event event;
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < tasks; ++i) (void)go(scope, waits(&event, &sum));
        bytes = static_cast<double>(frame_counters().bytes) / tasks;
        event.set();
        executor.turn(executor.now());
    }).join();
    for (auto _ : state) state.SetIterationTime(bytes * 1e-9);
    state.SetLabel("bytes");
}
/// Requests to the heap during 100 000 warm rounds of the operations above, as a row: a count.
Task<> warm_rounds(int rounds) {
    Mutex mutex;
    Event event;
    event.set();
    for (int i = 0; i < rounds; ++i) {
        benchmark::DoNotOptimize(co_await levels(4));
        benchmark::DoNotOptimize(co_await go(one(1)));
        benchmark::DoNotOptimize(co_await when_all(one(1), one(2)));
        benchmark::DoNotOptimize(co_await with_timeout(1s, one(1)));
        const auto held = co_await mutex.lock();
        co_await event.wait();
        co_await yield();
    }
}
std::uint64_t heap_requests = 0;
void run_rounds(int rounds) {
    Executor executor;
    Scope scope(executor, "bench");
    (void)go(scope, warm_rounds(rounds));
    while (scope.running() > 0) executor.turn(executor.now());
}
void task_allocations_when_warm(benchmark::State& state) {
    run_rounds(100);
    const auto before = heap_requests;
    run_rounds(100);
    const auto fixed = heap_requests - before;  // of executor and scope
    const auto middle = heap_requests;
    run_rounds(100'000);
    const double more = static_cast<double>(heap_requests - middle - fixed);
    for (auto _ : state) state.SetIterationTime(more * 1e-9);
    state.SetLabel("requests");
}
/// The text of 1 000 suspended tasks, per task.
void task_dump(benchmark::State& state) {
    Executor executor;
    Scope scope(executor, "bench");
    Event event;
    std::uint64_t sum = 0;
    for (int i = 0; i < 1'000; ++i) (void)go(scope, waits(&event, &sum));
    for (auto _ : state) benchmark::DoNotOptimize(dump_tasks(executor));
    state.SetItemsProcessed(state.iterations() * 1'000);
    event.set();
    executor.turn(executor.now());
}

BENCHMARK(task_create_await_destroy);
BENCHMARK(asio_create_await_destroy)->Name("task_create_await_destroy/peer:asio");
BENCHMARK(task_5_deep);
BENCHMARK(asio_5_deep)->Name("task_5_deep/peer:asio");
BENCHMARK(task_go_and_await);
BENCHMARK(asio_spawn_and_await)->Name("task_go_and_await/peer:asio");
BENCHMARK(task_yield);
BENCHMARK(asio_post)->Name("task_yield/peer:asio");
BENCHMARK(task_resume);
BENCHMARK(task_mutex_free);
BENCHMARK(task_when_all_2);
BENCHMARK(task_with_timeout);
BENCHMARK(task_million_suspended)->Unit(benchmark::kMillisecond)->Iterations(3);
BENCHMARK(task_bytes)->UseManualTime()->Iterations(1);
BENCHMARK(task_allocations_when_warm)->UseManualTime()->Iterations(1);
BENCHMARK(task_dump);

}  // namespace
void count_heap_request() { ++heap_requests; }
}  // namespace gyre

void* operator new(std::size_t bytes) {
    gyre::count_heap_request();
    if (void* memory = std::malloc(bytes)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

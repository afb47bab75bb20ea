#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <gyre/base/error.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/task/sync.hpp>
#include <gyre/trace/failed.hpp>
#include <gyre/trace/symbols.hpp>
#include <gyre/trace/throw.hpp>
#include <stdexcept>
#include <thread>

// What a throw costs, one await passed.
namespace gyre::trace {
namespace {

volatile int one = 1;

[[gnu::noinline]] void throw_error() {
    if (one) throw Error(errc::not_found, "it");
}
[[gnu::noinline]] void throw_foreign() {
    if (one) throw std::runtime_error("it");
}
Task<> throwing(void (*thrower)()) {
    thrower();
    co_return;
}
Task<> catching(void (*thrower)(), std::int64_t count, bool tell) {
    for (std::int64_t i = 0; i < count; ++i) {
        try {
            co_await throwing(thrower);
        } catch (...) {
            if (tell) failed("bench.failed", std::current_exception());
        }
    }
}
void run(benchmark::State& state, void (*thrower)()) {
    index();
    Executor executor;
    {
        Scope scope(executor, "bench");
        for (auto _ : state) (void)go(scope, catching(thrower, 1, false));
        state.SetItemsProcessed(state.iterations());
    }
}
void trace_throw_error(benchmark::State& state) { run(state, &throw_error); }
void trace_throw_foreign(benchmark::State& state) { run(state, &throw_foreign); }
BENCHMARK(trace_throw_error);
BENCHMARK(trace_throw_foreign);

/// A second of failures from one place, told: the longest one of them held its loop.
void trace_failures_1000_a_second(benchmark::State& state) {
    index();
    start_reports();
    Executor executor;
    std::chrono::steady_clock::duration longest{}, all{};
    std::int64_t count = 0;
    {
        Scope scope(executor, "bench");
        for (auto _ : state) {
            auto next = std::chrono::steady_clock::now();
            for (int i = 0; i < 1'000; ++i, ++count) {
                std::this_thread::sleep_until(next += std::chrono::milliseconds(1));
                const auto begun = std::chrono::steady_clock::now();
                (void)go(scope, catching(&throw_foreign, 1, true));
                const auto took = std::chrono::steady_clock::now() - begun;
                longest = std::max(longest, took);
                all += took;
            }
        }
    }
    stop_reports();
    state.counters["longest_us"] = std::chrono::duration<double, std::micro>(longest).count();
    state.counters["mean_us"] = std::chrono::duration<double, std::micro>(all).count() / static_cast<double>(count);
}
BENCHMARK(trace_failures_1000_a_second)->Iterations(3)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gyre::trace

#include <benchmark/benchmark.h>

#include <gyre/base/context.hpp>
#include <gyre/log/backend.hpp>
#include <string>

namespace gyre::log {
namespace {

/// A call whose level is off.
void log_off(benchmark::State& state) {
    set_level(Level::info);
    for (auto _ : state) debug("bench.event", {{"peer", 7}, {"reason", "closed"}});
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(log_off);

/// What the caller pays for one line of three fields inside a task, in bursts of 1000 that the
/// writer finishes between them.
void log_three_fields(benchmark::State& state) {
    start({.console = false, .file = "/dev/null"}).value();
    NodeIdentity node{.name = "battle_1", .role = "battle", .build = {}};
    Context context{.node = &node, .entity = 12, .call = 3};
    const ContextGuard guard(&context);
    const std::string reason = "timed_out";
    constexpr int burst = 1'000;
    for (auto _ : state) {
        for (int i = 0; i < burst; ++i) {
            info("bench.channel_closed", {{"peer", i}, {"reason", reason}, {"rtt_ms", 81ms}});
        }
        state.PauseTiming();
        flush();
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * burst);
    state.SetLabel("dropped " + std::to_string(stats().dropped));
    stop();
}
BENCHMARK(log_three_fields);

/// Without a pause, to see what the writer sustains: lines that were dropped are counted.
void log_flood(benchmark::State& state) {
    start({.console = false, .file = "/dev/null"}).value();
    const Stats before = stats();
    for (auto _ : state) info("bench.flood", {{"peer", 7}, {"reason", "closed"}, {"rtt_ms", 81ms}});
    flush();
    state.counters["written_per_s"] = benchmark::Counter(
        static_cast<double>(stats().written - before.written), benchmark::Counter::kIsRate);
    state.counters["dropped"] = static_cast<double>(stats().dropped - before.dropped);
    stop();
}
BENCHMARK(log_flood)->UseRealTime();

}  // namespace
}  // namespace gyre::log

#include <benchmark/benchmark.h>

#include <gyre/base/hash.hpp>
#include <gyre/metric/registry.hpp>

namespace gyre::metric {
namespace {

/// One add to a counter kept by reference.
void counter_add(benchmark::State& state) {
    Registry registry;
    Counter& counter = registry.counter("gyre_bench_count_total");
    for (auto _ : state) {
        counter.add();
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(counter_add);

/// One record of a value of any size up to 2^32.
void histogram_record(benchmark::State& state) {
    Histogram histogram;
    std::uint64_t i = 0;
    for (auto _ : state) histogram.record(mix(++i) >> 32);
    benchmark::DoNotOptimize(histogram);
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(histogram_record);

/// p99 of a full histogram.
void histogram_quantile(benchmark::State& state) {
    Histogram histogram;
    for (std::uint64_t i = 0; i < 100'000; ++i) histogram.record(mix(i) >> 30);
    for (auto _ : state) benchmark::DoNotOptimize(histogram.quantile(0.99));
}
BENCHMARK(histogram_quantile);

}  // namespace
}  // namespace gyre::metric

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <gyre/trace/frames.hpp>
#include <gyre/trace/locals.hpp>
#include <gyre/trace/symbols.hpp>
#include <string>

#include "fixtures/fixture.hpp"

namespace gyre::trace {
namespace {

/// Memory of the process that is no file's.
double own_mb() {
    std::ifstream in("/proc/self/status");
    std::string word;
    double kb = 0;
    while (in >> word && word != "RssAnon:") {
    }
    in >> kb;
    return kb / 1e3;
}

benchmark::State* current = nullptr;
constexpr LocalsLimits enough{.time = std::chrono::seconds(1)};

/// All that is loaded in this process, libgyre with its debug information among it; once, since it
/// stays.
void trace_index_the_process(benchmark::State& state) {
    const double before = own_mb();
    for (auto _ : state) index();
    state.counters["own_MB"] = own_mb() - before;
}

/// A file as `gyre symbolize` opens it: everything of libgyre is read.
void trace_index_libgyre(benchmark::State& state) {
    index();
    const auto object = resolve(reinterpret_cast<std::uintptr_t>(&index)).back().object;
    for (auto _ : state) benchmark::DoNotOptimize(Object::open(object));
}

/// Of a whole stack of this benchmark, libbenchmark and libc among it; items are frames.
void trace_resolve_a_frame(benchmark::State& state) {
    index();
    std::array<FrameState, 32> frames;
    const std::size_t count = capture(frames);
    for (auto _ : state)
        for (std::size_t i = 0; i < count; ++i) benchmark::DoNotOptimize(resolve(frames[i].pc));
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
}

[[gnu::noinline]] void look() {
    std::array<FrameState, 16> frames;
    const std::size_t count = capture(frames);
    // The function that called, not its helper.
    for (std::size_t i = 1; i < count; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        const std::string text = locals(frames[i], enough);
        const std::chrono::duration<double, std::micro> took =
            std::chrono::steady_clock::now() - begin;
        static double first = 0;
        first = std::max(first, took.count());
        current->counters["first_us"] = first;
        if (text.empty()) continue;
        current->counters["bytes"] = static_cast<double>(text.size());
        for (auto _ : *current) benchmark::DoNotOptimize(locals(frames[i], enough));
        return;
    }
    current->SkipWithError("no locals");
}

template <void (*function)()>
void locals_of(benchmark::State& state) {
    index();
    current = &state;
    trace_fixture_look = &look;
    function();
}
/// Twenty-two variables of types of the library.
void trace_locals_of_the_library(benchmark::State& state) {
    locals_of<&fixture::library_types>(state);
}
/// Six of structures.
void trace_locals_of_structures(benchmark::State& state) { locals_of<&fixture::structures>(state); }

BENCHMARK(trace_index_the_process)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(trace_index_libgyre)->Unit(benchmark::kMillisecond);
BENCHMARK(trace_resolve_a_frame);
BENCHMARK(trace_locals_of_the_library);
BENCHMARK(trace_locals_of_structures);

}  // namespace
}  // namespace gyre::trace

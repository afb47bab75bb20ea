#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gyre/base/context.hpp>
#include <gyre/log/backend.hpp>
#include <string>
#include <thread>

#if __has_include(<spdlog/async.h>)
#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#endif

/// What a line costs its caller, and how many lines a second reach a file on the disk; beside spdlog's
/// asynchronous logger with a file, a queue as long and lines that say the same.
namespace gyre::log {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int burst_lines = 1'000, flood_lines = 400'000, sustained_lines = 1'000'000;
constexpr std::size_t queue_lines = 64 << 10;

/// On the disk of the source, not in memory as /tmp may be.
struct BenchFile {
    BenchFile() {
        std::filesystem::create_directories(folder);
        std::filesystem::remove(path);
    }
    ~BenchFile() { std::filesystem::remove(path); }
    std::size_t lines() const {
        std::ifstream file(path, std::ios::binary);
        std::size_t count = 0;
        std::string part(1 << 20, 0);
        while (file.read(part.data(), static_cast<std::streamsize>(part.size())), file.gcount() > 0)
            count += static_cast<std::size_t>(
                std::count(part.data(), part.data() + file.gcount(), '\n'));
        return count;
    }
    const std::string folder = "build/bench/log_" + std::to_string(::getpid());
    const std::string path = folder + "/bench.log";
};

/// Ours: a ring of 8 MiB holds about 64 Ki lines.
struct Own {
    Own() {
        start({.console = false, .file = file.path, .file_bytes_max = std::uint64_t{1} << 40, .gzip = false}).value();
    }
    ~Own() { stop(); }
    void line(int i) { info("bench.channel_closed", {{"peer", i}, {"reason", reason}, {"rtt_ms", 81ms}}); }
    void wait_until_written() { flush(60s); }
    void finish() { flush(60s); }
    /// So that nothing is dropped: waits while the ring is nearly full.
    void back_pressure(int i) {
        if (i % 256 != 0) return;
        while (stats().waiting_bytes > (6u << 20)) std::this_thread::yield();
    }
    BenchFile file;
    const std::string reason = "timed_out";
};

#if __has_include(<spdlog/async.h>)
template <spdlog::async_overflow_policy policy>
struct Spdlog {
    Spdlog() {
        pool = std::make_shared<spdlog::details::thread_pool>(queue_lines, 1);
        sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.path, true);
        logger = std::make_shared<spdlog::async_logger>("battle_1", sink, pool, policy);
        logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
            "%Y-%m-%dT%H:%M:%S.%eZ %l %n %v", spdlog::pattern_time_type::utc));
    }
    void line(int i) { logger->info("bench.channel_closed peer={} reason={} rtt_ms={}", i, reason, 81); }
    void wait_until_written() {
        while (pool->queue_size() > 0) std::this_thread::yield();
        sink->flush();
    }
    void finish() {  // its thread ends when the queue is empty
        logger.reset();
        pool.reset();
        sink->flush();
    }
    void back_pressure(int) {}  // its policy
    BenchFile file;
    std::shared_ptr<spdlog::details::thread_pool> pool;
    std::shared_ptr<spdlog::sinks::basic_file_sink_mt> sink;
    std::shared_ptr<spdlog::async_logger> logger;
    const std::string reason = "timed_out";
};
using SpdlogBlock = Spdlog<spdlog::async_overflow_policy::block>;
using SpdlogOverrun = Spdlog<spdlog::async_overflow_policy::overrun_oldest>;
#endif

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// A line in bursts that the writer finishes between them. Nanoseconds a line.
template <class Log>
void burst(benchmark::State& state) {
    Log log;
    for (auto _ : state) {
        const auto begin = Clock::now();
        for (int i = 0; i < burst_lines; ++i) log.line(i);
        state.SetIterationTime(seconds_since(begin) / burst_lines);
        log.wait_until_written();
    }
}

/// The same within a task: node, entity and call are added.
void burst_within_task(benchmark::State& state) {
    NodeIdentity node{.name = "battle_1", .role = "battle", .build = {}};
    Context context{.node = &node, .entity = 12, .call = 3};
    const ContextGuard guard(&context);
    burst<Own>(state);
}

/// Without a pause, whatever happens to the lines. Nanoseconds a call.
template <class Log>
void flood(benchmark::State& state) {
    for (auto _ : state) {
        Log log;
        const auto begin = Clock::now();
        for (int i = 0; i < flood_lines; ++i) log.line(i);
        state.SetIterationTime(seconds_since(begin) / flood_lines);
    }
}

/// From the first call until the last line is in the file, none lost. Nanoseconds a line.
template <class Log>
void sustained(benchmark::State& state) {
    for (auto _ : state) {
        Log log;
        const auto begin = Clock::now();
        for (int i = 0; i < sustained_lines; ++i) {
            log.line(i);
            log.back_pressure(i);
        }
        log.finish();
        state.SetIterationTime(seconds_since(begin) / sustained_lines);
        if (const auto lines = log.file.lines(); lines != sustained_lines)
            state.SkipWithError(("lines in the file: " + std::to_string(lines)).c_str());
    }
}

/// A call whose level is off; the same while modules have levels of their own.
void off(benchmark::State& state) {
    set_level(Level::info);
    for (auto _ : state) debug("bench.event", {{"peer", 7}, {"reason", "closed"}});
}
void off_by_module(benchmark::State& state) {
    set_level(Level::info);
    for (const char* module : {"world", "net", "rpc"}) set_level(module, Level::debug);
    for (auto _ : state) debug("bench.event", {{"peer", 7}, {"reason", "closed"}});
    for (const char* module : {"world", "net", "rpc"}) set_level(module, std::nullopt);
}

BENCHMARK(off);
BENCHMARK(off_by_module);
BENCHMARK(burst<Own>)->Name("burst")->UseManualTime()->Iterations(200);
BENCHMARK(burst_within_task)->UseManualTime()->Iterations(200);
BENCHMARK(flood<Own>)->Name("flood_when_it_blocks")->UseManualTime()->Iterations(1);
BENCHMARK(flood<Own>)->Name("flood_when_it_overruns")->UseManualTime()->Iterations(1);
BENCHMARK(sustained<Own>)->Name("sustained")->UseManualTime()->Iterations(1);
#if __has_include(<spdlog/async.h>)
BENCHMARK(burst<SpdlogBlock>)->Name("burst/peer:spdlog")->UseManualTime()->Iterations(200);
BENCHMARK(flood<SpdlogBlock>)->Name("flood_when_it_blocks/peer:spdlog")->UseManualTime()->Iterations(1);
BENCHMARK(flood<SpdlogOverrun>)->Name("flood_when_it_overruns/peer:spdlog")->UseManualTime()->Iterations(1);
BENCHMARK(sustained<SpdlogBlock>)->Name("sustained/peer:spdlog")->UseManualTime()->Iterations(1);
#endif

}  // namespace
}  // namespace gyre::log

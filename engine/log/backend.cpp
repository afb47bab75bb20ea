#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <condition_variable>
#include <gyre/log/backend.hpp>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "detail/ring.hpp"
#include "detail/sinks.hpp"
#include "detail/taps.hpp"

namespace gyre::log {

namespace detail {
namespace {

constexpr Duration nap = 5ms;         // between batches: the caller pays for no wake-up
constexpr Duration long_nap = 250ms;  // after a second without lines; the next one wakes
constexpr int naps_until_long = 200;
constexpr Duration waiting_nap = 1ms;  // a console or a file has not taken all yet
constexpr Duration stop_patience = 2s, early_patience = 250ms;
constexpr std::size_t errors_part = 8;  // 1/8 of the ring is kept for errors
constexpr std::uint64_t batch_bytes = 1u << 18;

Duration steady_now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::chrono::seconds(t.tv_sec) + Duration(t.tv_nsec);
}

/// The one thing of the process. Never destroyed: destructors of statics may log.
class Backend {
public:
    Result<> start(const Config& config);
    void stop() noexcept;
    bool flush(Duration timeout) noexcept;
    void write(const Record& record);

    std::atomic<WallTime (*)()> clock = nullptr;
    std::atomic<std::uint64_t> written = 0, dropped = 0, errors_dropped = 0, sink_failures = 0;
    std::atomic<std::uint64_t> console_dropped = 0, file_dropped = 0;

    std::uint64_t waiting_bytes() const {
        const Ring* const ring = ring_.load(std::memory_order_acquire);
        return ring ? ring->head() - ring->tail() : 0;
    }

private:
    void run();
    bool replace(std::vector<std::unique_ptr<Sink>>& sinks, std::size_t ring_bytes);
    void end_sinks();
    bool drain();
    void emit(const Record& record);
    void write_now(const Record& record);
    void report_dropped();
    void flush_sinks();
    void failed(Sink& sink, const Error& error);
    void count_lost(Sink& sink);
    bool waiting() const;
    void note(Level level, std::string_view event, Fields fields);

    std::mutex lifecycle_;
    std::thread writer_;
    std::atomic<Ring*> ring_ = nullptr;  // where callers write; null: not running

    std::mutex output_;                         // the reading end of the ring, and the sinks
    std::vector<std::unique_ptr<Ring>> rings_;  // the last is the one; callers may still see others
    std::vector<std::unique_ptr<Sink>> sinks_;

    std::mutex replace_mutex_;
    std::vector<std::unique_ptr<Sink>> next_sinks_;
    std::atomic<bool> replacing_ = false;
    std::condition_variable replaced_;
    std::uint64_t dropped_told_ = 0, errors_dropped_told_ = 0;
    std::unique_ptr<ConsoleSink> early_;  // for lines without a start()

    std::mutex nap_mutex_;
    std::condition_variable wake_;
    std::atomic<bool> stopping_ = false, hurry_ = false, asleep_ = false;
    std::atomic<std::uint64_t> flushed_ = 0;  // position in the ring
};

Backend& backend() {
    static Backend* const one = new Backend;
    return *one;
}

std::int64_t now_ns() {
    if (const auto now = backend().clock.load(std::memory_order_relaxed)) {
        return now().time_since_epoch().count();
    }
    timespec t{};
    ::clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

Result<> check_values(const Config& config) {
    const auto outside = [](const char* field, std::uint64_t value, const char* range) {
        return Error(errc::bad_config, std::string("log.") + field + ": " + std::to_string(value) +
                                           " is outside " + range);
    };
    if (config.ring_bytes < (64u << 10) || config.ring_bytes > (1u << 30) ||
        !std::has_single_bit(config.ring_bytes)) {
        return outside("ring_bytes", config.ring_bytes, "[65536, 1073741824], powers of two");
    }
    if (config.file_bytes_max < 4'096 || config.file_bytes_max > (std::uint64_t{1} << 40)) {
        return outside("file_bytes_max", config.file_bytes_max, "[4096, 1099511627776]");
    }
    if (config.files_kept > 1'000) return outside("files_kept", config.files_kept, "[0, 1000]");
    if (auto schedule = Schedule::parse(config.rotate, config.local_time); !schedule.ok())
        return schedule.error();
    return {};
}

Result<> Backend::start(const Config& config) {
    if (auto checked = check_values(config); !checked.ok()) return checked;
    std::vector<std::unique_ptr<Sink>> sinks;
    if (config.console) {
        const Style style{.json = config.json,
                          .color = wants_color(config.console_fd),
                          .local = config.local_time};
        sinks.push_back(
            std::make_unique<ConsoleSink>(config.console_fd, style, config.console_level));
    }
    if (!config.file.empty()) {
        auto file = std::make_unique<FileSink>(config);
        if (auto opened = file->open(); !opened.ok()) return opened;
        sinks.push_back(std::move(file));
    }
    static const int at_exit = std::atexit([] { log::stop(); });
    (void)at_exit;
    if (replace(sinks, config.ring_bytes)) {
        set_level(config.level);
        return {};
    }
    stop();
    std::lock_guard lifecycle(lifecycle_);
    {
        std::lock_guard output(output_);
        drain();
        sinks_ = std::move(sinks);
        if (rings_.empty() || rings_.back()->capacity() != config.ring_bytes) {
            rings_.push_back(std::make_unique<Ring>(config.ring_bytes));
        }
        flushed_ = rings_.back()->tail();
        ring_.store(rings_.back().get(), std::memory_order_release);
    }
    set_level(config.level);
    stopping_ = hurry_ = asleep_ = false;
    // Signals are for the threads of the host.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    writer_ = std::thread([this] { run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return {};
}

/// While the writer runs with such a ring: it goes on with other sinks. False when it does not.
bool Backend::replace(std::vector<std::unique_ptr<Sink>>& sinks, std::size_t ring_bytes) {
    std::lock_guard lifecycle(lifecycle_);
    const Ring* const ring = ring_.load(std::memory_order_acquire);
    if (!ring || ring->capacity() != ring_bytes) return false;
    flush(stop_patience);
    std::unique_lock lock(replace_mutex_);
    next_sinks_ = std::move(sinks);
    replacing_ = true;
    hurry_.store(true, std::memory_order_relaxed);
    wake_.notify_one();
    replaced_.wait(lock, [&] { return !replacing_; });
    return true;
}

/// Needs output_. Lines that the sinks have not taken by now are lost.
void Backend::end_sinks() {
    flush_sinks();
    for (const auto& sink : sinks_) {
        sink->give_up();
        count_lost(*sink);
    }
}

void Backend::stop() noexcept {
    std::lock_guard lifecycle(lifecycle_);
    if (!writer_.joinable()) return;
    flush(stop_patience);
    ring_.store(nullptr, std::memory_order_release);
    stopping_ = true;
    wake_.notify_one();
    writer_.join();
    std::vector<std::unique_ptr<Sink>> ended;  // not under the lock: what ends may log
    std::lock_guard output(output_);
    ended.swap(sinks_);
}

bool Backend::flush(Duration timeout) noexcept {
    const Ring* ring = ring_.load(std::memory_order_acquire);
    if (!ring) return true;
    const std::uint64_t until = ring->head();
    const Duration deadline = steady_now() + timeout;
    while (static_cast<std::int64_t>(flushed_.load(std::memory_order_acquire) - until) < 0) {
        if (steady_now() > deadline) return false;
        hurry_.store(true, std::memory_order_relaxed);
        wake_.notify_one();
        const timespec pause{0, 200'000};
        ::nanosleep(&pause, nullptr);
    }
    return true;
}

void Backend::write(const Record& record) {
    if (give_to_capture(record)) return give_to_taps(record);
    Ring* const ring = ring_.load(std::memory_order_acquire);
    if (!ring) return write_now(record);
    const std::size_t bytes = encoded_bytes(record);
    const bool is_error = record.level == Level::error;
    std::uint8_t* at = ring->reserve(bytes, is_error ? 0 : ring->capacity() / errors_part);
    if (!at) {
        (is_error ? errors_dropped : dropped).fetch_add(1, std::memory_order_relaxed);
        return;
    }
    encode(record, at);
    ring->commit(at, bytes);
    // Seen late at worst by one long nap.
    if (asleep_.load(std::memory_order_relaxed) && asleep_.exchange(false)) wake_.notify_one();
}

void Backend::write_now(const Record& record) {
    if (within_wake()) {  // holds what is needed here
        dropped.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    {
        std::lock_guard output(output_);
        drain();
        if (sinks_.empty()) {
            if (!early_) early_ = std::make_unique<ConsoleSink>(2, Style{.color = wants_color(2)});
            early_->write(record);
            early_->flush_for(early_patience);
            written.store(written.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        } else {
            emit(record);
            flush_sinks();
            return;
        }
    }
    give_to_taps(record);
}

void Backend::run() {
    ::pthread_setname_np(::pthread_self(), "gyre-log");
    int idle = 0;
    for (;;) {
        // Read first: what was logged before stop() is in the ring by then.
        const bool last = stopping_.load(std::memory_order_acquire);
        hurry_.store(false, std::memory_order_relaxed);
        bool any = false, waits = false, more = false;
        {
            std::lock_guard output(output_);
            any = drain();
            waits = waiting();
            const Ring& ring = *rings_.back();
            if (last && ring.head() == ring.tail()) {
                end_sinks();  // here, where no signal of a closed pipe gets through
                return;
            }
            if (replacing_) {
                end_sinks();
                sinks_.clear();  // their threads end; what they log goes to the ring
                std::lock_guard replace(replace_mutex_);
                sinks_ = std::move(next_sinks_);
                replacing_ = false;
                replaced_.notify_all();
            }
            more = any && ring.head() - ring.tail() > batch_bytes;
        }
        if (more) continue;
        if (last) {  // a caller is between reserve and commit
            std::this_thread::yield();
            continue;
        }
        idle = any ? 0 : idle + 1;
        const bool sleep = idle > naps_until_long;
        asleep_.store(sleep, std::memory_order_relaxed);
        std::unique_lock lock(nap_mutex_);
        wake_.wait_for(lock, waits ? waiting_nap : sleep ? long_nap : nap, [&] {
            return stopping_.load() || hurry_.load() || asleep_.load() != sleep;
        });
    }
}

/// All that is in the ring now; true when there was something. Needs output_.
bool Backend::drain() {
    if (rings_.empty()) return false;
    Ring& ring = *rings_.back();
    Record record;
    std::uint64_t flush_at = ring.tail() + batch_bytes;
    const std::uint64_t before = ring.tail();
    const std::uint64_t until = ring.head();
    while (const std::uint8_t* at = ring.front()) {
        decode(at, record);
        emit(record);
        ring.pop();
        if (ring.read() >= until) break;  // what comes meanwhile is for the next time
        if (ring.tail() >= flush_at) {
            flush_sinks();
            flush_at = ring.tail() + batch_bytes;
        }
    }
    ring.release();
    report_dropped();
    flush_sinks();
    if (!waiting()) flushed_.store(ring.tail(), std::memory_order_release);
    return ring.tail() != before;
}

bool Backend::waiting() const {
    return std::ranges::any_of(sinks_, [](const auto& sink) { return sink->waiting(); });
}

void Backend::emit(const Record& record) {
    written.store(written.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    for (const auto& sink : sinks_) sink->write(record);
    give_to_taps(record);
}

void Backend::flush_sinks() {
    for (const auto& sink : sinks_) {
        const bool any = !sink->empty();
        const auto result = sink->flush();
        count_lost(*sink);
        if (!any) continue;
        if (!result.ok()) {
            failed(*sink, result.error());
            continue;
        }
        sink->failing = false;
        if (!sink->empty()) continue;  // takes little: told when it takes all
        if (const auto lost = sink->lost() - std::exchange(sink->lost_told, sink->lost()))
            note(Level::warn, "log.sink_dropped", {{"sink", sink->name()}, {"count", lost}});
    }
}

void Backend::count_lost(Sink& sink) {
    auto& dropped_here = sink.name() == std::string_view("file") ? file_dropped : console_dropped;
    dropped_here.fetch_add(sink.lost() - std::exchange(sink.lost_counted, sink.lost()),
                           std::memory_order_relaxed);
}

/// Told once for each streak, to the sinks that work.
void Backend::failed(Sink& sink, const Error& error) {
    sink_failures.fetch_add(1, std::memory_order_relaxed);
    if (std::exchange(sink.failing, true)) return;
    note(Level::error, "log.sink_failed", {{"sink", sink.name()}, {"error", error}});
}

void Backend::report_dropped() {
    const auto now = dropped.load(std::memory_order_relaxed);
    const auto errors_now = errors_dropped.load(std::memory_order_relaxed);
    if (now == dropped_told_ && errors_now == errors_dropped_told_) return;
    note(Level::warn, "log.dropped",
         {{"count", now - dropped_told_}, {"errors", errors_now - errors_dropped_told_}});
    dropped_told_ = now;
    errors_dropped_told_ = errors_now;
}

void Backend::note(Level level, std::string_view event, Fields fields) {
    Record record;
    gather(record, level, event, fields, std::source_location::current());
    record.time_ns = now_ns();
    for (const auto& sink : sinks_) sink->note(record);
}

}  // namespace

void write(Level level, std::string_view event, std::span<const Field> fields,
           const std::source_location& where) noexcept {
    if (!passes(level, event)) return;
    try {
        Record record;
        gather(record, level, event, fields, where);
        record.time_ns = now_ns();
        backend().write(record);
    } catch (...) {  // out of memory outside of the ring: the line is lost, not the caller
        backend().dropped.fetch_add(1, std::memory_order_relaxed);
    }
}

}  // namespace detail

void write_at(Level level, std::string_view event, std::span<const Field> fields, std::string_view file,
              std::uint32_t line, std::uint32_t column) noexcept {
    if (!enabled(level) || !detail::passes(level, event)) return;
    try {
        detail::Record record;
        detail::gather(record, level, event, fields, std::source_location());
        record.file = level >= Level::warn ? file.substr(0, 255) : std::string_view();
        record.line = line;
        record.column = column;
        record.time_ns = detail::now_ns();
        detail::backend().write(record);
    } catch (...) {
        detail::backend().dropped.fetch_add(1, std::memory_order_relaxed);
    }
}
Result<> check(const Config& config) { return detail::check_values(config); }
Result<> start(const Config& config) { return detail::backend().start(config); }
void stop() noexcept { detail::backend().stop(); }
bool flush(Duration timeout) noexcept { return detail::backend().flush(timeout); }
void set_build_lookup(std::string_view (*lookup)(const Context&)) noexcept { detail::build_lookup = lookup; }
std::string running_build(const Context& context) {
    const auto lookup = detail::build_lookup.load(std::memory_order_relaxed);
    return lookup ? std::string(lookup(context)) : std::string();
}
void set_clock(WallTime (*now)()) noexcept { detail::backend().clock = now; }

Stats stats() noexcept {
    const auto& from = detail::backend();
    return {from.written,         from.dropped,      from.errors_dropped,   from.sink_failures,
            from.console_dropped, from.file_dropped, from.waiting_bytes()};
}

}  // namespace gyre::log

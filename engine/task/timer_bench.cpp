#include <benchmark/benchmark.h>

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <gyre/task/executor.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>
#if __has_include(<uv.h>)
#include <uv.h>
#endif

namespace gyre {
namespace {

/// A million timers with deadlines uniform in a minute; every second one is cancelled, the others
/// fire. Timer objects are made before; each figure is nanoseconds a timer.
constexpr std::size_t count = 1'000'000;
constexpr Duration minute = 60s;

const std::vector<Duration>& delays() {
    static const auto all = [] {
        std::mt19937_64 random(1);
        std::vector<Duration> out(count);
        for (auto& delay : out)
            delay = Duration(
                static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(minute.count())));
        return out;
    }();
    return all;
}

/// Which timers are cancelled, in which order.
std::vector<std::size_t> every_second(bool shuffled) {
    std::vector<std::size_t> out(count / 2);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = i * 2;
    if (shuffled) std::shuffle(out.begin(), out.end(), std::mt19937_64(2));
    return out;
}

/// The engine's own, driven as by a loop that turns every millisecond.
class Gyre {
public:
    Gyre() {
        executor_.turn(TimePoint(12'345'678s));
        for (std::size_t i = 0; i < count; ++i)
            timers_.emplace_back(executor_,
                                 [](Timer& timer) { ++static_cast<Counted&>(timer).fired; });
    }
    void add(std::size_t i, Duration delay) { timers_[i].arm_in(delay); }
    void cancel(std::size_t i) { timers_[i].disarm(); }
    void end_cancel() {}
    std::size_t fire() {
        const TimePoint end = executor_.now() + minute;
        while (executor_.now() < end) {
            benchmark::DoNotOptimize(executor_.next_deadline());
            executor_.turn(executor_.now() + 1ms);
        }
        return count / 2 - executor_.timers();
    }

private:
    struct Counted : Timer {
        using Timer::Timer;
        std::uint64_t fired = 0;
    };
    Executor executor_;
    std::deque<Counted> timers_;
};

struct VirtualClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<VirtualClock>;
    static inline time_point current{std::chrono::hours(1)};
    static time_point now() { return current; }
};

/// All due ones fire in one run: the clock jumps a minute.
class Asio {
public:
    Asio() {
        for (std::size_t i = 0; i < count; ++i) timers_.emplace_back(context_);
    }
    void add(std::size_t i, Duration delay) {
        timers_[i].expires_at(VirtualClock::now() + delay);
        timers_[i].async_wait([this](const boost::system::error_code& error) { fired_ += !error; });
    }
    void cancel(std::size_t i) { timers_[i].cancel(); }
    void end_cancel() {  // their handlers
        context_.restart();
        context_.poll();
    }
    std::size_t fire() {
        VirtualClock::current += minute;
        first_.expires_at({});  // makes it look at the clock
        first_.async_wait([](const boost::system::error_code&) {});
        context_.restart();
        context_.run();
        return std::exchange(fired_, 0);
    }

private:
    boost::asio::io_context context_{1};
    boost::asio::basic_waitable_timer<VirtualClock> first_{context_};
    std::deque<boost::asio::basic_waitable_timer<VirtualClock>> timers_;
    std::size_t fired_ = 0;
};

#if __has_include(<uv.h>)
/// Deadlines rounded to its milliseconds; all due ones fire in one turn.
class Libuv {
public:
    Libuv() : timers_(count) {
        uv_loop_init(&loop_);
        loop_.data = this;
        for (auto& timer : timers_) uv_timer_init(&loop_, &timer);
    }
    ~Libuv() {
        for (auto& timer : timers_) uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
        uv_run(&loop_, UV_RUN_DEFAULT);
        uv_loop_close(&loop_);
    }
    void add(std::size_t i, Duration delay) {
        uv_timer_start(
            &timers_[i],
            [](uv_timer_t* timer) { ++static_cast<Libuv*>(timer->loop->data)->fired_; },
            static_cast<std::uint64_t>(delay / 1ms), 0);
    }
    void cancel(std::size_t i) { uv_timer_stop(&timers_[i]); }
    void end_cancel() {}
    std::size_t fire() {
        uv_run(&loop_, UV_RUN_NOWAIT);
        begin();
        return std::exchange(fired_, 0);
    }
    void begin() {
        loop_.time -= static_cast<std::uint64_t>(minute / 1ms);
    }  // its clock is the real one

private:
    uv_loop_t loop_{};
    std::vector<uv_timer_t> timers_;
    std::size_t fired_ = 0;
};
#endif

template <class Timers>
Timers& shared() {
    static Timers* const timers = [] {
        auto* made = new Timers;
        if constexpr (requires { made->begin(); }) made->begin();
        return made;
    }();
    return *timers;
}

enum class Step { add, cancel, fire };

template <class Timers>
void timer_step(benchmark::State& state, Step measured, bool shuffled) {
    Timers& timers = shared<Timers>();
    const auto& delay = delays();
    const auto cancelled = every_second(shuffled);
    constexpr auto operations = static_cast<benchmark::IterationCount>(count);
    const auto half = measured == Step::add ? operations : operations / 2;
    while (state.KeepRunningBatch(half)) {
        if (measured != Step::add) state.PauseTiming();
        for (std::size_t i = 0; i < count; ++i) timers.add(i, delay[i]);
        if (measured != Step::fire)
            measured == Step::add ? state.PauseTiming() : state.ResumeTiming();
        for (const std::size_t i : cancelled) timers.cancel(i);
        timers.end_cancel();
        measured == Step::fire     ? state.ResumeTiming()
        : measured == Step::cancel ? state.PauseTiming()
                                   : void();
        const std::size_t fired = timers.fire();
        if (measured != Step::fire) state.ResumeTiming();
        if (fired != count / 2) return state.SkipWithError("some timers did not fire");
    }
}

template <class Timers>
bool add_rows(const std::string& suffix) {
    const auto row = [&](const char* name, Step step, bool shuffled) {
        benchmark::RegisterBenchmark((name + suffix).c_str(), timer_step<Timers>, step, shuffled);
    };
    row("timer_add", Step::add, false);
    row("timer_cancel", Step::cancel, false);
    row("timer_cancel_shuffled", Step::cancel, true);
    row("timer_fire", Step::fire, false);
    return true;
}
const bool rows = add_rows<Gyre>("") && add_rows<Asio>("/peer:asio");
#if __has_include(<uv.h>)
const bool libuv_rows = add_rows<Libuv>("_libuv");
#endif

}  // namespace
}  // namespace gyre

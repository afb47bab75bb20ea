#pragma once
#include <gyre/base/code.hpp>
#include <gyre/codec/describe.hpp>
#include <gyre/task/scope.hpp>
#include <gyre/world/calendar.hpp>
#include <memory>
#include <optional>
#include <string_view>

namespace gyre {

/// One timer of one node; never given again.
enum class TimerId : std::uint64_t { none };

struct Repeat {
    std::optional<Duration> first{};  ///< Before the first run; else one period.
    std::uint64_t count = 0;          ///< Runs, then it ends. 0: until it is cancelled.
};

/// Runs `action` as a task of `scope`, which cancels it when it ends first.
Join<> after(Scope& scope, Duration delay, Action action);

namespace world {

struct Record;
class TimerTable;

/// Timers of one entity or service; they end with it. Any number may share a key. A delay of zero
/// or less, or a time that has passed, runs in the next loop turn.
/// One that repeats is drift-free. It never runs beside itself: what falls due while the method
/// still runs is left out. A late loop makes up at most 8 runs, one a turn.
/// On the wall clock: a clock that is set is noticed within 10 s. Set forward, what was passed runs
/// once; set back by less than a day (week), no day (week) runs twice. The server's time zone
/// does not matter.
/// Errors: bad_arguments. Cost: constant; times of day O(log n). A run allocates nothing of its
/// own.
class Timers {
public:
    explicit Timers(Record& record);
    ~Timers();
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;

    // A repeating timer names a described method, so that a reload can replace it.
    template <auto M>
    TimerId every(Duration period, std::string_view key, Repeat repeat = {}) {
        return every_method(checked<M>(), period, key, repeat);
    }
    template <auto M>
    TimerId after(Duration delay, std::string_view key) {
        return after(checked<M>(), {}, delay, key);
    }
    TimerId after(Duration delay, std::string_view key, Action action) {
        return after(0, std::move(action), delay, key);
    }
    template <auto M>
    TimerId at(WallTime when, std::string_view key) {
        return at(checked<M>(), {}, when, key);
    }
    TimerId at(WallTime when, std::string_view key, Action action) {
        return at(0, std::move(action), when, key);
    }
    template <auto M>
    TimerId daily(TimeOfDay time, std::string_view key) {
        return on_calendar(checked<M>(), std::nullopt, time, key);
    }
    template <auto M>
    TimerId weekly(Weekday day, TimeOfDay time, std::string_view key) {
        return on_calendar(checked<M>(), day, time, key);
    }

    WallTime wall_now() const;                 ///< The clock of `at`, `daily` and `weekly`.
    bool cancel(TimerId id);                   ///< False: it has ended, or is another's.
    std::size_t cancel(std::string_view key);  ///< Returns how many it ended.
    std::size_t cancel_all();
    std::size_t pending(std::string_view key) const;
    std::size_t size() const;

private:
    friend class TimerTable;
    struct Keys;
    template <auto M>
    static constexpr std::uint64_t checked() {
        static_assert(is_described<M>,
                      "gyre: a timer names a described method, so that a reload can replace it");
        static_assert(signature<M>::arity == 0, "gyre: a timer calls a method without parameters");
        return method_id<M>;
    }
    TimerId every_method(std::uint64_t method, Duration period, std::string_view key,
                         Repeat repeat);
    TimerId after(std::uint64_t method, Action action, Duration delay,
                  std::string_view key);
    TimerId at(std::uint64_t method, Action action, WallTime when,
               std::string_view key);
    TimerId on_calendar(std::uint64_t method, std::optional<Weekday> day, TimeOfDay time,
                        std::string_view key);

    Record& record_;
    std::unique_ptr<Keys> keys_;  // made by the first timer
};

}  // namespace world
}  // namespace gyre

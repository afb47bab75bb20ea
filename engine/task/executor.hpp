#pragma once
#include <cstdint>
#include <functional>
#include <gyre/base/assert.hpp>
#include <gyre/base/error.hpp>
#include <gyre/base/time.hpp>
#include <gyre/task/timer.hpp>
#include <string_view>

namespace gyre {

class Pool;

/// Something the executor runs soon: once, in the order in which it became ready.
struct Ready : Link {
    explicit Ready(void (*run_)(Ready&)) : run(run_) {}
    void (*run)(Ready&);
};

/// Runs tasks of one thread on a clock that its driver sets: the real loop or the simulator.
class Executor {
public:
    Executor() = default;
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;
    ~Executor();

    TimePoint now() const noexcept { return now_; }
    /// now() + delay; TimePoint::max() for one that never ends.
    TimePoint after(Duration delay) const noexcept {
        return delay > TimePoint::max() - now_ ? TimePoint::max() : now_ + delay;
    }
    /// Sets the clock, for a driver that delivers events ahead of a turn.
    void advance(TimePoint now) {
        GYRE_ASSERT(now >= now_, "the loop's clock never goes back");
        now_ = now;
    }

    /// One loop turn: timers due by `now`, then everything that is or becomes ready, then what
    /// was deferred to the end of the turn.
    void turn(TimePoint now);
    bool idle() const noexcept { return !ready_.linked() && !next_turn_.linked() && !turn_end_.linked(); }
    /// Deadline of the earliest timer, TimePoint::max() without one. It may name an earlier time
    /// (TimerWheel::earliest), at which a turn runs nothing.
    TimePoint next_deadline() const noexcept { return wheel_.earliest(); }

    void ready(Ready& what) noexcept { what.append_to(ready_); }
    void ready_next_turn(Ready& what) noexcept { what.append_to(next_turn_); }
    void at_turn_end(Ready& what) noexcept {
        if (!what.linked()) what.append_to(turn_end_);
    }

    /// Called with the failure of a task whose handle was dropped. Set by the host (log).
    std::function<void(const Error&, const std::exception_ptr&)> on_dropped_failure;
    /// Called by the destructor with the scopes and tasks that are still there, by name and with
    /// what they wait for. Unset: standard error.
    std::function<void(std::string_view)> on_leak;

    Pool& pool();  ///< Where plain go() runs its tasks.

    std::uint64_t turns() const noexcept { return turns_; }
    std::size_t timers() const noexcept { return wheel_.size(); }

private:
    friend class Timer;
    friend class Scope;
    friend class TaskLister;
    friend class Waiter;
    static void run_all(Link& ring);

    TimePoint now_{};
    Link ready_, next_turn_, turn_end_;
    TimerWheel wheel_;
    std::uint64_t turns_ = 0;
    std::uint32_t nested_resumes_ = 0;
    Link scopes_;  // in the order of their creation
    Pool* pool_ = nullptr;
};

}  // namespace gyre

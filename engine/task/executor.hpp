#pragma once
#include <cstdint>
#include <functional>
#include <gyre/base/assert.hpp>
#include <gyre/base/error.hpp>
#include <gyre/base/time.hpp>
#include <vector>

namespace gyre {

class Executor;

/// A link of an intrusive, doubly linked ring. Unlinks itself when destroyed.
struct Link {
    Link* next = this;
    Link* previous = this;
    Link() = default;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    ~Link() { unlink(); }
    bool linked() const noexcept { return next != this; }
    void unlink() noexcept {
        next->previous = previous;
        previous->next = next;
        next = previous = this;
    }
    void append_to(Link& ring) noexcept {
        previous = ring.previous;
        next = &ring;
        ring.previous->next = this;
        ring.previous = this;
    }
};

/// Something the executor runs soon: once, in the order in which it became ready.
struct Ready : Link {
    explicit Ready(void (*run_)(Ready&)) : run(run_) {}
    void (*run)(Ready&);
};

/// A deadline that calls back on the loop, once. Owned by whoever waits; disarms when destroyed.
class Timer {
public:
    using Callback = void (*)(Timer&);
    Timer(Executor& executor, Callback callback) : executor_(executor), callback_(callback) {}
    ~Timer() { disarm(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    void arm(TimePoint at);  ///< Again: moves the deadline. A past one counts as now.
    void arm_in(Duration delay);
    void disarm() noexcept;
    bool armed() const noexcept { return index_ != none; }
    Executor& executor() const { return executor_; }

private:
    friend class Executor;
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    Executor& executor_;
    Callback callback_;
    TimePoint at_{};
    std::uint64_t order_ = 0;  // equal deadlines fire in the order in which they were armed
    std::size_t index_ = none;
};

/// A timer with a closure: for engine code that has an owner for it. The closure may cancel, arm
/// and destroy its own alarm.
class Alarm : private Timer {
public:
    static constexpr int catch_up_max = 8;
    Alarm(Executor& executor, std::function<void()> action);
    ~Alarm() {
        if (gone_) *gone_ = true;
    }
    void in(Duration delay) { period_ = Duration::zero(), arm_in(delay); }
    /// Drift-free. First after one period. After a stall at most catch_up_max are made up for.
    void every(Duration period);
    void cancel() noexcept { disarm(); }
    bool pending() const noexcept { return armed(); }

private:
    void fire();
    std::function<void()> action_;
    bool* gone_ = nullptr;  // set while the action runs
    Duration period_{};
    TimePoint due_{};
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
    /// Deadline of the earliest timer, TimePoint::max() without one.
    TimePoint next_deadline() const noexcept;

    void ready(Ready& what) noexcept { what.append_to(ready_); }
    void ready_next_turn(Ready& what) noexcept { what.append_to(next_turn_); }
    void at_turn_end(Ready& what) noexcept {
        if (!what.linked()) what.append_to(turn_end_);
    }

    /// Called with the failure of a task whose handle was dropped. Set by the host (log).
    std::function<void(const Error&)> on_dropped_failure;

    std::uint64_t turns() const noexcept { return turns_; }
    std::size_t timers() const noexcept { return heap_.size(); }

private:
    friend class Timer;
    friend class Waiter;
    void arm(Timer& timer);
    void remove(Timer& timer) noexcept;
    static bool earlier(const Timer* a, const Timer* b) {
        return a->at_ != b->at_ ? a->at_ < b->at_ : a->order_ < b->order_;
    }
    void place(std::size_t index, Timer* timer) { heap_[index] = timer, timer->index_ = index; }
    void sift_up(std::size_t index);
    void sift_down(std::size_t index);
    static void run_all(Link& ring);

    TimePoint now_{};
    Link ready_, next_turn_, turn_end_;
    std::vector<Timer*> heap_;
    std::uint64_t order_ = 0, turns_ = 0;
    std::uint32_t nested_resumes_ = 0;
};

}  // namespace gyre

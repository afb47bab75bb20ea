#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <gyre/base/time.hpp>
#include <gyre/task/link.hpp>

namespace gyre {

class Executor;

/// A deadline that calls back on the loop, once. Owned by whoever waits; disarms when destroyed.
/// The callback may arm, disarm and destroy any timer, also its own. No call allocates.
class Timer : private Link {
public:
    using Callback = void (*)(Timer&);
    Timer(Executor& executor, Callback callback) : executor_(executor), callback_(callback) {}
    ~Timer() { disarm(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    /// Again: moves the deadline. A past one counts as now: it runs in the next turn, never at
    /// once.
    void arm(TimePoint at);
    void arm_in(Duration delay);
    void disarm() noexcept {
        if (armed()) withdraw();
    }
    bool armed() const noexcept { return linked(); }
    Executor& executor() const { return executor_; }

private:
    friend class TimerWheel;
    friend class Executor;
    void withdraw() noexcept;
    Executor& executor_;
    Callback callback_;
    TimePoint at_{};
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

/// Timers by deadline: a hierarchical timing wheel. Slots of level 0 are 2^20 ns wide, those of
/// level n 256^n times as much; a timer moves down a level when its slot begins. Within a slot
/// timers are sorted when it is due, so deadlines are exact to the nanosecond.
/// Cost: add and remove constant; a timer is touched at most once a level (twice within a minute).
class TimerWheel {
public:
    TimerWheel() = default;
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;

    /// Its deadline is not before that of the last collect().
    void add(Timer& timer) noexcept;
    void remove(Timer& timer) noexcept;
    /// The earliest deadline; TimePoint::max() without one. With more than `scan_max` timers in
    /// one slot of a higher level, the beginning of that slot instead: never late, and after a
    /// collect() at that time closer by a level.
    TimePoint earliest() const noexcept;
    /// Moves those with deadlines up to `now` to the due ones: in order of their deadlines, equal
    /// ones in the order in which they were added.
    void collect(TimePoint now) noexcept;
    /// The next due one, removed; null: none is left.
    Timer* take_due() noexcept;
    std::size_t size() const noexcept { return size_; }

private:
    static constexpr unsigned tick_bits = 20, level_bits = 8, levels = 6, scan_max = 256;
    static constexpr std::uint64_t slots_per_level = 1u << level_bits;
    static_assert(tick_bits + levels * level_bits >= 63, "every TimePoint has a slot");

    static std::uint64_t tick_of(TimePoint at) noexcept {
        return static_cast<std::uint64_t>(at.time_since_epoch().count()) >> tick_bits;
    }
    static Timer& timer_of(Link* link) noexcept { return *static_cast<Timer*>(link); }
    static Link* merge(Link* one, Link* two) noexcept;
    static Link* sort(Link* chain) noexcept;
    void place(Timer& timer) noexcept;
    unsigned first_slot() const noexcept;
    std::uint64_t begin_of(unsigned slot) const noexcept;
    void vacate(unsigned slot) noexcept;
    void cascade(unsigned slot) noexcept;
    void harvest(unsigned slot, TimePoint now) noexcept;

    // A slot's bit is set while it holds a timer, a word's while it is not 0: the first bit is the
    // earliest slot, because a level holds only what lies behind all of the level below.
    std::uint32_t filled_words_ = 0;
    mutable bool earliest_known_ = true;
    mutable TimePoint earliest_ = TimePoint::max();
    std::uint64_t position_ = 0;  // tick up to which slots were emptied
    std::size_t size_ = 0;
    Link due_;
    std::array<std::uint64_t, levels * slots_per_level / 64> filled_{};
    std::array<Link, levels * slots_per_level> slots_;
};

}  // namespace gyre

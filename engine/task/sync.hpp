#pragma once
#include <algorithm>
#include <deque>
#include <gyre/base/result.hpp>
#include <gyre/task/scope.hpp>
#include <limits>
#include <optional>
#include <vector>

namespace gyre {

namespace detail {
/// A waiter that stands in one ring and leaves it when cancelled.
class RingWaiter : public Waiter {
public:
    explicit RingWaiter(Link& ring) : Waiter(&leave), ring_(ring), place_(*this) {}
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        place_.append_to(ring_);
    }
    /// Wakes the first of `ring`; false when it is empty.
    static bool wake_first(Link& ring) noexcept {
        if (!ring.linked()) return false;
        auto& place = static_cast<Place&>(*ring.next);
        place.unlink();
        place.waiter.wake();
        return true;
    }

private:
    struct Place : Link {
        explicit Place(RingWaiter& w) : waiter(w) {}
        RingWaiter& waiter;
    };
    static void leave(Waiter& self) { static_cast<RingWaiter&>(self).place_.unlink(); }
    Link& ring_;
    Place place_;
};

class SleepWaiter : public Waiter {
public:
    SleepWaiter(Executor& executor, TimePoint at)
        : Waiter([](Waiter& self) { static_cast<SleepWaiter&>(self).timer_.disarm(); }),
          timer_(executor, *this),
          at_(at) {}
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        timer_.arm(at_);
    }

private:
    struct Wake : Timer {
        Wake(Executor& executor, SleepWaiter& s)
            : Timer(executor, [](Timer& t) { static_cast<Wake&>(t).sleeper.wake(); }), sleeper(s) {}
        SleepWaiter& sleeper;
    };
    Wake timer_;
    TimePoint at_;
};

class YieldWaiter : public Waiter {
public:
    YieldWaiter() : Waiter(nullptr) {}
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        chain().executor->ready_next_turn(*this);
    }
};
}  // namespace detail

/// Suspends for `delay`; zero or less: until the next loop turn.
inline detail::SleepWaiter sleep(Duration delay) {
    Executor& executor = *Chain::running().executor;
    return {executor, executor.after(delay)};
}
inline detail::SleepWaiter sleep_until(TimePoint at) { return {*Chain::running().executor, at}; }
/// Lets everything else that is ready run first.
inline detail::YieldWaiter yield() { return {}; }

/// A flag tasks wait for. set() wakes all; it stays set until reset().
class Event {
public:
    void set() noexcept {
        set_ = true;
        while (detail::RingWaiter::wake_first(waiters_)) {}
    }
    void reset() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }
    class Awaiter : public detail::RingWaiter {
    public:
        explicit Awaiter(Event& event) : RingWaiter(event.waiters_), event_(event) {}
        bool await_ready() { return event_.set_ || RingWaiter::await_ready(); }

    private:
        Event& event_;
    };
    Awaiter wait() { return Awaiter(*this); }

private:
    Link waiters_;
    bool set_ = false;
};

/// Wakes those who wait now; remembers nothing. Wait in a loop on a condition.
class Signal {
public:
    void notify_all() noexcept {
        while (detail::RingWaiter::wake_first(waiters_)) {}
    }
    bool notify_one() noexcept { return detail::RingWaiter::wake_first(waiters_); }
    bool has_waiters() const noexcept { return waiters_.linked(); }
    detail::RingWaiter wait() { return detail::RingWaiter(waiters_); }

private:
    Link waiters_;
};

/// At most `permits` holders at a time, first come first served.
class Semaphore {
public:
    explicit Semaphore(std::size_t permits) : free_(permits) {}
    class [[nodiscard]] Permit {
    public:
        explicit Permit(Semaphore* owner) : owner_(owner) {}
        Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
        Permit& operator=(Permit&& other) noexcept {
            std::swap(owner_, other.owner_);
            return *this;
        }
        ~Permit() {
            if (owner_) owner_->release();
        }

    private:
        Semaphore* owner_;
    };
    Task<Permit> acquire() {
        if (free_ > 0 && !turn_.has_waiters()) --free_;
        else co_await turn_.wait();  // release() hands its permit over
        co_return Permit(this);
    }
    std::size_t free() const { return free_; }

private:
    void release() noexcept {
        if (!turn_.notify_one()) ++free_;
    }
    std::size_t free_;
    Signal turn_;
};

/// One holder at a time.
class Mutex : public Semaphore {
public:
    Mutex() : Semaphore(1) {}
    Task<Permit> lock() { return acquire(); }
};

/// Values from one side of the loop to another, bounded. try_push() refuses when full.
template <class T>
class Queue {
public:
    explicit Queue(std::size_t limit = std::numeric_limits<std::size_t>::max()) : limit_(limit) {}
    bool try_push(T value) {
        if (closed_ || values_.size() >= limit_) return false;
        values_.push_back(std::move(value));
        pushed_.notify_one();
        return true;
    }
    Task<> push(T value) {
        while (!closed_ && values_.size() >= limit_) co_await popped_.wait();
        if (closed_) throw Error(errc::closed, "queue");
        values_.push_back(std::move(value));
        pushed_.notify_one();
    }
    /// Next value in order. Error: closed, after the last.
    Task<T> pop() {
        while (values_.empty()) {
            if (closed_) throw Error(errc::closed, "queue");
            co_await pushed_.wait();
        }
        T value = std::move(values_.front());
        values_.pop_front();
        popped_.notify_one();
        co_return value;
    }
    void close() {
        closed_ = true;
        pushed_.notify_all();
        popped_.notify_all();
    }
    std::vector<T> take_all() {
        std::vector<T> all(std::make_move_iterator(values_.begin()),
                           std::make_move_iterator(values_.end()));
        values_.clear();
        popped_.notify_all();
        return all;
    }
    std::size_t size() const { return values_.size(); }
    bool closed() const { return closed_; }

private:
    std::size_t limit_;
    std::deque<T> values_;
    Signal pushed_, popped_;
    bool closed_ = false;
};

/// A result that is set once, from outside of tasks, and awaited once.
template <class T>
class Deferred {
public:
    bool set(Result<T> result) {
        if (result_) return false;
        result_.emplace(std::move(result));
        ready_.set();
        return true;
    }
    bool done() const { return result_.has_value(); }
    Task<T> get() {
        co_await ready_.wait();
        if constexpr (std::is_void_v<T>) result_->value();
        else co_return std::move(*result_).value();
    }

private:
    std::optional<Result<T>> result_;
    Event ready_;
};

/// Completes `task` before a cancellation takes effect.
template <class T>
Task<T> shielded(Task<T> task) {
    Shield shield;
    co_return co_await std::move(task);
}

/// The value or the Error it ended with. `cancelled` of the own chain is still thrown later.
template <class T>
Task<Result<T>> as_result(Task<T> task) {
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(task);
            co_return Result<T>();
        } else {
            co_return Result<T>(co_await std::move(task));
        }
    } catch (const Error& error) {
        co_return Result<T>(error);
    } catch (...) {
        co_return Result<T>(to_error(std::current_exception()));
    }
}

/// Cancels `job` and waits for its end, whatever its result.
template <class T>
Task<> cancel_and_join(Join<T> job) {
    Shield shield;
    job.cancel();
    try {
        (void)co_await job;
    } catch (...) {
        // The caller has its own reason to end; this one was asked to.
    }
}

/// Error: timed_out, after `limit`; the task was cancelled and has ended by then.
template <class T>
Task<T> with_timeout(Duration limit, Task<T> task) {
    Chain& self = Chain::running();
    Executor& executor = *self.executor;
    const TimePoint at = executor.after(limit);
    auto job = detail::spawn(*self.scope, std::move(task), std::min(self.deadline, at));
    bool expired = false;
    Alarm alarm(executor, [&expired, &job] { expired = true, job.cancel(); });
    alarm.in(limit);
    try {
        if constexpr (std::is_void_v<T>) {
            co_await job;
            co_return;
        } else {
            co_return co_await job;
        }
    } catch (const Error& error) {
        if (job.done() && !(expired && error.is(errc::cancelled))) throw;
    }
    alarm.cancel();
    if (job.done()) throw Error(errc::timed_out, "no answer in time");
    co_await cancel_and_join(std::move(job));
    throw Error(errc::cancelled, "its scope ended");
}

}  // namespace gyre

#pragma once
#include <deque>
#include <gyre/task/compose.hpp>
#include <limits>

// What tasks of one thread synchronise with. Each await throws Error{cancelled} once its chain was
// cancelled, also when there is nothing to wait for; what was handed over before is delivered.
namespace gyre {

namespace detail {
/// A waiter that stands in one ring and leaves it when cancelled.
class RingWaiter : public Waiter {
public:
    RingWaiter(Link& ring, WaitsFor waits_for) noexcept : Waiter(&leave, waits_for), ring_(ring) {}
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        append_to(ring_);
    }
    /// Takes the first out of `ring`, which has one.
    static RingWaiter& pop_first(Link& ring) noexcept {
        auto& first = static_cast<RingWaiter&>(static_cast<Ready&>(*ring.next));
        first.unlink();
        return first;
    }
    /// Wakes the first of `ring`; false when it is empty.
    static bool wake_first(Link& ring) noexcept {
        if (!ring.linked()) return false;
        pop_first(ring).wake();
        return true;
    }

private:
    static void leave(Waiter& self) { self.unlink(); }
    Link& ring_;
};

class SleepWaiter : public Waiter {
public:
    SleepWaiter(Executor& executor, TimePoint at)
        : Waiter([](Waiter& self) { static_cast<SleepWaiter&>(self).timer_.disarm(); }, WaitsFor::sleep),
          timer_(executor, *this),
          at_(at) {}
    SleepWaiter(SleepWaiter&& other) noexcept
        : Waiter(std::move(other)), timer_(other.timer_.executor(), *this), at_(other.at_) {}
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        timer_.arm(at_);
    }
    TimePoint at() const { return at_; }

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
    YieldWaiter() : Waiter([](Waiter& self) { self.unlink(); }, WaitsFor::yield) {}
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
/// Lets everything else that is ready run first; goes on in the next loop turn.
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
        explicit Awaiter(Event& event) : RingWaiter(event.waiters_, WaitsFor::event), event_(event) {}
        bool await_ready() {
            throw_if_cancelled();
            return event_.set_;
        }

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
    detail::RingWaiter wait() { return {waiters_, WaitsFor::signal}; }

private:
    Link waiters_;
};

/// At most `permits` holders at a time, first come first served. It outlives its permits.
class Semaphore {
public:
    explicit Semaphore(std::size_t permits) : free_(permits), permits_(permits) {}
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
    class Acquire : public detail::RingWaiter {
    public:
        explicit Acquire(Semaphore& semaphore)
            : RingWaiter(semaphore.waiters_, WaitsFor::permit), semaphore_(semaphore) {}
        bool await_ready() {
            throw_if_cancelled();
            if (semaphore_.free_ == 0) return false;
            --semaphore_.free_;
            return true;
        }
        Permit await_resume() {
            Waiter::await_resume();
            semaphore_.last_holder_ = &Chain::running();
            return Permit(&semaphore_);
        }
        const Semaphore& semaphore() const { return semaphore_; }

    private:
        Semaphore& semaphore_;
    };
    Acquire acquire() { return Acquire(*this); }
    std::size_t free() const { return free_; }
    std::size_t permits() const { return permits_; }
    const Chain* last_holder() const { return last_holder_; }  ///< It may be gone: compare only.

private:
    void release() noexcept {
        if (!detail::RingWaiter::wake_first(waiters_)) ++free_;  // the first takes it over
    }
    std::size_t free_, permits_;
    Link waiters_;
    const Chain* last_holder_ = nullptr;
};

/// One holder at a time.
class Mutex : public Semaphore {
public:
    Mutex() : Semaphore(1) {}
    Acquire lock() { return acquire(); }
};

/// Values from one side of the loop to another, in order, bounded. try_push() refuses when full.
template <class T>
class Queue {
public:
    /// limit: values that wait for a reader, at least 1.
    explicit Queue(std::size_t limit = std::numeric_limits<std::size_t>::max()) : limit_(limit) {}

    bool try_push(T value) {
        if (closed_ || (!readers_.linked() && values_.size() >= limit_)) return false;
        put(std::move(value));
        return true;
    }
    class Push : public detail::RingWaiter {
    public:
        Push(Queue& queue, T value)
            : RingWaiter(queue.writers_, WaitsFor::queue), queue_(queue), value_(std::move(value)) {}
        bool await_ready() {
            throw_if_cancelled();
            if (queue_.closed_) return true;
            if (!queue_.readers_.linked() && queue_.values_.size() >= queue_.limit_) return false;
            queue_.put(std::move(value_));
            return accepted_ = true;
        }
        void await_resume() {
            Waiter::await_resume();
            if (!accepted_) throw Error(errc::closed, "queue");
        }

    private:
        friend class Queue;
        Queue& queue_;
        T value_;
        bool accepted_ = false;
    };
    /// Waits while the queue is full. Error: closed.
    Push push(T value) { return Push(*this, std::move(value)); }

    class Pop : public detail::RingWaiter {
    public:
        explicit Pop(Queue& queue) : RingWaiter(queue.readers_, WaitsFor::queue), queue_(queue) {}
        bool await_ready() {
            throw_if_cancelled();
            return !queue_.values_.empty() || queue_.closed_;
        }
        T await_resume() {
            Waiter::await_resume();
            if (value_) return std::move(*value_);
            if (queue_.values_.empty()) throw Error(errc::closed, "queue");
            return queue_.take_front();
        }

    private:
        friend class Queue;
        Queue& queue_;
        std::optional<T> value_;  // handed over by put()
    };
    /// Next value in order. Error: closed, after the last.
    Pop pop() { return Pop(*this); }

    void close() {
        closed_ = true;
        while (detail::RingWaiter::wake_first(readers_)) {}
        while (detail::RingWaiter::wake_first(writers_)) {}
    }
    std::vector<T> take_all() {
        std::vector<T> all(std::make_move_iterator(values_.begin()),
                           std::make_move_iterator(values_.end()));
        values_.clear();
        admit_writers();
        return all;
    }
    std::size_t size() const { return values_.size(); }
    bool closed() const { return closed_; }

private:
    /// There is a reader or room.
    void put(T value) {
        if (!readers_.linked()) return values_.push_back(std::move(value));
        auto& reader = static_cast<Pop&>(detail::RingWaiter::pop_first(readers_));
        reader.value_.emplace(std::move(value));
        reader.wake();
    }
    T take_front() {
        T value = std::move(values_.front());
        values_.pop_front();
        admit_writers();
        return value;
    }
    void admit_writers() {
        while (writers_.linked() && values_.size() < limit_) {
            auto& writer = static_cast<Push&>(detail::RingWaiter::pop_first(writers_));
            values_.push_back(std::move(writer.value_));
            writer.accepted_ = true;
            writer.wake();
        }
    }
    std::size_t limit_;
    std::deque<T> values_;
    Link readers_, writers_;  // who waits; never both
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

}  // namespace gyre

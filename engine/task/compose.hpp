#pragma once
#include <algorithm>
#include <array>
#include <gyre/base/result.hpp>
#include <gyre/task/scope.hpp>
#include <optional>
#include <span>
#include <tuple>
#include <variant>
#include <vector>

// Tasks made of tasks. What starts tasks here runs them beside the caller in the caller's scope, with its
// Context and deadline, outside of the coroutine pool's limit; all have ended when it returns or throws.
namespace gyre {

namespace detail {
template <class A>
decltype(auto) awaiter_of(A&& awaitable) {
    if constexpr (requires { std::forward<A>(awaitable).operator co_await(); })
        return std::forward<A>(awaitable).operator co_await();
    else return std::forward<A>(awaitable);
}
}  // namespace detail

/// What `co_await A` gives.
template <class A>
using AwaitResult = decltype(detail::awaiter_of(std::declval<A>()).await_resume());

/// Anything that can be awaited as a Task.
template <class T>
Task<T> as_task(Task<T> task) {
    return task;
}
template <class A>
Task<AwaitResult<A>> as_task(A awaitable) {
    co_return co_await std::move(awaitable);
}

/// Completes `awaitable` before a cancellation takes effect.
template <class A>
Task<AwaitResult<A>> shielded(A awaitable) {
    Shield shield;
    co_return co_await std::move(awaitable);
}

/// The value or the Error it ended with. `cancelled` of the own chain is still thrown later.
template <class A>
Task<Result<AwaitResult<A>>> as_result(A awaitable) {
    using T = AwaitResult<A>;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(awaitable);
            co_return Result<T>();
        } else {
            co_return Result<T>(co_await std::move(awaitable));
        }
    } catch (const Error& error) {
        co_return Result<T>(error);
    } catch (...) {
        co_return Result<T>(to_error(std::current_exception()));
    }
}

/// Waits for the end of several chains. Gives the first that ended (any), or that failed (all), or null.
class GroupWaiter : public Waiter, detail::Joiner {
public:
    enum class Until : std::uint8_t { all_ended, all_ended_or_one_failed, one_ended };
    GroupWaiter(std::span<Chain* const> jobs, Until until) noexcept
        : Waiter(&leave, WaitsFor::group), Joiner(&ended), jobs_(jobs), until_(until) {}
    bool await_ready();
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        for (Chain* job : jobs_)
            if (!job->done()) job->joiner_ = this;
    }
    Chain* await_resume() {
        Waiter::await_resume();
        return first_;
    }
    std::span<Chain* const> jobs() const { return jobs_; }

private:
    static void leave(Waiter& self);
    static void ended(Joiner& self, Chain& job) noexcept;
    bool decides(const Chain& job) const noexcept;
    std::span<Chain* const> jobs_;
    std::size_t remaining_ = 0;
    Chain* first_ = nullptr;
    Until until_;
};

namespace detail {
/// Cancels those that still run and waits for the end of all, also when cancelled.
Task<> end_all(std::span<Chain* const> jobs);
/// Waits until all have ended, or one has failed; then, or when cancelled, ends the others. Gives the index
/// of the one that failed first, or none. Throws only when cancelled.
Task<std::size_t> join_all(std::span<Chain* const> jobs);
inline constexpr auto none = static_cast<std::size_t>(-1);
/// The index of the first to end; the others were ended.
Task<std::size_t> join_any(std::span<Chain* const> jobs);

template <class T>
using Unvoid = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
template <class T>
Unvoid<T> take(Join<T>& job) {
    if constexpr (std::is_void_v<T>) return job.take(), std::monostate{};
    else return job.take();
}
template <class T>
Join<T> beside(Task<T> task) {
    Chain& self = Chain::running();
    return spawn(*self.scope, std::move(task), self.deadline);
}
}  // namespace detail

/// Cancels `job` and waits for its end, whatever its result.
template <class T>
Task<> cancel_and_join(Join<T> job) {
    std::array<Chain*, 1> jobs{&job.chain()};
    co_await detail::end_all(jobs);
    job.ignore_failure();
}

/// All values. The first failure cancels the others, and is thrown once they have ended.
template <class... T>
    requires(sizeof...(T) > 0)
Task<std::tuple<detail::Unvoid<T>...>> when_all(Task<T>... tasks) {
    std::tuple<Join<T>...> jobs{detail::beside(std::move(tasks))...};
    std::array<Chain*, sizeof...(T)> chains =
        std::apply([](auto&... job) { return std::array<Chain*, sizeof...(T)>{&job.chain()...}; }, jobs);
    const std::size_t failed = co_await detail::join_all(chains);
    if (failed != detail::none) {
        std::size_t index = 0;
        std::apply([&](auto&... job) { ((index++ == failed ? (void)job.take() : void()), ...); }, jobs);
    }
    co_return std::apply(
        [](auto&... job) { return std::tuple<detail::Unvoid<T>...>{detail::take(job)...}; }, jobs);
}
/// The same of any number; of Task<> nothing is returned.
template <class T>
Task<std::conditional_t<std::is_void_v<T>, void, std::vector<detail::Unvoid<T>>>> when_all(
    std::vector<Task<T>> tasks) {
    std::vector<Join<T>> jobs;
    std::vector<Chain*> chains;
    jobs.reserve(tasks.size()), chains.reserve(tasks.size());
    for (auto& task : tasks) {
        jobs.push_back(detail::beside(std::move(task)));
        chains.push_back(&jobs.back().chain());
    }
    if (const std::size_t failed = co_await detail::join_all(chains); failed != detail::none) jobs[failed].take();
    if constexpr (!std::is_void_v<T>) {
        std::vector<T> values;
        values.reserve(jobs.size());
        for (auto& job : jobs) values.push_back(job.take());
        co_return values;
    }
}

/// Which task ended first, and its value.
template <class T>
struct First {
    std::size_t index = 0;
    T value;
};

/// The first to end. The others are cancelled and have ended by then. When the first to end failed, its
/// failure is thrown.
template <class... T>
    requires(sizeof...(T) > 0)
Task<First<std::variant<detail::Unvoid<T>...>>> when_any(Task<T>... tasks) {
    using Value = std::variant<detail::Unvoid<T>...>;
    std::tuple<Join<T>...> jobs{detail::beside(std::move(tasks))...};
    std::array<Chain*, sizeof...(T)> chains =
        std::apply([](auto&... job) { return std::array<Chain*, sizeof...(T)>{&job.chain()...}; }, jobs);
    const std::size_t index = co_await detail::join_any(chains);
    std::optional<Value> value;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        ((I == index ? (void)value.emplace(std::in_place_index<I>, detail::take(std::get<I>(jobs))) : void()), ...);
    }(std::index_sequence_for<T...>{});
    co_return First<Value>{index, std::move(*value)};
}
/// The same of any number. Error: bad_arguments for none.
template <class T>
Task<First<detail::Unvoid<T>>> when_any(std::vector<Task<T>> tasks) {
    std::vector<Join<T>> jobs;
    std::vector<Chain*> chains;
    for (auto& task : tasks) {
        jobs.push_back(detail::beside(std::move(task)));
        chains.push_back(&jobs.back().chain());
    }
    const std::size_t index = co_await detail::join_any(chains);
    co_return First<detail::Unvoid<T>>{index, detail::take(jobs[index])};
}

namespace detail {
/// Cancels a chain at a time.
struct TimeLimit : Timer {
    TimeLimit(Chain& job_, TimePoint at)
        : Timer(*job_.executor, [](Timer& self) {
              auto& limit = static_cast<TimeLimit&>(self);
              limit.expired = true;
              limit.job.cancel();
          }), job(job_) {
        if (!job.done()) arm(at);
    }
    Chain& job;
    bool expired = false;
};
template <class A>
Task<AwaitResult<A>> limited(TimePoint at, Duration limit, A awaitable) {
    Chain& self = Chain::running();
    at = std::min(at, self.executor->after(limit));
    auto job = spawn(*self.scope, as_task(std::move(awaitable)), std::min(self.deadline, at));
    TimeLimit timer(job.chain(), at);
    std::array<Chain*, 1> jobs{&job.chain()};
    (void)co_await join_all(jobs);
    if (timer.expired && job.chain().ended_cancelled()) throw Error(errc::timed_out, "no answer in time");
    co_return job.take();
}
}  // namespace detail

/// Error: timed_out, at `at`; the task was cancelled and has ended by then. Its Context has that deadline.
template <class A>
Task<AwaitResult<A>> with_deadline(TimePoint at, A awaitable) {
    return detail::limited(at, Duration::max(), std::move(awaitable));
}
/// The same `limit` after it is awaited.
template <class A>
Task<AwaitResult<A>> with_timeout(Duration limit, A awaitable) {
    return detail::limited(TimePoint::max(), limit, std::move(awaitable));
}

}  // namespace gyre

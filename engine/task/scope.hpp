#pragma once
#include <gyre/task/chain.hpp>
#include <string>

namespace gyre {

/// Owns tasks: ending it cancels and joins them. Destroyed with live tasks, it asserts.
class Scope : private Link {
public:
    /// `context` is what its tasks start with when they come from another scope; executor and scope are filled in.
    explicit Scope(Executor& executor, std::string name, Context context = {});
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    /// Cancels all tasks and waits until the last has ended. New ones end `cancelled`.
    /// Error: closed_from_inside, when awaited by one of its own tasks.
    Task<> close();
    void cancel();  ///< The first half of close().
    /// Cancels the tasks it has now and takes new ones. `why` is for who awaits them elsewhere: a
    /// caller whose method ends `cancelled` by it hears this instead.
    void cancel_tasks(const Error& why, bool restartable_only = false);
    const Error* why_cancelled() const { return why_cancelled_.get(); }
    bool closing() const { return closing_; }
    std::size_t running() const { return running_; }  ///< Its tasks that have not ended.
    const std::string& name() const { return name_; }
    Executor& executor() const { return *context_.executor; }
    Context& context() { return context_; }
    std::string describe_tasks() const;  ///< A line per chain, for leak reports.

private:
    friend class Executor;
    friend struct Chain;
    friend class TaskLister;
    bool cancel_chains(bool restartable_only);
    Context context_;
    std::string name_;
    Link chains_, closers_;
    std::size_t running_ = 0;
    std::unique_ptr<const Error> why_cancelled_;  // until the tasks it was for have ended
    bool closing_ = false;
};

/// A handle to a chain, whatever its result.
class JoinBase {
public:
    explicit JoinBase(Chain& chain) noexcept : chain_(&chain) {}
    JoinBase(JoinBase&& other) noexcept
        : chain_(std::exchange(other.chain_, nullptr)), observed_(other.observed_) {}
    JoinBase& operator=(JoinBase&& other) noexcept {
        std::swap(chain_, other.chain_);
        std::swap(observed_, other.observed_);
        return *this;
    }
    ~JoinBase() {
        if (chain_) drop();
    }
    bool done() const { return chain_->done(); }
    void cancel() { chain_->cancel(); }
    Chain& chain() const { return *chain_; }
    void ignore_failure() noexcept { observed_ = true; }  ///< It is not reported when dropped.

protected:
    friend class TaskLister;
    class Awaiter : public Waiter, detail::Joiner {
    public:
        explicit Awaiter(Chain& job) noexcept
            : Waiter(&leave, WaitsFor::join), Joiner(&ended), job_(job) {}
        bool await_ready() {
            throw_if_cancelled();
            return job_.done() && !job_.failed();
        }
        template <class P>
        bool await_suspend(std::coroutine_handle<P> handle) {
            if (job_.done()) [[unlikely]] {
                detail::PromiseBase::pass_failure(job_.root_->failure, handle.promise());
                return false;
            }
            Waiter::await_suspend(handle);
            job_.joiner_ = this;
            if (job_.pooled_) start_soon(job_);
            return true;
        }

    protected:
        friend class gyre::TaskLister;
        static void leave(Waiter& self) { static_cast<Awaiter&>(self).job_.joiner_ = nullptr; }
        static void ended(Joiner& self, Chain& job) noexcept {
            auto& awaiter = static_cast<Awaiter&>(self);
            if (job.failed()) [[unlikely]] detail::PromiseBase::pass_failure(job.root_->failure, *awaiter.promise_);
            awaiter.wake();
        }
        static void start_soon(Chain& job) noexcept;
        Chain& job_;
    };
    detail::PromiseBase& observe() noexcept { return observed_ = true, *chain_->root_; }
    void drop() noexcept;
    Chain* chain_;
    bool observed_ = false;
};

/// A started task. Await it once for its result, or drop it: then it ends with its scope and a
/// failure is reported to the executor.
template <class T = void>
class [[nodiscard("keep it to await it, or say (void)")]] Join : public JoinBase {
public:
    using JoinBase::JoinBase;
    class Awaiter : public JoinBase::Awaiter {
    public:
        explicit Awaiter(Join& join) noexcept : JoinBase::Awaiter(*join.chain_), join_(join.observe()) {}
        T await_resume() {
            Waiter::await_resume();
            return static_cast<detail::Promise<T>&>(join_).take();
        }

    private:
        detail::PromiseBase& join_;
    };
    Awaiter operator co_await() noexcept { return Awaiter(*this); }
    /// Of a task that is done, without waiting.
    T take() { return static_cast<detail::Promise<T>&>(observe()).take(); }
};

namespace detail {
template <class T>
Join<T> spawn(Scope& scope, Task<T> task, TimePoint deadline) {
    return Join<T>(launch(scope, task.release().promise(), deadline));
}
/// The same with a context of its own.
template <class T>
Join<T> spawn(Scope& scope, Task<T> task, const Context& context) {
    return Join<T>(launch(scope, task.release().promise(), context));
}
}  // namespace detail

/// Starts a task now, in `scope`; returns at its first suspension.
template <class T>
Join<T> go(Scope& scope, Task<T> task) {
    return Join<T>(detail::launch(scope, task.release().promise(), TimePoint::max()));
}
/// In the current scope, through the executor's coroutine pool (pool.hpp): starts now, or when one
/// before it has ended.
template <class T>
Join<T> go(Task<T> task) {
    return Join<T>(detail::launch_pooled(task.release().promise()));
}

}  // namespace gyre

#pragma once
#include <gyre/task/executor.hpp>
#include <gyre/task/task.hpp>
#include <string>

namespace gyre {

class Waiter;

/// One chain of awaits from go() to the innermost await: what runs, is cancelled and joined.
/// It is the Context of everything in it.
struct Chain : Context, Link {
    explicit Chain(Scope& owner);
    Chain(const Chain&) = delete;
    ~Chain();
    /// The current await and each later one throw Error{cancelled}. Idempotent.
    void cancel();
    bool cancel_requested() const { return cancel_requested_; }
    bool done() const { return done_; }
    std::string describe() const;  ///< "file:line < file:line ...", innermost first.

    static Chain& running() {
        GYRE_ASSERT(current != nullptr, "this is awaited inside of a task only");
        return static_cast<Chain&>(*current);
    }

private:
    friend class Scope;
    friend class Waiter;
    friend class Shield;
    friend struct detail::PromiseBase;
    template <class T>
    friend class Join;
    template <class T>
    friend class Job;
    void finish() noexcept;
    void (*release_)(Chain&) noexcept = nullptr;
    Waiter* leaf_ = nullptr;    // where it waits now
    Waiter* joiner_ = nullptr;  // who waits for its end
    detail::PromiseBase* innermost_ = nullptr;
    std::uint32_t references_ = 0;
    std::uint32_t shields_ = 0;
    bool cancel_requested_ = false;
    bool done_ = false;
};

/// Base of what suspends a chain: links somewhere, is woken once, or cancelled.
class Waiter : public Ready {
public:
    bool await_ready() {
        throw_if_cancelled();
        return false;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Chain& chain = Chain::running();
        chain_ = &chain;
        handle_ = handle;
        state_ = State::waiting;
        chain.leaf_ = this;
        chain.innermost_ = &handle.promise();
    }
    void await_resume() {
        if (state_ == State::cancelled) throw_cancelled();
    }
    /// Resumes the chain later this turn. The second call and one after a cancellation do nothing.
    void wake() noexcept;
    /// Resumes the chain here and now, as a nested call: saves the way through the ready queue. For
    /// a completion that comes from the loop, or from another task that can bear other tasks to run
    /// inside this call. On return the waiter, its chain and what they own may be gone. Like wake()
    /// when nested nested_resumes_max deep (bounds the stack) or when called from the waiter's own
    /// await_suspend; does nothing for a waiter that was woken or cancelled: it resumes by itself.
    void resume_now() {
        if (state_ != State::waiting) return;
        if (!resumes_inline()) return wake();
        Executor& executor = *chain_->executor;
        state_ = State::woken;
        ++executor.nested_resumes_;
        resume(*this);
        --executor.nested_resumes_;
    }
    /// What resume_now() would do: false when too many chains resume within each other.
    bool resumes_inline() const {
        return chain_->executor->nested_resumes_ < nested_resumes_max && current != chain_;
    }
    static constexpr std::uint32_t nested_resumes_max = 32;
    Chain& chain() const { return *chain_; }

protected:
    /// `cancel` leaves wherever the waiter waits; null: it cannot be cancelled.
    explicit Waiter(void (*cancel)(Waiter&)) : Ready(&resume), cancel_(cancel) {}
    static void throw_if_cancelled();
    [[noreturn]] static void throw_cancelled();
    /// For an await_suspend that decides not to suspend after all.
    void withdraw() noexcept { chain_->leaf_ = nullptr; }

private:
    friend struct Chain;
    static void resume(Ready& ready);
    Chain* chain_ = nullptr;
    std::coroutine_handle<> handle_;
    void (*cancel_)(Waiter&);
    enum class State : std::uint8_t { waiting, woken, cancelled } state_ = State::waiting;
};

/// Owns tasks: ending it cancels and joins them. Destroyed with live tasks, it asserts.
class Scope {
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
    bool closing() const { return closing_; }
    std::size_t running() const { return running_; }
    const std::string& name() const { return name_; }
    Executor& executor() const { return *context_.executor; }
    Context& context() { return context_; }
    std::string describe_tasks() const;  ///< A line per chain, for leak reports.

private:
    friend struct Chain;
    Context context_;
    std::string name_;
    Link chains_, closers_;
    std::size_t running_ = 0;
    bool closing_ = false;
};

/// While it lives, cancelling waits: what is awaited inside completes first.
class Shield {
public:
    Shield() : chain_(Chain::running()) { ++chain_.shields_; }
    ~Shield() { --chain_.shields_; }
    Shield(const Shield&) = delete;

private:
    Chain& chain_;
};

template <class T>
class Job : public Chain {
public:
    Job(Scope& scope, Task<T> task) : Chain(scope), handle_(task.release()) {
        release_ = [](Chain& chain) noexcept {
            auto& self = static_cast<Job&>(chain);
            self.handle_.destroy();
            self.~Job();
            release_frame(&self, sizeof(Job));
        };
        handle_.promise().root = this;
    }
    typename Task<T>::Handle handle_;
};

/// A started task. Await it once for its result, or drop it: then it ends with its scope and a
/// failure is reported to the executor.
template <class T = void>
class [[nodiscard("keep it to await it, or say (void)")]] Join {
public:
    explicit Join(Job<T>* job) : job_(job) {}
    Join(Join&& other) noexcept : job_(std::exchange(other.job_, nullptr)) {}
    Join& operator=(Join&& other) noexcept {
        std::swap(job_, other.job_);
        return *this;
    }
    ~Join() {
        if (job_) drop();
    }
    bool done() const { return job_->done(); }
    void cancel() { job_->cancel(); }
    Chain& chain() const { return *job_; }

    class Awaiter : public Waiter {
    public:
        explicit Awaiter(Job<T>& job) : Waiter(&leave), job_(job) {}
        bool await_ready() {
            if (job_.done()) return true;
            throw_if_cancelled();
            return false;
        }
        template <class P>
        void await_suspend(std::coroutine_handle<P> handle) {
            Waiter::await_suspend(handle);
            job_.joiner_ = this;
        }
        T await_resume() {
            Waiter::await_resume();
            return job_.handle_.promise().take();
        }

    private:
        static void leave(Waiter& self) { static_cast<Awaiter&>(self).job_.joiner_ = nullptr; }
        Job<T>& job_;
    };
    Awaiter operator co_await() noexcept {
        observed_ = true;
        return Awaiter(*job_);
    }

private:
    void drop() noexcept;
    Job<T>* job_;
    bool observed_ = false;
};

namespace detail {
void start(Chain& chain, std::coroutine_handle<> root) noexcept;
void report_dropped(Chain& chain, const std::exception_ptr& failure) noexcept;
}  // namespace detail

namespace detail {
template <class T>
Join<T> spawn(Scope& scope, Task<T> task, TimePoint deadline) {
    auto* job = new (allocate_frame(sizeof(Job<T>))) Job<T>(scope, std::move(task));
    job->deadline = deadline;
    detail::start(*job, job->handle_);
    return Join<T>(job);
}
/// The same with a context of its own.
template <class T>
Join<T> spawn(Scope& scope, Task<T> task, const Context& context) {
    auto* job = new (allocate_frame(sizeof(Job<T>))) Job<T>(scope, std::move(task));
    static_cast<Context&>(*job) = context;
    detail::start(*job, job->handle_);
    return Join<T>(job);
}
}  // namespace detail

/// Starts a task now, in `scope`; returns at its first suspension.
template <class T>
Join<T> go(Scope& scope, Task<T> task) {
    return detail::spawn(scope, std::move(task), TimePoint::max());
}
/// The same in the current scope.
template <class T>
Join<T> go(Task<T> task) {
    GYRE_ASSERT(current != nullptr && current->scope != nullptr, "go() outside of a task");
    return go(*current->scope, std::move(task));
}

template <class T>
void Join<T>::drop() noexcept {
    auto& job = *job_;
    if (job.done_) {
        if (auto& failure = job.handle_.promise().failure; failure && !observed_)
            detail::report_dropped(job, failure);
    }
    if (--job.references_ == 0) job.release_(job);
}

}  // namespace gyre

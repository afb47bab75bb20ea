#pragma once
#include <gyre/task/executor.hpp>
#include <gyre/task/task.hpp>
#include <string>

namespace gyre {

class Pool;
class Scope;
class TaskLister;
class Waiter;
struct Chain;

namespace detail {
/// Who is told when a chain ends.
struct Joiner {
    explicit Joiner(void (*ended_)(Joiner&, Chain&) noexcept) noexcept : ended(ended_) {}
    void (*ended)(Joiner&, Chain&) noexcept;
};
/// Starts a chain; returns at its first suspension. Its Join holds it.
Chain& launch(Scope& scope, PromiseBase& root, TimePoint deadline);
Chain& launch(Scope& scope, PromiseBase& root, const Context& context);
Chain& launch_pooled(PromiseBase& root);
}  // namespace detail

/// One chain of awaits from go() to the innermost await: what runs, is cancelled and joined.
/// It is the Context of everything in it. 136 bytes.
struct Chain : Context, Link {
    Chain(Scope& owner, detail::PromiseBase& root);
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;
    /// The current await and each later one throw Error{cancelled}. One that waits for its start in
    /// a pool ends without it. Idempotent.
    void cancel();
    void set_restartable() { restartable_ = true; }  ///< See Scope::cancel_tasks.
    bool cancel_requested() const { return cancel_requested_; }
    bool done() const { return done_; }
    /// Cancelled, and not inside of a Shield.
    bool must_end() const { return cancel_requested_ && shields_ == 0; }
    bool failed() const { return done_ && root_->state == detail::PromiseBase::State::failed; }
    bool ended_cancelled() const;
    std::string describe() const;  ///< "file:line < file:line ...", innermost first.

    static Chain& running() {
        GYRE_ASSERT(current != nullptr, "this is awaited inside of a task only");
        return static_cast<Chain&>(*current);
    }

    static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
    static void operator delete(void* chain, std::size_t bytes) { release_frame(chain, bytes); }

private:
    friend Chain& detail::launch(Scope&, detail::PromiseBase&, TimePoint);
    friend Chain& detail::launch(Scope&, detail::PromiseBase&, const Context&);
    friend class Pool;
    friend class Scope;
    friend class Shield;
    friend class TaskLister;
    friend class Waiter;
    friend class JoinBase;
    friend class GroupWaiter;
    friend struct detail::PromiseBase;
    void start() noexcept;
    void end() noexcept;      // the root has its result
    void release() noexcept;  // nobody needs the result any more
    void report_dropped() noexcept;

    Waiter* leaf_ = nullptr;            // where it waits now; null while it runs
    detail::Joiner* joiner_ = nullptr;  // who waits for its end
    detail::PromiseBase* root_;
    TimePoint since_{};  // when it began to wait
    std::uint16_t shields_ = 0;
    bool restartable_ = false;
    bool cancel_requested_ = false;
    bool done_ = false;
    bool held_ = true;     // a Join looks at it
    bool pooled_ = false;  // it is a PooledChain
};

/// What a suspended chain waits for, as told by dump_tasks().
enum class WaitsFor : std::uint8_t { other, sleep, yield, event, signal, permit, queue, join, group, scope, start, reply };

/// Base of what suspends a chain: links somewhere, is woken once, or cancelled.
/// It may be moved until it waits.
class [[nodiscard("co_await it")]] Waiter : public Ready {
public:
    Waiter(Waiter&& other) noexcept
        : Ready(other.run), cancel_(other.cancel_), waits_for_(other.waits_for_) {}
    bool await_ready() {
        throw_if_cancelled();
        return false;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Chain& chain = Chain::running();
        chain_ = &chain;
        promise_ = &handle.promise();
        state_ = State::waiting;
        chain.leaf_ = this;
        chain.since_ = chain.executor->now();
    }
    void await_resume() {
        if (state_ == State::cancelled) [[unlikely]] throw_cancelled();
    }
    /// Resumes the chain later this turn. The second call and one after a cancellation do nothing.
    void wake() noexcept {
        if (state_ != State::waiting) return;
        state_ = State::woken;
        chain_->executor->ready(*this);
    }
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
    bool waiting() const { return state_ == State::waiting; }  ///< Neither woken nor cancelled.

protected:
    /// `cancel` leaves wherever the waiter waits; null: it cannot be cancelled.
    explicit Waiter(void (*cancel)(Waiter&), WaitsFor waits_for = WaitsFor::other) noexcept
        : Ready(&resume), cancel_(cancel), waits_for_(waits_for) {}
    static void throw_if_cancelled() {
        if (Chain::running().must_end()) [[unlikely]] throw_cancelled();
    }
    [[noreturn]] static void throw_cancelled();
    /// For an await_suspend that decides not to suspend after all.
    void withdraw() noexcept { chain_->leaf_ = nullptr; }

private:
    friend struct Chain;
    friend class Pool;
    friend class JoinBase;
    friend class TaskLister;
    static void resume(Ready& ready) {
        auto& self = static_cast<Waiter&>(ready);
        self.chain_->leaf_ = nullptr;
        ContextGuard guard(self.chain_);
        self.promise_->handle().resume();
    }
    Chain* chain_ = nullptr;
    detail::PromiseBase* promise_ = nullptr;
    void (*cancel_)(Waiter&);
    enum class State : std::uint8_t { waiting, woken, cancelled } state_ = State::waiting;
    WaitsFor waits_for_;
};

/// While it lives, cancelling waits: what is awaited inside completes first.
class Shield {
public:
    Shield() : chain_(Chain::running()) { ++chain_.shields_; }
    ~Shield() { --chain_.shields_; }
    Shield(const Shield&) = delete;
    Shield& operator=(const Shield&) = delete;

private:
    Chain& chain_;
};

}  // namespace gyre

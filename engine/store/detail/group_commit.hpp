#pragma once
#include <deque>
#include <gyre/io/io.hpp>
#include <gyre/metric/registry.hpp>
#include <gyre/store/detail/sqlite.hpp>
#include <gyre/store/store.hpp>

namespace gyre::store::detail {

/// One call of a user, in the frame that awaits it.
class Call : public Waiter {
public:
    explicit Call(bool writes_) : Waiter(nullptr), writes(writes_) {}
    /// On the lane. Keeps an Error for its awaiter; lets DatabaseFailure pass.
    virtual void run(Connection& connection) = 0;
    const bool writes;
    std::exception_ptr failure;
};

template <class F>
class TypedCall;

/// Calls to one connection, each with its own result, as few transactions as possible.
class GroupCommit {
public:
    GroupCommit(io::Io& io, StoreConfig config, metric::Registry* metrics);
    ~GroupCommit();

    Task<> open();

    /// Runs function(Connection&) inside a transaction on the lane; resumes after its commit.
    /// It checks before it changes, since an Error it throws does not undo; and it may run again
    /// after a roll-back.
    template <class F>
    Task<std::invoke_result_t<F&, Connection&>> read(F function) {
        return run(false, std::move(function));
    }
    template <class F>
    Task<std::invoke_result_t<F&, Connection&>> write(F function) {
        return run(true, std::move(function));
    }
    io::Io& io() { return io_; }

private:
    template <class F>
    Task<std::invoke_result_t<F&, Connection&>> run(bool writes, F function);
    template <class F>
    friend class TypedCall;
    void enqueue(Call& call);
    void check_room() const;  // throws overloaded
    Task<> flush();
    static bool commit(Connection& connection, std::span<Call* const> calls) noexcept;

    struct Start : Ready {
        explicit Start(GroupCommit& o) : Ready(&begin), owner(o) {}
        static void begin(Ready& self);
        GroupCommit& owner;
    };
    struct Metrics {
        explicit Metrics(metric::Registry& registry);
        metric::Histogram& commit_us;
        metric::Histogram& batch_calls;
        metric::Counter& failures;
    };

    io::Io& io_;
    StoreConfig config_;
    std::optional<Metrics> metrics_;
    std::unique_ptr<Connection> connection_;  // used on the lane only
    std::unique_ptr<io::Lane> lane_;
    Scope scope_;
    Start start_{*this};
    std::deque<Call*> waiting_;
    bool flushing_ = false;
};

template <class F>
class TypedCall : public Call {
    using R = std::invoke_result_t<F&, Connection&>;

public:
    TypedCall(GroupCommit& owner, bool writes_, F& function)
        : Call(writes_), owner_(owner), function_(function) {}
    void run(Connection& connection) override {
        failure = nullptr;
        try {
            if constexpr (std::is_void_v<R>)
                function_(connection);
            else
                value_.emplace(function_(connection));
        } catch (const DatabaseFailure&) {
            throw;
        } catch (...) {
            failure = std::current_exception();
        }
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        owner_.enqueue(*this);
    }
    R await_resume() {
        if (failure) std::rethrow_exception(failure);
        if constexpr (!std::is_void_v<R>) return std::move(*value_);
    }

private:
    GroupCommit& owner_;
    F& function_;
    std::conditional_t<std::is_void_v<R>, char, std::optional<R>> value_{};
};

template <class F>
Task<std::invoke_result_t<F&, Connection&>> GroupCommit::run(bool writes, F function) {
    check_room();
    TypedCall<F> call(*this, writes, function);
    if constexpr (std::is_void_v<std::invoke_result_t<F&, Connection&>>)
        co_await call;
    else
        co_return co_await call;
}

}  // namespace gyre::store::detail

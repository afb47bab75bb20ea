#pragma once
#include <gyre/task/scope.hpp>

namespace gyre::detail {

/// Waits until the last task of a scope has ended. Not cancelled: closing is not left half done.
class CloseWaiter : public Waiter {
public:
    CloseWaiter(const Scope& scope_, Link& closers) noexcept
        : Waiter(nullptr, WaitsFor::scope), scope(scope_), closers_(closers) {}
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        append_to(closers_);
    }
    void await_resume() noexcept {}
    const Scope& scope;

private:
    Link& closers_;
};

}  // namespace gyre::detail

#include <gyre/task/chain.hpp>

#include <cstdio>
#include <gyre/task/detail/pooled_chain.hpp>
#include <gyre/task/scope.hpp>

namespace gyre {

Chain::Chain(Scope& owner, detail::PromiseBase& root) : Context(owner.context_), root_(&root) {
    if (current && current->scope == &owner) static_cast<Context&>(*this) = *current;
    else if (current) trace = current->trace;
    cancel_requested_ = owner.closing_;
    ++owner.running_;
    append_to(owner.chains_);
}

void Chain::start() noexcept {
    ContextGuard guard(this);
    root_->handle().resume();
}

void Chain::cancel() {
    if (done_) return;
    cancel_requested_ = true;
    // A waiter already woken delivers what it waited for; the next await throws.
    if (leaf_ && shields_ == 0 && leaf_->cancel_ && leaf_->state_ == Waiter::State::waiting) {
        leaf_->cancel_(*leaf_);
        leaf_->state_ = Waiter::State::cancelled;
        executor->ready(*leaf_);
    }
}

std::string Chain::describe() const {
    if (done_) return "done";
    if (!leaf_) return "running";
    if (leaf_->waits_for_ == WaitsFor::start) return "not started";
    std::string text;
    int depth = 0;
    for (auto* promise = leaf_->promise_; promise && depth < 32; promise = promise->parent, ++depth) {
        if (depth) text += " < ";
        text += promise->where.file_name();
        text += ':';
        text += std::to_string(promise->where.line());
    }
    return text;
}

bool Chain::ended_cancelled() const { return failed() && to_error(root_->failure).is(errc::cancelled); }

void Chain::end() noexcept {
    done_ = true;
    leaf_ = nullptr;
    Scope& owner = *scope;
    Link::unlink();
    if (auto* joiner = std::exchange(joiner_, nullptr)) joiner->ended(*joiner, *this);
    if (pooled_) Pool::chain_ended(*this);
    if (--owner.running_ == 0) [[unlikely]] {
        owner.why_cancelled_.reset();
        while (owner.closers_.linked()) {
            auto& closer = static_cast<Waiter&>(static_cast<Ready&>(*owner.closers_.next));
            closer.Link::unlink();
            closer.wake();
        }
    }
    if (held_) return;
    // The Join is gone: nobody else will look at a failure.
    if (root_->state == detail::PromiseBase::State::failed) report_dropped();
    release();
}

void Chain::release() noexcept {
    root_->handle().destroy();
    if (pooled_) delete static_cast<Pool::PooledChain*>(this);
    else delete this;
}

std::coroutine_handle<> detail::PromiseBase::end_chain() noexcept {
    Chain::running().end();
    return std::noop_coroutine();
}
constinit void (*detail::failure_passed_await)(const std::exception_ptr&, const std::source_location&) noexcept = nullptr;

void detail::PromiseBase::pass_failure(const std::exception_ptr& failure, const PromiseBase& to) noexcept {
    if (failure_passed_await && to.state == State::pending) failure_passed_await(failure, to.where);
}
void detail::PromiseBase::rethrow(const std::exception_ptr& failure) {
    std::rethrow_exception(failure);
}

void Chain::report_dropped() noexcept {
    const Error error = to_error(root_->failure);
    if (error.is(errc::cancelled)) return;  // it was asked to end: not a failure
    if (executor->on_dropped_failure) {
        ContextGuard guard(this);
        try {
            executor->on_dropped_failure(error, root_->failure);
        } catch (...) {
            // Nobody is left to hear of it.
        }
    } else {
        std::fprintf(stderr, "gyre: a dropped task failed: %s at %s\n", error.what(),
                     error.where().c_str());
    }
}

void Waiter::throw_cancelled() { throw Error(errc::cancelled, "its scope ended"); }

}  // namespace gyre

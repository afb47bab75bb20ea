#include <gyre/task/scope.hpp>

#include <cstdio>

namespace gyre {

Chain::Chain(Scope& owner) : Context(owner.context_) {
    references_ = 2;  // the run and its Join
    if (current && current->scope == &owner) static_cast<Context&>(*this) = *current;
    else if (current) trace = current->trace;
    ++owner.running_;
    append_to(owner.chains_);
}
Chain::~Chain() = default;

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
    std::string text;
    int depth = 0;
    for (auto* promise = innermost_; promise && depth < 32; promise = promise->parent, ++depth) {
        if (depth) text += " < ";
        text += promise->where.file_name();
        text += ':';
        text += std::to_string(promise->where.line());
    }
    return text.empty() ? "not suspended" : text;
}

void Chain::finish() noexcept {
    done_ = true;
    leaf_ = nullptr;
    Scope& owner = *scope;
    Link::unlink();
    if (joiner_) joiner_->wake(), joiner_ = nullptr;
    if (--owner.running_ == 0)
        while (owner.closers_.linked()) {
            auto& closer = static_cast<Waiter&>(static_cast<Ready&>(*owner.closers_.next));
            closer.Link::unlink();
            closer.wake();
        }
}

std::coroutine_handle<> detail::PromiseBase::end_chain() noexcept {
    Chain& chain = *root;
    chain.finish();
    if (--chain.references_ == 0) {
        // The Join is gone: nobody else will look at a failure. A cancelled task is not one.
        if (failure) report_dropped(chain, failure);
        chain.release_(chain);
    }
    return std::noop_coroutine();
}

void detail::start(Chain& chain, std::coroutine_handle<> root) noexcept {
    if (chain.scope->closing()) chain.cancel();
    ContextGuard guard(&chain);
    root.resume();
}

void detail::report_dropped(Chain& chain, const std::exception_ptr& failure) noexcept {
    const Error error = to_error(failure);
    if (error.is(errc::cancelled)) return;
    if (chain.executor->on_dropped_failure) {
        ContextGuard guard(&chain);
        try {
            chain.executor->on_dropped_failure(error);
        } catch (...) {
            // Nobody is left to hear of it.
        }
    } else {
        std::fprintf(stderr, "gyre: a dropped task failed: %s at %s\n", error.what(),
                     error.where().c_str());
    }
}

void Waiter::wake() noexcept {
    if (state_ != State::waiting) return;
    state_ = State::woken;
    chain_->executor->ready(*this);
}

void Waiter::resume(Ready& ready) {
    auto& self = static_cast<Waiter&>(ready);
    Chain& chain = *self.chain_;
    chain.leaf_ = nullptr;
    ContextGuard guard(&chain);
    self.handle_.resume();
}

void Waiter::throw_if_cancelled() {
    const Chain& chain = Chain::running();
    if (chain.cancel_requested_ && chain.shields_ == 0) throw_cancelled();
}
void Waiter::throw_cancelled() { throw Error(errc::cancelled, "its scope ended"); }

Scope::Scope(Executor& executor, std::string name, Context context)
    : context_(context), name_(std::move(name)) {
    context_.executor = &executor;
    context_.scope = this;
}

Scope::~Scope() {
    if (running_ != 0) {
        std::fprintf(stderr, "gyre: scope %s destroyed with %zu live tasks:\n%s", name_.c_str(),
                     running_, describe_tasks().c_str());
    }
    GYRE_ASSERT(running_ == 0, "a scope outlives its tasks: await close() first");
}

std::string Scope::describe_tasks() const {
    std::string text;
    for (const Link* link = chains_.next; link != &chains_; link = link->next)
        text += "  " + static_cast<const Chain*>(link)->describe() + "\n";
    return text;
}

void Scope::cancel() {
    closing_ = true;
    for (Link* link = chains_.next; link != &chains_;) {
        Chain& chain = *static_cast<Chain*>(link);
        link = link->next;  // cancelling only queues the chain: the ring stays as it is
        chain.cancel();
    }
}

namespace {
class CloseWaiter : public Waiter {
public:
    explicit CloseWaiter(Link& closers) : Waiter(nullptr), closers_(closers) {}
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        append_to(closers_);
    }
    void await_resume() noexcept {}

private:
    Link& closers_;
};
}  // namespace

Task<> Scope::close() {
    if (current && current->scope == this)
        throw Error("closed_from_inside", "scope=" + name_ + " is closed by one of its own tasks");
    cancel();
    while (running_ > 0) co_await CloseWaiter(closers_);
}

}  // namespace gyre

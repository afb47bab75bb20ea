#include <gyre/task/scope.hpp>

#include <cstdio>
#include <gyre/task/detail/close_waiter.hpp>

namespace gyre {

Chain& detail::launch(Scope& scope, PromiseBase& root, TimePoint deadline) {
    auto& chain = *new Chain(scope, root);
    chain.deadline = deadline;
    return chain.start(), chain;
}
Chain& detail::launch(Scope& scope, PromiseBase& root, const Context& context) {
    auto& chain = *new Chain(scope, root);
    static_cast<Context&>(chain) = context;
    return chain.start(), chain;
}

void JoinBase::drop() noexcept {
    Chain& chain = *chain_;
    chain.held_ = false;
    if (!chain.done_) return;
    if (!observed_ && chain.root_->state == detail::PromiseBase::State::failed) chain.report_dropped();
    chain.release();
}

Scope::Scope(Executor& executor, std::string name, Context context)
    : context_(context), name_(std::move(name)) {
    context_.executor = &executor;
    context_.scope = this;
    append_to(executor.scopes_);
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
    (void)cancel_chains(false);
}

void Scope::cancel_tasks(const Error& why, bool restartable_only) {
    if (running_ == 0) return;
    why_cancelled_ = std::make_unique<const Error>(why);
    if (!cancel_chains(restartable_only)) why_cancelled_.reset();
}

bool Scope::cancel_chains(bool restartable_only) {
    bool any = false;
    for (Link* link = chains_.next; link != &chains_;) {
        Chain& chain = *static_cast<Chain*>(link);
        link = link->next;  // cancelling only queues the chain: the ring stays as it is
        if (restartable_only && !chain.restartable_) continue;
        chain.cancel();
        any = true;
    }
    return any;
}

Task<> Scope::close() {
    if (current && current->scope == this)
        throw Error("closed_from_inside", "scope=" + name_ + " is closed by one of its own tasks");
    cancel();
    while (running_ > 0) co_await detail::CloseWaiter(*this, closers_);
}

}  // namespace gyre

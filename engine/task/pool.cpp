#include <gyre/task/pool.hpp>

#include <algorithm>
#include <gyre/task/detail/pooled_chain.hpp>

namespace gyre {

Pool::Pool(Executor& executor, PoolLimits limits) : executor_(executor) { set_limits(limits); }
Pool::~Pool() { GYRE_ASSERT(running_ == 0 && queued_ == 0, "a pool outlives its tasks"); }

void Pool::set_limits(PoolLimits limits) {
    GYRE_ASSERT(limits.running > 0, "a pool of no task runs nothing");
    GYRE_ASSERT(limits.patience > Duration::zero(), "patience is longer than nothing");
    limits_ = limits;
    if (queued_ > 0 && !drain_.linked()) executor_.ready(drain_);
}

Pool::Start::Start(PooledChain& chain) : Waiter([](Waiter& self) {
    auto& start = static_cast<Start&>(self);
    static_cast<PooledChain&>(start.chain()).pool.leave(start);
}, WaitsFor::start) {
    run = &begin;
    chain_ = &chain;
    promise_ = chain.root_;
    chain.leaf_ = this;
    chain.start = this;
    chain.since_ = chain.executor->now();
}

void Pool::Start::begin(Ready& ready) {
    auto& self = static_cast<Start&>(ready);
    auto& chain = static_cast<PooledChain&>(self.chain());
    chain.leaf_ = nullptr;
    chain.start = nullptr;
    delete &self;
    if (!chain.cancel_requested_) return chain.pool.run(chain);
    chain.root_->fail(std::make_exception_ptr(Error(errc::cancelled, "its scope ended before its start")));
    chain.end();
}

Chain& Pool::launch(Scope& scope, detail::PromiseBase& root) {
    auto& chain = *new PooledChain(*this, scope, root);
    chain.deadline = TimePoint::max();
    if (running_ < limits_.running && queued_ == 0) {
        run(chain);
        return chain;
    }
    auto* start = new Start(chain);
    start->append_to(queue_);
    queued_peak_ = std::max(queued_peak_, ++queued_);
    if (chain.cancel_requested_) chain.cancel();
    if (!patience_.armed() && queued_ > 0) {
        ended_before_ = ended_;
        patience_.arm_in(limits_.patience);
    }
    return chain;
}

void Pool::run(PooledChain& chain) noexcept {
    peak_ = std::max(peak_, ++running_);
    chain.started = true;
    chain.Chain::start();
}

void Pool::chain_ended(Chain& chain) noexcept {
    auto& pooled = static_cast<PooledChain&>(chain);
    if (!pooled.started) return;
    Pool& pool = pooled.pool;
    --pool.running_;
    ++pool.ended_;
    if (pool.queued_ > 0 && !pool.drain_.linked()) pool.executor_.ready(pool.drain_);
}

void Pool::leave(Start& start) noexcept {
    start.unlink();
    if (--queued_ == 0) patience_.disarm();
}

void Pool::start_first() noexcept {
    auto& start = static_cast<Start&>(static_cast<Ready&>(*queue_.next));
    leave(start);
    Start::begin(start);
}

void Pool::drain() {
    while (queued_ > 0 && running_ < limits_.running) start_first();
}

void Pool::lose_patience() {
    if (ended_ == ended_before_) {
        const std::size_t more = std::min(limits_.running, queued_);
        overruns_ += more;
        for (std::size_t i = 0; i < more && queued_ > 0; ++i) start_first();
    }
    ended_before_ = ended_;
    if (queued_ > 0) patience_.arm_in(limits_.patience);
}

void JoinBase::Awaiter::start_soon(Chain& job) noexcept {
    auto& pooled = static_cast<Pool::PooledChain&>(job);
    if (!pooled.start || !pooled.start->waiting()) return;
    pooled.pool.leave(*pooled.start);
    pooled.start->wake();
}

Pool& Executor::pool() {
    if (!pool_) pool_ = new Pool(*this, {.patience = 1s});
    return *pool_;
}

Chain& detail::launch_pooled(PromiseBase& root) {
    GYRE_ASSERT(current != nullptr && current->scope != nullptr, "go() outside of a task");
    return current->executor->pool().launch(*current->scope, root);
}

}  // namespace gyre

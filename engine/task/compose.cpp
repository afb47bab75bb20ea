#include <gyre/task/compose.hpp>

namespace gyre {

bool GroupWaiter::decides(const Chain& job) const noexcept {
    return until_ == Until::one_ended || (until_ == Until::all_ended_or_one_failed && job.failed());
}

bool GroupWaiter::await_ready() {
    throw_if_cancelled();
    remaining_ = 0;
    for (Chain* job : jobs_) {
        if (!job->done()) ++remaining_;
        else if (!first_ && decides(*job)) first_ = job;
    }
    return remaining_ == 0 || first_;
}

void GroupWaiter::leave(Waiter& self) {
    for (Chain* job : static_cast<GroupWaiter&>(self).jobs_) job->joiner_ = nullptr;
}

void GroupWaiter::ended(Joiner& joiner, Chain& job) noexcept {
    auto& self = static_cast<GroupWaiter&>(joiner);
    --self.remaining_;
    if (self.decides(job)) self.first_ = &job;
    if (!self.first_ && self.remaining_ > 0) return;
    leave(self);
    self.wake();
}

Task<> detail::end_all(std::span<Chain* const> jobs) {
    Shield shield;
    for (Chain* job : jobs) job->cancel();
    co_await GroupWaiter(jobs, GroupWaiter::Until::all_ended);
}

namespace {
std::size_t index_of(std::span<Chain* const> jobs, const Chain* job) {
    return static_cast<std::size_t>(std::find(jobs.begin(), jobs.end(), job) - jobs.begin());
}
}  // namespace

Task<std::size_t> detail::join_all(std::span<Chain* const> jobs) {
    std::exception_ptr cancelled;
    Chain* failed = nullptr;
    try {
        failed = co_await GroupWaiter(jobs, GroupWaiter::Until::all_ended_or_one_failed);
        if (!failed) co_return none;
    } catch (...) {
        cancelled = std::current_exception();
    }
    co_await end_all(jobs);
    if (cancelled) std::rethrow_exception(cancelled);
    co_return index_of(jobs, failed);
}

Task<std::size_t> detail::join_any(std::span<Chain* const> jobs) {
    if (jobs.empty()) throw Error(errc::bad_arguments, "when_any() of no task");
    std::exception_ptr cancelled;
    Chain* first = nullptr;
    try {
        first = co_await GroupWaiter(jobs, GroupWaiter::Until::one_ended);
    } catch (...) {
        cancelled = std::current_exception();
    }
    co_await end_all(jobs);
    if (cancelled) std::rethrow_exception(cancelled);
    co_return index_of(jobs, first);
}

}  // namespace gyre

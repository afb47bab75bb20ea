#pragma once
#include <algorithm>
#include <functional>
#include <gyre/base/bytes.hpp>
#include <gyre/base/result.hpp>
#include <gyre/task/sync.hpp>
#include <optional>
#include <unordered_map>
#include <vector>

namespace gyre::rpc::detail {

class PendingReply;

/// Calls that wait for their reply, by call id.
class PendingTable {
public:
    /// `left` hears of calls that gave up: time-out, cancelled.
    explicit PendingTable(std::function<void(std::uint64_t)> left) : left_(std::move(left)) {}
    void complete(std::uint64_t id, Result<Bytes> result);  ///< Unknown ids came too late.
    void fail_all(const Error& reason);
    std::size_t size() const { return waiting_.size(); }

private:
    friend class PendingReply;
    std::unordered_map<std::uint64_t, PendingReply*> waiting_;
    std::function<void(std::uint64_t)> left_;
};

/// Awaited in the caller's frame; `before_wait` runs once it is registered.
class PendingReply : public Waiter {
public:
    PendingReply(PendingTable& table, Executor& executor, std::uint64_t id, TimePoint at)
        : Waiter([](Waiter& self) { static_cast<PendingReply&>(self).leave(); }),
          table_(table), id_(id), at_(at), limit_(executor, *this) {}
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        table_.waiting_.emplace(id_, this);
        limit_.arm(at_);
        if (before_wait) before_wait();
    }
    Bytes await_resume() {
        Waiter::await_resume();
        return std::move(*result_).value();
    }
    std::function<void()> before_wait;

private:
    friend class PendingTable;
    struct Limit : Timer {
        Limit(Executor& executor, PendingReply& p)
            : Timer(executor,
                    [](Timer& timer) {
                        auto& reply = static_cast<Limit&>(timer).reply;
                        reply.leave();
                        reply.finish(Error(errc::timed_out, "no reply in time; it may have run"));
                    }),
              reply(p) {}
        PendingReply& reply;
    };
    void leave() {
        limit_.disarm();
        table_.waiting_.erase(id_);
        if (table_.left_) table_.left_(id_);
    }
    void finish(Result<Bytes> result) {
        limit_.disarm();
        result_.emplace(std::move(result));
        wake();
    }
    PendingTable& table_;
    std::uint64_t id_;
    TimePoint at_;
    Limit limit_;
    std::optional<Result<Bytes>> result_;
};

inline void PendingTable::complete(std::uint64_t id, Result<Bytes> result) {
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    PendingReply& reply = *found->second;
    waiting_.erase(found);
    reply.finish(std::move(result));
}

inline void PendingTable::fail_all(const Error& reason) {
    // In the order of the calls, so that a simulation repeats itself.
    std::vector<std::pair<std::uint64_t, PendingReply*>> all(waiting_.begin(), waiting_.end());
    waiting_.clear();
    std::sort(all.begin(), all.end());
    for (auto& [id, reply] : all) reply->finish(reason);
}

}  // namespace gyre::rpc::detail

#pragma once
#include <gyre/base/bytes.hpp>
#include <gyre/task/sync.hpp>
#include <optional>
#include <vector>

namespace gyre::rpc::detail {

class PendingReply;

/// Calls that wait for their reply, by call id. Ids grow and are never used again.
class PendingTable {
public:
    /// Who hears of calls that gave up: time-out, cancelled.
    class Owner {
    public:
        virtual void gave_up(std::uint64_t id) = 0;

    protected:
        ~Owner() = default;
    };
    explicit PendingTable(Owner* owner) : owner_(owner) {}
    PendingTable(const PendingTable&) = delete;
    void add(PendingReply& reply, TimePoint at);  ///< Gives it its id and deadline.
    /// Null: it came too late, or never was.
    PendingReply* take(std::uint64_t id);
    void fail_all(const Error& reason);
    std::size_t size() const { return size_; }

private:
    friend class PendingReply;
    void grow();
    Owner* owner_;
    // At id modulo its size, which is twice what waits or more. An id whose place is taken is
    // skipped.
    std::vector<PendingReply*> places_;
    std::uint64_t next_ = 1;
    std::size_t size_ = 0;
};

/// One reply, awaited once in the frame that made the call. It may be there before the await.
class PendingReply : public Waiter, private Timer {
public:
    explicit PendingReply(Executor& executor)
        : Waiter([](Waiter& self) { static_cast<PendingReply&>(self).leave(); }, WaitsFor::reply),
          Timer(executor, [](Timer& timer) { static_cast<PendingReply&>(timer).expire(); }) {}
    ~PendingReply() {
        if (table_) leave();
    }
    std::uint64_t id() const { return id_; }

    bool await_ready() {
        if (done_) return true;
        throw_if_cancelled();
        return false;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        waits_ = true;
        if (at_ != TimePoint::max()) arm(at_);
    }
    /// The value, valid until the next await. Throws what ended the call.
    BytesView await_resume() {
        Waiter::await_resume();
        if (failure_) throw *failure_;
        return value_;
    }

    /// The last thing its caller does: the chain goes on inline, while `value` lives.
    void complete_inline(BytesView value) {
        if (!resumes_inline()) return complete(Bytes(value.begin(), value.end()));
        value_ = value;
        done_ = true;
        disarm();
        resume_now();
    }
    /// Before it is awaited: there is no chain to go on. True when that is so; `value` lives until
    /// the await, or keep_value().
    bool complete_at_once(BytesView value) {
        if (waits_) return false;
        value_ = value;
        done_ = at_once_ = true;
        return true;
    }
    void keep_value(Bytes kept) {
        kept_ = std::move(kept);
        kept_.assign(value_.begin(), value_.end());
        value_ = kept_;
    }
    /// The chain goes on later this turn. `value` is kept.
    void complete(Bytes value) {
        kept_ = std::move(value);
        value_ = kept_;
        settle();
    }
    void fail(Error reason) {
        failure_.emplace(std::move(reason));
        settle();
    }
    bool has_local_value() const { return at_once_ || kept_.capacity() > 0; }
    Bytes take_kept() { return std::move(kept_); }

private:
    friend class PendingTable;
    void expire() {
        leave();
        fail(Error(errc::timed_out, "no reply in time; it may have run"));
    }
    void leave() {
        disarm();
        PendingTable& table = *std::exchange(table_, nullptr);
        table.take(id_);
        if (table.owner_) table.owner_->gave_up(id_);
    }
    void settle() {
        done_ = true;
        disarm();
        if (waits_) wake();
    }
    PendingTable* table_ = nullptr;  // while it is in there
    std::uint64_t id_ = 0;
    TimePoint at_ = TimePoint::max();
    bool waits_ = false, done_ = false, at_once_ = false;
    BytesView value_;
    Bytes kept_;
    std::optional<Error> failure_;
};

inline void PendingTable::add(PendingReply& reply, TimePoint at) {
    if (2 * (size_ + 1) > places_.size()) grow();
    const std::size_t mask = places_.size() - 1;
    while (places_[next_ & mask]) ++next_;
    places_[next_ & mask] = &reply;
    reply.id_ = next_++;
    reply.table_ = this;
    reply.at_ = at;
    ++size_;
}

inline PendingReply* PendingTable::take(std::uint64_t id) {
    if (places_.empty()) return nullptr;
    PendingReply*& place = places_[id & (places_.size() - 1)];
    PendingReply* const found = place;
    if (!found || found->id_ != id) return nullptr;
    place = nullptr;
    --size_;
    found->table_ = nullptr;
    return found;
}

}  // namespace gyre::rpc::detail

#include <gyre/store/detail/group_commit.hpp>

#include <gyre/store/detail/schema.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::store::detail {

GroupCommit::Metrics::Metrics(metric::Registry& registry)
    : commit_us(registry.histogram("gyre_store_commit_us", {}, "One transaction with its fsync.")),
      batch_calls(registry.histogram("gyre_store_batch_calls", {}, "Calls in one transaction.")),
      failures(registry.counter("gyre_store_failures_total", {}, "Transactions that failed.")) {}

GroupCommit::GroupCommit(io::Io& io, StoreConfig config, metric::Registry* metrics)
    : io_(io),
      config_(std::move(config)),
      lane_(io.make_lane({.name = "store", .queue_limit = 4})),
      scope_(io.executor(), "store") {
    if (metrics) metrics_.emplace(*metrics);
}

GroupCommit::~GroupCommit() {
    GYRE_ASSERT(waiting_.empty() && !flushing_, "a store outlives the calls to it");
    lane_.reset();
}

Task<> GroupCommit::open() {
    const TimePoint give_up = io_.now() + config_.busy_timeout;
    for (;;) {
        try {
            const auto config = config_;
            const auto vfs = io_.sqlite_vfs();
            auto* connection = &connection_;
            co_await lane_->run([config, vfs, connection] {
                try {
                    *connection = open_database(config, vfs);
                } catch (const DatabaseFailure& failure) {
                    throw Error(failure.error);
                }
            });
            co_return;
        } catch (const Error& error) {
            if (!error.is(busy) || io_.now() >= give_up) throw;
        }
        co_await sleep(10ms);  // SQLite does not wait for others in a change of journal mode
    }
}

void GroupCommit::check_room() const {
    if (waiting_.size() >= config_.queue_limit)
        throw Error(errc::overloaded, "store: " + std::to_string(waiting_.size()) +
                                          " calls wait for " + config_.folder);
}

void GroupCommit::enqueue(Call& call) {
    waiting_.push_back(&call);
    if (!flushing_) io_.executor().at_turn_end(start_);  // with all other calls of this turn
}

void GroupCommit::Start::begin(Ready& self) {
    GroupCommit& owner = static_cast<Start&>(self).owner;
    owner.flushing_ = true;
    (void)go(owner.scope_, owner.flush());
}

Task<> GroupCommit::flush() {
    while (!waiting_.empty()) {
        const auto count = std::min<std::size_t>(waiting_.size(), config_.batch_max);
        const std::vector<Call*> batch(waiting_.begin(), waiting_.begin() + count);
        waiting_.erase(waiting_.begin(), waiting_.begin() + count);
        const TimePoint begun = io_.now();
        bool committed = false;
        try {
            Connection* connection = connection_.get();
            committed =
                co_await lane_->run([connection, batch] { return commit(*connection, batch); });
        } catch (...) {
            for (Call* call : batch) call->failure = std::current_exception();
        }
        if (metrics_) {
            const auto took =
                std::chrono::duration_cast<std::chrono::microseconds>(io_.now() - begun);
            metrics_->commit_us.record(static_cast<std::uint64_t>(took.count()));
            metrics_->batch_calls.record(count);
            if (!committed) metrics_->failures.add();
        }
        for (Call* call : batch) call->wake();
    }
    flushing_ = false;
}

/// One transaction for all. When it fails each call gets its own, so that one bad call does not
/// fail the others. False when any transaction failed.
bool GroupCommit::commit(Connection& connection, std::span<Call* const> calls) noexcept {
    bool writes = false;
    for (const Call* call : calls) writes |= call->writes;
    try {
        connection.execute(writes ? "BEGIN IMMEDIATE" : "BEGIN");
        for (Call* call : calls) call->run(connection);
        connection.execute("COMMIT");
        return true;
    } catch (const DatabaseFailure& failure) {
        connection.roll_back();
        if (calls.size() > 1 && !failure.busy())
            for (Call* const& call : calls) (void)commit(connection, {&call, 1});
        else
            for (Call* call : calls) call->failure = std::make_exception_ptr(Error(failure.error));
        return false;
    }
}

}  // namespace gyre::store::detail

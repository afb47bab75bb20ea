#pragma once
#include <gyre/task/scope.hpp>

namespace gyre {

struct PoolLimits {
    std::size_t running = 888;               ///< At least 1.
    Duration patience = Duration::max();     ///< See Pool.
};

/// Runs at most so many tasks at once; those beyond wait for their start, first come first served.
/// A task runs from its start to its end, also while it waits for something.
///
/// A queued task that is awaited by its Join starts at once, on the place of who awaits it: tasks that await
/// what they started never block each other, however deep. A wait by other means (an Event that a
/// queued task would set) is not seen; `patience` is for that: when tasks are queued and for so long
/// none has ended, one limit's worth more starts (`overruns` counts them). Without patience the limit holds
/// under all circumstances.
///
/// Cancelling a queued task, or closing its scope, ends it `cancelled` without a start.
/// A pool outlives its tasks.
class Pool {
public:
    explicit Pool(Executor& executor, PoolLimits limits = {});
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    template <class T>
    Join<T> go(Scope& scope, Task<T> task) {
        return Join<T>(launch(scope, task.release().promise()));
    }
    void set_limits(PoolLimits limits);

    std::size_t limit() const { return limits_.running; }
    std::size_t running() const { return running_; }
    std::size_t queued() const { return queued_; }
    std::size_t peak() const { return peak_; }              ///< Most running at once.
    std::size_t queued_peak() const { return queued_peak_; }
    std::uint64_t overruns() const { return overruns_; }    ///< Started over the limit by patience.

private:
    friend struct Chain;
    friend class JoinBase;
    friend Chain& detail::launch_pooled(detail::PromiseBase& root);
    struct PooledChain;
    struct Start;
    Chain& launch(Scope& scope, detail::PromiseBase& root);
    void run(PooledChain& chain) noexcept;
    void start_first() noexcept;
    static void chain_ended(Chain& chain) noexcept;
    void drain();
    void lose_patience();
    void leave(Start& start) noexcept;

    Executor& executor_;
    PoolLimits limits_;
    Link queue_;
    struct Drain : Ready {
        explicit Drain(Pool& p) : Ready([](Ready& self) { static_cast<Drain&>(self).pool.drain(); }), pool(p) {}
        Pool& pool;
    } drain_{*this};
    struct Patience : Timer {
        explicit Patience(Pool& p)
            : Timer(p.executor_, [](Timer& self) { static_cast<Patience&>(self).pool.lose_patience(); }), pool(p) {}
        Pool& pool;
    } patience_{*this};
    std::size_t running_ = 0, queued_ = 0, peak_ = 0, queued_peak_ = 0;
    std::uint64_t ended_ = 0, ended_before_ = 0, overruns_ = 0;
};

}  // namespace gyre

#pragma once
#include <gyre/io/io.hpp>
#include <gyre/task/sync.hpp>
#include <initializer_list>

namespace gyre::io {

/// What a loop did since its start.
struct LoopCounters {
    std::uint64_t turns = 0;
    std::uint64_t events = 0;
    std::uint64_t reads = 0;  ///< System calls that returned bytes.
    std::uint64_t read_bytes = 0;
    std::uint64_t sends = 0;  ///< System calls, also those the kernel refused.
    std::uint64_t sent_bytes = 0;
    std::uint64_t accepted = 0;
    std::uint64_t accept_pauses = 0;  ///< Times a listener ran out of descriptors or memory.
    std::uint64_t posts = 0;
    Duration busy{};  ///< Time not spent waiting.
    Duration turn_max{};
};

struct LaneCounters {
    std::string name;
    std::size_t threads = 0;
    std::size_t waiting = 0, waiting_max = 0;
    std::uint64_t calls = 0;
    std::uint64_t refused = 0;  ///< Ended `overloaded`.
};

/// The real loop: one thread, epoll, its clock and its timers. One turn: what sockets and other
/// threads brought, then timers and tasks, then all output, one system call per stream
/// (and one for each 8 KiB before) and for up to 64 peers of a datagram socket.
/// Outlives its lanes; streams and listeners that outlive it are closed by it.
/// Use from one thread but for stop() and post().
class Loop final : public Io {
public:
    Loop();
    ~Loop() override;

    void run();            ///< Turns until stop().
    void stop() noexcept;  ///< Any thread. Ends the current or else the next run().
    /// One turn; waits for something to do for at most `max_wait`.
    void run_once(Duration max_wait = Duration::max());
    /// Turns until `done()`, which is asked before each; false when `limit` came first.
    bool run_until(const std::function<bool()>& done, Duration limit = 10s);
    /// Turns until `task` has ended: its result, or its failure as an Error. stop() cancels it.
    template <class T>
    T run_task(Task<T> task);

    /// Calls `handler` on the loop. Blocks the signals in the calling thread and in the threads
    /// and processes it starts later, until the loop ends: call it before starting any thread,
    /// and unblock them in a child before exec.
    void on_signal(std::initializer_list<int> signals, std::function<void(int)> handler);

    const LoopCounters& counters() const;
    std::vector<LaneCounters> lanes() const;

    Executor& executor() override;
    TimePoint measure_now() override;
    WallTime wall_now() override;
    void random(std::span<std::uint8_t> out) override;
    Result<std::unique_ptr<Listener>> listen(const Endpoint& at, AcceptHandler accepted) override;
    Task<std::unique_ptr<Stream>> connect(Endpoint to, Duration limit) override;
    Result<std::unique_ptr<DatagramSocket>> bind(const Endpoint& at) override;
    std::unique_ptr<Lane> make_lane(LaneConfig config) override;
    void post(std::function<void()> action) override;
    std::string sqlite_vfs() override { return {}; }

private:
    bool take_stop() noexcept;
    class Impl;
    std::unique_ptr<Impl> impl_;
};

namespace detail {
template <class T>
Task<> deliver(Task<T> task, std::optional<Result<T>>* out) {
    out->emplace(co_await as_result(std::move(task)));
}
}  // namespace detail

template <class T>
T Loop::run_task(Task<T> task) {
    Scope scope(executor(), "run_task");
    std::optional<Result<T>> result;
    (void)go(scope, detail::deliver(std::move(task), &result));
    while (scope.running() > 0) {
        run_once();
        if (take_stop()) scope.cancel();
    }
    return std::move(*result).value();
}

}  // namespace gyre::io

#pragma once
#include <gyre/sim/link.hpp>
#include <gyre/sim/machine.hpp>
#include <gyre/sim/random.hpp>

namespace gyre::sim {
namespace detail {
class Core;
}

/// How the network behaves between machines; World::link() says more of datagrams. May be changed at any time.
struct NetworkConfig {
    Duration latency = 500us;  ///< One way. A machine reaches itself in 20 us.
    Duration jitter = 200us;   ///< Added: [0, jitter], order within a stream kept.
    double bytes_per_second = 0;             ///< Per direction of a stream; 0: no limit.
    std::size_t window_bytes = 256 * 1024;   ///< In flight or unread, per direction of a stream.
    bool chunking = true;                    ///< Cut what is written at random bytes.
    double stall_probability = 0;            ///< Per delivery: it and all behind it wait.
    Duration stall_max = 2s;
    double cut_probability = 0;     ///< Per delivery: reset at a random byte of it.
    double refuse_probability = 0;  ///< Per connect.
};

/// How long the work of a lane takes.
struct LaneTimes {
    Duration min = 50us, max = 500us;
    double stall_probability = 0;
    Duration stall_max = 2s;
};

struct WorldConfig {
    std::uint64_t seed = 1;
    NetworkConfig network{};
    LaneTimes lanes{};
};

/// One thing that happened. `bytes` is valid during the call only.
struct TraceEvent {
    TimePoint at;
    std::string_view machine;
    std::string_view kind;  ///< connect, refused, accept, deliver, close, lane, datagram, lost
    BytesView bytes;
};

namespace detail {
template <class T>
struct Outcome {
    std::optional<std::conditional_t<std::is_void_v<T>, char, T>> value;
    std::exception_ptr failure;
};
template <class T>
Task<> keep(Task<T> task, std::shared_ptr<Outcome<T>> outcome) {
    try {
        if constexpr (std::is_void_v<T>) co_await std::move(task);
        else outcome->value.emplace(co_await std::move(task));
    } catch (...) {
        outcome->failure = std::current_exception();
    }
}
}  // namespace detail

/// Machines, a network and a clock in one thread. The same seed and the same calls give the same
/// run on every build. Log lines carry its time. Outlives all streams, listeners,
/// datagram sockets, lanes, timers and databases made in it.
class World {
public:
    explicit World(WorldConfig config = {});
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    /// The machine of this name; made at first use. `address`: numeric IPv4, of no other machine.
    Machine& machine(std::string_view name, std::string_view address);

    TimePoint now() const;
    std::uint64_t seed() const;
    Random random(std::string_view purpose) const;  ///< For the test's own choices.
    NetworkConfig& network();
    LaneTimes& lanes();

    void run_for(Duration duration);
    /// True when `done` held within `limit`. It is asked after every step.
    bool run_until(const std::function<bool()>& done, Duration limit);
    /// Runs the world until `task`, on `machine`, has ended; returns its value or throws its error.
    /// Errors: timed_out (names the await it hangs at), disconnected (the machine was killed).
    template <class T>
    T run(Machine& machine, Task<T> task, Duration limit = 10min) {
        auto outcome = std::make_shared<detail::Outcome<T>>();
        auto job = go(machine.scope(), detail::keep(std::move(task), outcome));
        drive(machine, job.chain(), limit);
        if (outcome->failure) std::rethrow_exception(outcome->failure);
        if constexpr (!std::is_void_v<T>) return std::move(*outcome->value);
    }
    /// Calls `action` once, between two steps: for scripts of faults.
    void after(Duration delay, std::function<void()> action);

    /// Nothing passes between them; streams live on and go on after heal(), new connects time out.
    void partition(Machine& a, Machine& b);
    void partition_one_way(Machine& from, Machine& to);
    void isolate(Machine& machine);  ///< From every machine there is.
    void heal(Machine& a, Machine& b);
    void heal();  ///< All of it.
    /// Resets every stream between them, each direction at a random byte of what is under way.
    void cut(Machine& a, Machine& b);

    /// From now on datagrams between them pass a link: `up` from `a`, `down` from `b`, instead of
    /// NetworkConfig's latency. With up.rebind_every `a` stands behind a NAT: others see another
    /// port of its each time, and what they send to the one before is lost.
    void link(Machine& a, Machine& b, const LinkConfig& up, const LinkConfig& down);
    void link(Machine& a, Machine& b, const LinkConfig& both) { link(a, b, both, both); }
    /// Of the link as it was set last.
    LinkCounters link_counters(Machine& from, Machine& to) const;

    std::size_t connections() const;  ///< With a stream left at either end.

    /// Over (virtual time, machine, event, bytes) of all that happened. Equal for equal runs.
    std::uint64_t trace_hash() const;
    std::uint64_t trace_events() const;
    /// To print a run, or find where two runs part.
    void on_trace(std::function<void(const TraceEvent&)> observer);

private:
    void drive(Machine& machine, Chain& chain, Duration limit);
    std::unique_ptr<detail::Core> core_;
};

/// GYRE_SEED of the environment, or `fallback`.
std::uint64_t test_seed(std::uint64_t fallback = 1);

}  // namespace gyre::sim

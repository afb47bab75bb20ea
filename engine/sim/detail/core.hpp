#pragma once
#include <deque>
#include <gyre/sim/world.hpp>
#include <map>
#include <set>

namespace gyre::sim::detail {

class DatagramNetwork;
struct Connection;
struct Host;

inline constexpr WallTime wall_start{std::chrono::seconds(1'735'689'600)};  // 2025-01-01

/// The clock, the wires and the trace. What travels is a timer of `wire`.
class Core {
public:
    explicit Core(WorldConfig config);
    ~Core();

    Host& host(std::string_view name, std::string_view address);
    Host* route(Host& from, const std::string& address);
    Host* route(Host& from, std::uint32_t ip);
    bool reachable(const Host& from, const Host& to) const;
    Duration latency(const Host& from, const Host& to, Random& random) const;

    bool step(TimePoint end);  ///< Runs what is next; false when that is after `end`.
    bool run_until(const std::function<bool()>& done, Duration limit);
    void block(const Host& from, const Host& to);
    void resume();  ///< What waited for a way that is open now goes on.

    void trace(const Host& host, std::string_view kind, BytesView bytes = {});
    /// Frees it after this step, when no stream of it is left.
    void abandon(Connection& connection);

    WorldConfig config;
    TimePoint now;
    const TimePoint start;
    Executor wire;
    Random random;
    std::vector<std::unique_ptr<Host>> hosts;
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections;
    std::uint64_t next_connection = 0;
    std::unique_ptr<DatagramNetwork> datagrams;
    std::set<std::pair<std::uint32_t, std::uint32_t>> blocked;
    std::deque<std::unique_ptr<Alarm>> actions;
    std::uint64_t trace_hash = 0, trace_events = 0;
    std::function<void(const TraceEvent&)> observer;
    Bytes scratch;

private:
    void synchronize();  ///< All clocks show `now`.
    void bury();
    void absorb(std::uint64_t word);
    std::vector<std::uint64_t> abandoned_;
};

}  // namespace gyre::sim::detail

#include <gyre/sim/detail/core.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <gyre/log/backend.hpp>
#include <gyre/sim/detail/connection.hpp>
#include <gyre/sim/detail/datagram.hpp>

namespace gyre::sim::detail {
namespace {
// The world whose time log lines of this thread carry: the log's clock is a plain function.
constinit thread_local Core* logged = nullptr;
WallTime log_now() { return logged ? wall_start + (logged->now - logged->start) : wall_start; }

constexpr TimePoint world_start{1h};
constexpr Duration loopback_latency = 20us;
}  // namespace

Core::Core(WorldConfig c)
    : config(c), now(world_start), start(world_start), random(mix(c.seed ^ 0x67797265u)) {
    datagrams = std::make_unique<DatagramNetwork>(*this);
    wire.turn(now);
    logged = this;
    log::set_clock(&log_now);
}

Core::~Core() {
    // Tasks the test left on its machines end here, with the network whole and everybody awake.
    blocked.clear();
    for (auto& host : hosts) {
        host->frozen_until = {};
        ++host->unwinding;
        host->scope->cancel();
    }
    run_until(
        [this] {
            return std::all_of(hosts.begin(), hosts.end(), [](const auto& host) {
                return host->scope->running() == 0 &&
                       std::all_of(host->remains.begin(), host->remains.end(),
                                   [](const auto& scope) { return scope->running() == 0; });
            });
        },
        10min);
    for (const auto& host : hosts)
        GYRE_ASSERT(host->datagrams.empty(), "a world outlives its datagram sockets");
    for (const auto& [serial, connection] : connections)
        GYRE_ASSERT(!connection->client.stream && !connection->server.stream,
                    "a world outlives its streams");
    actions.clear();
    connections.clear();
    if (logged == this) {
        logged = nullptr;
        log::set_clock(nullptr);
    }
}

Host& Core::host(std::string_view name, std::string_view address) {
    for (auto& host : hosts) {
        const bool same = host->name == name;
        GYRE_ASSERT(same == (host->address == address), "one machine, one name, one address");
        if (same) return *host;
    }
    const auto index = static_cast<std::uint32_t>(hosts.size());
    hosts.push_back(
        std::make_unique<Host>(*this, index, std::string(name), std::string(address)));
    return *hosts.back();
}

Host* Core::route(Host& from, const std::string& address) {
    if (from.owns(address)) return &from;
    for (auto& host : hosts)
        if (host->address == address) return host.get();
    return nullptr;
}

Host* Core::route(Host& from, std::uint32_t ip) {
    if (ip == 0 || ip >> 24 == 127 || ip == from.ip) return &from;
    for (auto& host : hosts)
        if (host->ip == ip) return host.get();
    return nullptr;
}

bool Core::reachable(const Host& from, const Host& to) const {
    return !to.dark && (blocked.empty() || !blocked.contains({from.index, to.index}));
}

Duration Core::latency(const Host& from, const Host& to, Random& draw) const {
    if (&from == &to) return loopback_latency;
    const NetworkConfig& network = config.network;
    return draw.between(network.latency, network.latency + network.jitter);
}

bool Core::step(TimePoint end) {
    TimePoint next = wire.next_deadline();
    for (const auto& host : hosts) next = std::min(next, host->wake_at());
    if (next > end) return false;
    now = std::max(now, next);
    if (wire.next_deadline() <= now) wire.turn(now);
    for (std::size_t i = 0; i < hosts.size(); ++i)
        if (hosts[i]->wake_at() <= now) hosts[i]->turn(now);
    bury();
    return true;
}

void Core::bury() {
    for (const std::uint64_t serial : std::exchange(abandoned_, {})) {
        const auto found = connections.find(serial);
        if (found != connections.end() && !found->second->client.in_use() &&
            !found->second->server.in_use())
            connections.erase(found);
    }
    while (!actions.empty() && !actions.front()->pending()) actions.pop_front();
}

void Core::synchronize() {
    bury();
    wire.advance(now);
    for (auto& host : hosts)
        if (host->runs()) host->executor.advance(now);
}

bool Core::run_until(const std::function<bool()>& done, Duration limit) {
    const TimePoint end = now + limit;
    synchronize();
    bool held = done();
    while (!held && step(end)) held = done();
    if (!held) now = end;
    synchronize();
    return held || done();
}

void Core::block(const Host& from, const Host& to) {
    if (&from != &to) blocked.emplace(from.index, to.index);
}

void Core::resume() {
    for (auto& [serial, connection] : connections) {
        connection->client.out.resume();
        connection->server.out.resume();
    }
}

void Core::absorb(std::uint64_t word) {
    trace_hash = (std::rotl(trace_hash, 23) ^ word) * 0x9e3779b97f4a7c15u;
}

void Core::trace(const Host& host, std::string_view kind, BytesView bytes) {
    ++trace_events;
    absorb(static_cast<std::uint64_t>((now - start).count()));
    absorb(std::uint64_t{host.index} << 32 | bytes.size());
    absorb(fnv1a(kind));
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, std::min<std::size_t>(8, bytes.size() - at));
        absorb(word);
    }
    if (observer) observer({now, host.name, kind, bytes});
}

void Core::abandon(Connection& connection) {
    if (!connection.client.in_use() && !connection.server.in_use())
        abandoned_.push_back(connection.serial);
}

}  // namespace gyre::sim::detail

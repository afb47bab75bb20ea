#include <gyre/sim/machine.hpp>

#include <algorithm>
#include <gyre/sim/detail/connection.hpp>
#include <gyre/sim/detail/datagram.hpp>
#include <gyre/sim/detail/lane.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::sim {
namespace {
bool is_address(const std::string& host) {
    return host == "localhost" ||
           (std::count(host.begin(), host.end(), '.') == 3 &&
            host.find_first_not_of("0123456789.") == std::string::npos);
}

Error down(const detail::Host& host) {
    return Error(errc::refused, "machine " + host.name + " is down");
}
}  // namespace

const std::string& Machine::name() const { return host_.name; }
const std::string& Machine::address() const { return host_.address; }
Scope& Machine::scope() { return *host_.scope; }
void Machine::kill(Death death) { host_.kill(death); }
void Machine::restart() { host_.restart(); }
bool Machine::alive() const { return host_.alive; }
void Machine::freeze(Duration duration) { host_.frozen_until = host_.core.now + duration; }
void Machine::skew_wall_clock(Duration offset) { host_.wall_skew = offset; }
DiskConfig& Machine::disk() { return host_.disk.config; }
std::uint64_t Machine::disk_used_bytes() const { return host_.disk.used_bytes(); }

Executor& Machine::executor() { return host_.executor; }
WallTime Machine::wall_now() {
    return detail::wall_start + (host_.executor.now() - host_.core.start) + host_.wall_skew;
}
void Machine::random(std::span<std::uint8_t> out) { host_.entropy.fill(out); }
std::string Machine::sqlite_vfs() { return host_.disk.vfs_name(); }

namespace {
Task<> run_later(std::function<void()> action) {
    co_await yield();
    const ContextGuard outside(nullptr);
    action();
}
}  // namespace

void Machine::post(std::function<void()> action) { (void)go(*host_.scope, run_later(std::move(action))); }

Result<std::unique_ptr<io::Listener>> Machine::listen(const io::Endpoint& at,
                                                      io::AcceptHandler accepted) {
    if (!host_.alive) return down(host_);
    if (!host_.owns(at.host))
        return Error(errc::bad_arguments, "listen at " + at.to_string() + ": machine " +
                                              host_.name + " has the address " + host_.address);
    io::Endpoint local = at;
    if (local.port == 0) local.port = host_.free_port();
    if (host_.listener_at(local))
        return Error(errc::in_use, local.to_string() + " is in use on machine " + host_.name);
    return std::unique_ptr<io::Listener>(
        std::make_unique<detail::SimListener>(host_, std::move(local), std::move(accepted)));
}

Result<std::unique_ptr<io::DatagramSocket>> Machine::bind(const io::Endpoint& at) {
    if (!host_.alive) return down(host_);
    if (!host_.owns(at.host))
        return Error(errc::bad_arguments, "bind to " + at.to_string() + ": machine " + host_.name +
                                              " has the address " + host_.address);
    auto local = io::SocketAddress::of(at);
    if (!local) return local.error();
    if (local->port == 0) local->port = host_.free_port();
    if (host_.datagrams_at(*local))
        return Error(errc::in_use,
                     local->endpoint().to_string() + " is in use on machine " + host_.name);
    return std::unique_ptr<io::DatagramSocket>(
        std::make_unique<detail::SimDatagramSocket>(host_, *local));
}

Task<std::unique_ptr<io::Stream>> Machine::connect(io::Endpoint to, Duration limit) {
    if (!host_.alive) throw down(host_);
    if (!is_address(to.host) || to.port == 0)
        throw Error(errc::bad_arguments, "connect to " + to.to_string() +
                                             ": expected a numeric IPv4 address and a port");
    detail::Host* target = host_.core.route(host_, to.host);
    co_return co_await detail::Attempt(host_.core, host_, target, std::move(to), limit);
}

std::unique_ptr<io::Lane> Machine::make_lane(io::LaneConfig config) {
    return std::make_unique<detail::SimLane>(host_, std::move(config));
}

}  // namespace gyre::sim

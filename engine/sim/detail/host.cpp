#include <gyre/sim/detail/host.hpp>

#include <algorithm>
#include <gyre/sim/detail/connection.hpp>
#include <gyre/sim/detail/datagram.hpp>

namespace gyre::sim::detail {
namespace {
constexpr Duration turn_time = 1us;  // a loop that never rests still lets time pass
constexpr std::uint16_t first_port = 40'000;

bool any(const std::string& host) { return host.empty() || host == "0.0.0.0"; }
bool loopback(const std::string& host) { return host == "localhost" || host.starts_with("127."); }
bool overlap(const std::string& a, const std::string& b) {
    return any(a) || any(b) || a == b || (loopback(a) && loopback(b));
}
std::uint32_t to_ip(const std::string& address) {
    const auto parsed = io::SocketAddress::of({address, 0});
    GYRE_ASSERT(parsed.ok(), "a machine's address is numeric IPv4");
    return parsed.ok() ? (*parsed).ip : 0;
}
}  // namespace

SimListener::SimListener(Host& host, io::Endpoint at, io::AcceptHandler accepted)
    : host_(&host),
      local_(std::move(at)),
      accepted_(std::make_shared<io::AcceptHandler>(std::move(accepted))) {
    host.listeners.push_back(this);
}
SimListener::~SimListener() {
    if (host_) std::erase(host_->listeners, this);
}

Host::Host(Core& c, std::uint32_t i, std::string n, std::string a)
    : core(c),
      index(i),
      name(std::move(n)),
      address(std::move(a)),
      ip(to_ip(address)),
      entropy(c.random.fork("entropy:" + name)),
      disk(*this, c.random.fork("disk:" + name)),
      machine(*this) {
    executor.turn(core.now);
    last_turn = core.now;
    renew_scope();
}
Host::~Host() = default;

void Host::renew_scope() {
    std::erase_if(remains, [](const auto& old) { return old->running() == 0; });
    if (scope) remains.push_back(std::move(scope));
    scope = std::make_unique<Scope>(executor, name);
}

TimePoint Host::wake_at() const {
    if (!alive && unwinding == 0) return TimePoint::max();
    const TimePoint due = executor.idle() ? executor.next_deadline() : core.now;
    return std::max(due > last_turn ? due : last_turn + turn_time, frozen_until);
}

void Host::turn(TimePoint now) {
    last_turn = now;
    executor.turn(now);
}

void Host::kill(Death death) {
    if (!alive) return;
    alive = false;
    dark = death == Death::machine;
    ++deaths;
    frozen_until = {};
    for (SimListener* listener : listeners) listener->host_ = nullptr;
    listeners.clear();
    for (SimDatagramSocket* socket : std::exchange(datagrams, {})) socket->die();
    for (auto& [serial, connection] : core.connections)
        for (End* end : {&connection->client, &connection->server})
            if (&end->host == this) end->die(death);
    disk.process_died();
    if (dark) disk.machine_died();
    scope->cancel();
    renew_scope();
}

void Host::restart() {
    GYRE_ASSERT(!alive, "only a dead machine restarts");
    alive = true;
    dark = false;
    entropy = core.random.fork("entropy:" + name, deaths);
    core.resume();
}

SimListener* Host::listener_at(const io::Endpoint& at) const {
    for (SimListener* listener : listeners)
        if (listener->local_.port == at.port && overlap(listener->local_.host, at.host))
            return listener;
    return nullptr;
}

SimDatagramSocket* Host::datagrams_at(const io::SocketAddress& at) const {
    for (SimDatagramSocket* socket : datagrams)
        if (socket->takes(at)) return socket;
    return nullptr;
}

bool Host::owns(const std::string& host) const {
    return any(host) || loopback(host) || host == address;
}

std::uint16_t Host::free_port() {
    for (;;) {
        const std::uint16_t port = next_port;
        next_port = port == 65'535 ? first_port : static_cast<std::uint16_t>(port + 1);
        if (!listener_at({"", port}) && !datagrams_at({0, port})) return port;
    }
}

}  // namespace gyre::sim::detail

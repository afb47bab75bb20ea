#include <gyre/sim/world.hpp>

#include <cstdlib>
#include <gyre/sim/detail/connection.hpp>
#include <gyre/sim/detail/datagram.hpp>

namespace gyre::sim {

World::World(WorldConfig config) : core_(std::make_unique<detail::Core>(config)) {}
World::~World() = default;

Machine& World::machine(std::string_view name, std::string_view address) {
    return core_->host(name, address).machine;
}

TimePoint World::now() const { return core_->now; }
std::uint64_t World::seed() const { return core_->config.seed; }
Random World::random(std::string_view purpose) const {
    return core_->random.fork("test").fork(purpose);
}
NetworkConfig& World::network() { return core_->config.network; }
LaneTimes& World::lanes() { return core_->config.lanes; }

void World::run_for(Duration duration) {
    (void)core_->run_until([] { return false; }, duration);
}
bool World::run_until(const std::function<bool()>& done, Duration limit) {
    return core_->run_until(done, limit);
}

void World::drive(Machine& machine, Chain& chain, Duration limit) {
    detail::Host& host = machine.host_;
    const bool unwinding = !host.alive;
    const std::uint64_t deaths = host.deaths;
    if (unwinding) ++host.unwinding;
    (void)run_until([&] { return chain.done() || host.deaths != deaths; }, limit);
    if (!chain.done()) {
        const Error why = host.deaths != deaths
                              ? Error(errc::disconnected, "machine " + host.name + " was killed")
                              : Error(errc::timed_out, "the task on machine " + host.name +
                                                           " waits at " + chain.describe());
        chain.cancel();
        ++host.unwinding;
        const bool ended = run_until([&] { return chain.done(); }, 10min);
        --host.unwinding;
        if (unwinding) --host.unwinding;
        GYRE_ASSERT(ended, "a cancelled task ends");
        throw Error(why);
    }
    if (unwinding) --host.unwinding;
}

void World::after(Duration delay, std::function<void()> action) {
    auto alarm = std::make_unique<Alarm>(core_->wire, std::move(action));
    alarm->in(core_->now - core_->wire.now() + delay);
    core_->actions.push_back(std::move(alarm));
}

void World::partition(Machine& a, Machine& b) {
    partition_one_way(a, b);
    partition_one_way(b, a);
}
void World::partition_one_way(Machine& from, Machine& to) { core_->block(from.host_, to.host_); }
void World::isolate(Machine& machine) {
    for (auto& other : core_->hosts) partition(machine, other->machine);
}
void World::heal(Machine& a, Machine& b) {
    core_->blocked.erase({a.host_.index, b.host_.index});
    core_->blocked.erase({b.host_.index, a.host_.index});
    core_->resume();
}
void World::heal() {
    core_->blocked.clear();
    core_->resume();
}

void World::cut(Machine& a, Machine& b) {
    for (auto& [serial, connection] : core_->connections) {
        detail::Host *client = &connection->client.host, *server = &connection->server.host;
        if (!(client == &a.host_ && server == &b.host_) &&
            !(client == &b.host_ && server == &a.host_))
            continue;
        connection->client.out.cut();
        connection->server.out.cut();
    }
}

void World::link(Machine& a, Machine& b, const LinkConfig& up, const LinkConfig& down) {
    GYRE_ASSERT(&a != &b, "a link has two machines");
    core_->datagrams->link(a.host_, b.host_, up);
    core_->datagrams->link(b.host_, a.host_, down);
}
LinkCounters World::link_counters(Machine& from, Machine& to) const {
    return core_->datagrams->counters(from.host_, to.host_);
}

std::size_t World::connections() const { return core_->connections.size(); }
std::uint64_t World::trace_hash() const { return mix(core_->trace_hash); }
std::uint64_t World::trace_events() const { return core_->trace_events; }
void World::on_trace(std::function<void(const TraceEvent&)> observer) {
    core_->observer = std::move(observer);
}

std::uint64_t test_seed(std::uint64_t fallback) {
    const char* text = std::getenv("GYRE_SEED");
    return text && *text ? std::strtoull(text, nullptr, 0) : fallback;
}

}  // namespace gyre::sim

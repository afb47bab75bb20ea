#include <gyre/sim/detail/datagram.hpp>

#include <algorithm>

namespace gyre::sim::detail {
namespace {
constexpr std::size_t kernel_buffer_bytes = 4 << 20;  // what a socket's kernel holds unread
constexpr std::uint32_t loopback_ip = 0x7f000001;

bool loopback(std::uint32_t ip) { return ip >> 24 == 127; }
}  // namespace

SimDatagramSocket::SimDatagramSocket(Host& host, io::SocketAddress at)
    : Ready([](Ready& ready) { static_cast<SimDatagramSocket&>(ready).service(); }),
      host_(host),
      local_(at),
      flushing_(*this) {
    host.datagrams.push_back(this);
}

SimDatagramSocket::~SimDatagramSocket() {
    flush();
    if (gone_) *gone_ = true;
    std::erase(host_.datagrams, this);
}

SimDatagramSocket::Flush::Flush(SimDatagramSocket& s)
    : Ready([](Ready& ready) { static_cast<Flush&>(ready).socket.flush(); }), socket(s) {}

void SimDatagramSocket::start(io::DatagramHandler& handler) {
    GYRE_ASSERT(handler_ == nullptr, "a datagram socket starts once");
    handler_ = &handler;
    if (!arrived_.empty() && !linked()) host_.executor.ready(*this);
}

bool SimDatagramSocket::takes(const io::SocketAddress& at) const {
    return local_.port == at.port && (local_.ip == 0 || at.ip == 0 || local_.ip == at.ip ||
                                      (loopback(local_.ip) && loopback(at.ip)));
}

void SimDatagramSocket::send(const io::SocketAddress& to, BytesView bytes) {
    GYRE_ASSERT(bytes.size() <= io::datagram_out_bytes_max, "a datagram has at most 1500 bytes");
    if (dead_) return;
    gathered_.push_back({local_, to, Bytes(bytes.begin(), bytes.end())});
    host_.executor.at_turn_end(flushing_);
}

void SimDatagramSocket::flush() {
    if (gathered_.empty() || dead_) return;
    ++counters_.sends;
    for (Packet& packet : std::exchange(gathered_, {})) {
        ++counters_.sent;
        counters_.sent_bytes += packet.bytes.size();
        host_.core.datagrams->carry(host_, std::move(packet));
    }
}

void SimDatagramSocket::arrive(Packet packet) {
    if (arrived_bytes_ + packet.bytes.size() > kernel_buffer_bytes) {
        ++counters_.dropped_unread;
        return;
    }
    arrived_bytes_ += packet.bytes.size();
    arrived_.push_back(std::move(packet));
    if (handler_ && !linked()) host_.executor.ready(*this);
}

void SimDatagramSocket::service() {
    bool gone = false;
    gone_ = &gone;
    ++counters_.reads;
    for (std::size_t left = arrived_.size(); left > 0; --left) {
        Packet packet = std::move(arrived_.front());
        arrived_.pop_front();
        arrived_bytes_ -= packet.bytes.size();
        ++counters_.received;
        counters_.received_bytes += packet.bytes.size();
        host_.core.trace(host_, "datagram", packet.bytes);
        handler_->on_datagram(packet.from, packet.bytes);
        if (gone) return;
        if (dead_) break;
    }
    gone_ = nullptr;
    if (!dead_) handler_->on_batch_end();
}

void SimDatagramSocket::die() {
    dead_ = true;
    unlink();
    flushing_.unlink();
    gathered_.clear();
    arrived_.clear();
}

DatagramNetwork::DatagramNetwork(Core& core)
    : Timer(core.wire, [](Timer& timer) { static_cast<DatagramNetwork&>(timer).arrive(); }),
      core_(core) {}

DatagramNetwork::Way& DatagramNetwork::way(const Host& from, const Host& to) {
    const auto found = ways_.find({from.index, to.index});
    if (found != ways_.end()) return found->second;
    Way fresh{.delay = core_.random.fork("datagrams:" + from.name).fork(to.name)};
    return ways_.emplace(std::pair(from.index, to.index), std::move(fresh)).first->second;
}

void DatagramNetwork::carry(Host& from, Packet packet) {
    Host* to = core_.route(from, packet.to.ip);
    if (packet.from.ip == 0) packet.from.ip = loopback(packet.to.ip) ? loopback_ip : from.ip;
    if (!to || packet.to.port == 0 || (to != &from && loopback(packet.from.ip))) {
        core_.trace(from, "lost", packet.bytes);
        return;
    }
    Way& direction = way(from, *to);
    if (!direction.link) {
        direction.last = std::max(core_.now + core_.latency(from, *to, direction.delay),
                                  direction.last);
        return travel(from, *to, std::move(packet), direction.last);
    }
    packet.from.port = translate_out(direction, packet.from.port);
    const LinkModel::Fate fate = direction.link->pass(core_.now, packet.bytes.size());
    if (fate.copies == 0) return core_.trace(from, "lost", packet.bytes);
    if (fate.copies == 2) travel(from, *to, packet, fate.at[1]);
    travel(from, *to, std::move(packet), fate.at[0]);
}

void DatagramNetwork::travel(Host& from, Host& to, Packet packet, TimePoint at) {
    under_way_.emplace(std::pair(at, serial_++), UnderWay{&from, &to, std::move(packet)});
    arm(under_way_.begin()->first.first);
}

void DatagramNetwork::link(Host& from, Host& to, const LinkConfig& config) {
    Way& direction = way(from, to);
    direction.link = std::make_unique<LinkModel>(
        config, direction.delay.fork("link", direction.links++).next());
    direction.binding = direction.link->binding(core_.now);
    direction.seen_as.clear();
    direction.stands_for.clear();
}

LinkCounters DatagramNetwork::counters(const Host& from, const Host& to) {
    const Way& direction = way(from, to);
    return direction.link ? direction.link->counters() : LinkCounters{};
}

void DatagramNetwork::renew_binding(Way& direction) {
    const std::uint64_t binding = direction.link->binding(core_.now);
    if (std::exchange(direction.binding, binding) == binding) return;
    direction.seen_as.clear();
    direction.stands_for.clear();
}

std::uint16_t DatagramNetwork::translate_out(Way& direction, std::uint16_t port) {
    if (direction.link->config().rebind_every <= Duration::zero()) return port;
    renew_binding(direction);
    std::uint16_t& seen = direction.seen_as[port];
    if (seen == 0) {
        seen = direction.next_port++;
        if (direction.next_port == 40'000) direction.next_port = 20'000;
        direction.stands_for[seen] = port;
    }
    return seen;
}

/// 0: nobody stands behind it.
std::uint16_t DatagramNetwork::translate_in(Way& direction, std::uint16_t port) {
    if (!direction.link || direction.link->config().rebind_every <= Duration::zero()) return port;
    renew_binding(direction);
    const auto found = direction.stands_for.find(port);
    return found == direction.stands_for.end() ? std::uint16_t{0} : found->second;
}

void DatagramNetwork::arrive() {
    while (!under_way_.empty() && under_way_.begin()->first.first <= core_.now) {
        auto [from, to, packet] = std::move(under_way_.extract(under_way_.begin()).mapped());
        packet.to.port = translate_in(way(*to, *from), packet.to.port);
        SimDatagramSocket* socket = core_.reachable(*from, *to) && to->alive
                                        ? to->datagrams_at(packet.to)
                                        : nullptr;
        if (socket) socket->arrive(std::move(packet));
        else core_.trace(*from, "lost", packet.bytes);
    }
    if (!under_way_.empty()) arm(under_way_.begin()->first.first);
}

}  // namespace gyre::sim::detail

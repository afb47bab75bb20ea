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
    Way fresh{core_.random.fork("datagrams:" + from.name).fork(to.name), {}};
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
    const TimePoint at = std::max(
        core_.now + core_.latency(from, *to, direction.delay), direction.last);
    direction.last = at;
    under_way_.emplace(std::pair(at, serial_++), UnderWay{&from, to, std::move(packet)});
    arm(under_way_.begin()->first.first);
}

void DatagramNetwork::arrive() {
    while (!under_way_.empty() && under_way_.begin()->first.first <= core_.now) {
        auto [from, to, packet] = std::move(under_way_.extract(under_way_.begin()).mapped());
        SimDatagramSocket* socket = core_.reachable(*from, *to) && to->alive
                                        ? to->datagrams_at(packet.to)
                                        : nullptr;
        if (socket) socket->arrive(std::move(packet));
        else core_.trace(*from, "lost", packet.bytes);
    }
    if (!under_way_.empty()) arm(under_way_.begin()->first.first);
}

}  // namespace gyre::sim::detail

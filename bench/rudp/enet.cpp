#include "contender.hpp"

#include <enet/enet.h>

#include <cstring>
#include <deque>

// ENet as Debian builds it, in virtual time: its clock and sockets are the functions below, which stand before
// those of its library. One reliable channel, sent at once, polled every millisecond.
namespace gyre::bench {
namespace {

class Enet;
Enet* current = nullptr;  // The library's functions know no owner.

class Enet final : public Contender {
public:
    explicit Enet(Surroundings& around) : around_(around) { current = this; }
    ~Enet() override {
        for (One& one : ends_)
            if (one.host) enet_host_destroy(one.host);
        current = nullptr;
    }
    void clock(TimePoint now) override {
        now_ = now;
        if (ends_[0].host) return;
        const ENetAddress server{0x0100000a, 7000};
        ends_[0].host = enet_host_create(nullptr, 1, 1, 0, 0);
        ends_[1].host = enet_host_create(&server, 1, 1, 0, 0);
        ends_[0].peer = enet_host_connect(ends_[0].host, &server, 1, 0);
    }
    bool ready() override { return ends_[0].connected && ends_[1].connected; }
    void send(End from, BytesView message) override {
        One& one = end(from);
        enet_peer_send(one.peer, 0, enet_packet_create(message.data(), message.size(), ENET_PACKET_FLAG_RELIABLE));
        enet_host_flush(one.host);
    }
    void arrive(End at, BytesView datagram) override { end(at).inbox.emplace_back(datagram.begin(), datagram.end()); }
    TimePoint step() override {
        for (const End which : {End::client, End::server}) {
            One& one = end(which);
            for (ENetEvent event; enet_host_service(one.host, &event, 0) > 0;) {
                if (event.type == ENET_EVENT_TYPE_CONNECT) one.peer = event.peer, one.connected = true;
                if (event.type == ENET_EVENT_TYPE_DISCONNECT) failure_ = "disconnected";
                if (event.type != ENET_EVENT_TYPE_RECEIVE) continue;
                around_.deliver(which, {event.packet->data, event.packet->dataLength});
                enet_packet_destroy(event.packet);
            }
        }
        return now_ + 1ms;
    }
    std::string failure() override { return failure_; }

    // As sockets: 1 is the client's, 2 the server's.
    ENetSocket open() { return ++opened_; }
    enet_uint32 milliseconds() const { return static_cast<enet_uint32>(now_.time_since_epoch() / 1ms); }
    int transmit(ENetSocket socket, const ENetBuffer* buffers, std::size_t count) {
        Bytes datagram;
        for (const ENetBuffer& part : std::span(buffers, count)) {
            const auto* data = static_cast<const std::uint8_t*>(part.data);
            datagram.insert(datagram.end(), data, data + part.dataLength);
        }
        around_.transmit(socket == 1 ? End::client : End::server, datagram);
        return static_cast<int>(datagram.size());
    }
    int receive(ENetSocket socket, ENetAddress* from, const ENetBuffer& room) {
        auto& inbox = ends_[socket - 1].inbox;
        if (inbox.empty()) return 0;
        const Bytes datagram = std::move(inbox.front());
        inbox.pop_front();
        if (datagram.size() > room.dataLength) return -1;
        std::memcpy(room.data, datagram.data(), datagram.size());
        *from = socket == 1 ? ENetAddress{0x0100000a, 7000} : ENetAddress{0x0200000a, 40'000};
        return static_cast<int>(datagram.size());
    }

private:
    struct One {
        ENetHost* host = nullptr;
        ENetPeer* peer = nullptr;
        bool connected = false;
        std::deque<Bytes> inbox;
    };
    One& end(End which) { return ends_[static_cast<std::size_t>(which)]; }
    Surroundings& around_;
    TimePoint now_{};
    One ends_[2];
    int opened_ = 0;
    std::string failure_;
};

}  // namespace

std::unique_ptr<Contender> make_enet_contender(Surroundings& around) { return std::make_unique<Enet>(around); }

}  // namespace gyre::bench

extern "C" {
enet_uint32 enet_time_get() { return gyre::bench::current->milliseconds(); }
enet_uint32 enet_host_random_seed() { return 1; }
ENetSocket enet_socket_create(ENetSocketType) { return gyre::bench::current->open(); }
int enet_socket_bind(ENetSocket, const ENetAddress*) { return 0; }
int enet_socket_get_address(ENetSocket, ENetAddress*) { return -1; }
int enet_socket_set_option(ENetSocket, ENetSocketOption, int) { return 0; }
void enet_socket_destroy(ENetSocket) {}
int enet_socket_wait(ENetSocket, enet_uint32* condition, enet_uint32) { return *condition = ENET_SOCKET_WAIT_NONE, 0; }
int enet_socket_send(ENetSocket socket, const ENetAddress*, const ENetBuffer* buffers, size_t count) {
    return gyre::bench::current->transmit(socket, buffers, count);
}
int enet_socket_receive(ENetSocket socket, ENetAddress* from, ENetBuffer* room, size_t) {
    return gyre::bench::current->receive(socket, from, *room);
}
}

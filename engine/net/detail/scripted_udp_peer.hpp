#pragma once
#include <cstring>
#include <gyre/net/detail/scripted_network.hpp>
#include <gyre/secure/cookie.hpp>
#include <gyre/secure/handshake.hpp>
#include <gyre/secure/packets.hpp>

namespace gyre::net::detail {

/// A client of sealed links (protocol/udp.md) made by hand: it can do what a real one never would.
class ScriptedUdpPeer final : io::DatagramHandler {
public:
    ScriptedUdpPeer(ScriptedNetwork& network, std::uint32_t ip, const io::SocketAddress& server, std::uint64_t seed)
        : network_(network), host_(network, ip, seed), socket_(host_.bind({}).value()), server_(server) {
        socket_->start(*this);
        id = static_cast<std::uint32_t>(host_.random_u64()) | 1;
    }
    io::SocketAddress address() const { return io::SocketAddress::of(socket_->local()).value(); }

    /// A hello of 1200 bytes around `first`, which may be anything.
    Bytes hello(BytesView first) const {
        Bytes bytes(1200);
        bytes[0] = 0x10;
        put(bytes.data() + 1, id);
        std::memcpy(bytes.data() + 5, cookie.data(), cookie.size());
        const std::size_t size = std::min(first.size(), bytes.size() - 27);
        bytes[25] = static_cast<std::uint8_t>(size), bytes[26] = static_cast<std::uint8_t>(size >> 8);
        if (size > 0) std::memcpy(bytes.data() + 27, first.data(), size);
        return bytes;
    }
    void send(BytesView bytes) { socket_->send(server_, bytes); }

    /// As far as the cookie: then the hello reaches the handshake. False: none came.
    bool prove_address(BytesView first) {
        got.clear();
        cookie = {};
        send(hello(first));
        network_.turn(), network_.turn();
        for (const Bytes& one : got)
            if (one.size() == 25 && one[0] == 0x20) return std::memcpy(cookie.data(), one.data() + 5, cookie.size()), true;
        return false;
    }
    /// As far as the keys; nothing sealed is sent. False: no answer.
    bool agree(const secure::PublicKey& key, BytesView payload = {}) {
        secure::Seed fresh;
        host_.random(fresh);
        secure::ClientHandshake handshake(key, fresh);
        const Bytes first = handshake.first(payload);
        if (!prove_address(first)) return false;
        got.clear();
        send(hello(first));
        network_.turn(), network_.turn();
        for (const Bytes& one : got) {
            if (one.size() < 9 || one[0] != 0x30) continue;
            if (!handshake.second(BytesView(one).subspan(9))) continue;
            std::memcpy(&server_id, one.data() + 5, 4);
            sealer.emplace(handshake.secrets().send);
            opener.emplace(handshake.secrets().receive);
            return true;
        }
        return false;
    }
    Bytes sealed(unsigned kind, BytesView plain, unsigned number_bytes = 4) {
        Bytes bytes(secure::PacketSealer::size(5, number_bytes, plain.size()));
        bytes[0] = static_cast<std::uint8_t>(kind << 4 | (number_bytes - 1));
        put(bytes.data() + 1, server_id);
        sealer->seal(bytes, 5, number_bytes, plain);
        return bytes;
    }
    void on_datagram(const io::SocketAddress&, std::span<std::uint8_t> bytes) override {
        if (got.size() < 64) got.emplace_back(bytes.begin(), bytes.end());
    }

    std::uint32_t id = 0, server_id = 0;
    secure::Cookie cookie{};
    std::optional<secure::PacketSealer> sealer;
    std::optional<secure::PacketOpener> opener;
    std::vector<Bytes> got;

private:
    static void put(std::uint8_t* p, std::uint32_t value) { std::memcpy(p, &value, 4); }
    ScriptedNetwork& network_;
    ScriptedNetwork::Host host_;
    std::unique_ptr<io::DatagramSocket> socket_;
    io::SocketAddress server_;
};

}  // namespace gyre::net::detail

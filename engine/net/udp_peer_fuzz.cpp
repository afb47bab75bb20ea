#include <cstdlib>
#include <gyre/net/detail/scripted_udp_peer.hpp>
#include <gyre/net/udp.hpp>

using namespace gyre;
using net::detail::ScriptedNetwork;
using net::detail::ScriptedUdpPeer;

namespace {
struct End : net::ChannelHandler {
    void on_message(BytesView message) override {
        if (closed || message.empty() || message.size() > 64 * 1024) std::abort();
        ++heard;
        if (!channel) return;
        if (heard % 7 == 0) channel->pause(true);
        if (heard == 50) channel.reset();
        else channel->send(message);
    }
    void on_closed(const Error&) override {
        if (std::exchange(closed, true)) std::abort();
    }
    std::unique_ptr<net::Channel> channel;
    int heard = 0;
    bool closed = false;
};
}  // namespace

/// A hostile peer that holds the key: what it likes, well sealed. It ends its own link at most.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const secure::Identity identity(secure::Key(secure::Seed{1}));
    BytesView bytes(data, size);
    ScriptedNetwork network;
    ScriptedNetwork::Host far(network, 0x0a000001, 1);
    std::vector<std::unique_ptr<End>> there;
    net::UdpConfig config;
    config.at.port = 7000;
    config.identity = identity;
    auto server = net::UdpPort::open(far, config, [&](std::unique_ptr<net::Channel> c, io::Endpoint, Bytes) {
        there.push_back(std::make_unique<End>());
        there.back()->channel = std::move(c);
        there.back()->channel->start(*there.back());
    }).value();
    const io::SocketAddress at{0x0a000001, 7000};
    ScriptedUdpPeer peer(network, 0x0b000001, at, 5), honest(network, 0x0b000002, at, 6);
    if (!peer.agree(identity.public_key()) || !honest.agree(identity.public_key())) std::abort();
    honest.send(honest.sealed(4, {}));
    network.turn();
    while (bytes.size() >= 3) {
        const unsigned what = bytes[0];
        const std::size_t length = std::min<std::size_t>(bytes[1] | (bytes[2] & 3u) << 8, bytes.size() - 3);
        Bytes plain(bytes.begin() + 3, bytes.begin() + 3 + static_cast<std::ptrdiff_t>(length));
        bytes = bytes.subspan(3 + length);
        // The fuzzer need not guess a link's conv, commands and lengths each time.
        if (what & 1 && plain.size() >= 24) {
            std::memcpy(plain.data(), &peer.id, 4);
            plain[4] = static_cast<std::uint8_t>(81 + plain[4] % 4);
            const auto rest = static_cast<std::uint32_t>(plain.size() - 24);
            std::memcpy(plain.data() + 20, &rest, 4);
        }
        const Bytes packet = peer.sealed(what & 2 ? 4 : 4 + (what >> 2 & 3), plain, 1 + (what >> 4 & 3));
        if (what & 64) network.inject({0x0b000003, 77}, at, packet);  // from elsewhere
        else peer.send(packet);
        if (what & 128) {
            network.turn(std::chrono::milliseconds(length));
            if (!there.empty() && there.back()->channel) there.back()->channel->pause(false);
        }
    }
    network.run_for(30ms);
    if (server->links() == 0 || server->links() > 2) std::abort();
    std::erase_if(there, [](auto& end) { return end->closed; });
    // Another link still works: PUSH 0 of one byte is echoed.
    honest.got.clear();
    Bytes push(25);
    std::memcpy(push.data(), &honest.id, 4);
    push[4] = 81, push[6] = 128, push[20] = 1, push[24] = 9;
    honest.send(honest.sealed(4, push));
    network.run_for(30ms);
    if (honest.got.empty()) std::abort();
    return 0;
}

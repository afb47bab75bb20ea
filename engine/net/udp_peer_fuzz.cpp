#include <cstdlib>
#include <gyre/net/detail/fuzzed_rudp.hpp>
#include <gyre/net/detail/scripted_udp_peer.hpp>
#include <gyre/net/udp.hpp>

using namespace gyre;
using net::detail::FuzzInput;
using net::detail::RudpPacket;
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
    FuzzInput in{{data, size}};
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
    std::uint64_t said = 0, expected = 0;  // sealed packets for the peer; its next segment
    struct Unhook {
        ScriptedNetwork& network;
        ~Unhook() { network.on_send = {}; }
    } unhook{network};  // ports that go say so
    network.on_send = [&](const ScriptedNetwork::Datagram& one) {
        said += one.to == peer.address() && one.bytes[0] >> 4 >= 4;
        return true;
    };
    std::vector<Bytes> capture;
    while (!in.empty()) {
        const unsigned what = in.u8(), how = in.u8();
        switch (what & 7) {
            case 0: {  // of any kind
                const BytesView plain = in.bytes(in.u8() * (what & 8 ? 5u : 1u));
                capture.push_back(peer.sealed(4 + (how >> 2 & 3), plain.first(std::min<std::size_t>(plain.size(), 1175)), 1 + (how & 3)));
                break;
            }
            case 1:  // again
                if (!capture.empty()) capture.push_back(capture[how % capture.size()]);
                break;
            case 2:
                honest.send(honest.sealed(4, {}));
                network.turn(std::chrono::milliseconds(how));
                continue;
            case 3:
                for (std::size_t i = 1; i < there.size(); ++i)  // the first is the honest one
                    if (there[i]->channel) there[i]->channel->pause(how & 1);
                continue;
            case 4:  // numbers jump
                for (unsigned n = how * 64u; n > 0; --n) (void)peer.sealed(4, {}, 1);
                continue;
            default: {
                const Bytes plain = fuzzed_packet(in, said, expected);
                capture.push_back(peer.sealed(4, BytesView(plain).first(std::min<std::size_t>(plain.size(), 1175)), 1 + (how & 3)));
            }
        }
        if (capture.empty()) continue;
        if (what & 64) network.inject({0x0b000003, 77}, at, capture.back());  // from elsewhere
        else peer.send(capture.back());
        if (what & 128) network.turn();
    }
    network.run_for(30ms);
    if (server->links() == 0 || server->links() > 2) std::abort();
    std::erase_if(there, [](auto& end) { return end->closed; });
    // Another link still works: what it says comes back.
    honest.got.clear();
    const std::uint8_t word[] = {9};
    honest.send(honest.sealed(4, RudpPacket().segment(0, word).bytes()));
    network.run_for(30ms);
    bool echoed = false;
    for (Bytes& one : honest.got) {
        const auto packet = honest.opener->open(one, 5, (one[0] & 3u) + 1);
        const auto read = packet ? net::rudp::read_packet(packet->plain) : Result<net::rudp::Packet>(Error(errc::bad_data, ""));
        if (!read) continue;
        net::rudp::Frame frame;
        for (BytesView rest = read->frames; !rest.empty() && read_frame(rest, frame);)
            echoed |= frame.kind == net::rudp::FrameClass::segment && frame.record.payload.size() == 1 && frame.record.payload[0] == 9;
    }
    if (!echoed) std::abort();
    return 0;
}

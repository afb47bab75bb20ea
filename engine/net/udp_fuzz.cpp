#include <cstdlib>
#include <gyre/net/detail/scripted_udp_peer.hpp>
#include <gyre/net/udp.hpp>

using namespace gyre;
using net::detail::ScriptedNetwork;
using net::detail::ScriptedUdpPeer;

namespace {
constexpr std::uint32_t server_ip = 0x0a000001, client_ip = 0x0a000002;

struct End : net::ChannelHandler {
    void on_message(BytesView message) override {
        if (message.empty() || message.size() > 64 * 1024) std::abort();
        ++heard;
        if (echoes) channel->send(message);
    }
    void on_closed(const Error&) override { closed = true; }
    std::unique_ptr<net::Channel> channel;
    int heard = 0;
    bool echoes = false, closed = false;
};

/// A server, an honest link, and whatever else arrives. `sealed`: the honest link survives it, untouched.
void run(BytesView bytes, bool standard) {
    static const secure::Identity identity(secure::Key(secure::Seed{1}));
    ScriptedNetwork network;
    ScriptedNetwork::Host far(network, server_ip, 1), near(network, client_ip, 2);
    std::vector<std::unique_ptr<End>> there;
    net::UdpConfig config;
    config.at.port = 7000;
    config.identity = identity;
    config.standard_kcp = standard;
    config.max_links = 20;
    config.max_half_open = 4;
    auto server = net::UdpPort::open(far, config, [&](std::unique_ptr<net::Channel> c, io::Endpoint, Bytes) {
        there.push_back(std::make_unique<End>());
        there.back()->echoes = true;
        there.back()->channel = std::move(c);
        there.back()->channel->start(*there.back());
    }).value();
    const io::SocketAddress at{server_ip, 7000};
    config.at.port = 0;
    auto client = net::UdpPort::open(near, config).value();
    End honest;
    if (standard) honest.channel = client->connect_kcp({"10.0.0.1", 7000}, 7).value();
    else {
        Scope scope(network.executor, "fuzz");
        const auto dial = [](net::UdpPort* port, End* end) -> Task<> {
            end->channel = (co_await port->connect({"10.0.0.1", 7000}, identity.public_key(), {}, 5s)).channel;
        };
        (void)go(scope, dial(client.get(), &honest));
        if (!network.run_until([&] { return honest.channel != nullptr; })) std::abort();
    }
    honest.channel->start(honest);
    honest.channel->send(Bytes(10, 1));
    network.run_for(50ms);
    const auto client_at = io::SocketAddress::of(client->local()).value();

    std::uint64_t said = 0, asked = 0;
    std::uint32_t last_id = 0;  // of a link of the server, as its packets' receivers see it
    const io::SocketAddress stranger{0x0b000001, 9};
    struct Unhook {
        ScriptedNetwork& network;
        ~Unhook() { network.on_send = {}; }
    } unhook{network};  // ports that go say so
    network.on_send = [&](const ScriptedNetwork::Datagram& one) {
        if (one.from == at && one.to == stranger) said += one.bytes.size();
        if (one.to == at && one.bytes.size() > 5) std::memcpy(&last_id, one.bytes.data() + 1, 4);
        return true;
    };
    network.run_for(4s, 50ms);  // a keep-alive tells the ids
    ScriptedUdpPeer maker(network, 0x0c000001, at, 5);
    while (bytes.size() >= 3) {
        const unsigned what = bytes[0];
        const std::size_t size = std::min<std::size_t>(bytes[1] | (bytes[2] & 7u) << 8, bytes.size() - 3);
        Bytes one(bytes.begin() + 3, bytes.begin() + 3 + static_cast<std::ptrdiff_t>(size));
        bytes = bytes.subspan(3 + size);
        if (what & 1 && one.size() >= 5) std::memcpy(one.data() + (standard ? 0 : 1), &last_id, 4);
        if (what & 2 && !standard && one.size() < 1200) one.resize(1200);
        switch (what >> 2 & 7) {
            case 0: case 1: case 2:
                asked += one.size();
                network.inject(stranger, at, one);
                break;
            case 3: network.inject(client_at, at, one); break;
            case 4: network.inject(at, client_at, one); break;
            case 5:
                if (!standard && maker.prove_address(one)) maker.send(maker.hello(one));
                break;
            case 6: network.turn(std::chrono::milliseconds(size)); break;
            default: network.turn(); break;
        }
        if (said > asked || server->links() > 20 || server->half_open() > 4) std::abort();
    }
    network.run_for(20ms);
    if (said > asked) std::abort();
    if (standard) return;
    const int before = honest.heard;
    honest.channel->send(Bytes(10, 1));
    if (!network.run_until([&] { return honest.heard == before + 1; }) || honest.closed) std::abort();
}
}  // namespace

/// Datagrams of strangers, of every kind, to ports of both kinds. Unproven addresses get no more than they sent,
/// and sealed links do not notice.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    run({data + 1, size - 1}, data[0] & 1);
    return 0;
}

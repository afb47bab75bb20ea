#include <gtest/gtest.h>
#include <malloc.h>
#include <gyre/net/detail/scripted_rudp.hpp>
#include <gyre/net/detail/scripted_udp_peer.hpp>
#include <gyre/net/detail/udp_port.hpp>
#include <gyre/net/udp.hpp>
#include <gyre/sim/random.hpp>

#include <map>
#include <set>

// What strangers can do to a port with honest links: nothing.
namespace gyre::net {
namespace {

using detail::RudpPacket;
using detail::ScriptedNetwork;
using detail::ScriptedUdpPeer;

#ifdef GYRE_SANITIZED
constexpr int attacks = 60'000;
#else
constexpr int attacks = 1'000'000;
#endif

const secure::Identity identity(secure::Key(secure::Seed{1}));
constexpr std::uint32_t server_ip = 0x0a000001, client_ip = 0x0a000002;
constexpr io::SocketAddress server_at{server_ip, 7000};

struct End : ChannelHandler {
    void take(std::unique_ptr<Channel> c) {
        channel = std::move(c);
        channel->start(*this);
    }
    void on_message(BytesView message) override {
        heard.emplace_back(message.begin(), message.end());
        if (echoes) channel->send(message);
    }
    void on_closed(const Error& reason) override { closed = reason.what(); }
    std::unique_ptr<Channel> channel;
    std::vector<Bytes> heard;
    std::string closed;
    bool echoes = false;
};

struct UdpHostileTest : testing::Test {
    UdpHostileTest() { network.on_send = [this](const auto& one) { return pass(one); }; }
    ~UdpHostileTest() override { network.on_send = {}; }  // ports that go say so
    void serve(UdpConfig config = {}) {
        open_server(config);
        UdpConfig dials;
        dials.standard_kcp = config.standard_kcp;
        client = UdpPort::open(near, dials).value();
    }
    void open_server(UdpConfig config) {
        config.at = {"10.0.0.1", 7000};
        config.identity = identity;
        server = UdpPort::open(far, config, [this](std::unique_ptr<Channel> c, io::Endpoint, Bytes) {
            there.push_back(std::make_unique<End>());
            there.back()->echoes = true;
            there.back()->take(std::move(c));
        }).value();
    }
    static Task<> dial(UdpPort* port, End* end, std::string* failure) {
        auto link = co_await as_result(port->connect({"10.0.0.1", 7000}, identity.public_key(), {1, 2}, 5s));
        if (link) end->take(std::move(link->channel));
        else *failure = link.error().what();
    }
    /// Empty: connected.
    std::string connect() {
        auto end = std::make_unique<End>();
        std::string failure;
        (void)go(scope, dial(client.get(), end.get(), &failure));
        EXPECT_TRUE(network.run_until([&] { return end->channel || !failure.empty(); }));
        if (end->channel) here.push_back(std::move(end));
        return failure;
    }
    void talk(int rounds) {
        for (int i = 0; i < rounds; ++i) {
            for (auto& end : here) end->channel->send(Bytes(40, static_cast<std::uint8_t>(i)));
            network.run_for(30ms);
        }
    }
    /// Everybody echoes what everybody says.
    void expect_alive() {
        for (auto& end : here) end->heard.clear();
        talk(5);
        ASSERT_TRUE(network.run_until([&] { return std::ranges::all_of(here, [](auto& e) { return e->heard.size() == 5; }); }));
        for (auto& end : here) EXPECT_EQ(end->closed, "");
        for (auto& end : there) EXPECT_EQ(end->closed, "");
    }
    /// All that can be seen of the links from outside.
    std::string state() const {
        std::string text = std::to_string(server->links()) + " " + std::to_string(server->half_open()) + " " +
                           std::to_string(client->links()) + " " + std::to_string(server->counters().moved) + " " + std::to_string(there.size());
        for (const auto* ends : {&here, &there})
            for (auto& end : *ends) {
                const LinkStats s = end->channel->stats();
                for (const auto n : {s.datagrams_sent, s.datagrams_received, s.bytes_sent, s.bytes_received, s.messages_sent, s.messages_received,
                                     s.resent_early, s.resent_late, s.duplicates, s.refused, std::uint64_t{s.queued_bytes}, std::uint64_t{s.in_flight},
                                     s.segments_sent, s.recovered, s.spurious, s.repairs_sent,
                                     static_cast<std::uint64_t>(s.rto.count())})
                    text += ' ' + std::to_string(n);
                text += end->channel->peer() + end->closed;
            }
        return text;
    }
    bool pass(const ScriptedNetwork::Datagram& one) {
        if (records && seen.size() < 5000) seen.push_back(one);
        if (one.from == server_at) said_to[counted_as(one.to.ip)] += one.bytes.size();
        return !drop || !drop(one);
    }
    /// The crowd of 13.x.y.z is one, so that this test keeps little itself.
    static std::uint32_t counted_as(std::uint32_t ip) { return ip >> 24 == 0x0d ? 0x0d000000 : ip; }
    void inject(const io::SocketAddress& from, const io::SocketAddress& to, BytesView bytes) {
        if (to == server_at) got_from[counted_as(from.ip)] += bytes.size();
        network.inject(from, to, bytes);
    }

    ScriptedNetwork network;
    ScriptedNetwork::Host far{network, server_ip, 11}, near{network, client_ip, 12};
    Scope scope{network.executor, "test"};
    std::vector<std::unique_ptr<End>> there, here;
    std::unique_ptr<UdpPort> server, client;
    std::vector<ScriptedNetwork::Datagram> seen;
    bool records = false;
    std::function<bool(const ScriptedNetwork::Datagram&)> drop;
    std::map<std::uint32_t, std::uint64_t> said_to, got_from;
};

TEST_F(UdpHostileTest, a_million_bad_datagrams_change_nothing_on_sealed_links) {
    serve();
    records = true;
    for (int i = 0; i < 20; ++i) ASSERT_EQ(connect(), "");
    talk(40);
    network.run_for(1s);
    records = false;
    ASSERT_EQ(there.size(), 20u);
    ASSERT_GT(seen.size(), 1000u);
    sim::Random random(sim::Random(1).fork("attack"));
    std::map<unsigned, int> kinds;
    const auto attack = [&](int count) {
        for (int i = 0; i < count; ++i) {
            const auto& old = seen[random.below(seen.size())];
            Bytes bytes = old.bytes;
            io::SocketAddress from = old.from, to = old.to;
            const io::SocketAddress stranger{0x0b000000u + static_cast<std::uint32_t>(random.below(500)), static_cast<std::uint16_t>(1 + random.below(60'000))};
            switch (random.below(9)) {
                case 0: break;  // again
                case 1: if (to == server_at) from = stranger; break;
                case 2: bytes.resize(random.below(bytes.size())); break;
                case 3: bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1u << random.below(8)); break;
                case 4: random.fill(std::span(bytes).subspan(std::min<std::size_t>(5, bytes.size()))); break;
                case 5: bytes.resize(random.below(1500)), random.fill(bytes); break;
                case 6: bytes[0] = static_cast<std::uint8_t>(random.next()); break;  // another kind
                case 7:  // a hello of nobody
                    bytes.assign(1200, 0);
                    random.fill(std::span(bytes).subspan(1, 100));
                    bytes[0] = 0x10, bytes[25] = 64, bytes[26] = 0;
                    from = stranger, to = server_at;
                    break;
                default:  // numbers of the past and the future
                    if (bytes.size() > 9) random.fill(std::span(bytes).subspan(bytes[0] & 4 ? 2 : 5, (bytes[0] & 3u) + 1));
            }
            if (!bytes.empty()) ++kinds[bytes[0] >> 4];
            inject(from, to, bytes);
            if (i % 64 == 63) network.turn();
        }
        network.run_for(20ms);
    };
    attack(5000);  // warms what is used again
    const std::string before = state();
    const std::size_t memory = mallinfo2().uordblks;
    const auto counted = server->counters();
    attack(attacks);
    EXPECT_EQ(state(), before);
    const std::size_t memory_after = mallinfo2().uordblks;
    EXPECT_LE(memory_after, memory + 256 * 1024);
    EXPECT_EQ(server->counters().handshakes, counted.handshakes) << "no arithmetic for strangers";
    EXPECT_GT(server->counters().unopened, counted.unopened + attacks / 10);
    EXPECT_GT(server->counters().cookies, counted.cookies + attacks / 20);
    for (unsigned kind = 1; kind <= 5; ++kind) EXPECT_GT(kinds[kind], 10) << kind;
    for (const auto& [ip, bytes] : said_to)
        if (ip != client_ip) EXPECT_LE(bytes, got_from[ip]) << std::hex << ip;
    expect_alive();
}

TEST_F(UdpHostileTest, no_datagram_is_answered_with_more_than_it_has) {
    serve();
    records = true;
    ASSERT_EQ(connect(), "");
    talk(3);
    records = false;
    sim::Random random(sim::Random(2).fork("sizes"));
    // Every size and every kind, alone: what comes back from the server to that address.
    for (unsigned kind = 0; kind < 16; ++kind)
        for (std::size_t size = 0; size <= 1500; size += 1 + random.below(40)) {
            Bytes bytes(size);
            random.fill(bytes);
            if (size > 0) bytes[0] = static_cast<std::uint8_t>(kind << 4 | (bytes[0] & 15));
            if (size > 26 && kind == 1) bytes[25] = 64, bytes[26] = 0;
            said_to.clear();
            inject({0x0b000001, 999}, server_at, bytes);
            network.turn(), network.turn();
            ASSERT_LE(said_to[0x0b000001], size) << kind;
            const bool reset = kind >= 4 && kind <= 7 && size > 21;  // of a link that is none here
            if (size < 1200 && !reset) ASSERT_EQ(said_to[0x0b000001], 0u) << kind;
        }
}

/// With a good cookie a server does arithmetic and answers: once for each hello, with less.
TEST_F(UdpHostileTest, an_address_gets_no_more_than_it_sent_before_it_is_proven) {
    UdpConfig config;
    config.greet = [](BytesView) -> Result<Bytes> { return Bytes(secure::max_hello_payload - 16, 7); };
    serve(config);
    ScriptedUdpPeer peer(network, 0x0b000007, server_at, 5);
    std::uint64_t sent = 0;
    drop = [&](const ScriptedNetwork::Datagram& one) {
        if (one.from.ip == 0x0b000007) sent += one.bytes.size();
        EXPECT_LE(said_to[0x0b000007], sent);
        return false;
    };
    ASSERT_TRUE(peer.agree(identity.public_key()));
    EXPECT_EQ(server->half_open(), 1u);
    network.run_for(4s);
    EXPECT_EQ(server->half_open(), 1u);
    network.run_for(2s);
    EXPECT_EQ(server->half_open(), 0u);
    EXPECT_EQ(server->links(), 0u);
    EXPECT_GT(said_to[0x0b000007], 500u);
    EXPECT_TRUE(there.empty());
}

TEST_F(UdpHostileTest, bad_packets_keep_no_link_alive) {
    serve();
    records = true;
    ASSERT_EQ(connect(), "");
    talk(10);
    records = false;
    drop = [](const ScriptedNetwork::Datagram&) { return true; };
    for (int i = 0; i < 1100; ++i) {
        for (const auto& one : seen) network.inject(one.from, one.to, one.bytes);
        network.run_for(10ms, 10ms);
    }
    EXPECT_NE(here[0]->closed.find(errc::timed_out), std::string::npos);
    EXPECT_NE(there[0]->closed.find(errc::timed_out), std::string::npos);
    EXPECT_EQ(server->links(), 0u);
}

TEST_F(UdpHostileTest, a_repeated_hello_makes_one_link) {
    serve();
    ScriptedUdpPeer peer(network, 0x0b000007, server_at, 5);
    ASSERT_TRUE(peer.agree(identity.public_key()));
    secure::ClientHandshake other(identity.public_key(), secure::Seed{9});
    const Bytes hello = peer.hello(other.first({}));  // the same id and address, another message: the cookie is not for it
    for (int i = 0; i < 100; ++i) peer.send(hello);
    network.run_for(10ms);
    EXPECT_EQ(server->links(), 1u);
    EXPECT_EQ(server->counters().handshakes, 1u);
    peer.send(peer.sealed(4, {}));
    network.run_for(10ms);
    EXPECT_EQ(there.size(), 1u);
    EXPECT_EQ(server->half_open(), 0u);
}

TEST_F(UdpHostileTest, a_server_that_began_anew_tells_its_clients) {
    serve();
    ASSERT_EQ(connect(), "");
    talk(3);
    const auto begin_anew = [&](std::string name) {
        drop = [](const ScriptedNetwork::Datagram&) { return true; };  // it went without a word
        server.reset();
        there.clear();
        drop = nullptr;
        open_server({.name = std::move(name)});
    };
    begin_anew("another");  // of the same key: it speaks for itself only
    talk(10);
    EXPECT_GT(server->counters().resets, 0u);
    EXPECT_EQ(here[0]->closed, "");
    begin_anew("");
    talk(1);
    EXPECT_NE(here[0]->closed.find("disconnected: peer=10.0.0.1:7000: it does not know this link any more"), std::string::npos) << here[0]->closed;
    EXPECT_EQ(client->links(), 0u);
    here.clear();
    ASSERT_EQ(connect(), "");
    expect_alive();
}

TEST_F(UdpHostileTest, a_reset_of_anybody_else_changes_nothing) {
    serve();
    records = true;
    ASSERT_EQ(connect(), "");
    talk(3);
    network.run_for(1s);
    records = false;
    std::uint32_t id = 0;  // the server's, as everybody on the way sees it
    io::SocketAddress client_at;
    for (const auto& one : seen)
        if (one.to == server_at && one.bytes[0] >> 4 == 4) id = udp::read_u32(one.bytes.data() + 1), client_at = one.from;
    ASSERT_GE(id, 256u);
    const auto ask = [&](const io::SocketAddress& from, std::uint32_t of) {
        Bytes packet(40, 9);
        packet[0] = 0x43;
        udp::write_u32(packet.data() + 1, of);
        inject(from, server_at, packet);
        network.turn(), network.turn();
    };
    std::vector<Bytes> resets;
    drop = [&](const ScriptedNetwork::Datagram& one) {
        if (one.bytes[0] >> 4 != 8) return false;
        resets.push_back(one.bytes);
        return true;
    };
    ask(client_at, id);  // it is known: no reset
    EXPECT_TRUE(resets.empty());
    ask(client_at, id + 1);
    ask({0x0b000001, 999}, id + 1);
    ASSERT_EQ(resets.size(), 2u);
    EXPECT_EQ(resets[0].size(), 21u);
    EXPECT_NE(resets[0], resets[1]) << "a token is of an address";
    EXPECT_FALSE(std::ranges::equal(resets[0], resets[1]));
    drop = nullptr;
    const std::string before = state();
    Bytes zeros(21);
    zeros[0] = 0x80;
    for (Bytes reset : {resets[0], resets[1], zeros, Bytes(zeros.begin(), zeros.begin() + 5), Bytes(1200, 0x80)}) {
        for (const std::uint32_t of : {id, id + 1, 0u}) {
            udp::write_u32(reset.data() + 1, of);
            for (const auto& from : {server_at, io::SocketAddress{0x0b000001, 999}}) network.inject(from, client_at, reset);
            inject(client_at, server_at, reset);
            network.turn(), network.turn();
        }
    }
    EXPECT_EQ(state(), before);
    for (int i = 0; i < 20'000; ++i) ask({0x0b000001, 999}, id + 1);
    EXPECT_LE(server->counters().resets, 10'100u) << "saved up for two seconds";
    expect_alive();
}

TEST_F(UdpHostileTest, a_recorded_session_played_again_opens_nothing) {
    serve();
    records = true;
    ASSERT_EQ(connect(), "");
    talk(20);
    records = false;
    here.clear();
    network.run_for(3s);
    there.clear();
    network.run_for(3s);
    ASSERT_EQ(server->links(), 0u);
    for (int again = 0; again < 3; ++again) {
        for (const auto& one : seen)
            if (one.to == server_at) inject(one.from, one.to, one.bytes), network.turn(1ms);
        network.run_for(20s);
        EXPECT_EQ(there.size(), 0u) << "nobody was there";
        EXPECT_EQ(server->links(), 0u);
    }
}

/// All that went both ways, again and later, from where it came and from elsewhere, while the link lives.
TEST_F(UdpHostileTest, a_capture_of_a_live_link_played_again_changes_nothing) {
    serve();
    records = true;
    for (int i = 0; i < 3; ++i) ASSERT_EQ(connect(), "");
    talk(60);
    network.run_for(1s);
    records = false;
    ASSERT_GT(seen.size(), 300u);
    const io::SocketAddress thief{0x0b000009, 666};
    const auto play = [&] {
        for (const auto& one : seen) {
            inject(one.from, one.to, one.bytes);
            inject(thief, one.to, one.bytes);
            inject(one.to, one.from, one.bytes);  // and back to who said it
            network.turn();
        }
    };
    play();  // warms what is used again
    for (int later = 0; later < 3; ++later) {
        const std::string before = state();
        const std::size_t memory = mallinfo2().uordblks;
        const std::uint64_t unopened = server->counters().unopened;
        said_to.clear(), got_from.clear();
        play();
        EXPECT_EQ(state(), before);
        EXPECT_LE(mallinfo2().uordblks, memory + 64 * 1024);
        EXPECT_GT(server->counters().unopened, unopened + seen.size() / 2);
        EXPECT_LE(said_to[thief.ip], got_from[thief.ip]) << "cookies at most";
        EXPECT_EQ(server->counters().moved, 0u);
        network.run_for(400ms, 10ms);
        expect_alive();
        network.run_for(1s);
    }
}

/// A peer that holds the key of its own link, and claims to have received what was never sent to it.
TEST_F(UdpHostileTest, acknowledgements_of_what_was_never_sent_count_for_nothing) {
    serve();
    ScriptedUdpPeer peer(network, 0x0b000007, server_at, 5);
    ASSERT_TRUE(peer.agree(identity.public_key()));
    peer.send(peer.sealed(4, {}));
    network.run_for(10ms);
    ASSERT_EQ(there.size(), 1u);
    Channel& link = *there[0]->channel;
    for (int i = 0; i < 3; ++i) link.send(Bytes(100, 1));
    network.run_for(1ms);
    const std::size_t queued = link.unsent_bytes();
    ASSERT_EQ(queued, 300u);
    std::uint64_t refused = 0;
    const Bytes ones(32, 255);
    // The server has sent fewer than 50 packets, and three segments.
    for (const std::uint64_t n : {50u, 200u, 0x4000u, 0x7fffu, 0x8000u, 0xff00u})
        for (const RudpPacket& packet : {RudpPacket().bitmap(n, ones, 7), RudpPacket().bitmap(n, {}, 0), RudpPacket().list({n}), RudpPacket().list({0, n}),
                                         RudpPacket().list({0, 1, 2, n}), RudpPacket().list({0}).una(4), RudpPacket().una((n & 0x7ff0) + 4)}) {
            peer.send(peer.sealed(4, packet.bytes()));
            network.turn(), network.turn();
            ASSERT_EQ(link.stats().refused, ++refused) << n;
            ASSERT_EQ(link.unsent_bytes(), queued) << n;
        }
    EXPECT_EQ(there[0]->closed, "");
    peer.send(peer.sealed(4, RudpPacket().una(3).bytes()));
    network.run_for(10ms);
    EXPECT_EQ(link.unsent_bytes(), 0u);
}

/// Numbers of packets that jump as far as the wire can say, through many keys: the link follows, at no cost.
TEST_F(UdpHostileTest, packet_numbers_that_wrap_and_jump_are_followed) {
    serve();
    ScriptedUdpPeer peer(network, 0x0b000007, server_at, 5);
    ASSERT_TRUE(peer.agree(identity.public_key()));
    peer.send(peer.sealed(4, {}));
    network.run_for(10ms);
    ASSERT_EQ(there.size(), 1u);
    there[0]->echoes = false;
    const std::uint8_t word[] = {7};
    std::uint64_t segment = 0;
    // 100 at a time within one byte of number, then over 2^16 and keys of 2^20 packets with two and four bytes.
    for (const auto& [step, bytes, rounds] : {std::tuple(100u, 1u, 50u), std::tuple(30'000u, 2u, 10u), std::tuple(200'000u, 4u, 12u)})
        for (unsigned i = 0; i < rounds; ++i) {
            for (unsigned n = 1; n < step; ++n) (void)peer.sealed(4, {}, 4);
            peer.send(peer.sealed(4, RudpPacket().segment(segment++, word).bytes(), bytes));
            network.run_for(2ms);
            ASSERT_EQ(there[0]->heard.size(), segment) << step << " " << i;
        }
    EXPECT_GT(peer.sealer->next_number(), 2u << 20);
    EXPECT_EQ(there[0]->channel->stats().refused, 0u);
    EXPECT_EQ(there[0]->closed, "");
}

/// Peers with keys that send for ever: messages without end, holes, repairs, messages for who does not read. Each costs
/// what its limits say; others do not notice.
TEST_F(UdpHostileTest, peers_with_keys_stay_within_their_limits) {
    serve();
    ASSERT_EQ(connect(), "");
    talk(3);
    const Bytes one(1, 7), full(1120, 7);
    const std::vector<std::function<Bytes(std::uint64_t)>> floods = {
        [&](std::uint64_t i) { return RudpPacket().segment(i, full, i == 0, false).bytes(); },
        [&](std::uint64_t i) { return RudpPacket().segment(i, one, i == 0, false).bytes(); },
        [&](std::uint64_t i) { return RudpPacket().ordered_segment(1 + i % 1023, full, 0, 1).bytes(); },
        [&](std::uint64_t i) { return RudpPacket().repair(i % 1000, static_cast<unsigned>(1 + i % 8), full).bytes(); },
        [&](std::uint64_t i) { return RudpPacket().unreliable(i, one).unreliable(i + 1, one).segment(i * 1000, one).bytes(); },
        [&](std::uint64_t i) { return RudpPacket().segment(i, one).flags(8).bytes(); },
        [&](std::uint64_t i) { return RudpPacket().segment(i, full).flags(16).bytes(); },
    };
    std::vector<std::unique_ptr<ScriptedUdpPeer>> peers;
    for (std::uint32_t i = 0; i < 2 * floods.size(); ++i) {
        peers.push_back(std::make_unique<ScriptedUdpPeer>(network, 0x0c000000 + i, server_at, i));
        ASSERT_TRUE(peers.back()->agree(identity.public_key()));
        peers.back()->send(peers.back()->sealed(4, {}));
        network.turn(), network.turn();
        ASSERT_EQ(there.size(), 2 + i);
        there.back()->echoes = false;
        if (i % 2) there.back()->channel->pause(true);
    }
    const std::size_t memory = mallinfo2().uordblks;
    for (std::uint64_t i = 0; i < attacks / 100; ++i) {
        for (std::size_t p = 0; p < peers.size(); ++p) {
            peers[p]->send(peers[p]->sealed(4, floods[p / 2](i)));
            peers[p]->got.clear();
        }
        network.turn(i % 8 == 7 ? 1ms : 0ms);
        for (auto& end : there) end->heard.clear();
    }
    const UdpConfig limits;
    EXPECT_LE(mallinfo2().uordblks, memory + peers.size() * (2 * limits.max_message_bytes + (256 << 10) + (3 << 20)));
    EXPECT_EQ(there[0]->closed, "");
    EXPECT_EQ(server->counters().moved, 0u);
    here[0]->heard.clear();
    talk(5);
    ASSERT_TRUE(network.run_until([&] { return here[0]->heard.size() == 5; }));
    peers.clear();
    network.run_for(12s, 10ms);
    EXPECT_EQ(server->links(), 1u) << "silence ends them";
    EXPECT_LE(mallinfo2().uordblks, memory + 5 * (1 << 20)) << "what the pool keeps";
}

TEST_F(UdpHostileTest, a_link_follows_nobody_but_its_client) {
    serve();
    ASSERT_EQ(connect(), "");
    talk(3);
    const io::SocketAddress thief{0x0b000009, 666}, home = *io::SocketAddress::of(client->local());
    // He holds up what the client sends and passes it on from his own address: the newest there is. He passes
    // challenges on to the client, from his address and as if they were the server's.
    int challenges = 0, responses = 0;
    std::uint64_t to_thief = 0, from_thief = 0;
    drop = [&](const ScriptedNetwork::Datagram& one) {
        if (one.from == home) {
            if (one.bytes[0] >> 4 == 7) ++responses;
            from_thief += one.bytes.size();
            if (one.bytes[0] >> 4 == 7 && one.to == server_at) return false;  // it goes its own way
            network.inject(thief, server_at, one.bytes);
            return true;
        }
        if (one.to == thief) {
            to_thief += one.bytes.size();
            if (one.bytes[0] >> 4 == 6) ++challenges;
            network.inject(challenges % 2 ? server_at : thief, home, one.bytes);
        }
        return false;
    };
    talk(200);
    EXPECT_GT(challenges, 5);
    EXPECT_GT(responses, 5);
    EXPECT_LE(to_thief, from_thief);
    EXPECT_EQ(server->counters().moved, 0u);
    EXPECT_EQ(there[0]->channel->peer(), home.endpoint().to_string());
    drop = {};
    expect_alive();
}

TEST_F(UdpHostileTest, floods_of_hellos_do_not_stop_honest_ones) {
    UdpConfig config;
    config.max_half_open = 100;
    serve(config);
    secure::ClientHandshake shaker(identity.public_key(), secure::Seed{3});
    const Bytes first = shaker.first({});
    sim::Random random(sim::Random(3).fork("flood"));
    std::vector<std::unique_ptr<ScriptedUdpPeer>> crowd;
    for (std::uint32_t i = 0; i < 150; ++i) {  // these have addresses, and finish no handshake
        crowd.push_back(std::make_unique<ScriptedUdpPeer>(network, 0x0c000000 + i, server_at, i));
        ASSERT_TRUE(crowd.back()->agree(identity.public_key())) << i;
        ASSERT_LE(server->half_open(), 100u);
    }
    EXPECT_EQ(server->half_open(), 100u);
    const std::size_t memory = mallinfo2().uordblks;
    int connected = 0;
    std::vector<std::unique_ptr<End>> ends;
    std::vector<std::string> failures(20);
    Bytes hello = crowd[0]->hello(first);
    for (int ms = 0; ms < 2000; ++ms) {
        if (ms % 100 == 0) {
            ends.push_back(std::make_unique<End>());
            (void)go(scope, dial(client.get(), ends.back().get(), &failures[ends.size() - 1]));
        }
        if (ms % 10 == 0) (void)crowd[static_cast<std::size_t>(ms / 10) % crowd.size()]->agree(identity.public_key());
        for (int i = 0; i < 20; ++i) {  // and these are nobody
            random.fill(std::span(hello).subspan(1, 24));
            inject({0x0d000000u + static_cast<std::uint32_t>(random.below(1 << 24)), 5}, server_at, hello);
        }
        network.turn(1ms);
        EXPECT_LE(server->half_open(), 100u);
    }
    network.run_for(100ms);
    for (auto& end : ends) connected += end->channel != nullptr;
    EXPECT_EQ(connected, 20);
    for (auto& failure : failures) EXPECT_EQ(failure, "");
    network.run_for(6s);
    EXPECT_EQ(server->half_open(), 0u);
    EXPECT_EQ(server->links(), 20u);
    EXPECT_LE(mallinfo2().uordblks, memory + 256 * 1024) << "nothing is kept of 40 000 addresses";
    for (const auto& [ip, bytes] : said_to)
        if (ip >> 24 == 0x0d) ASSERT_LE(bytes, got_from[ip]);
}

TEST_F(UdpHostileTest, standard_kcp_stays_bounded) {
    UdpConfig config;
    config.standard_kcp = true;
    config.max_links = 500;
    config.max_links_per_address = 50;
    serve(config);
    for (std::uint32_t i = 1; i <= 5; ++i) {
        here.push_back(std::make_unique<End>());
        here.back()->take(client->connect_kcp({"10.0.0.1", 7000}, i).value());
    }
    talk(5);
    ASSERT_EQ(there.size(), 5u);
    sim::Random random(sim::Random(4).fork("standard"));
    const auto attack = [&](int count) {
        Bytes bytes;
        for (int i = 0; i < count; ++i) {
            bytes.assign(24 + random.below(60), 0);
            random.fill(bytes);
            const auto conv = random.below(100);
            bytes[0] = static_cast<std::uint8_t>(conv), bytes[1] = bytes[2] = bytes[3] = 0;
            bytes[4] = static_cast<std::uint8_t>(random.below(20) ? 81 + random.below(4) : random.below(256));
            if (random.below(2)) bytes[5] = static_cast<std::uint8_t>(random.below(3));
            if (random.below(3)) std::fill(bytes.begin() + 12, bytes.begin() + 20, std::uint8_t{0}), bytes[12] = static_cast<std::uint8_t>(random.below(4));
            if (random.below(10)) bytes[20] = static_cast<std::uint8_t>(bytes.size() - 24), bytes[21] = bytes[22] = bytes[23] = 0;
            inject({0x0b000000u + static_cast<std::uint32_t>(random.below(100)), static_cast<std::uint16_t>(1 + random.below(5))}, server_at, bytes);
            if (i % 64 == 63) network.turn(i % 640 == 639 ? 1ms : 0ms);
        }
    };
    attack(attacks / 10);
    const std::size_t memory = mallinfo2().uordblks;
    EXPECT_LE(server->links(), 500u);
    EXPECT_GT(server->links(), 50u);
    attack(attacks);
    EXPECT_LE(server->links(), 500u);
    EXPECT_LE(mallinfo2().uordblks, memory + (64u << 20)) << "500 links of at most a window each";
    for (const auto& [ip, bytes] : said_to)
        if (ip != client_ip) EXPECT_LE(bytes, got_from[ip]) << std::hex << ip;
    for (auto& end : here) end->heard.clear();
    talk(5);
    ASSERT_TRUE(network.run_until([&] { return std::ranges::all_of(here, [](auto& e) { return e->heard.size() == 5; }); }));
    network.run_for(25s);
    EXPECT_LE(server->links(), 5u) << "silence ends them";
}

/// A number is used once under a key, and no key comes again: not on one link, nor after either end began anew.
TEST_F(UdpHostileTest, nonces_never_repeat) {
    std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint32_t> next;  // (to, its id): the least number it may have
    std::set<std::array<std::uint8_t, 16>> tags;
    std::uint64_t packets = 0;
    int generation = 0;
    drop = [&](const ScriptedNetwork::Datagram& one) {
        if (one.bytes[0] >> 4 == 3) {  // a client that begins anew may call itself as before
            std::uint32_t id = 0;
            std::memcpy(&id, one.bytes.data() + 1, 4);
            next.erase({std::uint64_t(generation) << 32 | one.to.ip, id});
        }
        if (one.bytes[0] >> 4 < 4 || one.bytes[0] >> 4 > 7) return false;  // not sealed
        const std::size_t id_bytes = one.bytes[0] & 4 ? 1 : 4, number_bytes = (one.bytes[0] & 3u) + 1;
        std::uint32_t id = 0, low = 0;
        std::memcpy(&id, one.bytes.data() + 1, id_bytes);
        std::memcpy(&low, one.bytes.data() + 1 + id_bytes, number_bytes);
        auto& least = next[{std::uint64_t(generation) << 32 | one.to.ip, id}];
        const auto unused = 32 - 8 * number_bytes;
        const auto ahead = static_cast<std::int32_t>((low - least) << unused) >> unused;
        EXPECT_GE(ahead, 0);
        least += static_cast<std::uint32_t>(ahead) + 1;
        std::array<std::uint8_t, 16> tag;
        std::copy(one.bytes.end() - 16, one.bytes.end(), tag.begin());
        EXPECT_TRUE(tags.insert(tag).second) << "equal bytes under equal keys";
        ++packets;
        return packets % 7 == 0;  // with losses
    };
    for (generation = 0; generation < 100; ++generation) {
        if (generation % 3 == 0 || !server) {
            there.clear();
            server.reset();
        }
        here.clear();
        client.reset();
        if (!server) serve();
        else client = UdpPort::open(near, {}).value();
        ASSERT_EQ(connect(), "");
        talk(5);
    }
    EXPECT_GT(packets, 1000u);
}

/// Who holds the key may say what he likes: it ends his link at most, and takes no more than a window.
TEST_F(UdpHostileTest, an_authenticated_peer_harms_only_itself) {
    serve();
    for (int i = 0; i < 5; ++i) ASSERT_EQ(connect(), "");
    talk(3);
    sim::Random random(sim::Random(6).fork("peer"));
    std::uint64_t ended = 0;
    for (std::uint32_t round = 0; round < 60; ++round) {
        ScriptedUdpPeer peer(network, 0x0b000000 + round, server_at, round);
        ASSERT_TRUE(peer.agree(identity.public_key()));
        const std::size_t links = server->links();
        for (int i = 0; i < 400; ++i) {
            Bytes plain(random.below(400));
            random.fill(plain);
            if (plain.size() > 24 && random.below(10) > 0) {
                std::memcpy(plain.data(), &peer.id, 4);
                plain[4] = static_cast<std::uint8_t>(81 + random.below(4));
                plain[5] = static_cast<std::uint8_t>(random.below(2) * random.below(256));
                plain[14] = plain[15] = plain[18] = plain[19] = 0;
                const auto size = static_cast<std::uint32_t>(plain.size() - 24);
                std::memcpy(plain.data() + 20, &size, 4);
            }
            const unsigned kind = random.below(20) ? 4 : 4 + static_cast<unsigned>(random.below(4));
            if (kind == 5 && round % 2) continue;
            peer.send(peer.sealed(kind, plain, 1 + static_cast<unsigned>(random.below(4))));
            network.turn(i % 10 ? 0ms : 1ms);
        }
        network.run_for(20ms);
        if (server->links() < links) ++ended;
    }
    EXPECT_GT(ended, 10u);
    std::erase_if(there, [](auto& end) { return !end->closed.empty(); });
    for (auto& end : here) end->heard.clear();
    talk(5);
    ASSERT_TRUE(network.run_until([&] { return std::ranges::all_of(here, [](auto& e) { return e->heard.size() == 5; }); }));
    for (auto& end : here) EXPECT_EQ(end->closed, "");
}

}  // namespace
}  // namespace gyre::net

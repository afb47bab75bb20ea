#include <gtest/gtest.h>
#include <malloc.h>
#include <gyre/io/loop.hpp>
#include <gyre/net/detail/scripted_network.hpp>
#include <gyre/net/udp.hpp>
#include <gyre/sim/link.hpp>
#include <gyre/sim/world.hpp>

namespace gyre::net {
namespace {

const secure::Identity identity(secure::Key(secure::Seed{1}));

/// One end of a link, and what it heard.
struct End : ChannelHandler {
    void take(std::unique_ptr<Channel> c) {
        channel = std::move(c);
        channel->start(*this);
    }
    void on_message(BytesView message) override {
        heard.emplace_back(message.begin(), message.end());
        if (echoes) channel->send(message);
        if (then) then();
    }
    void on_closed(const Error& reason) override { closed = reason.what(); }
    void on_drained() override { ++drained; }
    std::unique_ptr<Channel> channel;
    std::vector<Bytes> heard;
    std::string closed;
    int drained = 0;
    bool echoes = false;
    std::function<void()> then;
};

struct UdpTest : testing::Test {
    void serve(bool standard_kcp = false, Greet greet = {}) {
        UdpConfig config;
        config.at = {"10.0.0.1", 7000};
        config.standard_kcp = standard_kcp;
        config.identity = identity;
        config.greet = std::move(greet);
        server = UdpPort::open(server_machine, config, [this](std::unique_ptr<Channel> channel, io::Endpoint, Bytes said) {
            auto end = std::make_unique<End>();
            end->echoes = echoes;
            end->take(std::move(channel));
            there.push_back(std::move(end));
            greeted = std::move(said);
        }).value();
        config.at = {"10.0.0.2", 0};
        config.identity.reset();
        client = UdpPort::open(client_machine, config).value();
    }
    UdpLink connect(Bytes payload = {1, 2, 3}, Duration limit = 10s, secure::PublicKey key = identity.public_key()) {
        return world.run(client_machine, client->connect({"10.0.0.1", 7000}, key, std::move(payload), limit));
    }
    std::string connect_error(secure::PublicKey key = identity.public_key()) {
        try {
            (void)connect({1}, 3s, key);
        } catch (const Error& error) {
            return error.code();
        }
        return "none";
    }
    bool until(const std::function<bool()>& done, Duration limit = 30s) { return world.run_until(done, limit); }

    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& server_machine = world.machine("server", "10.0.0.1");
    sim::Machine& client_machine = world.machine("client", "10.0.0.2");
    bool echoes = true;
    std::vector<std::unique_ptr<End>> there;
    End here;
    Bytes greeted;
    std::unique_ptr<UdpPort> server, client;
};

TEST_F(UdpTest, carries_messages_sealed_both_ways) {
    serve(false, [](BytesView said) -> Result<Bytes> { return Bytes(said.rbegin(), said.rend()); });
    auto link = connect();
    EXPECT_EQ(link.payload, (Bytes{3, 2, 1}));
    here.take(std::move(link.channel));
    std::vector<Bytes> sent;
    for (std::size_t i = 1; i < 200; ++i) sent.push_back(Bytes(i % 20 ? i * 10 : 30'000, static_cast<std::uint8_t>(i)));
    for (const Bytes& message : sent) {
        here.channel->send(message);
        world.run_for(1ms);
    }
    ASSERT_TRUE(until([&] { return here.heard.size() == sent.size(); }));
    EXPECT_EQ(here.heard, sent);
    EXPECT_EQ(greeted, (Bytes{1, 2, 3}));
    EXPECT_EQ(server->half_open(), 0u);
    const LinkStats stats = here.channel->stats();
    EXPECT_EQ(stats.messages_sent, sent.size());
    EXPECT_EQ(stats.messages_received, sent.size());
    EXPECT_GT(stats.srtt, Duration::zero());
    EXPECT_EQ(stats.queued_bytes, 0u);
    here.channel->close();
    ASSERT_TRUE(until([&] { return !there[0]->closed.empty(); }, 2s));
    EXPECT_NE(there[0]->closed.find("disconnected"), std::string::npos) << there[0]->closed;
    EXPECT_TRUE(until([&] { return server->links() == 0 && client->links() == 0; }, 3s));
}

TEST_F(UdpTest, a_plain_kcp_link_carries_messages) {
    serve(true);
    here.take(client->connect_kcp({"10.0.0.1", 7000}, 42).value());
    for (std::uint8_t i = 1; i <= 100; ++i) here.channel->send(Bytes(i * 20u, i));
    ASSERT_TRUE(until([&] { return here.heard.size() == 100; }));
    EXPECT_EQ(there.size(), 1u);
    here.channel->close();
    EXPECT_TRUE(until([&] { return server->links() == 0 && client->links() == 0; }, 15s)) << "silence ends it";
    EXPECT_NE(there[0]->closed.find("timed_out"), std::string::npos);
}

TEST_F(UdpTest, a_server_with_another_key_does_not_answer) {
    serve();
    EXPECT_EQ(connect_error(secure::Identity(secure::Key(secure::Seed{16})).public_key()), errc::timed_out);
    EXPECT_EQ(server->links(), 0u);
    EXPECT_EQ(client->links(), 0u);
}

TEST_F(UdpTest, a_refusal_is_told) {
    serve(false, [](BytesView) -> Result<Bytes> { return Error(errc::update_required, "newer game"); });
    EXPECT_EQ(connect_error(), errc::update_required);
    EXPECT_EQ(server->links(), 0u);
}

TEST_F(UdpTest, an_idle_link_stays_and_a_silent_one_ends) {
    serve();
    here.take(connect().channel);
    ASSERT_TRUE(until([&] { return there.size() == 1; }));
    world.run_for(5min);
    EXPECT_TRUE(here.closed.empty() && there[0]->closed.empty());
    world.isolate(client_machine);
    ASSERT_TRUE(until([&] { return !here.closed.empty() && !there[0]->closed.empty(); }, 21s));
    EXPECT_NE(here.closed.find(errc::timed_out), std::string::npos);
    EXPECT_TRUE(until([&] { return server->links() == 0 && client->links() == 0; }, 3s));
}

TEST_F(UdpTest, pushes_back_and_drains) {
    echoes = false;
    serve();
    here.take(connect().channel);
    ASSERT_TRUE(until([&] { return there.size() == 1; }));
    there[0]->channel->pause(true);
    for (int i = 0; i < 100; ++i) here.channel->send(Bytes(10'000, 5));
    world.run_for(5s);
    EXPECT_GT(here.channel->unsent_bytes(), 500'000u);
    EXPECT_TRUE(there[0]->heard.empty());
    there[0]->channel->pause(false);
    ASSERT_TRUE(until([&] { return there[0]->heard.size() == 100; }, 1min));
    EXPECT_TRUE(until([&] { return here.drained >= 1; }, 1s));
    EXPECT_TRUE(until([&] { return here.channel->unsent_bytes() == 0; }, 1s));
}


TEST_F(UdpTest, a_link_that_ends_before_its_handler_is_there_tells_it_all) {
    std::unique_ptr<Channel> kept;
    serve();
    UdpConfig config;
    config.at = {"10.0.0.1", 7001};
    config.identity = identity;
    auto other = UdpPort::open(server_machine, config, [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) { kept = std::move(c); }).value();
    auto link = world.run(client_machine, client->connect({"10.0.0.1", 7001}, identity.public_key(), {}, 5s));
    for (std::uint8_t i = 1; i <= 50; ++i) link.channel->send(Bytes(1000, i));
    link.channel.reset();
    ASSERT_TRUE(until([&] { return client->links() == 0; }));
    world.run_for(30s);
    ASSERT_TRUE(kept);
    EXPECT_TRUE(there.empty());
    End late;
    late.take(std::move(kept));
    world.run_for(10ms);
    EXPECT_EQ(late.heard.size(), 50u);
    EXPECT_NE(late.closed.find("disconnected"), std::string::npos) << late.closed;
    late.channel.reset();
    world.run_for(10ms);
    EXPECT_EQ(other->links(), 0u);
}

TEST_F(UdpTest, a_paused_channel_hears_what_came_before_the_close) {
    echoes = false;
    serve();
    here.take(connect().channel);
    ASSERT_TRUE(until([&] { return there.size() == 1; }));
    there[0]->channel->pause(true);
    for (int i = 0; i < 20; ++i) here.channel->send(Bytes(100, 7));
    here.channel->close();
    world.run_for(5s);
    EXPECT_TRUE(there[0]->heard.empty() && there[0]->closed.empty());
    there[0]->channel->pause(false);
    world.run_for(10ms);
    EXPECT_EQ(there[0]->heard.size(), 20u);
    EXPECT_FALSE(there[0]->closed.empty());
}

TEST_F(UdpTest, channels_and_ports_may_go_in_callbacks) {
    for (int what = 0; what < 6; ++what) {
        there.clear();
        here = End{};
        serve();
        here.take(connect().channel);
        ASSERT_TRUE(until([&] { return there.size() == 1; }));
        End& end = *there[0];
        end.echoes = false;
        end.then = [&, what] {
            if (what == 0) end.channel.reset();
            else if (what == 1) end.channel->close();
            else if (what == 2) server.reset();
            else if (what == 3) end.channel.reset(), server.reset();
            else if (what == 4) client.reset();
            else here.channel.reset(), end.channel.reset();
        };
        for (int i = 0; i < 5; ++i) here.channel->send(Bytes(1000, 1));
        world.run_for(2s);
        EXPECT_EQ(end.heard.size(), what == 4 ? 5u : 1u) << what;
        if (what < 4) EXPECT_FALSE(here.closed.empty()) << what;
        here.channel.reset();
        there.clear();
        server.reset(), client.reset();
    }
}

TEST_F(UdpTest, an_accepting_server_may_go_at_once) {
    for (const bool standard : {false, true}) {
        UdpConfig config;
        config.at = {"10.0.0.1", 7100};
        config.identity = identity;
        config.standard_kcp = standard;
        bool called = false;
        std::unique_ptr<UdpPort> port = UdpPort::open(server_machine, config, [&](std::unique_ptr<Channel>, io::Endpoint, Bytes) {
            called = true;
            port.reset();
        }).value();
        config.at = {"10.0.0.2", 0};
        auto dialler = UdpPort::open(client_machine, config).value();
        End end;
        if (standard) end.take(dialler->connect_kcp({"10.0.0.1", 7100}, 5).value());
        else end.take(world.run(client_machine, dialler->connect({"10.0.0.1", 7100}, identity.public_key(), {}, 5s)).channel);
        end.channel->send(Bytes(10, 1));
        world.run_for(1s);
        EXPECT_TRUE(called);
        EXPECT_FALSE(port);
    }
}

TEST_F(UdpTest, a_port_that_goes_says_so) {
    serve();
    here.take(connect().channel);
    ASSERT_TRUE(until([&] { return there.size() == 1; }));
    server.reset();
    ASSERT_TRUE(until([&] { return !here.closed.empty(); }, 1s));
    EXPECT_NE(here.closed.find("disconnected"), std::string::npos) << here.closed;
}

TEST_F(UdpTest, limits_are_told) {
    serve();
    UdpConfig config;
    config.at = {"10.0.0.1", 7002};
    config.identity = identity;
    config.max_links_per_address = 3;
    std::vector<std::unique_ptr<Channel>> kept;
    auto small = UdpPort::open(server_machine, config, [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) { kept.push_back(std::move(c)); }).value();
    std::vector<UdpLink> links;
    const auto dial = [&]() -> std::string {
        try {
            links.push_back(world.run(client_machine, client->connect({"10.0.0.1", 7002}, identity.public_key(), Bytes(512, 1), 3s)));
        } catch (const Error& error) {
            return error.code();
        }
        return "none";
    };
    for (int i = 0; i < 3; ++i) EXPECT_EQ(dial(), "none");
    EXPECT_EQ(dial(), errc::overloaded);
    links.pop_back();
    world.run_for(2s);
    kept.clear();
    world.run_for(2s);
    EXPECT_EQ(dial(), "none");
    config.at.port = 7003;
    config.max_links_per_address = 100;
    config.handshakes_per_address_per_second = 2;
    auto slow = UdpPort::open(server_machine, config, [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) { kept.push_back(std::move(c)); }).value();
    const auto refused = [&] {
        try {
            links.push_back(world.run(client_machine, client->connect({"10.0.0.1", 7003}, identity.public_key(), {}, 3s)));
        } catch (const Error& error) {
            return error.is(errc::overloaded);
        }
        return false;
    };
    int n = 0;
    while (!refused() && n < 20) ++n;
    EXPECT_GE(n, 4);
    EXPECT_LT(n, 8);
    world.run_for(2s);
    EXPECT_FALSE(refused());
}

TEST_F(UdpTest, what_is_too_large_or_too_much_ends_the_link) {
    serve();
    UdpConfig config;
    config.at = {"10.0.0.2", 0};
    config.max_message_bytes = 200'000;
    config.max_unsent_bytes = 300'000;
    auto big = UdpPort::open(client_machine, config).value();
    End end;
    end.take(world.run(client_machine, big->connect({"10.0.0.1", 7000}, identity.public_key(), {}, 5s)).channel);
    end.channel->send(Bytes(100'000, 1));
    ASSERT_TRUE(until([&] { return there.size() == 1 && !there[0]->closed.empty(); }));
    EXPECT_NE(there[0]->closed.find("too_large"), std::string::npos) << there[0]->closed;
    End full;
    full.take(world.run(client_machine, big->connect({"10.0.0.1", 7000}, identity.public_key(), {}, 5s)).channel);
    for (int i = 0; i < 10; ++i) full.channel->send(Bytes(60'000, 1));
    EXPECT_TRUE(full.closed.empty()) << "not amid a call";
    world.run_for(1ms);
    EXPECT_NE(full.closed.find("overloaded"), std::string::npos) << full.closed;
}

TEST_F(UdpTest, a_quiet_link_says_only_that_it_lives) {
    serve();
    here.take(connect().channel);
    world.run_for(1s);
    const auto before = client->datagrams().sent;
    world.run_for(100s);
    const auto quiet = client->datagrams().sent - before;
    EXPECT_GE(quiet, 25u);
    EXPECT_LE(quiet, 32u) << "one a third of the idle limit";
    // Who speaks need not say that it lives.
    const auto spoken = client->datagrams().sent;
    for (int i = 0; i < 100; ++i) {
        here.channel->send(Bytes(10, 1));
        world.run_for(1s);
    }
    EXPECT_LE(client->datagrams().sent - spoken, 210u) << "the message and an acknowledgement of its echo";
    EXPECT_EQ(here.heard.size(), 100u);
}

TEST_F(UdpTest, a_standard_peer_that_began_anew_is_a_new_link) {
    echoes = true;
    serve(true);
    here.take(client->connect_kcp({"10.0.0.1", 7000}, 42).value());
    for (int i = 0; i < 5; ++i) here.channel->send(Bytes(10, 1));
    ASSERT_TRUE(until([&] { return here.heard.size() == 5; }));
    const io::Endpoint at = client->local();
    world.run_for(6s);
    here.channel->send(Bytes(10, 2));  // it lives on
    world.run_for(6s);
    ASSERT_TRUE(there[0]->closed.empty());
    client.reset();
    UdpConfig config;
    config.at = {"10.0.0.2", at.port};
    config.standard_kcp = true;
    client = UdpPort::open(client_machine, config).value();
    End again;
    again.take(client->connect_kcp({"10.0.0.1", 7000}, 42).value());
    for (std::uint8_t i = 1; i <= 3; ++i) again.channel->send(Bytes(10, i));
    ASSERT_TRUE(until([&] { return again.heard.size() == 3; }, 2s));
    EXPECT_EQ(there.size(), 2u);
    EXPECT_NE(there[0]->closed.find("began anew"), std::string::npos) << there[0]->closed;
    EXPECT_EQ(there[1]->heard.size(), 3u);
    EXPECT_EQ(server->links(), 1u);
}

TEST_F(UdpTest, follows_a_client_that_moves_and_no_other) {
    serve();
    world.link(client_machine, server_machine, *sim::parse_link("rtt=40ms,rebind=2s"), *sim::parse_link("rtt=40ms"));
    here.take(connect().channel);
    for (int i = 0; i < 300; ++i) {
        here.channel->send(Bytes(20, static_cast<std::uint8_t>(i)));
        world.run_for(50ms);
    }
    ASSERT_TRUE(until([&] { return here.heard.size() == 300; }));
    EXPECT_GE(server->counters().moved, 6u);
    EXPECT_LE(server->counters().moved, 9u);
    EXPECT_EQ(server->links(), 1u);
}

TEST_F(UdpTest, follows_a_client_that_only_listens) {
    serve();
    world.link(client_machine, server_machine, *sim::parse_link("rtt=40ms,rebind=7s"), *sim::parse_link("rtt=40ms"));
    here.take(connect().channel);
    ASSERT_TRUE(until([&] { return there.size() == 1; }));
    for (int i = 0; i < 600; ++i) {
        there[0]->channel->send(Bytes(20, static_cast<std::uint8_t>(i)));
        world.run_for(50ms);
    }
    ASSERT_TRUE(until([&] { return here.heard.size() == 600; })) << here.closed;
    EXPECT_GE(server->counters().moved, 3u);
}

TEST_F(UdpTest, many_links_share_a_socket) {
    serve();
    world.link(client_machine, server_machine, *sim::parse_link("rtt=30ms,loss=5%,jitter=3ms"));
    std::vector<std::unique_ptr<End>> ends;
    for (int i = 0; i < 150; ++i) {
        ends.push_back(std::make_unique<End>());
        ends.back()->take(connect({1}, 20s).channel);
    }
    for (int round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < ends.size(); ++i) ends[i]->channel->send(Bytes(30 + i, static_cast<std::uint8_t>(i)));
        world.run_for(100ms);
    }
    ASSERT_TRUE(until([&] { return std::ranges::all_of(ends, [](auto& end) { return end->heard.size() == 20; }); }));
    for (std::size_t i = 0; i < ends.size(); ++i)
        for (const Bytes& message : ends[i]->heard) EXPECT_EQ(message, Bytes(30 + i, static_cast<std::uint8_t>(i)));
    EXPECT_EQ(server->links(), 150u);
    ends.clear();
    EXPECT_TRUE(until([&] { return server->links() == 0 && client->links() == 0; }, 15s));
}

struct BadLink {
    const char* text;
    bool standard;
};
void PrintTo(const BadLink& link, std::ostream* out) { *out << link.text << (link.standard ? " standard" : " sealed"); }
struct UdpBadLinkTest : UdpTest, testing::WithParamInterface<BadLink> {};

/// Both ways, all sizes: what arrives is what was sent, in order and once; and nothing is left.
TEST_P(UdpBadLinkTest, carries_all_in_order_once) {
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
        world.link(client_machine, server_machine, *sim::parse_link(GetParam().text));
        there.clear();
        here = End{};
        auto random = world.random("sizes " + std::to_string(seed));
        serve(GetParam().standard);
        if (GetParam().standard) here.take(client->connect_kcp({"10.0.0.1", 7000}, 42).value());
        else here.take(connect({1}, 10min).channel);
        std::vector<Bytes> sent;
        for (std::size_t i = 0; i < 250; ++i) {
            const std::size_t size = i % 50 == 49 ? 20'000 : 1 + random.below(300);
            sent.push_back(Bytes(size, static_cast<std::uint8_t>(i)));
            here.channel->send(sent.back());
            world.run_for(33ms);
        }
        
        ASSERT_TRUE(until([&] { return here.heard.size() >= sent.size() || !here.closed.empty(); }, 2min)) << here.heard.size();
        EXPECT_EQ(here.closed, "");
        EXPECT_EQ(here.heard, sent);
        ASSERT_EQ(there.size(), 1u);
        EXPECT_EQ(there[0]->heard, sent);
        const LinkStats stats = here.channel->stats();
        EXPECT_EQ(stats.messages_received, 250u);
        EXPECT_GT(stats.srtt, 10ms);
        EXPECT_LT(stats.loss(), 0.6);
        here.channel.reset();
        if (!GetParam().standard) EXPECT_TRUE(until([&] { return client->links() == 0; }, 5s));
        there.clear();
        server.reset(), client.reset();
        world.run_for(1s);
    }
}

INSTANTIATE_TEST_SUITE_P(Links, UdpBadLinkTest, testing::Values(
    BadLink{"rtt=60ms,loss=20%", false}, BadLink{"rtt=60ms,loss=20%", true},
    BadLink{"rtt=60ms,jitter=5ms,loss=5%,burst=8", false}, BadLink{"rtt=60ms,jitter=5ms,loss=5%,burst=8", true},
    BadLink{"rtt=60ms,reorder=20%/80ms,duplicate=20%,loss=5%", false}, BadLink{"rtt=60ms,reorder=20%/80ms,duplicate=20%,loss=5%", true},
    BadLink{"rtt=120ms,outage=700ms/4s", false}, BadLink{"rtt=120ms,outage=700ms/4s", true},
    BadLink{"rtt=60ms,loss=5%,mtu=1200", false},
    BadLink{"rtt=60ms,rate=64kB/s,queue=200ms,loss=1%", false}, BadLink{"rtt=60ms,rate=64kB/s,queue=200ms,loss=1%", true},
    BadLink{"rtt=60ms,duplicate=100%", false}));

TEST(UdpTrace, is_equal_for_equal_seeds) {
    const auto run = [](std::uint64_t seed) {
        sim::World world({.seed = seed});
        sim::Machine& a = world.machine("a", "10.0.0.1");
        sim::Machine& b = world.machine("b", "10.0.0.2");
        world.link(b, a, *sim::parse_link("rtt=60ms,jitter=5ms,loss=10%,reorder=2%,duplicate=2%,rebind=3s"),
                   *sim::parse_link("rtt=60ms,jitter=5ms,loss=10%"));
        End there, here;
        there.echoes = true;
        UdpConfig config;
        config.at = {"10.0.0.1", 7000};
        config.identity = identity;
        auto server = UdpPort::open(a, config, [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) { there.take(std::move(c)); }).value();
        config.at = {"10.0.0.2", 0};
        auto client = UdpPort::open(b, config).value();
        here.take(world.run(b, client->connect({"10.0.0.1", 7000}, identity.public_key(), {}, 20s)).channel);
        for (int i = 0; i < 200; ++i) {
            here.channel->send(Bytes(50, 1));
            world.run_for(20ms);
        }
        EXPECT_TRUE(world.run_until([&] { return here.heard.size() == 200; }, 30s));
        there.channel.reset(), here.channel.reset();
        world.run_for(1s);
        return world.trace_hash();
    };
    EXPECT_EQ(run(1), run(1));
    EXPECT_NE(run(1), run(2));
}

/// All that a link needs while it is open and says nothing, of the engine and of libcrypto.
TEST(UdpMemory, an_idle_sealed_link_takes_at_most_4_kib_an_end) {
    detail::ScriptedNetwork network;
    detail::ScriptedNetwork::Host far(network, 0x0a000001, 1), near(network, 0x0a000002, 2);
    std::vector<std::unique_ptr<Channel>> there, here;
    UdpConfig config;
    config.at.port = 7000;
    config.identity = identity;
    config.handshakes_per_address_per_second = 0;
    config.max_links_per_address = 10'000;
    auto server = UdpPort::open(far, config, [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) { there.push_back(std::move(c)); }).value();
    config.at.port = 0;
    auto client = UdpPort::open(near, config).value();
    struct Quiet final : ChannelHandler {
        void on_message(BytesView) override { ++heard; }
        void on_closed(const Error&) override { ++closed; }
        int heard = 0, closed = 0;
    } quiet;
    Scope scope(network.executor, "dial");
    const auto dial = [](UdpPort* port, std::vector<std::unique_ptr<Channel>>* to) -> Task<> {
        auto link = co_await port->connect({"10.0.0.1", 7000}, identity.public_key(), {}, 20s);
        to->push_back(std::move(link.channel));
    };
    const auto add = [&](std::size_t count) {
        const std::size_t all = here.size() + count;
        for (std::size_t i = 0; i < count; ++i) (void)go(scope, dial(client.get(), &here));
        ASSERT_TRUE(network.run_until([&] { return here.size() == all && there.size() == all; }));
        for (std::size_t i = all - count; i < all; ++i) {
            here[i]->start(quiet), there[i]->start(quiet);
            here[i]->send(Bytes(100, 1)), there[i]->send(Bytes(100, 1));
        }
        network.run_for(9s, 10ms);
    };
    here.reserve(2000), there.reserve(2000);
    add(1000);
    const std::size_t before = mallinfo2().uordblks;
    add(1000);
    const std::size_t after = mallinfo2().uordblks;
    EXPECT_EQ(quiet.heard, 4000);
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's allocator counts nothing; the release build measures";
#endif
    ASSERT_GT(before, 0u) << "nothing was measured";
    const std::size_t each = (after - before) / 2000;
    RecordProperty("bytes", static_cast<int>(each));
    std::printf("an idle link: %zu bytes\n", each);
    EXPECT_LE(each, 4096u);
    EXPECT_GT(each, 1000u);
    here.clear(), there.clear();
    network.run_for(2s);
    EXPECT_EQ(server->links() + client->links(), 0u);
}

TEST(UdpLoop, carries_messages_over_real_sockets) {
    io::Loop loop;
    for (const bool standard : {false, true}) {
        End there, here;
        there.echoes = true;
        UdpConfig config;
        config.identity = identity;
        config.standard_kcp = standard;
        auto server = UdpPort::open(loop, config, [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) { there.take(std::move(c)); }).value();
        config.identity.reset();
        auto client = UdpPort::open(loop, config).value();
        if (standard) here.take(client->connect_kcp(server->local(), 9).value());
        else here.take(loop.run_task(client->connect(server->local(), identity.public_key(), {}, 5s)).channel);
        for (std::uint8_t i = 1; i <= 200; ++i) here.channel->send(Bytes(i * 50u, i));
        EXPECT_TRUE(loop.run_until([&] { return here.heard.size() == 200; }));
        there.channel.reset(), here.channel.reset();
    }
}

}  // namespace
}  // namespace gyre::net

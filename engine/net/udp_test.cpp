#include <gtest/gtest.h>
#include <gyre/io/loop.hpp>
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
    EXPECT_GE(here.drained, 1);
    EXPECT_TRUE(until([&] { return here.channel->unsent_bytes() == 0; }, 1s));
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

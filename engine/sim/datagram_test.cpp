#include <gtest/gtest.h>

#include <gyre/sim/world.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::sim {
namespace {

struct Sink : io::DatagramHandler {
    void on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) override {
        last_from = from;
        got.emplace_back(bytes.begin(), bytes.end());
        if (then) then(from, bytes);
    }
    std::vector<Bytes> got;
    io::SocketAddress last_from;
    std::function<void(const io::SocketAddress&, std::span<std::uint8_t>)> then;
};

/// A socket of a machine with what it heard.
struct Place {
    Place(Machine& machine, std::uint16_t port)
        : socket(std::move(*machine.bind({"0.0.0.0", port}))) {
        socket->start(sink);
    }
    void send(Place& to, Machine& there, std::uint8_t tag, std::size_t bytes = 100) {
        Bytes filled(bytes, tag);
        socket->send(*io::SocketAddress::of({there.address(), to.socket->local().port}), filled);
    }
    Sink sink;
    std::unique_ptr<io::DatagramSocket> socket;
};

struct SimDatagramTest : testing::Test {
    World world{{.seed = test_seed()}};
    Machine& a = world.machine("a", "10.0.0.1");
    Machine& b = world.machine("b", "10.0.0.2");
    Place at_a{a, 7000}, at_b{b, 7000};
};

TEST_F(SimDatagramTest, arrives_whole_in_order_and_once_by_default) {
    const TimePoint start = world.now();
    for (int i = 0; i < 200; ++i)
        at_a.send(at_b, b, static_cast<std::uint8_t>(i), static_cast<std::size_t>(i));
    ASSERT_TRUE(world.run_until([&] { return at_b.sink.got.size() == 200; }, 1s));
    EXPECT_GE(world.now() - start, 500us);
    for (std::size_t i = 0; i < 200; ++i)
        EXPECT_EQ(at_b.sink.got[i], Bytes(i, static_cast<std::uint8_t>(i)));
    EXPECT_EQ(at_b.sink.last_from.endpoint().to_string(), "10.0.0.1:7000");
    EXPECT_EQ(at_b.socket->counters().received, 200u);
}

TEST_F(SimDatagramTest, a_partition_loses_what_streams_would_keep) {
    world.partition_one_way(a, b);
    at_a.send(at_b, b, 1);
    at_b.send(at_a, a, 2);
    world.run_for(1s);
    world.heal();
    world.run_for(1s);
    EXPECT_TRUE(at_b.sink.got.empty());
    EXPECT_EQ(at_a.sink.got.size(), 1u);
}

TEST_F(SimDatagramTest, a_frozen_machine_reads_later_and_a_dead_one_never) {
    b.freeze(2s);
    at_a.send(at_b, b, 1);
    world.run_for(1s);
    EXPECT_TRUE(at_b.sink.got.empty());
    world.run_for(2s);
    EXPECT_EQ(at_b.sink.got.size(), 1u);
    b.kill();
    at_a.send(at_b, b, 2);
    at_b.send(at_a, a, 3);
    world.run_for(1s);
    EXPECT_EQ(at_b.sink.got.size(), 1u);
    EXPECT_TRUE(at_a.sink.got.empty());
    b.restart();
    Place again(b, 7000);
    at_a.send(again, b, 4);
    world.run_for(1s);
    EXPECT_EQ(again.sink.got.size(), 1u);
}

TEST_F(SimDatagramTest, refuses_an_address_in_use_or_of_another) {
    EXPECT_EQ(a.bind({"10.0.0.1", 7000}).error().code(), errc::in_use);
    EXPECT_EQ(a.bind({"10.0.0.9", 7000}).error().code(), errc::bad_arguments);
    auto any = std::move(*a.bind({}));
    EXPECT_NE(any->local().port, 0);
}

TEST_F(SimDatagramTest, a_socket_may_be_destroyed_in_its_handler) {
    at_b.sink.then = [&](const auto&, auto) { at_b.socket.reset(); };
    at_a.send(at_b, b, 1);
    at_a.send(at_b, b, 2);
    world.run_for(1s);
    EXPECT_EQ(at_b.sink.got.size(), 1u);
}

TEST_F(SimDatagramTest, a_link_loses_and_delays_each_direction_its_own_way) {
    world.link(a, b, {.delay = 50ms, .loss = 0.5}, {.delay = 5ms, .duplicate = 1});
    const TimePoint start = world.now();
    for (int i = 0; i < 1000; ++i) at_a.send(at_b, b, 1);
    at_b.send(at_a, a, 2);
    ASSERT_TRUE(world.run_until([&] { return at_a.sink.got.size() == 2; }, 1s));
    EXPECT_TRUE(at_b.sink.got.empty());
    ASSERT_TRUE(world.run_until([&] { return !at_b.sink.got.empty(); }, 1s));
    EXPECT_NEAR(to_ms(world.now() - start), 50, 0.1);
    world.run_for(1s);
    EXPECT_NEAR(static_cast<double>(at_b.sink.got.size()), 500, 80);
    EXPECT_EQ(world.link_counters(a, b)[LinkReason::passed], at_b.sink.got.size());
    EXPECT_EQ(world.link_counters(b, a).duplicated, 1u);
}

TEST_F(SimDatagramTest, a_nat_gives_another_port_and_forgets_the_one_before) {
    world.link(a, b, {.delay = 1ms, .rebind_every = 10s}, {.delay = 1ms});
    at_a.send(at_b, b, 1);
    world.run_for(1s);
    ASSERT_EQ(at_b.sink.got.size(), 1u);
    const io::SocketAddress before = at_b.sink.last_from;
    const Bytes reply(10, 9);
    at_b.socket->send(before, reply);
    world.run_for(1s);
    EXPECT_EQ(at_a.sink.got.size(), 1u);
    EXPECT_EQ(at_a.sink.last_from.endpoint().to_string(), "10.0.0.2:7000");
    world.run_for(10s);
    at_b.socket->send(before, reply);
    world.run_for(1s);
    EXPECT_EQ(at_a.sink.got.size(), 1u) << "nobody stands behind the old port";
    at_a.send(at_b, b, 2);
    world.run_for(1s);
    ASSERT_EQ(at_b.sink.got.size(), 2u);
    EXPECT_NE(at_b.sink.last_from, before);
    EXPECT_EQ(at_b.sink.last_from.ip, before.ip);
    at_b.socket->send(at_b.sink.last_from, reply);
    world.run_for(1s);
    EXPECT_EQ(at_a.sink.got.size(), 2u);
}

TEST(SimDatagramLinkTest, is_written_as_text) {
    sim::World world({.seed = sim::test_seed()});
    sim::Machine& client = world.machine("client", "10.0.0.2");
    sim::Machine& gate = world.machine("gate", "10.0.0.3");
    world.link(client, gate, *sim::parse_link("rtt=60ms,loss=5%,burst=3"));
    Place at_client(client, 7000), at_gate(gate, 7000);
    for (int i = 0; i < 2000; ++i) at_client.send(at_gate, gate, 1);
    world.run_for(1s);
    EXPECT_EQ(world.link_counters(client, gate).datagrams, 2000u);
    EXPECT_NEAR(static_cast<double>(world.link_counters(client, gate).lost()), 100, 60);
}

TEST(SimDatagramTraceTest, is_equal_for_equal_seeds) {
    const auto run = [](std::uint64_t seed) {
        World world({.seed = seed});
        Machine& a = world.machine("a", "10.0.0.1");
        Machine& b = world.machine("b", "10.0.0.2");
        world.link(a, b, *parse_link("rtt=60ms,jitter=5ms,loss=5%,reorder=2%,duplicate=2%"));
        Place at_a(a, 7000), at_b(b, 7000);
        at_b.sink.then = [&](const io::SocketAddress& from, std::span<std::uint8_t> bytes) {
            at_b.socket->send(from, bytes);
        };
        for (int i = 0; i < 500; ++i) {
            at_a.send(at_b, b, static_cast<std::uint8_t>(i));
            world.run_for(1ms);
        }
        world.run_for(1s);
        EXPECT_GT(at_a.sink.got.size(), 400u);
        return world.trace_hash();
    };
    EXPECT_EQ(run(1), run(1));
    EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace gyre::sim

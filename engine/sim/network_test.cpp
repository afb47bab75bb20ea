#include <gtest/gtest.h>

#include <gyre/sim/world.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::sim {
namespace {

/// Keeps what it hears.
struct Ear : io::StreamHandler {
    void on_data(BytesView bytes) override { heard += as_text(bytes), ++calls; }
    void on_closed(const Error& reason) override { end = reason.code() + ": " + reason.message(); }
    void on_drained() override { ++drained; }
    std::string heard, end;
    int calls = 0, drained = 0;
};

/// Two machines with one stream between them.
class Pair {
public:
    explicit Pair(WorldConfig config) : world(config) {
        listener = b.listen({"10.0.0.2", 7000}, [this](std::unique_ptr<io::Stream> stream) {
                        server = std::move(stream);
                        server->start(server_ear);
                    }).value();
        client = world.run(a, a.connect({"10.0.0.2", 7000}, 1min));
        client->start(client_ear);
        world.run_until([this] { return server != nullptr; }, 1min);
    }
    World world;
    Machine& a = world.machine("a", "10.0.0.1");
    Machine& b = world.machine("b", "10.0.0.2");
    std::unique_ptr<io::Listener> listener;
    Ear client_ear, server_ear;
    std::unique_ptr<io::Stream> client, server;
};

std::string random_text(Random random, std::size_t bytes) {
    std::string text(bytes, 0);
    random.fill({reinterpret_cast<std::uint8_t*>(text.data()), bytes});
    return text;
}

TEST(SimNetwork, delivers_every_byte_in_order_despite_chunks_and_stalls) {
    Pair pair({.seed = test_seed(), .network = {.stall_probability = 0.5}});
    const std::string text = random_text(pair.world.random("text"), 1'000'000);
    pair.client->write(as_bytes(text));
    pair.server->write(as_bytes("hello"));
    const TimePoint start = pair.world.now();
    ASSERT_TRUE(pair.world.run_until(
        [&] {
            return pair.server_ear.heard.size() == text.size() &&
                   pair.client_ear.heard.size() == 5;
        },
        10min));
    EXPECT_EQ(pair.server_ear.heard, text);
    EXPECT_EQ(pair.client_ear.heard, "hello");
    EXPECT_GT(pair.world.now() - start, 100ms) << "some delivery stalls";
    EXPECT_EQ(pair.client->peer().to_string(), "10.0.0.2:7000");
    EXPECT_EQ(pair.client->local(), pair.server->peer());
}

TEST(SimNetwork, cuts_a_write_at_random_bytes_unless_told_not_to) {
    Pair pair({.seed = test_seed()});
    for (int i = 0; i < 100; ++i) {
        pair.client->write(as_bytes("0123456789"));
        pair.world.run_for(10ms);
    }
    EXPECT_GT(pair.server_ear.calls, 100);
    pair.world.network().chunking = false;
    pair.server_ear.calls = 0;
    for (int i = 0; i < 100; ++i) {
        pair.client->write(as_bytes("0123456789"));
        pair.world.run_for(10ms);
    }
    EXPECT_EQ(pair.server_ear.calls, 100);
}

TEST(SimNetwork, takes_the_configured_latency_and_bandwidth) {
    Pair pair({.seed = test_seed(),
               .network = {.latency = 30ms, .jitter = 0ms, .bytes_per_second = 1e6}});
    pair.client->write(as_bytes(std::string(100'000, 'x')));
    const TimePoint start = pair.world.now();
    ASSERT_TRUE(
        pair.world.run_until([&] { return pair.server_ear.heard.size() == 100'000; }, 1min));
    EXPECT_NEAR(to_ms(pair.world.now() - start), 130, 1);
}

TEST(SimNetwork, a_paused_reader_pushes_the_writer_back) {
    Pair pair({.seed = test_seed()});
    pair.server->pause(true);
    pair.client->write(as_bytes(std::string(1'000'000, 'x')));
    pair.world.run_for(10s);
    EXPECT_EQ(pair.server_ear.heard.size(), 0);
    EXPECT_EQ(pair.client->unsent_bytes(), 1'000'000 - 256 * 1024);
    EXPECT_EQ(pair.client_ear.drained, 0);
    pair.server->pause(false);
    pair.world.run_for(1s);
    EXPECT_EQ(pair.server_ear.heard.size(), 1'000'000);
    EXPECT_EQ(pair.client->unsent_bytes(), 0);
    EXPECT_EQ(pair.client_ear.drained, 1);
}

TEST(SimNetwork, closing_sends_what_was_written_first) {
    Pair pair({.seed = test_seed()});
    const std::string text = random_text(pair.world.random("text"), 900'000);
    pair.client->write(as_bytes(text));
    pair.client.reset();
    pair.world.run_for(1s);
    EXPECT_EQ(pair.server_ear.heard, text);
    EXPECT_EQ(pair.server_ear.end.substr(0, 23), "disconnected: 10.0.0.1:") << pair.server_ear.end;
    EXPECT_TRUE(pair.server_ear.end.ends_with("ended the stream")) << pair.server_ear.end;
    EXPECT_EQ(pair.client_ear.end, "") << "who closed hears no more";
}

TEST(SimNetwork, closing_gives_up_on_a_reader_that_does_not_read) {
    Pair pair({.seed = test_seed()});
    pair.server->pause(true);
    pair.client->write(as_bytes(std::string(1'000'000, 'x')));
    pair.client->close();
    pair.world.run_for(900ms);
    EXPECT_EQ(pair.server_ear.end, "");
    pair.world.run_for(200ms);
    EXPECT_TRUE(pair.server_ear.end.ends_with("reset the connection")) << pair.server_ear.end;
}

TEST(SimNetwork, a_cut_is_told_to_both_at_a_random_byte) {
    std::set<std::size_t> lengths;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        Pair pair({.seed = test_seed() + seed});
        const std::string text = random_text(pair.world.random("text"), 10'000);
        pair.client->write(as_bytes(text));
        pair.world.after(pair.world.random("cut").between(2us, 800us),
                         [&] { pair.world.cut(pair.a, pair.b); });
        pair.world.run_for(100ms);
        EXPECT_TRUE(pair.client_ear.end.starts_with("disconnected")) << pair.client_ear.end;
        EXPECT_TRUE(pair.server_ear.end.starts_with("disconnected")) << pair.server_ear.end;
        EXPECT_TRUE(text.starts_with(pair.server_ear.heard));
        lengths.insert(pair.server_ear.heard.size());
        pair.client->write(as_bytes("into the void"));
        pair.world.run_for(100ms);
    }
    EXPECT_GT(lengths.size(), 5u);
}

TEST(SimNetwork, cut_probability_cuts_and_loses_the_tail) {
    Pair pair({.seed = test_seed()});
    pair.world.network().cut_probability = 0.05;
    std::string sent;
    for (int i = 0; i < 1000 && pair.server_ear.end.empty(); ++i) {
        sent += "message " + std::to_string(i);
        pair.client->write(as_bytes("message " + std::to_string(i)));
        pair.world.run_for(1ms);
    }
    pair.world.run_for(1s);
    EXPECT_FALSE(pair.server_ear.end.empty());
    EXPECT_FALSE(pair.client_ear.end.empty());
    EXPECT_TRUE(sent.starts_with(pair.server_ear.heard));
}

TEST(SimNetwork, a_partition_holds_everything_until_it_heals) {
    Pair pair({.seed = test_seed()});
    pair.world.partition(pair.a, pair.b);
    pair.client->write(as_bytes("before "));
    pair.world.run_for(30s);
    EXPECT_EQ(pair.server_ear.heard, "");
    EXPECT_EQ(pair.server_ear.end, "");
    try {
        (void)pair.world.run(pair.a, pair.a.connect({"10.0.0.2", 7000}, 5s));
        FAIL() << "connected through a partition";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), "timed_out");
    }
    pair.world.heal(pair.a, pair.b);
    pair.client->write(as_bytes("after"));
    pair.world.run_for(1s);
    EXPECT_EQ(pair.server_ear.heard, "before after");
}

TEST(SimNetwork, a_window_that_opened_during_a_partition_is_told_after_it) {
    Pair pair({.seed = test_seed()});
    pair.server->pause(true);
    pair.client->write(as_bytes(std::string(1'000'000, 'x')));
    pair.world.run_for(1s);
    pair.world.partition(pair.a, pair.b);
    pair.server->pause(false);
    pair.world.run_for(10s);
    EXPECT_EQ(pair.server_ear.heard.size(), 256 * 1024);
    pair.world.heal();
    pair.world.run_for(1s);
    EXPECT_EQ(pair.server_ear.heard.size(), 1'000'000);
}

TEST(SimNetwork, a_cut_before_the_accept_leaves_nothing_behind) {
    Pair pair({.seed = test_seed()});
    const std::size_t before = pair.world.connections();
    auto second = pair.world.run(pair.a, pair.a.connect({"10.0.0.2", 7000}, 1min));
    Ear ear;
    second->start(ear);
    EXPECT_EQ(pair.world.connections(), before + 1);
    pair.world.cut(pair.a, pair.b);
    pair.world.run_for(1s);
    EXPECT_TRUE(ear.end.starts_with("disconnected")) << ear.end;
    second.reset();
    pair.world.run_for(1s);
    EXPECT_EQ(pair.world.connections(), before);
}

TEST(SimNetwork, connecting_outlasts_a_short_partition) {
    Pair pair({.seed = test_seed()});
    pair.world.isolate(pair.b);
    pair.world.after(3s, [&] { pair.world.heal(); });
    auto stream = pair.world.run(pair.a, pair.a.connect({"10.0.0.2", 7000}, 10s));
    EXPECT_NE(stream, nullptr);
}

TEST(SimNetwork, refuses_where_nobody_listens) {
    Pair pair({.seed = test_seed()});
    const auto code_of = [&](io::Endpoint to) -> std::string {
        try {
            (void)pair.world.run(pair.a, pair.a.connect(std::move(to), 1s));
            return "connected";
        } catch (const Error& error) {
            return error.code();
        }
    };
    EXPECT_EQ(code_of({"10.0.0.2", 7001}), "refused");
    EXPECT_EQ(code_of({"10.0.0.1", 7000}), "refused");
    EXPECT_EQ(code_of({"127.0.0.1", 7000}), "refused");
    EXPECT_EQ(code_of({"10.0.0.99", 7000}), "timed_out");
    EXPECT_EQ(code_of({"example.org", 7000}), "bad_arguments");
    pair.listener.reset();
    EXPECT_EQ(code_of({"10.0.0.2", 7000}), "refused");
    pair.b.kill(Death::machine);
    EXPECT_EQ(code_of({"10.0.0.2", 7000}), "timed_out");
}

TEST(SimNetwork, listens_once_at_an_address) {
    Pair pair({.seed = test_seed()});
    const auto ignore = [](std::unique_ptr<io::Stream>) {};
    EXPECT_EQ(pair.b.listen({"10.0.0.2", 7000}, ignore).error().what(),
              std::string("in_use: 10.0.0.2:7000 is in use on machine b"));
    EXPECT_EQ(pair.b.listen({"0.0.0.0", 7000}, ignore).error().code(), "in_use");
    EXPECT_TRUE(pair.b.listen({"127.0.0.1", 7000}, ignore).ok());
    EXPECT_TRUE(pair.a.listen({"10.0.0.1", 7000}, ignore).ok());
    EXPECT_EQ(pair.a.listen({"10.0.0.2", 7000}, ignore).error().code(), "bad_arguments");
    auto free = pair.a.listen({"0.0.0.0", 0}, ignore).value();
    EXPECT_GE(free->local().port, 40'000);
}

TEST(SimNetwork, a_machine_reaches_itself_as_localhost) {
    World world({.seed = test_seed()});
    Machine& machine = world.machine("a", "10.0.0.1");
    Ear ear;
    std::unique_ptr<io::Stream> server;
    auto listener = machine.listen({"127.0.0.1", 0}, [&](std::unique_ptr<io::Stream> stream) {
                               server = std::move(stream);
                               server->start(ear);
                           }).value();
    auto client = world.run(machine, machine.connect({"localhost", listener->local().port}, 1s));
    client->write(as_bytes("me"));
    EXPECT_TRUE(world.run_until([&] { return ear.heard == "me"; }, 1s));
    EXPECT_TRUE(client->peer().is_loopback());
    EXPECT_TRUE(server->peer().is_loopback());
}

/// Closes its stream from inside of a call.
struct Leaver : io::StreamHandler {
    explicit Leaver(std::unique_ptr<io::Stream>& s) : stream(s) {}
    void on_data(BytesView) override { ++calls, stream.reset(); }
    void on_closed(const Error&) override { ++calls, stream.reset(); }
    std::unique_ptr<io::Stream>& stream;
    int calls = 0;
};

TEST(SimNetwork, a_stream_may_be_destroyed_in_its_own_calls) {
    for (const bool by_data : {true, false}) {
        World world({.seed = test_seed()});
        Machine& a = world.machine("a", "10.0.0.1");
        Machine& b = world.machine("b", "10.0.0.2");
        std::unique_ptr<io::Stream> server;
        Leaver leaver(server);
        auto listener = b.listen({"10.0.0.2", 7}, [&](std::unique_ptr<io::Stream> stream) {
                             server = std::move(stream);
                             server->start(leaver);
                         }).value();
        auto client = world.run(a, a.connect({"10.0.0.2", 7}, 1s));
        if (by_data) client->write(as_bytes("go"));
        else client.reset();
        world.run_for(1s);
        EXPECT_EQ(leaver.calls, 1);
        EXPECT_EQ(server, nullptr);
    }
}

}  // namespace
}  // namespace gyre::sim

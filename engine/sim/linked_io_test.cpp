#include <gtest/gtest.h>
#include <gyre/io/datagram.hpp>
#include <gyre/sim/linked_io.hpp>
#include <gyre/sim/world.hpp>

#include <algorithm>

namespace gyre::sim {
namespace {

/// An echo of datagrams and of streams, and a client whose door has a link before it.
class LinkedIoTest : public testing::Test {
protected:
    struct Echo final : io::DatagramHandler {
        void on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) override { socket->send(from, bytes); }
        std::unique_ptr<io::DatagramSocket> socket;
    };
    struct StreamEcho final : io::StreamHandler {
        explicit StreamEcho(std::unique_ptr<io::Stream> s) : stream(std::move(s)) { stream->start(*this); }
        void on_data(BytesView bytes) override { stream->write(bytes); }
        void on_closed(const Error&) override {}
        std::unique_ptr<io::Stream> stream;
    };
    struct Heard final : io::DatagramHandler, io::StreamHandler {
        void on_datagram(const io::SocketAddress&, std::span<std::uint8_t> bytes) override { take(bytes); }
        void on_data(BytesView bytes) override { take(bytes); }
        void on_closed(const Error& reason) override { closed = reason.code(); }
        void take(BytesView bytes) {
            for (const std::uint8_t byte : bytes) {
                all.push_back(byte);
                at.push_back(executor->now());
            }
        }
        Executor* executor = nullptr;
        Bytes all;
        std::vector<TimePoint> at;
        std::string closed;
    };
    LinkedIoTest() {
        echo.socket = server.bind({"10.0.0.1", 7000}).value();
        echo.socket->start(echo);
        listener = server.listen({"10.0.0.1", 7000}, [this](std::unique_ptr<io::Stream> s) {
            streams.push_back(std::make_unique<StreamEcho>(std::move(s)));
        }).value();
        heard.executor = &client.executor();
    }
    LinkConfig parsed(const char* text) { return parse_link(text).value(); }
    static Task<> open(io::Io* io, std::unique_ptr<io::Stream>* stream) {
        *stream = co_await io->connect({"10.0.0.1", 7000}, 5s);
    }

    World world{{.seed = test_seed()}};
    Machine& server = world.machine("server", "10.0.0.1");
    Machine& client = world.machine("client", "10.0.0.2");
    Echo echo;
    std::vector<std::unique_ptr<StreamEcho>> streams;
    std::unique_ptr<io::Listener> listener;
    std::unique_ptr<io::Stream> accepted;
    Heard heard;
};

TEST_F(LinkedIoTest, datagrams_take_the_round_trip_and_get_lost) {
    const auto link = parsed("rtt=60ms,loss=10%");
    LinkedIo far(client, link, link, 7);
    auto socket = far.bind({"10.0.0.2", 0}).value();
    socket->start(heard);
    constexpr int all = 2000;
    const TimePoint begin = client.now();
    for (int i = 0; i < all; ++i) socket->send(io::SocketAddress::of({"10.0.0.1", 7000}).value(), Bytes(1, 5));
    world.run_for(1s);
    EXPECT_NEAR(static_cast<double>(heard.all.size()), all * 0.81, 80);
    EXPECT_GE(heard.at.front() - begin, 60ms);
    EXPECT_LE(heard.at.back() - begin, 70ms);
    EXPECT_EQ(far.counters().lost, all - heard.all.size());
}

TEST_F(LinkedIoTest, streams_keep_their_order_and_wait_for_what_is_lost) {
    const auto link = parsed("rtt=60ms,loss=5%");
    LinkedIo far(client, link, link, 11);
    std::unique_ptr<io::Stream> stream;
    const TimePoint dialled = client.now();
    world.run(client, open(&far, &stream));
    EXPECT_GE(client.now() - dialled, 60ms);
    stream->start(heard);
    std::vector<TimePoint> said;
    for (int i = 0; i < 1500; ++i) {
        client.post([&, i] {
            said.push_back(client.now());
            stream->write(Bytes(1, static_cast<std::uint8_t>(i)));
        });
        world.run_for(33ms);
    }
    world.run_for(5s);
    ASSERT_EQ(heard.all.size(), said.size());
    std::vector<double> took;
    for (std::size_t i = 0; i < said.size(); ++i) {
        ASSERT_EQ(heard.all[i], static_cast<std::uint8_t>(i));
        took.push_back(to_ms(heard.at[i] - said[i]));
    }
    std::sort(took.begin(), took.end());
    EXPECT_NEAR(took[took.size() / 2], 60, 10);
    // A segment that is lost costs itself and those behind it a round trip and more.
    EXPECT_GT(took[took.size() * 95 / 100], 100);
    EXPECT_LT(took.back(), 1000);
}

TEST_F(LinkedIoTest, a_stream_carries_much_and_hears_its_end) {
    const auto link = parsed("rtt=20ms,loss=1%,rate=1MB/s,queue=2s");
    LinkedIo far(client, link, link, 3);
    std::unique_ptr<io::Stream> stream;
    world.run(client, open(&far, &stream));
    stream->start(heard);
    Bytes much(300'000);
    for (std::size_t i = 0; i < much.size(); ++i) much[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
    stream->write(much);
    world.run_for(20s);
    EXPECT_TRUE(heard.all == much);
    EXPECT_TRUE(heard.closed.empty());
    streams.clear();
    world.run_for(5s);
    EXPECT_EQ(heard.closed, errc::disconnected);
}

TEST_F(LinkedIoTest, what_was_written_before_the_close_arrives) {
    const auto link = parsed("rtt=200ms,loss=20%");
    LinkedIo far(client, link, link, 5);
    std::unique_ptr<io::Stream> stream;
    world.run(client, open(&far, &stream));
    struct Sink final : io::StreamHandler {
        void on_data(BytesView bytes) override { append(got, bytes); }
        void on_closed(const Error&) override { ended = true; }
        Bytes got;
        bool ended = false;
    } sink, nobody;
    listener = server.listen({"10.0.0.1", 7001}, [&](std::unique_ptr<io::Stream> s) {
        accepted = std::move(s);
        accepted->start(sink);
    }).value();
    const auto dial = [](io::Io* io, std::unique_ptr<io::Stream>* to) -> Task<> { *to = co_await io->connect({"10.0.0.1", 7001}, 5s); };
    world.run(client, dial(&far, &stream));
    stream->start(nobody);
    stream->write(Bytes(10'000, 9));
    stream->close();
    world.run_for(2s);
    EXPECT_EQ(sink.got.size(), 10'000u);
    EXPECT_TRUE(sink.ended);
}

TEST_F(LinkedIoTest, equal_seeds_lose_the_same) {
    const auto link = parsed("rtt=60ms,loss=30%");
    std::vector<Bytes> runs;
    for (int run = 0; run < 2; ++run) {
        LinkedIo far(client, link, link, 99);
        auto socket = far.bind({"10.0.0.2", 0}).value();
        heard.all.clear();
        socket->start(heard);
        for (int i = 0; i < 100; ++i) socket->send(io::SocketAddress::of({"10.0.0.1", 7000}).value(), Bytes(1, static_cast<std::uint8_t>(i)));
        world.run_for(1s);
        runs.push_back(heard.all);
    }
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_LT(runs[0].size(), 80u);
}

}  // namespace
}  // namespace gyre::sim

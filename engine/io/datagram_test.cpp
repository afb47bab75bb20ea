#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <gyre/io/datagram.hpp>
#include <gyre/io/loop.hpp>

namespace {
/// What the kernel answers to sendmmsg: these errors first, one a call; then as it does.
std::vector<int> send_errors;
}  // namespace

extern "C" int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    if (send_errors.empty())
        return static_cast<int>(::syscall(SYS_sendmmsg, fd, messages, count, flags));
    errno = send_errors.back();
    send_errors.pop_back();
    return -1;
}

namespace gyre::io {
namespace {

struct Sink : DatagramHandler {
    void on_datagram(const SocketAddress& from, std::span<std::uint8_t> bytes) override {
        last_from = from;
        got.emplace_back(bytes.begin(), bytes.end());
        if (then) then(from, bytes);
    }
    void on_batch_end() override { ++batches; }
    std::vector<Bytes> got;
    std::size_t batches = 0;
    SocketAddress last_from;
    std::function<void(const SocketAddress&, std::span<std::uint8_t>)> then;
};

SocketAddress address_of(const DatagramSocket& socket) {
    return *SocketAddress::of(socket.local());
}
Bytes text(std::string_view from) { return Bytes(from.begin(), from.end()); }

TEST(SocketAddressTest, is_an_endpoint_in_numbers) {
    const auto address = SocketAddress::of({"10.0.0.7", 10'001});
    ASSERT_TRUE(address.ok());
    EXPECT_EQ((*address).ip, 0x0a000007u);
    EXPECT_EQ((*address).endpoint().to_string(), "10.0.0.7:10001");
    EXPECT_EQ((*address).as_integer(), 0x0a000007'2711u);
    EXPECT_EQ((*SocketAddress::of({"localhost", 1})).ip, 0x7f000001u);
    EXPECT_EQ(SocketAddress::of({"example.org", 1}).error().code(), errc::bad_arguments);
}

TEST(DatagramTest, goes_there_and_back_with_its_sender_s_address) {
    Loop loop;
    auto server = std::move(*loop.bind({})), client = std::move(*loop.bind({}));
    Sink echo, heard;
    echo.then = [&](const SocketAddress& from, std::span<std::uint8_t> bytes) {
        bytes[0] = 'H';
        server->send(from, bytes);
    };
    server->start(echo);
    client->start(heard);
    client->send(address_of(*server), as_bytes("hello"));
    client->send(address_of(*server), as_bytes("h"));
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == 2; }));
    EXPECT_EQ(heard.got[0], text("Hello"));
    EXPECT_EQ(heard.got[1], text("H"));
    EXPECT_EQ(heard.last_from, address_of(*server));
    EXPECT_EQ(echo.last_from, address_of(*client));
    EXPECT_EQ(server->counters().received, 2u);
    EXPECT_EQ(server->counters().sent_bytes, 6u);
    EXPECT_GE(heard.batches, 1u);
    EXPECT_LE(heard.batches, 2u);
}

TEST(DatagramTest, an_address_in_use_is_named) {
    Loop loop;
    auto first = std::move(*loop.bind({}));
    const auto second = loop.bind(first->local());
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code(), errc::in_use);
    EXPECT_NE(second.error().message().find(first->local().to_string()), std::string::npos);
    EXPECT_EQ(loop.bind({"203.0.113.9", 0}).error().code(), errc::bad_arguments);
}


sockaddr_in to_kernel(const SocketAddress& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(address.ip);
    to.sin_port = htons(address.port);
    return to;
}

/// The descriptor behind a socket of ours: to take from it what a kernel may lack.
int descriptor_of(const DatagramSocket& socket) {
    for (int fd = 0; fd < 4096; ++fd) {
        sockaddr_in address{};
        socklen_t size = sizeof address;
        int type = 0;
        socklen_t type_size = sizeof type;
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_DGRAM &&
            ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
            ntohs(address.sin_port) == socket.local().port)
            return fd;
    }
    return -1;
}
void set(const DatagramSocket& socket, int option, int value) {
    ASSERT_EQ(::setsockopt(descriptor_of(socket), SOL_SOCKET, option, &value, sizeof value), 0);
}

/// A peer without our code.
struct RawPeer {
    RawPeer() { EXPECT_GE(fd, 0); }
    ~RawPeer() { ::close(fd); }
    bool send(const SocketAddress& to, std::size_t bytes) {
        const sockaddr_in address = to_kernel(to);
        const Bytes body(bytes, 7);
        return ::sendto(fd, body.data(), bytes, 0, reinterpret_cast<const sockaddr*>(&address),
                        sizeof address) == static_cast<ssize_t>(bytes);
    }
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

struct DatagramPairTest : testing::Test {
    DatagramPairTest() {
        server->start(heard);
        client->start(back);
        at = address_of(*server);
    }
    /// The size of each, in order.
    std::vector<std::size_t> sizes() const {
        std::vector<std::size_t> all;
        for (const Bytes& one : heard.got) all.push_back(one.size());
        return all;
    }
    Loop loop;
    Sink heard, back;
    std::unique_ptr<DatagramSocket> server = std::move(*loop.bind({}));
    std::unique_ptr<DatagramSocket> client = std::move(*loop.bind({}));
    SocketAddress at;
};

/// Numbered, of the sizes that runs are made of: equal ones, a smaller one that ends a run, a
/// larger one that begins the next, empty ones.
void send_in_all_sizes(DatagramSocket& from, const SocketAddress& to, std::vector<Bytes>& sent) {
    constexpr std::size_t sizes[] = {100, 100, 100, 60, 1200, 1200, 0, 0, 5, 1500, 1500, 1, 700};
    for (std::size_t i = 0; i < 60; ++i) {
        Bytes body(sizes[i % std::size(sizes)], static_cast<std::uint8_t>(i));
        from.send(to, body);
        sent.push_back(std::move(body));
    }
}

TEST_F(DatagramPairTest, joined_runs_arrive_as_they_were_sent) {
    std::vector<Bytes> sent;
    send_in_all_sizes(*client, at, sent);
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == sent.size(); }));
    EXPECT_EQ(heard.got, sent);
    EXPECT_EQ(client->counters().sends, 1u);
    EXPECT_EQ(client->counters().sent, sent.size());
}

TEST_F(DatagramPairTest, runs_that_the_kernel_refuses_leave_one_by_one) {
    set(*client, SO_NO_CHECK, 1);  // what is not checksummed cannot be cut
    std::vector<Bytes> sent;
    send_in_all_sizes(*client, at, sent);
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == sent.size(); }));
    EXPECT_EQ(heard.got, sent);
    EXPECT_EQ(client->counters().sent, sent.size());
    EXPECT_EQ(client->counters().dropped_refused, 0u);
    EXPECT_GT(client->counters().sends, 1u);
}

TEST_F(DatagramPairTest, many_peers_get_each_their_own) {
    std::vector<std::unique_ptr<DatagramSocket>> peers;
    std::vector<std::unique_ptr<Sink>> ears;
    for (int i = 0; i < 50; ++i) {
        peers.push_back(std::move(*loop.bind({})));
        ears.push_back(std::make_unique<Sink>());
        peers.back()->start(*ears.back());
    }
    for (std::uint8_t round = 0; round < 3; ++round)
        for (std::size_t i = 0; i < peers.size(); ++i)
            client->send(address_of(*peers[i]), Bytes(40, static_cast<std::uint8_t>(i + round)));
    ASSERT_TRUE(loop.run_until([&] {
        return std::ranges::all_of(ears, [](const auto& ear) { return ear->got.size() == 3; });
    }));
    for (std::size_t i = 0; i < ears.size(); ++i)
        EXPECT_EQ(ears[i]->got[2], Bytes(40, static_cast<std::uint8_t>(i + 2)));
    EXPECT_LE(client->counters().sends, 6u);
}

TEST_F(DatagramPairTest, ten_thousand_arrive_in_order_at_a_pace_the_reader_keeps) {
    for (std::uint32_t next = 0; next < 10'000;) {
        for (int i = 0; i < 50; ++i, ++next) {
            Bytes body(200, 0);
            std::memcpy(body.data(), &next, sizeof next);
            client->send(at, body);
        }
        ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == next; })) << next;
    }
    for (std::uint32_t i = 0; i < 10'000; ++i)
        ASSERT_EQ(std::memcmp(heard.got[i].data(), &i, sizeof i), 0) << i;
    EXPECT_LT(client->counters().sends, 500u);
}

TEST_F(DatagramPairTest, what_the_kernel_does_not_take_waits_until_it_does) {
    send_errors.assign(100, EAGAIN);
    std::vector<Bytes> sent;
    for (int i = 0; i < 5; ++i) send_in_all_sizes(*client, at, sent);
    EXPECT_EQ(client->counters().sent, 0u);
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == sent.size(); }));
    EXPECT_EQ(heard.got, sent);
    const std::uint64_t sends = client->counters().sends;
    EXPECT_GT(sends, 100u);
    EXPECT_LT(sends, 110u);
    client->send(at, Bytes(10, 1));  // and it goes on, at the end of turns
    EXPECT_EQ(client->counters().sends, sends);
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == sent.size() + 1; }));
    EXPECT_EQ(client->counters().sends, sends + 1);
}

TEST_F(DatagramPairTest, what_waits_is_bounded_and_the_newest_is_dropped) {
    send_errors.assign(1000, EAGAIN);
    for (std::uint32_t i = 0; i < 10'000; ++i) {
        Bytes body(16, 0);
        std::memcpy(body.data(), &i, sizeof i);
        client->send(at, body);
    }
    EXPECT_EQ(client->counters().dropped_full, 10'000u - 4096);
    send_errors.clear();
    ASSERT_TRUE(loop.run_until(
        [&] { return heard.got.size() + server->counters().dropped_unread >= 4096; }));
    EXPECT_EQ(client->counters().sent, 4096u);
    EXPECT_EQ(std::memcmp(heard.got[100].data(), "\x64\0\0\0", 4), 0);
}

TEST_F(DatagramPairTest, errors_cost_what_they_are_about_and_nothing_else) {
    std::vector<Bytes> sent;
    const auto with = [&](std::vector<int> errors) {
        const std::size_t before = sent.size();
        send_errors.assign(errors.rbegin(), errors.rend());
        for (std::uint8_t i = 0; i < 10; ++i) {
            sent.emplace_back(50, i);
            client->send(at, sent.back());
        }
        return loop.run_until([&] { return heard.got.size() == before + 10; }, 1s);
    };
    EXPECT_TRUE(with({EINTR}));
    EXPECT_TRUE(with({EINVAL})) << "the run leaves one by one";
    EXPECT_TRUE(with({EINVAL, ECONNREFUSED})) << "of an earlier datagram";
    EXPECT_TRUE(with({EIO})) << "no runs from now on";
    EXPECT_EQ(heard.got, sent);
    EXPECT_EQ(client->counters().dropped_refused, 0u);
    EXPECT_FALSE(with({EPERM, ENOBUFS}));
    EXPECT_EQ(client->counters().dropped_refused, 2u);
    EXPECT_EQ(heard.got.size(), 48u);
}

TEST_F(DatagramPairTest, what_nobody_read_in_time_is_counted) {
    RawPeer peer;
    for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(peer.send(at, 1000));
    ASSERT_TRUE(loop.run_until([&] { return !heard.got.empty(); }));
    loop.run_until([] { return false; }, 50ms);
    ASSERT_TRUE(peer.send(at, 1));  // tells what was dropped before it
    ASSERT_TRUE(loop.run_until([&] { return heard.got.back().size() == 1; }));
    EXPECT_GT(server->counters().dropped_unread, 0u);
    EXPECT_EQ(server->counters().dropped_unread + heard.got.size(), 20'001u);
}

TEST_F(DatagramPairTest, peers_that_are_gone_disturb_nobody) {
    SocketAddress gone;
    {
        auto brief = std::move(*loop.bind({}));
        gone = address_of(*brief);
    }
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 10; ++i) client->send(gone, Bytes(100, 1));
        client->send(at, Bytes(100, 2));
        ASSERT_TRUE(loop.run_until(
            [&] { return heard.got.size() == static_cast<std::size_t>(round) + 1; }));
    }
    EXPECT_EQ(client->counters().sent, 220u);
}

TEST_F(DatagramPairTest, what_cannot_be_sent_is_dropped_alone) {
    client->send({0, 0}, Bytes(10, 1));
    client->send(at, Bytes(10, 2));
    client->send({at.ip, 0}, Bytes(10, 3));
    client->send({at.ip, 0}, Bytes(10, 3));
    client->send(at, Bytes(10, 4));
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == 2; }));
    EXPECT_EQ(client->counters().dropped_refused, 3u);
}

TEST_F(DatagramPairTest, takes_up_to_2048_bytes_and_counts_what_is_larger) {
    RawPeer peer;
    for (const std::size_t size : {2048u, 2049u, 60'000u, 1500u}) ASSERT_TRUE(peer.send(at, size));
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == 2; }));
    EXPECT_EQ(sizes(), (std::vector<std::size_t>{2048, 1500}));
    EXPECT_EQ(server->counters().dropped_too_large, 2u);
}

TEST_F(DatagramPairTest, may_be_destroyed_in_its_handler) {
    heard.then = [&](const SocketAddress&, std::span<std::uint8_t>) { server.reset(); };
    for (int i = 0; i < 20; ++i) client->send(at, Bytes(100, 1));
    ASSERT_TRUE(loop.run_until([&] { return !heard.got.empty(); }));
    loop.run_once(0ms);
    EXPECT_EQ(heard.got.size(), 1u);
    EXPECT_EQ(heard.batches, 0u);
}

TEST_F(DatagramPairTest, one_may_destroy_another_that_has_something_to_tell) {
    const auto one_way = [](std::unique_ptr<DatagramSocket>& other) {
        return [&other](const SocketAddress&, std::span<std::uint8_t>) { other.reset(); };
    };
    heard.then = one_way(client);
    back.then = one_way(server);
    RawPeer peer;
    ASSERT_TRUE(peer.send(at, 10));
    ASSERT_TRUE(peer.send(address_of(*client), 10));
    ASSERT_TRUE(loop.run_until([&] { return !heard.got.empty() || !back.got.empty(); }));
    loop.run_once(0ms);
    EXPECT_EQ(heard.got.size() + back.got.size(), 1u);
}

TEST_F(DatagramPairTest, destroying_sends_what_was_gathered) {
    client->send(at, Bytes(10, 1));
    client.reset();
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == 1; }));
}

TEST_F(DatagramPairTest, answers_in_the_handler_cross_on_one_loop) {
    heard.then = [&](const SocketAddress& from, std::span<std::uint8_t> bytes) {
        bytes[0]++;
        server->send(from, bytes);
    };
    back.then = [&](const SocketAddress& from, std::span<std::uint8_t> bytes) {
        if (back.got.size() < 500) client->send(from, bytes);
    };
    client->send(at, Bytes(64, 0));
    ASSERT_TRUE(loop.run_until([&] { return back.got.size() == 500; }));
    EXPECT_EQ(back.got.back()[0], static_cast<std::uint8_t>(500));
}

TEST(DatagramTest, a_flood_leaves_time_for_the_rest_of_the_turn) {
    Loop loop;
    auto server = std::move(*loop.bind({})), client = std::move(*loop.bind({}));
    Sink heard;
    server->start(heard);
    const SocketAddress at = address_of(*server);
    // Each one that is read brings two more: without a budget the first turn would not end.
    heard.then = [&](const SocketAddress&, std::span<std::uint8_t>) {
        for (int i = 0; i < 2; ++i) client->send(at, Bytes(10, 1));
    };
    client->send(at, Bytes(10, 1));
    int timers = 0;
    Alarm tick(loop.executor(), [&] { ++timers; });
    tick.every(1ms);
    ASSERT_TRUE(loop.run_until([&] { return timers >= 20 && heard.got.size() > 1000; }));
    EXPECT_GE(heard.batches, 10u);
}

TEST(DatagramTest, hears_what_came_before_it_started) {
    Loop loop;
    auto server = std::move(*loop.bind({}));
    RawPeer peer;
    ASSERT_TRUE(peer.send(address_of(*server), 33));
    loop.run_once(0ms);
    Sink heard;
    server->start(heard);
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == 1; }));
}

TEST(DatagramTest, outlives_its_loop_in_silence) {
    auto loop = std::make_unique<Loop>();
    auto socket = std::move(*loop->bind({}));
    const Endpoint local = socket->local();
    socket->send(address_of(*socket), Bytes(10, 1));
    loop->run_once(0ms);
    loop.reset();
    socket->send({0x7f000001, 9}, Bytes(10, 1));
    EXPECT_EQ(socket->counters().sent, 1u);
    EXPECT_EQ(socket->local(), local);
}

}  // namespace
}  // namespace gyre::io

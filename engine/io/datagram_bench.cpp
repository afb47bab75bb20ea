#include <benchmark/benchmark.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <gyre/io/datagram.hpp>
#include <gyre/io/loop.hpp>

// 64 datagrams go to an echo on loopback and come back, in one thread: two sockets of one loop,
// and beside it bare recvmmsg and sendmmsg, a system call each way, without epoll, timers or
// handlers. One peer: answers join into runs. 64 peers: each answer has another address
// (127.0.0.1 to .64, all the one socket).
namespace gyre::io {
namespace {
constexpr std::size_t batch = 64;

/// Where the nth answer goes to.
SocketAddress spread(SocketAddress peer, std::size_t n, std::size_t peers) {
    peer.ip = 0x7f000001 + static_cast<std::uint32_t>(n % peers);
    return peer;
}

struct LoopEcho {
    explicit LoopEcho(std::size_t p) : peers(p) {
        server->start(echo);
        client->start(sink);
    }
    void round(BytesView body) {
        sink.count = 0;
        for (std::size_t i = 0; i < batch; ++i) client->send(at, body);
        while (sink.count < batch) loop.run_once();
    }
    struct Echo final : DatagramHandler {
        explicit Echo(LoopEcho& p) : pair(p) {}
        void on_datagram(const SocketAddress& from, std::span<std::uint8_t> bytes) override {
            pair.server->send(spread(from, next++, pair.peers), bytes);
        }
        LoopEcho& pair;
        std::size_t next = 0;
    };
    struct Sink final : DatagramHandler {
        void on_datagram(const SocketAddress&, std::span<std::uint8_t>) override { ++count; }
        std::size_t count = 0;
    };
    const std::size_t peers;
    Loop loop;
    Echo echo{*this};
    Sink sink;
    std::unique_ptr<DatagramSocket> server = std::move(*loop.bind({}));
    std::unique_ptr<DatagramSocket> client = std::move(*loop.bind({"0.0.0.0", 0}));
    const SocketAddress at = *SocketAddress::of(server->local());
};

/// One bare socket and its arrays.
struct BareSocket {
    explicit BareSocket(std::uint32_t ip) {
        sockaddr_in own{};
        own.sin_family = AF_INET;
        own.sin_addr.s_addr = htonl(ip);
        socklen_t size = sizeof own;
        const int buffer = 4 << 20;
        ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        if (::bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) std::abort();
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size);
        at = own;
        at.sin_addr.s_addr = htonl(0x7f000001);
        for (std::size_t i = 0; i < batch; ++i) {
            pieces[i] = {bytes[i].data(), bytes[i].size()};
            messages[i].msg_hdr = {&peers[i], sizeof peers[i], &pieces[i], 1, nullptr, 0, 0};
        }
    }
    ~BareSocket() { ::close(fd); }
    std::size_t receive() {
        for (auto& piece : pieces) piece.iov_len = 2048;
        const int count = ::recvmmsg(fd, messages.data(), batch, MSG_WAITFORONE, nullptr);
        for (int i = 0; i < count; ++i) pieces[i].iov_len = messages[i].msg_len;
        return count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    void send(std::size_t count) {
        for (std::size_t sent = 0; sent < count;) {
            const int more = ::sendmmsg(fd, messages.data() + sent,
                                        static_cast<unsigned>(count - sent), 0);
            if (more <= 0) std::abort();
            sent += static_cast<std::size_t>(more);
        }
    }
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    std::array<std::array<std::uint8_t, 2048>, batch> bytes{};
    std::array<sockaddr_in, batch> peers{};
    std::array<iovec, batch> pieces{};
    std::array<mmsghdr, batch> messages{};
};

struct BareEcho {
    explicit BareEcho(std::size_t p) : peers(p) {}
    void round(BytesView body) {
        for (std::size_t i = 0; i < batch; ++i) {
            client->peers[i] = server->at;
            std::copy(body.begin(), body.end(), client->bytes[i].begin());
            client->pieces[i].iov_len = body.size();
        }
        client->send(batch);
        for (std::size_t back = 0; back < batch;) {
            const std::size_t count = server->receive();
            for (std::size_t i = 0; i < count; ++i)
                server->peers[i].sin_addr.s_addr =
                    htonl(0x7f000001 + static_cast<std::uint32_t>(next++ % peers));
            server->send(count);
            for (std::size_t here = 0; here < count;) here += client->receive();
            back += count;
        }
    }
    const std::size_t peers;
    std::size_t next = 0;
    std::unique_ptr<BareSocket> server = std::make_unique<BareSocket>(0x7f000001);
    std::unique_ptr<BareSocket> client = std::make_unique<BareSocket>(0);
};

template <class Pair>
void echo(benchmark::State& state, std::size_t peers, std::size_t bytes) {
    Pair pair(peers);
    const Bytes body(bytes, 1);
    for (auto _ : state) pair.round(body);
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(2 * batch));
}
void datagram_echo(benchmark::State& state, std::size_t peers, std::size_t bytes, bool bare) {
    bare ? echo<BareEcho>(state, peers, bytes) : echo<LoopEcho>(state, peers, bytes);
}

BENCHMARK_CAPTURE(datagram_echo, 1, 1, 64, false)->Name("datagram_echo_64_bytes");
BENCHMARK_CAPTURE(datagram_echo, 2, 1, 64, true)->Name("datagram_echo_64_bytes/peer:mmsg");
BENCHMARK_CAPTURE(datagram_echo, 3, 1, 1200, false)->Name("datagram_echo_1200_bytes");
BENCHMARK_CAPTURE(datagram_echo, 4, 1, 1200, true)->Name("datagram_echo_1200_bytes/peer:mmsg");
BENCHMARK_CAPTURE(datagram_echo, 5, 64, 64, false)->Name("datagram_echo_64_peers");
BENCHMARK_CAPTURE(datagram_echo, 6, 64, 64, true)->Name("datagram_echo_64_peers/peer:mmsg");

}  // namespace
}  // namespace gyre::io

#include <benchmark/benchmark.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <atomic>
#include <cstring>
#include <gyre/io/loop.hpp>
#include <thread>

// Framed echo on loopback, 64-byte frames (4 of them length), server and client on one thread
// each: the loop, and beside it the same by hand on bare epoll, the most the machine gives.
namespace gyre::io {
namespace {
constexpr std::size_t payload_bytes = 60;
constexpr std::size_t frame_bytes = payload_bytes + 4;

std::array<std::uint8_t, frame_bytes> frame() {
    std::array<std::uint8_t, frame_bytes> bytes{};
    bytes[0] = payload_bytes;
    return bytes;
}

/// Cuts frames out of what arrives; calls `take` with each.
class Framer {
public:
    template <class F>
    void feed(BytesView bytes, F&& take) {
        if (!rest_.empty()) {
            append(rest_, bytes);
            const std::size_t used = cut(rest_, take);
            rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(used));
            return;
        }
        const std::size_t used = cut(bytes, take);
        append(rest_, bytes.subspan(used));
    }

private:
    template <class F>
    static std::size_t cut(BytesView bytes, F& take) {
        std::size_t at = 0;
        for (std::uint32_t length; bytes.size() - at >= 4; at += 4 + length) {
            std::memcpy(&length, bytes.data() + at, 4);
            if (bytes.size() - at - 4 < length) break;
            take(bytes.subspan(at, 4 + length));
        }
        return at;
    }
    Bytes rest_;
};

struct FrameEcho : StreamHandler {
    explicit FrameEcho(std::unique_ptr<Stream> s) : stream(std::move(s)) { stream->start(*this); }
    void on_data(BytesView bytes) override {
        framer.feed(bytes, [this](BytesView one) { stream->write(one); });
    }
    void on_closed(const Error&) override { stream.reset(); }
    std::unique_ptr<Stream> stream;
    Framer framer;
};

/// A thread that echoes with the loop.
class LoopServer {
public:
    LoopServer() {
        std::atomic<std::uint16_t> bound{0};
        thread_ = std::thread([this, &bound] {
            Loop loop;
            loop_ = &loop;
            std::vector<std::unique_ptr<FrameEcho>> echoes;
            auto listener = std::move(*loop.listen({}, [&](std::unique_ptr<Stream> stream) {
                echoes.push_back(std::make_unique<FrameEcho>(std::move(stream)));
            }));
            bound = listener->local().port;
            bound.notify_one();
            loop.run();
        });
        bound.wait(0);
        port = bound;
    }
    ~LoopServer() {
        loop_->stop();
        thread_.join();
    }
    std::uint16_t port;

private:
    Loop* loop_ = nullptr;
    std::thread thread_;
};

/// Sends `window` frames at once, then one more for each that comes back.
class LoopClient : public StreamHandler {
public:
    explicit LoopClient(std::uint16_t port)
        : stream_(loop_.run_task(loop_.connect({"127.0.0.1", port}, 5s))) {
        stream_->start(*this);
    }
    void round(std::size_t window, std::size_t replies) {
        to_send_ = replies - window;
        left_ = replies;
        for (std::size_t i = 0; i < window; ++i) stream_->write(frame_);
        while (left_ > 0) loop_.run_once();
    }

private:
    void on_data(BytesView bytes) override {
        framer_.feed(bytes, [this](BytesView) {
            --left_;
            if (to_send_ > 0) --to_send_, stream_->write(frame_);
        });
    }
    void on_closed(const Error&) override { std::abort(); }
    Loop loop_;
    std::unique_ptr<Stream> stream_;
    Framer framer_;
    std::size_t left_ = 0, to_send_ = 0;
    const std::array<std::uint8_t, frame_bytes> frame_ = frame();
};

/// One socket on bare epoll: collects output while it reads, sends it once.
class RawPeer {
public:
    explicit RawPeer(int fd) : fd_(fd), epoll_(::epoll_create1(0)) {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event event{};
        event.events = EPOLLIN;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
    ~RawPeer() { ::close(epoll_), ::close(fd_); }
    void write(BytesView bytes) { append(output_, bytes); }
    void send() {
        for (std::size_t at = 0; at < output_.size();) {
            const ssize_t sent =
                ::send(fd_, output_.data() + at, output_.size() - at, MSG_NOSIGNAL);
            if (sent < 0) break;
            at += static_cast<std::size_t>(sent);
        }
        output_.clear();
    }
    /// False at the end of the stream.
    template <class F>
    bool turn(F&& take) {
        epoll_event events[16];
        if (::epoll_wait(epoll_, events, 16, -1) < 1) return true;
        const ssize_t got = ::recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        if (got <= 0) return false;
        framer_.feed({buffer_.data(), static_cast<std::size_t>(got)}, take);
        send();
        return true;
    }

private:
    int fd_, epoll_;
    Framer framer_;
    Bytes output_;
    std::array<std::uint8_t, 64 * 1024> buffer_;
};

class RawServer {
public:
    RawServer() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in at = address(0);
        ::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at);
        ::listen(fd_, 1);
        socklen_t size = sizeof at;
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
        port = ntohs(at.sin_port);
        thread_ = std::thread([this] {
            RawPeer peer(::accept(fd_, nullptr, nullptr));
            while (peer.turn([&](BytesView one) { peer.write(one); })) {
            }
        });
    }
    ~RawServer() {
        thread_.join();
        ::close(fd_);
    }
    static sockaddr_in address(std::uint16_t port) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(port);
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return at;
    }
    std::uint16_t port;

private:
    int fd_;
    std::thread thread_;
};

class RawClient {
public:
    explicit RawClient(std::uint16_t port) : peer_(dial(port)) {}
    void round(std::size_t window, std::size_t replies) {
        std::size_t to_send = replies - window, left = replies;
        for (std::size_t i = 0; i < window; ++i) peer_.write(frame_);
        peer_.send();
        while (left > 0)
            peer_.turn([&](BytesView) {
                --left;
                if (to_send > 0) --to_send, peer_.write(frame_);
            });
    }

private:
    static int dial(std::uint16_t port) {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        const sockaddr_in at = RawServer::address(port);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) std::abort();
        return fd;
    }
    RawPeer peer_;
    const std::array<std::uint8_t, frame_bytes> frame_ = frame();
};

template <class Server, class Client>
void echo(benchmark::State& state) {
    const auto window = static_cast<std::size_t>(state.range(0));
    const std::size_t replies = window * 64;
    Server server;
    Client client(server.port);
    for (auto _ : state) client.round(window, replies);
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(replies));
}
void loop_framed_echo(benchmark::State& state) { echo<LoopServer, LoopClient>(state); }
void raw_framed_echo(benchmark::State& state) { echo<RawServer, RawClient>(state); }
/// Argument: frames outstanding. 1 is ping-pong.
BENCHMARK(loop_framed_echo)->Arg(1)->Arg(256)->UseRealTime();
BENCHMARK(raw_framed_echo)->Arg(1)->Arg(256)->UseRealTime();

/// One idle turn: what a poll without events costs.
void loop_turn(benchmark::State& state) {
    Loop loop;
    for (auto _ : state) loop.run_once(0s);
}
BENCHMARK(loop_turn);

Task<> nothing_on(Lane* lane) {
    co_await lane->run([] {});
}
/// To a lane's thread and back.
void lane_round_trip(benchmark::State& state) {
    Loop loop;
    auto lane = loop.make_lane({.name = "bench"});
    for (auto _ : state) loop.run_task(nothing_on(lane.get()));
}
BENCHMARK(lane_round_trip)->UseRealTime();

}  // namespace
}  // namespace gyre::io

// Gyre's standard KCP as a program, for links to other implementations: `go/main.go` has the same words.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <gyre/io/datagram.hpp>
#include <gyre/io/loop.hpp>
#include <gyre/net/udp.hpp>
#include <map>
#include <string>
#include <thread>
#include <unistd.h>

namespace gyre {
namespace {

constexpr std::size_t message_bytes = 64;  // of what latency is measured with,
constexpr Duration message_every = Duration(1s) / 30;  // sent so often.
constexpr unsigned warm_up = 30;           // Messages of each link that are not counted.
constexpr Duration stragglers = 1500ms;

struct Options {
    bool normal = false, stream = false;
    unsigned rounds = 1, connections = 64, seconds = 10;
    net::KcpConfig kcp() const {
        net::KcpConfig config = normal ? net::kcp_normal() : net::kcp_fast();
        config.stream = stream;
        config.max_queued_bytes = 16 << 20;
        return config;
    }
};

[[noreturn]] void fail(const std::string& text) {
    std::fprintf(stderr, "gyre kcp: %s\n", text.c_str());
    std::_Exit(1);
}
template <class T>
T need(Result<T> result) {
    if (!result) fail(result.error().message());
    return *std::move(result);
}

/// Message n: every byte depends on where it is.
Bytes message(std::size_t n, std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(n * 31 + i * 7 + (i >> 8));
    return bytes;
}

/// What an echo answers: how long the message was, so that its sender sees how it was cut, and itself.
Bytes answer(BytesView message, const Options& options) {
    Bytes bytes;
    if (!options.stream) {
        const auto size = static_cast<std::uint32_t>(message.size());
        for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<std::uint8_t>(size >> shift));
    }
    append(bytes, message);
    return bytes;
}

/// One link: what it hears goes to `hear`.
class Line {
public:
    using Hear = std::function<void(Line&, BytesView)>;
    explicit Line(Hear hear) : hear_(std::move(hear)) {}
    virtual ~Line() = default;
    virtual void send(BytesView bytes) = 0;

protected:
    Hear hear_;
};

/// Through a UdpPort, which carries messages.
class MessageLine final : public Line, net::ChannelHandler {
public:
    MessageLine(std::unique_ptr<net::Channel> channel, Hear hear) : Line(std::move(hear)), channel_(std::move(channel)) {
        channel_->start(*this);
    }
    void send(BytesView bytes) override {
        if (channel_) channel_->send(bytes);
    }

private:
    void on_message(BytesView message) override { hear_(*this, message); }
    void on_closed(const Error&) override { channel_.reset(); }
    std::unique_ptr<net::Channel> channel_;
};

/// Kcp over a socket of its own: a stream has no messages, so no channel.
class StreamLine final : public Line, net::KcpOutput, io::DatagramHandler {
public:
    StreamLine(io::Io& io, const io::Endpoint& at, const Options& options, Hear hear)
        : Line(std::move(hear)), io_(io), config_(options.kcp()), socket_(need(io.bind(at))), wake_(io.executor(), *this) {
        socket_->start(*this);
    }
    void dial(const io::Endpoint& to) {
        peer_ = need(io::SocketAddress::of(to));
        kcp_.emplace(1u, config_, pool_, static_cast<net::KcpOutput&>(*this));
    }
    io::Endpoint local() const { return socket_->local(); }
    void send(BytesView bytes) override {
        if (auto sent = kcp_->send(bytes); !sent) fail(sent.error().message());
        wake_.arm(io_.now());
    }

private:
    void output(BytesView datagram) override { socket_->send(peer_, datagram); }
    void on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) override {
        std::uint32_t conv = 0;
        bool begins = false;
        if (!kcp_ && net::Kcp::peek(bytes, conv, begins) && begins) {
            peer_ = from;
            kcp_.emplace(conv, config_, pool_, static_cast<net::KcpOutput&>(*this));
        }
        if (!kcp_ || !kcp_->input(bytes, io_.now())) return;
        for (Bytes some; kcp_->receive(some);) hear_(*this, some);
        turn();
    }
    void turn() {
        const TimePoint next = kcp_->update(io_.now());
        if (next == TimePoint::max()) wake_.disarm();
        else wake_.arm(next);
    }
    struct Wake : Timer {
        Wake(Executor& executor, StreamLine& l)
            : Timer(executor, [](Timer& t) { static_cast<Wake&>(t).line.turn(); }), line(l) {}
        StreamLine& line;
    };
    io::Io& io_;
    const net::KcpConfig config_;
    net::KcpPool pool_;
    io::SocketAddress peer_;
    std::optional<net::Kcp> kcp_;
    std::unique_ptr<io::DatagramSocket> socket_;
    Wake wake_;
};

net::UdpConfig port_config(const Options& options) {
    net::UdpConfig config;
    config.standard_kcp = true;
    config.kcp = options.kcp();
    config.max_message_bytes = 128 * 1024;
    config.max_unsent_bytes = 16 << 20;
    config.idle_limit = 60s;
    config.handshakes_per_address_per_second = 0;
    return config;
}

/// Links that came in, until standard input ends.
class Server {
public:
    Server(io::Loop& loop, const io::Endpoint& at, const Options& options, std::function<void(Line&)> came, Line::Hear hear) {
        io::Endpoint local;
        if (options.stream) {
            auto line = std::make_unique<StreamLine>(loop, at, options, std::move(hear));
            local = line->local();
            lines_.push_back(std::move(line));
        } else {
            net::UdpConfig config = port_config(options);
            config.at = at;
            port_ = need(net::UdpPort::open(loop, std::move(config),
                [this, came, hear](std::unique_ptr<net::Channel> channel, const io::Endpoint&, const Bytes&) {
                    lines_.push_back(std::make_unique<MessageLine>(std::move(channel), hear));
                    if (came) came(*lines_.back());
                }));
            local = port_->local();
        }
        std::printf("listening %s\n", local.to_string().c_str());
        std::fflush(stdout);
    }
    /// A thread waits for the end of standard input: the loop does not read files.
    static void until_input_ends(io::Loop& loop) {
        std::thread([&loop] {
            for (char byte; ::read(0, &byte, 1) > 0;) {}
            loop.stop();
        }).detach();
        loop.run();
    }

private:
    std::unique_ptr<net::UdpPort> port_;
    std::vector<std::unique_ptr<Line>> lines_;
};

void echo(const io::Endpoint& at, const Options& options) {
    io::Loop loop;
    Server server(loop, at, options, {}, [&](Line& line, BytesView bytes) { line.send(answer(bytes, options)); });
    Server::until_input_ends(loop);
}

void client(const io::Endpoint& to, const Options& options) {
    io::Loop loop;
    Bytes expected;
    std::size_t got = 0, messages = 0;
    const auto hear = [&](Line&, BytesView bytes) {
        for (const std::uint8_t byte : bytes) {
            if (got >= expected.size() || byte != expected[got])
                fail("byte " + std::to_string(got) + " of " + std::to_string(expected.size()) + " is wrong");
            ++got;
        }
    };
    std::unique_ptr<net::UdpPort> port;
    std::unique_ptr<Line> line;
    if (options.stream) {
        auto made = std::make_unique<StreamLine>(loop, io::Endpoint{"127.0.0.1", 0}, options, hear);
        made->dial(to);
        line = std::move(made);
    } else {
        port = need(net::UdpPort::open(loop, port_config(options)));
        line = std::make_unique<MessageLine>(need(port->connect_kcp(to, 0x67797265)), hear);
    }
    for (unsigned round = 0; round < options.rounds; ++round)
        for (const std::size_t size : {1, 64, 1376, 5000, 100'000}) {
            const Bytes one = message(messages++, size);
            append(expected, answer(one, options));
            line->send(one);
        }
    if (!loop.run_until([&] { return got == expected.size(); }, 50s))
        fail(std::to_string(got) + " of " + std::to_string(expected.size()) + " bytes came back");
    std::printf("ok %zu messages %zu bytes\n", messages, got);
}

std::int64_t wall_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Sends 30 times a second on each link for as long as is measured, and hears the other end, which does the same.
class Latencies {
public:
    Latencies(io::Loop& loop, const Options& options) : loop_(loop), options_(options) {}
    void talk(Line& line) {
        expected_ += options_.seconds * 30 - warm_up;
        talkers_.push_back(std::make_unique<Talker>(*this, line, static_cast<std::uint32_t>(talkers_.size())));
    }
    void hear(BytesView bytes) {
        if (bytes.size() != message_bytes) fail("a message of " + std::to_string(bytes.size()) + " bytes");
        std::int64_t sent = 0;
        std::uint32_t number = 0;
        std::memcpy(&sent, bytes.data(), 8);
        std::memcpy(&number, bytes.data() + 8, 4);
        if (number >= warm_up) us_.push_back((wall_ns() - sent) / 1000);
    }
    void print() const {
        std::printf("{\"latency_us\":[");
        for (std::size_t i = 0; i < us_.size(); ++i) std::printf(i ? ",%lld" : "%lld", static_cast<long long>(us_[i]));
        std::printf("],\"expected\":%u}\n", expected_);
        std::fflush(stdout);
    }

private:
    struct Talker {
        Talker(Latencies& o, Line& l, std::uint32_t index)
            : owner(o), line(l), begin(o.loop_.now() + message_every * index / o.options_.connections),
              alarm(o.loop_.executor(), [this] { talk(); }) {
            alarm.in(begin - o.loop_.now());
        }
        void talk() {
            std::array<std::uint8_t, message_bytes> bytes{};
            const std::int64_t now = wall_ns();
            std::memcpy(bytes.data(), &now, 8);
            std::memcpy(bytes.data() + 8, &number, 4);
            line.send(bytes);
            if (++number < owner.options_.seconds * 30) alarm.in(begin + message_every * number - owner.loop_.now());
        }
        Latencies& owner;
        Line& line;
        TimePoint begin;
        std::uint32_t number = 0;
        Alarm alarm;
    };
    io::Loop& loop_;
    const Options& options_;
    std::vector<std::unique_ptr<Talker>> talkers_;
    std::vector<std::int64_t> us_;
    unsigned expected_ = 0;
};

void latency_server(const io::Endpoint& at, const Options& options) {
    io::Loop loop;
    Latencies latencies(loop, options);
    Server server(loop, at, options, [&](Line& line) { latencies.talk(line); },
                  [&](Line&, BytesView bytes) { latencies.hear(bytes); });
    Server::until_input_ends(loop);
    latencies.print();
}

void latency_client(const io::Endpoint& to, const Options& options) {
    io::Loop loop;
    Latencies latencies(loop, options);
    std::vector<std::unique_ptr<net::UdpPort>> ports;  // an address each, as of so many players
    std::vector<std::unique_ptr<Line>> lines;
    for (std::uint32_t i = 0; i < options.connections; ++i) {
        ports.push_back(need(net::UdpPort::open(loop, port_config(options))));
        lines.push_back(std::make_unique<MessageLine>(need(ports.back()->connect_kcp(to, i + 1)),
                                                      [&](Line&, BytesView bytes) { latencies.hear(bytes); }));
        latencies.talk(*lines.back());
    }
    loop.run_until([] { return false; }, 1s * options.seconds + message_every + stragglers);
    latencies.print();
}

}  // namespace
}  // namespace gyre

int main(int count, char** words) {
    using namespace gyre;
    if (count < 3) fail("expected: echo|client|latency-server|latency-client ADDRESS [-normal] [-stream] [-rounds N] [-connections N] [-seconds N]");
    Options options;
    const std::map<std::string_view, bool*> flags{{"-normal", &options.normal}, {"-stream", &options.stream}};
    const std::map<std::string_view, unsigned*> numbers{
        {"-rounds", &options.rounds}, {"-connections", &options.connections}, {"-seconds", &options.seconds}};
    for (int i = 3; i < count; ++i) {
        const std::string_view word = words[i];
        if (const auto flag = flags.find(word); flag != flags.end()) *flag->second = true;
        else if (const auto number = numbers.find(word); number != numbers.end() && i + 1 < count)
            *number->second = static_cast<unsigned>(std::stoul(words[++i]));
        else fail("unknown: " + std::string(word));
    }
    const std::string_view what = words[1];
    const auto where = need(io::Endpoint::parse(words[2]));
    if (what == "echo") echo(where, options);
    else if (what == "client") client(where, options);
    else if (what == "latency-server") latency_server(where, options);
    else if (what == "latency-client") latency_client(where, options);
    else fail("unknown: " + std::string(what));
}

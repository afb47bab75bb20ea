#include <benchmark/benchmark.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <gyre/io/loop.hpp>
#include <gyre/net/detail/scripted_udp_peer.hpp>
#include <gyre/net/udp.hpp>
#include <thread>

// Links over UDP. With real sockets the server has a thread of its own, whose processor time is the figure; those
// without system calls run both ends in memory, in one thread.
namespace gyre::net {
namespace {

using detail::ScriptedNetwork;
const secure::Identity identity(secure::Key(secure::Seed{1}));

double thread_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Echo final : ChannelHandler {
    explicit Echo(std::unique_ptr<Channel> c) : channel(std::move(c)) { channel->start(*this); }
    void on_message(BytesView message) override { channel->send(message); }
    void on_closed(const Error&) override {}
    std::unique_ptr<Channel> channel;
};
struct Count final : ChannelHandler {
    void on_message(BytesView) override { ++heard; }
    void on_closed(const Error&) override { ++closed; }
    std::uint64_t heard = 0, closed = 0;
};

UdpConfig wide(bool standard = false) {
    UdpConfig config;
    config.identity = identity;
    config.standard_kcp = standard;
    config.max_links = config.max_links_per_address = config.max_half_open = 20'000;
    config.handshakes_per_address_per_second = 0;
    config.idle_limit = 60s;
    return config;
}

/// An echoing server on a thread of its own.
class Server {
public:
    Server() {
        std::atomic<std::uint16_t> bound{0};
        thread_ = std::thread([this, &bound] {
            io::Loop loop;
            loop_ = &loop;
            std::vector<std::unique_ptr<Echo>> ends;
            auto port = UdpPort::open(loop, wide(), [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) {
                ends.push_back(std::make_unique<Echo>(std::move(c)));
            }).value();
            bound = port->local().port;
            bound.notify_one();
            loop.run();
        });
        bound.wait(0);
        at = {"127.0.0.1", bound};
    }
    ~Server() { stop(); }
    void stop() {
        if (!thread_.joinable()) return;
        loop_->stop();
        thread_.join();
    }
    double seconds() {
        clockid_t clock{};
        ::pthread_getcpuclockid(thread_.native_handle(), &clock);
        timespec time{};
        ::clock_gettime(clock, &time);
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
    }
    io::Endpoint at;

private:
    io::Loop* loop_ = nullptr;
    std::thread thread_;
};

Task<> dial(UdpPort* port, io::Endpoint to, std::vector<std::unique_ptr<Channel>>* links) {
    links->push_back((co_await port->connect(to, identity.public_key(), {}, 60s)).channel);
}

/// Dials `count` links, a few at a time.
bool dial_all(io::Loop& loop, UdpPort& port, const io::Endpoint& to, std::size_t count, std::vector<std::unique_ptr<Channel>>& links, ChannelHandler& handler) {
    Scope scope(loop.executor(), "dial");
    std::size_t started = 0;
    const bool all = loop.run_until([&] {
        for (; started < count && started < links.size() + 200; ++started) (void)go(scope, dial(&port, to, &links));
        return links.size() == count;
    }, 60s);
    for (auto& link : links) link->start(handler);
    return all;
}

/// 10 000 sealed links say 64 bytes 10 times a second and hear them echoed: the share of a core that the server
/// takes, in percent. Counter `both`: with the clients, which are as many and do the same.
void links_10k_cpu(benchmark::State& state) {
    Server server;
    io::Loop loop;
    auto port = UdpPort::open(loop, wide()).value();
    std::vector<std::unique_ptr<Channel>> links;
    Count count;
    constexpr std::size_t all = 10'000;
    if (!dial_all(loop, *port, server.at, all, links, count)) return state.SkipWithError("could not dial 10 000 links");
    const Bytes message(64, 7);
    constexpr Duration slice = 5ms;  // a twentieth of the links each
    constexpr std::size_t slices = 20, part = all / slices;
    std::size_t next = 0;
    Alarm alarm(loop.executor(), [&] {
        for (std::size_t i = 0; i < part; ++i) links[(next + i) % all]->send(message);
        next = (next + part) % all;
    });
    alarm.every(slice);
    const auto run = [&](Duration span) {
        const TimePoint end = loop.now() + span;
        (void)loop.run_until([&] { return loop.now() >= end; }, span + 5s);
    };
    run(2s);
    for (auto _ : state) {
        const std::uint64_t heard = count.heard;
        const double far = server.seconds(), near = thread_seconds();
        const TimePoint begin = loop.now();
        run(5s);
        const double passed = std::chrono::duration<double>(loop.now() - begin).count();
        const double share = (server.seconds() - far) / passed;
        state.SetIterationTime(share * 100 * 1e-9);  // percent, written as nanoseconds
        state.counters["both_percent"] = 100 * (share + (thread_seconds() - near) / passed);
        state.counters["echoes_per_second"] = static_cast<double>(count.heard - heard) / passed;
    }
    state.SetLabel("%");
    if (count.closed > 0) state.SkipWithError("links ended");
}
BENCHMARK(links_10k_cpu)->UseManualTime()->Iterations(1)->Unit(benchmark::kNanosecond);

/// Heap an open link takes at one end while it says nothing, of the engine and of libcrypto; in bytes.
void idle_link_bytes(benchmark::State& state) {
    for (auto _ : state) {
        ScriptedNetwork network;
        ScriptedNetwork::Host far(network, 0x0a000001, 1), near(network, 0x0a000002, 2);
        std::vector<std::unique_ptr<Channel>> there, here;
        there.reserve(4000), here.reserve(4000);
        Count count;
        UdpConfig config = wide();
        config.at.port = 7000;
        config.idle_limit = 10s;
        auto server = UdpPort::open(far, config, [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) { there.push_back(std::move(c)); }).value();
        config.at.port = 0;
        auto client = UdpPort::open(near, config).value();
        Scope scope(network.executor, "dial");
        const auto add = [&](std::size_t more) {
            const std::size_t all = here.size() + more;
            for (std::size_t i = 0; i < more; ++i) (void)go(scope, dial(client.get(), {"10.0.0.1", 7000}, &here));
            (void)network.run_until([&] { return here.size() == all && there.size() == all; });
            for (std::size_t i = all - more; i < all; ++i) {
                here[i]->start(count), there[i]->start(count);
                here[i]->send(Bytes(64, 1)), there[i]->send(Bytes(64, 1));
            }
            network.run_for(9s, 10ms);
        };
        add(2000);
        const std::size_t before = mallinfo2().uordblks;
        add(2000);
        state.SetIterationTime(static_cast<double>(mallinfo2().uordblks - before) / 4000 * 1e-9);
        if (count.heard != 8000) state.SkipWithError("links do not work");
    }
    state.SetLabel("bytes");
}
BENCHMARK(idle_link_bytes)->UseManualTime()->Iterations(1)->Unit(benchmark::kNanosecond);

/// Handshakes a server's core does in a second, cookies included; clients made by hand, their time not counted.
void udp_handshake(benchmark::State& state) {
    ScriptedNetwork network;
    ScriptedNetwork::Host far(network, 0x0a000001, 1);
    UdpConfig config = wide();
    config.at.port = 7000;
    std::size_t accepted = 0;
    auto server = UdpPort::open(far, config, [&](std::unique_ptr<Channel>, io::Endpoint, Bytes) { ++accepted; }).value();
    const io::SocketAddress at{0x0a000001, 7000};
    // What the server does with a client's three datagrams: taken alone, by letting each arrive in a turn of its own.
    constexpr std::size_t batch = 100;
    std::uint64_t seed = 0, done = 0;
    double spent = 0;
    const auto timed_turn = [&] {
        const double begin = thread_seconds();
        network.turn(10us);
        spent += thread_seconds() - begin;
    };
    for (auto _ : state) {
        spent = 0;
        std::vector<std::unique_ptr<detail::ScriptedUdpPeer>> peers;
        std::vector<secure::ClientHandshake> shakers;
        std::vector<Bytes> firsts;
        for (std::size_t i = 0; i < batch; ++i) {
            peers.push_back(std::make_unique<detail::ScriptedUdpPeer>(network, 0x0b000000 + static_cast<std::uint32_t>(++seed), at, seed));
            secure::Seed fresh{};
            std::memcpy(fresh.data(), &seed, sizeof seed);
            shakers.emplace_back(identity.public_key(), fresh);
            firsts.push_back(shakers.back().first({}));
            peers[i]->send(peers[i]->hello(firsts[i]));
        }
        timed_turn();
        network.turn();
        for (std::size_t i = 0; i < batch; ++i) {
            std::memcpy(peers[i]->cookie.data(), peers[i]->got.at(0).data() + 5, 20);
            peers[i]->send(peers[i]->hello(firsts[i]));
        }
        timed_turn();
        network.turn();
        for (std::size_t i = 0; i < batch; ++i) {
            const Bytes& answer = peers[i]->got.at(1);
            if (!shakers[i].second(BytesView(answer).subspan(9))) return state.SkipWithError("no answer");
            std::memcpy(&peers[i]->server_id, answer.data() + 5, 4);
            peers[i]->sealer.emplace(shakers[i].secrets().send);
            peers[i]->send(peers[i]->sealed(4, {}));
        }
        timed_turn();
        done += batch;
        if (accepted != done) return state.SkipWithError("not all were accepted");
        state.SetIterationTime(batch / spent * 1e-9);  // a second, written as nanoseconds
        network.run_for(2s, 100ms);
    }
    state.SetLabel("/s");
}
BENCHMARK(udp_handshake)->UseManualTime()->Iterations(5)->Unit(benchmark::kNanosecond);

/// A 64-byte message from one end to the other and the acknowledgement back, both ends, no system calls.
void udp_message(benchmark::State& state, bool standard) {
    ScriptedNetwork network;
    ScriptedNetwork::Host far(network, 0x0a000001, 1), near(network, 0x0a000002, 2);
    std::vector<std::unique_ptr<Channel>> there, here;
    Count heard;
    UdpConfig config = wide(standard);
    config.at.port = 7000;
    auto server = UdpPort::open(far, config, [&](std::unique_ptr<Channel> c, io::Endpoint, Bytes) {
        c->start(heard);
        there.push_back(std::move(c));
    }).value();
    config.at.port = 0;
    auto client = UdpPort::open(near, config).value();
    Scope scope(network.executor, "dial");
    constexpr std::uint32_t links = 100;
    for (std::uint32_t i = 0; i < links; ++i) {
        if (standard) here.push_back(client->connect_kcp({"10.0.0.1", 7000}, i + 1).value());
        else (void)go(scope, dial(client.get(), {"10.0.0.1", 7000}, &here));
    }
    (void)network.run_until([&] { return here.size() == links; });
    for (auto& link : here) link->start(heard);
    const Bytes message(64, 7);
    for (auto _ : state) {
        for (auto& link : here) link->send(message);
        for (int i = 0; i < 4; ++i) network.turn(5ms);
    }
    if (heard.heard != static_cast<std::uint64_t>(state.iterations()) * links) state.SkipWithError("messages are missing");
    state.SetItemsProcessed(state.iterations() * links);
    state.counters["ns_per_message"] = benchmark::Counter(static_cast<double>(state.iterations()) * links * 1e-9,
                                                          benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
void udp_100_messages_sealed(benchmark::State& state) { udp_message(state, false); }
void udp_100_messages_standard(benchmark::State& state) { udp_message(state, true); }
BENCHMARK(udp_100_messages_sealed);
BENCHMARK(udp_100_messages_standard);

/// 50 000 bad datagrams a second from a thread of its own: hellos without a cookie, and sealed packets of nobody.
class Attack {
public:
    explicit Attack(std::uint16_t port) {
        thread_ = std::thread([this, port] { run(port); });
    }
    ~Attack() { stopped_ = true, thread_.join(); }
    std::atomic<std::uint64_t> sent{0};

private:
    void run(std::uint16_t port) {
        const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET, to.sin_port = htons(port), to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        std::uint64_t random = 1;
        Bytes bytes(1200);
        auto next = std::chrono::steady_clock::now();
        while (!stopped_) {
            for (int i = 0; i < 5; ++i) {
                random = mix(random + 0x9e3779b97f4a7c15u);
                const bool hello = random % 4 == 0;
                for (std::size_t k = 0; k + 8 <= 80; k += 8) std::memcpy(bytes.data() + k, &random, 8), random = mix(random);
                bytes[0] = hello ? 0x10 : 0x43;
                if (hello) bytes[25] = 64, bytes[26] = 0;
                (void)::sendto(fd, bytes.data(), hello ? 1200 : 80, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&to), sizeof to);
                ++sent;
            }
            next += std::chrono::microseconds(100);
            std::this_thread::sleep_until(next);
        }
        ::close(fd);
    }
    std::atomic<bool> stopped_{false};
    std::thread thread_;
};

/// The 99th percentile of an echo over 200 links, in nanoseconds: while the server is attacked, and while the same is
/// sent to a socket that nobody reads, as it is the same machine that has to send it. Medians of windows in turn.
struct HostileP99 {
    double attacked = 0, elsewhere = 0, attacks_per_second = 0;
    double server_percent[2] = {};  // of a core; [1]: attacked
    std::string error;
};
HostileP99 measure_hostile_p99() {
    Server server;
    const int sink = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET, at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    (void)::bind(sink, reinterpret_cast<sockaddr*>(&at), size);
    (void)::getsockname(sink, reinterpret_cast<sockaddr*>(&at), &size);
    io::Loop loop;
    struct Timed final : ChannelHandler {
        explicit Timed(io::Loop& l) : loop(l) {}
        void on_message(BytesView message) override {
            std::int64_t begin = 0;
            std::memcpy(&begin, message.data(), sizeof begin);
            took.push_back(loop.measure_now().time_since_epoch().count() - begin);
        }
        void on_closed(const Error&) override { ++closed; }
        io::Loop& loop;
        std::vector<std::int64_t> took;
        int closed = 0;
    } timed(loop);
    auto port = UdpPort::open(loop, wide()).value();
    std::vector<std::unique_ptr<Channel>> links;
    HostileP99 result;
    if (!dial_all(loop, *port, server.at, 200, links, timed)) return result.error = "could not dial", result;
    std::size_t next = 0;
    Alarm alarm(loop.executor(), [&] {
        Bytes message(64);
        const std::int64_t now = loop.measure_now().time_since_epoch().count();
        std::memcpy(message.data(), &now, sizeof now);
        for (int i = 0; i < 4; ++i) links[next++ % links.size()]->send(message);
    });
    alarm.every(1ms);
    const auto run = [&](Duration span) {
        const TimePoint end = loop.now() + span;
        (void)loop.run_until([&] { return loop.now() >= end; }, span + 5s);
    };
    std::vector<double> figures[2];
    std::uint64_t attacks = 0;
    constexpr int windows = 20;
    for (int window = 0; window < windows; ++window) {
        const bool attacked = window % 2 == 0;
        Attack attack(attacked ? server.at.port : ntohs(at.sin_port));
        run(50ms);
        timed.took.clear();
        const double before = server.seconds();
        run(250ms);
        result.server_percent[attacked] += (server.seconds() - before) / 0.25 * 100 / (windows / 2);
        auto& took = timed.took;
        if (took.size() < 250) return result.error = "too few echoes to tell", result;
        std::ranges::sort(took);
        figures[attacked].push_back(static_cast<double>(took[took.size() * 99 / 100]));
        if (attacked) attacks += attack.sent;
    }
    ::close(sink);
    if (timed.closed) result.error = "links ended";
    for (auto& one : figures) std::ranges::sort(one);
    result.attacked = figures[1][windows / 4], result.elsewhere = figures[0][windows / 4];
    result.attacks_per_second = static_cast<double>(attacks) / (windows / 2 * 0.3);
    return result;
}
/// Both figures of each measurement, whichever is asked for first.
void report_hostile_p99(benchmark::State& state, bool attacked) {
    static std::vector<HostileP99> measured;
    static std::size_t told[2] = {};
    if (told[attacked] == measured.size()) measured.push_back(measure_hostile_p99());
    const HostileP99& one = measured[told[attacked]++];
    if (!one.error.empty()) {
        std::fprintf(stderr, "hostile_p99: %s\n", one.error.c_str());
        return state.SkipWithError(one.error.c_str());
    }
    for (auto _ : state) state.SetIterationTime((attacked ? one.attacked : one.elsewhere) * 1e-9);
    state.counters["attacks_per_second"] = one.attacks_per_second;
    state.counters["server_percent"] = one.server_percent[attacked];
}
void hostile_p99(benchmark::State& state) { report_hostile_p99(state, true); }
void hostile_p99_elsewhere(benchmark::State& state) { report_hostile_p99(state, false); }
BENCHMARK(hostile_p99)->UseManualTime()->Iterations(1)->Unit(benchmark::kNanosecond);
BENCHMARK(hostile_p99_elsewhere)->Name("hostile_p99/peer:elsewhere")->UseManualTime()->Iterations(1)->Unit(benchmark::kNanosecond);

}  // namespace
}  // namespace gyre::net

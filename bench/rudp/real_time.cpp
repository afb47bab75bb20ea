// Those of `./dev bench rudp` that live in the kernel or in Go, over the same links, in real time:
//     rudp_real_time CONTENDER TRAFFIC MESSAGES SEED CONNECTIONS LINK [LINK_DOWN]
// prints a line of JSON with the keys of rudp_cells. CONTENDER: tcp:CONTROL, as tcp:cubic, with TCP_NODELAY; or
// kcp_go:PROGRAM, tests/kcp/go as built, of 30x64 only. MESSAGES: of each end in all, spread over CONNECTIONS, each
// with a link of its own. Bytes are those of IP packets. It needs a kernel that lets it make namespaces and TUN
// devices; where it does not, it says so and exits with 3. lag_p99: how late, in ms, packets were handed over: when
// it is not far below the latencies, the machine was too busy for them to mean much.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <gyre/base/hash.hpp>

#include "tun_link.hpp"

namespace gyre::bench {
namespace {

constexpr std::uint16_t server_port = 7000;

struct Traffic {
    Duration every{};
    std::size_t bytes = 0;
    bool up = true;
};

double quantile(std::vector<double>& values, double share) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[std::min(static_cast<std::size_t>(static_cast<double>(values.size()) * share), values.size() - 1)];
}

/// What a contender did.
struct Result {
    std::size_t sent = 0, wrong = 0;
    std::size_t payload_bytes = 0;  ///< Of all that was sent while bytes were counted.
    std::vector<double> latencies_ms;
};

void print(Result& result, TunLink& link) {
    auto& all = result.latencies_ms;
    double sum = 0;
    for (const double one : all) sum += one;
    std::printf("{\"sent\": %zu, \"delivered\": %zu, \"wrong\": %zu, \"failure\": \"%s\"", result.sent, all.size(), result.wrong,
                all.size() < result.sent ? "not all arrived" : "");
    for (const auto& [name, share] : {std::pair("p50", 0.5), {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}})
        std::printf(", \"%s\": %.3f", name, quantile(all, share));
    std::printf(", \"mean\": %.3f, \"wire_bytes\": %zu, \"bytes\": %.4f, \"datagrams\": %zu, \"lag_p99\": %.3f}\n",
                sum / static_cast<double>(std::max<std::size_t>(all.size(), 1)), link.bytes(),
                static_cast<double>(link.bytes()) / static_cast<double>(std::max<std::size_t>(result.payload_bytes, 1)),
                link.packets(), quantile(link.lag_ms(), 0.99));
}

/// Connections of the kernel's TCP, all ends in this process.
class Tcp {
public:
    Tcp(std::string control, const Traffic& traffic, std::size_t messages, std::uint64_t seed, unsigned connections, TunLink& link)
        : control_(std::move(control)), traffic_(traffic), seed_(seed), connections_(connections),
          each_(messages / connections), link_(link) {}

    Result run() {
        link_.enter_server();
        const int listener = tcp_socket();
        const auto at = server();
        must(bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at), "bind");
        must(listen(listener, 4096), "listen");
        link_.enter_client();
        for (auto& one : connections_) connect_one(one, listener);
        run_until(clock_now() + 500ms);
        link_.measure();
        const TimePoint begin = clock_now();
        for (std::size_t i = 0; i < connections_.size(); ++i)
            for (const std::size_t end : {0U, 1U}) {
                if (end == 0 && !traffic_.up) continue;
                const auto phase = mix(seed_ * 131 + i * 2 + end) % static_cast<std::uint64_t>(traffic_.every.count());
                say_at_.emplace(begin + Duration(phase), std::pair(&connections_[i], end));
            }
        while (!say_at_.empty()) run_until(say_at_.begin()->first);
        const TimePoint patience = clock_now() + 30s;
        while (result_.latencies_ms.size() < result_.sent && clock_now() < patience) run_until(clock_now() + 100ms);
        result_.payload_bytes = result_.sent * traffic_.bytes;
        return std::move(result_);
    }

private:
    struct Connection {
        int fd[2] = {-1, -1};  // Of the client, of the server.
        Bytes unread[2], unsent[2];
        std::size_t said[2] = {}, heard[2] = {};
    };

    static sockaddr_in server() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(server_port);
        inet_pton(AF_INET, TunLink::server_address, &address.sin_addr);
        return address;
    }
    static void no_delay(int fd) {
        const int on = 1;
        must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    }
    int tcp_socket() {
        const int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
        no_delay(fd);
        must(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control_.data(), static_cast<socklen_t>(control_.size())),
             ("congestion control " + control_).c_str());
        return fd;
    }
    void connect_one(Connection& one, int listener) {
        one.fd[0] = tcp_socket();
        const auto to = server();
        if (connect(one.fd[0], reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0 && errno != EINPROGRESS) refuse("connect");
        for (const TimePoint limit = clock_now() + 10s; one.fd[1] < 0; run_until(clock_now() + 1ms)) {
            one.fd[1] = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (one.fd[1] < 0 && clock_now() > limit) refuse("no connection through the TUN devices in 10 s");
        }
        no_delay(one.fd[1]);
    }

    void run_until(TimePoint end) {
        while (true) {
            const TimePoint now = clock_now();
            link_.fire(now);
            speak(now);
            if (now >= end) return;
            TimePoint next = std::min(end, link_.next());
            if (!say_at_.empty()) next = std::min(next, say_at_.begin()->first);
            wait(std::max(next - clock_now(), Duration::zero()));
        }
    }
    void wait(Duration longest) {
        polled_.clear();
        for (const int device : link_.devices()) polled_.push_back({device, POLLIN, 0});
        for (auto& one : connections_)
            for (const std::size_t end : {0U, 1U})
                polled_.push_back({one.fd[end], static_cast<short>(one.unsent[end].empty() ? POLLIN : POLLIN | POLLOUT), 0});
        const timespec limit{longest / 1s, (longest % 1s).count()};
        if (ppoll(polled_.data(), polled_.size(), &limit, nullptr) <= 0) return;
        for (std::size_t place = 0; place < polled_.size(); ++place) {
            if (polled_[place].revents == 0) continue;
            const std::size_t end = place % 2;
            if (place < 2) {
                link_.take(end);
                continue;
            }
            Connection& one = connections_[place / 2 - 1];
            hear(one, end);
            if (!one.unsent[end].empty()) push(one, end);
        }
    }

    void speak(TimePoint now) {
        while (!say_at_.empty() && say_at_.begin()->first <= now) {
            const auto [at, who] = *say_at_.begin();
            say_at_.erase(say_at_.begin());
            const auto [one, end] = who;
            say(*one, end);
            // The ends drift past each other.
            if (one->said[end] < each_)
                say_at_.emplace(at + traffic_.every + (end ? traffic_.every / 1000 : Duration::zero()), who);
        }
    }
    void say(Connection& one, std::size_t end) {
        Bytes message(traffic_.bytes);
        const std::int64_t at = clock_now().time_since_epoch().count();
        const auto number = static_cast<std::uint32_t>(one.said[end]++);
        std::memcpy(message.data(), &at, sizeof at);
        std::memcpy(message.data() + sizeof at, &number, sizeof number);
        one.unsent[end].insert(one.unsent[end].end(), message.begin(), message.end());
        ++result_.sent;
        push(one, end);
    }
    void push(Connection& one, std::size_t end) {
        Bytes& rest = one.unsent[end];
        const ssize_t sent = ::send(one.fd[end], rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) refuse("send");
        if (sent > 0) rest.erase(rest.begin(), rest.begin() + sent);
    }
    void hear(Connection& one, std::size_t end) {
        std::uint8_t room[65536];
        const ssize_t size = read(one.fd[end], room, sizeof room);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) refuse("a connection broke");
        Bytes& rest = one.unread[end];
        rest.insert(rest.end(), room, room + size);
        std::size_t used = 0;
        for (; rest.size() - used >= traffic_.bytes; used += traffic_.bytes) {
            std::int64_t at = 0;
            std::uint32_t number = 0;
            std::memcpy(&at, rest.data() + used, sizeof at);
            std::memcpy(&number, rest.data() + used + sizeof at, sizeof number);
            result_.wrong += number != one.heard[end]++;
            result_.latencies_ms.push_back(static_cast<double>(clock_now().time_since_epoch().count() - at) / 1e6);
        }
        rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(used));
    }

    const std::string control_;
    const Traffic traffic_;
    const std::uint64_t seed_;
    std::vector<Connection> connections_;
    const std::size_t each_;
    TunLink& link_;
    std::multimap<TimePoint, std::pair<Connection*, std::size_t>> say_at_;
    std::vector<pollfd> polled_;
    Result result_;
};

/// A program in the namespaces of this process at that time, which ends with it.
struct Program {
    explicit Program(const std::vector<std::string>& words) {
        int in[2], out[2];
        must(pipe(in), "pipe"), must(pipe(out), "pipe");
        id = must(fork(), "fork");
        if (id == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            dup2(in[0], 0), dup2(out[1], 1);
            for (const int fd : {in[0], in[1], out[0], out[1]}) close(fd);
            std::vector<char*> pointers;
            for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
            pointers.push_back(nullptr);
            execv(pointers[0], pointers.data());
            refuse(pointers[0]);
        }
        close(in[0]), close(out[1]);
        input = in[1], output = out[0];
        must(fcntl(output, F_SETFL, O_NONBLOCK), "fcntl");
    }
    /// False at its end.
    bool read_some() {
        char room[65536];
        ssize_t size = 0;
        while ((size = read(output, room, sizeof room)) > 0) said.append(room, static_cast<std::size_t>(size));
        return size < 0 && errno == EAGAIN;
    }
    void finish() {
        int status = 0;
        must(waitpid(id, &status, 0), "waitpid");
        if (status != 0) std::fprintf(stderr, "rudp_real_time: kcp-go ended with %d: %s\n", status, said.c_str()), std::exit(1);
    }
    pid_t id = -1;
    int input = -1, output = -1;
    std::string said;
};

void run_until(TunLink& link, TimePoint end, int other = -1) {
    for (TimePoint now = clock_now();; now = clock_now()) {
        link.fire(now);
        if (now >= end) return;
        pollfd polled[] = {{link.devices()[0], POLLIN, 0}, {link.devices()[1], POLLIN, 0}, {other, POLLIN, 0}};
        const Duration longest = std::max(std::min(end, link.next()) - clock_now(), Duration::zero());
        const timespec limit{longest / 1s, (longest % 1s).count()};
        if (ppoll(polled, 3, &limit, nullptr) <= 0) continue;
        for (const std::size_t one : {0U, 1U})
            if (polled[one].revents) link.take(one);
        if (polled[2].revents) return;
    }
}

/// {"latency_us":[1,2],"expected":3}
void read_latencies(const std::string& text, Result& result) {
    const char* at = text.data() + std::min(text.find('['), text.size());
    const char* const end = text.data() + text.size();
    for (long long us = 0; at < end && *at != ']';) {
        const auto read = std::from_chars(++at, end, us);
        if (read.ptr == at) break;
        result.latencies_ms.push_back(static_cast<double>(us) / 1e3);
        at = read.ptr;
    }
    const std::size_t expected = text.find("\"expected\":");
    std::size_t count = 0;
    if (expected != text.npos) std::from_chars(text.data() + expected + 11, end, count);
    result.sent += count;
}

Result run_kcp_go(const std::string& program, std::size_t messages, unsigned connections, TunLink& link) {
    constexpr std::size_t warm_up = 30;  // Of tests/kcp/go: messages that are sent and not counted.
    const std::size_t seconds = (messages / connections + warm_up + 29) / 30;
    const std::string at = std::string(TunLink::server_address) + ":" + std::to_string(server_port);
    const std::vector<std::string> flags = {"-connections", std::to_string(connections), "-seconds", std::to_string(seconds)};
    const auto words = [&](const char* what) {
        std::vector<std::string> all = {program, what, at};
        all.insert(all.end(), flags.begin(), flags.end());
        return all;
    };
    link.enter_server();
    Program server(words("latency-server"));
    for (const TimePoint limit = clock_now() + 10s; server.said.find('\n') == std::string::npos; run_until(link, clock_now() + 5ms))
        if (!server.read_some() || clock_now() > limit) refuse("kcp-go does not listen");
    server.said.clear();
    link.enter_client();
    link.measure();
    Program client(words("latency-client"));
    for (const TimePoint limit = clock_now() + std::chrono::seconds(seconds + 30); client.read_some();) {
        if (clock_now() > limit) refuse("kcp-go does not end");
        run_until(link, clock_now() + 100ms, client.output);
    }
    client.finish();
    close(server.input);
    for (const TimePoint limit = clock_now() + 10s; server.read_some(); run_until(link, clock_now() + 5ms))
        if (clock_now() > limit) refuse("kcp-go does not end");
    server.finish();
    Result result;
    for (const Program* one : {&client, &server}) read_latencies(one->said, result);
    result.payload_bytes = seconds * 30 * connections * 2 * 64;
    return result;
}

bool parse_number(std::string_view text, unsigned& number) {
    return std::from_chars(text.data(), text.data() + text.size(), number).ptr == text.data() + text.size() && !text.empty();
}

bool parse_traffic(std::string_view text, Traffic& traffic) {
    if (text.ends_with("down")) traffic.up = false, text.remove_suffix(4);
    const std::size_t sign = text.find('x');
    unsigned rate = 0, bytes = 0;
    if (sign == text.npos || !parse_number(text.substr(0, sign), rate) || !parse_number(text.substr(sign + 1), bytes)) return false;
    traffic.every = Duration(1s) / std::max(rate, 1U), traffic.bytes = bytes;
    return rate > 0 && rate <= 1000 && bytes >= 12 && bytes <= 64 * 1024;
}

}  // namespace
}  // namespace gyre::bench

int main(int count, char** words) {
    using namespace gyre;
    unsigned messages = 0, seed = 0, connections = 0;
    bench::Traffic traffic;
    const std::string contender = count > 1 ? words[1] : "";
    const bool tcp = contender.starts_with("tcp:"), kcp_go = contender.starts_with("kcp_go:");
    if (count < 7 || count > 8 || (!tcp && !kcp_go) || !bench::parse_traffic(words[2], traffic) || !bench::parse_number(words[3], messages) ||
        !bench::parse_number(words[4], seed) || !bench::parse_number(words[5], connections) || connections == 0 ||
        connections > 1000 || messages < connections || (kcp_go && std::string_view(words[2]) != "30x64"))
        return std::fprintf(stderr, "usage: rudp_real_time tcp:CONTROL|kcp_go:PROGRAM TRAFFIC MESSAGES SEED CONNECTIONS LINK [LINK_DOWN]\n"), 2;
    auto up = sim::parse_link(words[6]), down = sim::parse_link(words[count - 1]);
    if (!up || !down) return std::fprintf(stderr, "rudp_real_time: no such link: %s\n", words[6]), 2;
    prctl(PR_SET_TIMERSLACK, 1UL);
    bench::TunLink link(up.value(), down.value(), seed);
    const std::string rest = contender.substr(contender.find(':') + 1);
    auto result = tcp ? bench::Tcp(rest, traffic, messages, seed, connections, link).run()
                      : bench::run_kcp_go(rest, messages, connections, link);
    bench::print(result, link);
}

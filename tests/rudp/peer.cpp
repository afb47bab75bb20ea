// A Gyre port as a program, for links to tools/rudp_peer.py, which has the same words and messages.
#include <array>
#include <cstdio>
#include <gyre/io/loop.hpp>
#include <gyre/net/udp.hpp>
#include <map>
#include <string>
#include <thread>
#include <unistd.h>

namespace gyre {
namespace {

[[noreturn]] void fail(const std::string& text) {
    std::fprintf(stderr, "rudp peer: %s\n", text.c_str());
    std::_Exit(1);
}
template <class T>
T need(Result<T> result) {
    if (!result) fail(result.error().message());
    return *std::move(result);
}
std::string hex(BytesView bytes) {
    std::string out;
    for (const std::uint8_t byte : bytes)
        for (const int digit : {byte >> 4, byte & 15}) out += "0123456789abcdef"[digit];
    return out;
}
secure::Seed seed_of(const std::string& text) {
    if (text.size() != 64) fail("a key has 64 digits");
    secure::Seed seed{};
    for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<std::uint8_t>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
    return seed;
}

struct Kind {
    Order order;
    std::uint8_t lane;
    bool reliable() const { return order == Order::ordered || order == Order::unordered; }
};
constexpr std::array kinds{Kind{Order::ordered, 0}, Kind{Order::ordered, 3}, Kind{Order::unordered, 0},
                           Kind{Order::sequenced, 2}, Kind{Order::unreliable, 0}};

/// Its first bytes say what it is and its number; the others depend on where they are.
Bytes message(const Kind& kind, unsigned number) {
    constexpr std::size_t sizes[] = {8, 30, 64, 200, 700, 1100, 64, 2500, 20, 90};
    std::size_t size = kind.order == Order::ordered && kind.lane == 0 && number == 5 ? 40'000 : sizes[number % std::size(sizes)];
    Bytes bytes(3 + size);
    bytes[0] = static_cast<std::uint8_t>(static_cast<unsigned>(kind.order) << 4 | kind.lane);
    bytes[1] = static_cast<std::uint8_t>(number), bytes[2] = static_cast<std::uint8_t>(number >> 8);
    for (std::size_t i = 0; i < size; ++i) bytes[3 + i] = static_cast<std::uint8_t>(number * 31 + i * 7 + (i >> 8));
    return bytes;
}
Delivery delivery_of(BytesView bytes) {
    return {static_cast<Order>(bytes[0] >> 4), static_cast<std::uint8_t>(bytes[0] & 15), Care::balanced};
}

/// One link, what it hears and what became of it.
struct Line : net::ChannelHandler {
    void take(std::unique_ptr<net::Channel> c) {
        channel = std::move(c);
        channel->start(*this);
    }
    void on_message(BytesView bytes) override { hear(bytes); }
    void on_closed(const Error& reason) override {
        if (!reason.is(errc::disconnected)) fail(reason.what());
        channel.reset();
    }
    std::function<void(BytesView)> hear;
    std::unique_ptr<net::Channel> channel;
};

net::UdpConfig config_of(bool list) {
    net::UdpConfig config;
    config.rudp.acks = list ? net::AckForm::list : net::AckForm::bitmap;
    return config;
}

void echo(const io::Endpoint& at, const std::string& key, bool list) {
    io::Loop loop;
    Line line;
    line.hear = [&](BytesView bytes) { line.channel->send(bytes, delivery_of(bytes)); };
    auto config = config_of(list);
    config.at = at;
    config.identity.emplace(secure::Key(seed_of(key)));
    auto port = need(net::UdpPort::open(loop, config, [&](std::unique_ptr<net::Channel> channel, io::Endpoint, Bytes payload) {
        if (as_text(payload) != "a client in Python") fail("a client of another payload");
        line.take(std::move(channel));
    }));
    std::printf("listening %s\n", port->local().to_string().c_str());
    std::fflush(stdout);
    std::thread([&loop] {
        for (char byte; ::read(0, &byte, 1) > 0;) {}
        loop.stop();
    }).detach();
    loop.run();
    std::_Exit(0);
}

void client(const io::Endpoint& to, const std::string& key, bool list, unsigned count) {
    io::Loop loop;
    auto port = need(net::UdpPort::open(loop, config_of(list)));
    Line line;
    std::map<unsigned, std::vector<unsigned>> heard;  // numbers, by order and lane
    line.hear = [&](BytesView bytes) {
        if (bytes.size() < 3) fail("a message of " + std::to_string(bytes.size()) + " bytes");
        const unsigned number = bytes[1] | bytes[2] << 8;
        const Kind kind{delivery_of(bytes).order, delivery_of(bytes).lane};
        if (hex(bytes) != hex(message(kind, number))) fail("message " + std::to_string(number) + " differs");
        auto& numbers = heard[bytes[0]];
        const auto wrong = [&](const char* what) { fail("message " + std::to_string(number) + " of " + std::to_string(bytes[0]) + " " + what); };
        if (kind.order == Order::ordered && number != numbers.size()) wrong("is not the next");
        if (kind.order == Order::sequenced && !numbers.empty() && number <= numbers.back()) wrong("came after a newer one");
        if (std::ranges::find(numbers, number) != numbers.end()) wrong("came twice");
        numbers.push_back(number);
    };
    unsigned sent = 0;
    Alarm alarm(loop.executor(), [&] {
        for (const Kind& kind : kinds) line.channel->send(message(kind, sent), {kind.order, kind.lane, Care::balanced});
        if (++sent < count) alarm.in(20ms);
    });
    line.take(loop.run_task(port->connect(to, seed_of(key), Bytes{'G', 'y', 'r', 'e'}, 5s)).channel);
    alarm.in(0ms);
    const auto name = [](const Kind& kind) { return static_cast<unsigned>(kind.order) << 4 | kind.lane; };
    const bool done = loop.run_until([&] {
        for (const Kind& kind : kinds)
            if (kind.reliable() && heard[name(kind)].size() < count) return false;
        return line.channel->unsent_bytes() == 0;
    }, 12s);
    if (!done || !line.channel) fail("of " + std::to_string(sent) + " messages of each kind not all came back");
    unsigned loose = 0;
    for (const Kind& kind : kinds) {
        const std::size_t got = heard[name(kind)].size();
        if (!kind.reliable() && got == 0) fail("none came back of the messages that may be lost");
        if (!kind.reliable()) loose += static_cast<unsigned>(got);
    }
    const net::LinkStats stats = line.channel->stats();
    std::printf("{\"reliable\":%u,\"loose\":%u,\"recovered\":%llu,\"refused\":%llu,\"lost\":%llu}\n", 3 * count, loose,
                static_cast<unsigned long long>(stats.recovered), static_cast<unsigned long long>(stats.refused),
                static_cast<unsigned long long>(stats.datagrams_lost));
    std::fflush(stdout);
    line.channel.reset();
    if (!loop.run_until([&] { return port->links() == 0; }, 3s)) fail("the link did not end");
    std::_Exit(0);
}

}  // namespace
}  // namespace gyre

int main(int count, char** words) {
    using namespace gyre;
    const std::string usage = "expected: echo ADDRESS SECRET [list] | client ADDRESS PUBLIC MESSAGES [list] | public SECRET";
    if (count < 3) fail(usage);
    const std::string what = words[1];
    const bool list = std::string_view(words[count - 1]) == "list";
    if (what == "public") {
        const secure::PublicKey key = secure::Identity(secure::Key(seed_of(words[2]))).public_key();
        std::puts(hex(key).c_str());
    } else if (what == "echo" && count > 3) {
        echo(need(io::Endpoint::parse(words[2])), words[3], list);
    } else if (what == "client" && count > 4) {
        client(need(io::Endpoint::parse(words[2])), words[3], list, static_cast<unsigned>(std::stoul(words[4])));
    } else {
        fail(usage);
    }
}

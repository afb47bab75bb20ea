#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <gyre/io/loop.hpp>
#include <string>
#include <thread>

namespace gyre::io {
namespace {

/// Keeps what it hears; `also` runs after each chunk.
struct Ear : StreamHandler {
    void on_data(BytesView bytes) override {
        append(heard, bytes);
        if (also) also();
    }
    void on_closed(const Error& reason) override {
        code = reason.code();
        if (then) then();
    }
    void on_drained() override {
        ++drained;
        if (refill) refill();
    }
    std::string text() const { return std::string(as_text(heard)); }
    Bytes heard;
    std::string code;
    int drained = 0;
    std::function<void()> also, then, refill;
};

/// A plain socket: the other side, which knows nothing of loops.
class RawSocket {
public:
    explicit RawSocket(std::uint16_t port) : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address = loopback(port);
        connected = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    }
    ~RawSocket() { close(); }
    RawSocket(const RawSocket&) = delete;
    static sockaddr_in loopback(std::uint16_t port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return address;
    }
    void close() {
        if (fd >= 0) ::close(std::exchange(fd, -1));
    }
    void reset() {
        const linger now{1, 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close();
    }
    void send(std::string_view text) {
        EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    /// Without waiting.
    std::string receive() {
        std::string text(1 << 16, '\0');
        const ssize_t count = ::recv(fd, text.data(), text.size(), MSG_DONTWAIT);
        ended = ended || count == 0 || (count < 0 && errno == ECONNRESET);
        was_reset = was_reset || (count < 0 && errno == ECONNRESET);
        text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
        return text;
    }
    int fd;
    bool connected = false, ended = false, was_reset = false;
};

/// Bound to a port that no SYN passes any more: its line is full and nobody accepts.
class FullListener {
public:
    FullListener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address = RawSocket::loopback(0);
        ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
        ::listen(fd_, 0);
        socklen_t size = sizeof address;
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        port = ntohs(address.sin_port);
        filler_ = std::make_unique<RawSocket>(port);
    }
    ~FullListener() { ::close(fd_); }
    std::uint16_t port;

private:
    int fd_;
    std::unique_ptr<RawSocket> filler_;
};

class LoopTest : public testing::Test {
protected:
    LoopTest() {
        listener = std::move(*loop.listen({"127.0.0.1", 0}, [this](std::unique_ptr<Stream> stream) {
            accepted.push_back(std::move(stream));
        }));
    }
    std::uint16_t port() const { return listener->local().port; }
    Stream& next_accepted() {
        const std::size_t before = accepted.size();
        EXPECT_TRUE(loop.run_until([&] { return accepted.size() > before; }));
        return *accepted.back();
    }
    /// Both ends of a connection on this loop.
    std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> pair() {
        auto client = loop.run_task(loop.connect(listener->local(), 5s));
        EXPECT_TRUE(loop.run_until([&] { return !accepted.empty(); }));
        auto server = std::move(accepted.back());
        accepted.pop_back();
        return {std::move(client), std::move(server)};
    }
    std::string failure_of_connect(Endpoint to, Duration limit = 5s) {
        try {
            (void)loop.run_task(loop.connect(std::move(to), limit));
            return "";
        } catch (const Error& error) {
            return error.what();
        }
    }
    Loop loop;
    std::vector<std::unique_ptr<Stream>> accepted;
    std::unique_ptr<Listener> listener;
};

Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + i / 251);
    return bytes;
}

TEST_F(LoopTest, echoes_megabytes_with_back_pressure) {
    auto [client, server] = pair();
    std::size_t unsent_max = 0;
    Ear echo, ear;
    echo.also = [&] {
        server->write(echo.heard);
        echo.heard.clear();
        unsent_max = std::max(unsent_max, server->unsent_bytes());
        if (server->unsent_bytes() > 64 * 1024) server->pause(true);
    };
    echo.refill = [&] { server->pause(false); };
    server->start(echo);
    client->start(ear);
    client->pause(true);
    // Nobody reads the echo: once the kernel's buffers, whose sizes it tunes itself, are full, the
    // server stops reading, and the client's output stays.
    const Bytes all = pattern(100'000'000);
    std::uint64_t bytes = 0;
    std::size_t written = 0;
    while (client->unsent_bytes() == 0 && written < all.size()) {
        client->write(BytesView(all).subspan(written, 10'000'000));
        written += 10'000'000;
        for (int quiet = 0; quiet < 20;) {
            loop.run_once(1ms);
            quiet = loop.counters().read_bytes == bytes ? quiet + 1 : 0;
            bytes = loop.counters().read_bytes;
        }
    }
    const Bytes sent(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(written));
    EXPECT_GT(bytes, 0u);
    EXPECT_GT(client->unsent_bytes(), 0u);
    EXPECT_LT(unsent_max, 512u * 1024u);
    EXPECT_TRUE(ear.heard.empty());
    client->pause(false);
    EXPECT_TRUE(loop.run_until([&] { return ear.heard.size() >= sent.size(); }));
    EXPECT_TRUE(ear.heard == sent);
    EXPECT_GE(ear.drained, 1);
    EXPECT_LT(unsent_max, 512u * 1024u);
    EXPECT_GT(echo.drained, 0);
}

TEST_F(LoopTest, what_a_turn_writes_leaves_in_one_system_call) {
    auto [client, server] = pair();
    Ear ear;
    server->start(ear);
    const std::uint64_t sends = loop.counters().sends;
    for (int i = 0; i < 800; ++i) client->write(as_bytes("0123456789"));
    EXPECT_EQ(loop.counters().sends, sends);
    EXPECT_EQ(client->unsent_bytes(), 8'000u);
    EXPECT_TRUE(loop.run_until([&] { return ear.heard.size() == 8'000; }));
    EXPECT_EQ(loop.counters().sends, sends + 1);
    EXPECT_EQ(client->unsent_bytes(), 0u);
}

TEST_F(LoopTest, what_a_turn_writes_leaves_early_when_it_is_much) {
    auto [client, server] = pair();
    Ear ear;
    server->start(ear);
    const std::uint64_t sends = loop.counters().sends;
    const std::string kibibyte(1024, 'x');
    for (int i = 0; i < 20; ++i) client->write(as_bytes(kibibyte));
    EXPECT_EQ(loop.counters().sends, sends + 2);
    EXPECT_EQ(client->unsent_bytes(), 4 * 1024u);
    EXPECT_TRUE(loop.run_until([&] { return ear.heard.size() == 20 * 1024; }));
    EXPECT_EQ(loop.counters().sends, sends + 3);
}

TEST_F(LoopTest, both_ends_know_their_addresses) {
    auto [client, server] = pair();
    EXPECT_EQ(client->peer(), listener->local());
    EXPECT_EQ(server->local(), client->peer());
    EXPECT_EQ(server->peer(), client->local());
}

TEST_F(LoopTest, a_reset_and_an_end_are_told_once_as_disconnected) {
    for (const bool reset : {true, false}) {
        RawSocket raw(port());
        Stream& stream = next_accepted();
        Ear ear;
        int calls = 0;
        ear.then = [&] { ++calls; };
        stream.start(ear);
        if (reset)
            raw.reset();
        else
            raw.close();
        EXPECT_TRUE(loop.run_until([&] { return calls > 0; }));
        EXPECT_EQ(ear.code, "disconnected");
        stream.write(as_bytes("into the void"));
        stream.pause(true);
        loop.run_once(0s);
        EXPECT_EQ(calls, 1);
        EXPECT_EQ(stream.unsent_bytes(), 0u);
    }
}

TEST_F(LoopTest, a_reset_before_start_and_one_while_paused_are_told) {
    RawSocket early(port()), paused(port());
    EXPECT_TRUE(loop.run_until([&] { return accepted.size() == 2; }));
    Stream &first = *accepted[0], &second = *accepted[1];
    Ear first_ear, second_ear;
    second.start(second_ear);
    second.pause(true);
    early.reset(), paused.reset();
    first.write(as_bytes("nobody is there"));
    EXPECT_TRUE(loop.run_until([&] { return !second_ear.code.empty(); }));
    EXPECT_TRUE(loop.run_until([&] { return first.unsent_bytes() == 0; }));
    first.start(first_ear);
    EXPECT_TRUE(loop.run_until([&] { return !first_ear.code.empty(); }));
    EXPECT_EQ(first_ear.code, "disconnected");
    EXPECT_EQ(second_ear.code, "disconnected");
}

TEST_F(LoopTest, an_answer_still_leaves_when_the_other_side_has_ended_its_direction) {
    RawSocket raw(port());
    Stream& stream = next_accepted();
    Ear ear;
    const std::string answer(300'000, 'x');
    ear.also = [&] { stream.write(as_bytes(answer)); };
    raw.send("question");
    ::shutdown(raw.fd, SHUT_WR);
    stream.start(ear);
    std::size_t got = 0;
    while (!raw.ended) {
        loop.run_once(1ms);
        got += raw.receive().size();
    }
    EXPECT_EQ(got, answer.size());
    EXPECT_FALSE(raw.was_reset);
    EXPECT_EQ(ear.code, "disconnected");
}

TEST_F(LoopTest, close_sends_the_rest_even_with_unread_input_and_the_handler_hears_no_more) {
    RawSocket raw(port());
    Stream& stream = next_accepted();
    Ear ear;
    stream.start(ear);
    raw.send("never read");
    const std::string last(2'000'000, 'y');
    stream.write(as_bytes(last));
    stream.close();
    stream.close();
    std::size_t got = 0;
    while (!raw.ended) {
        loop.run_once(1ms);
        got += raw.receive().size();
    }
    EXPECT_EQ(got, last.size());
    EXPECT_FALSE(raw.was_reset);
    EXPECT_TRUE(ear.heard.empty());
    EXPECT_EQ(ear.code, "");
}

TEST_F(LoopTest, close_resets_nobody_who_is_still_talking) {
    RawSocket raw(port());
    Stream& stream = next_accepted();
    Ear ear;
    stream.start(ear);
    stream.pause(true);
    raw.send("unread");
    for (int i = 0; i < 3; ++i) loop.run_once(1ms);
    stream.write(as_bytes("bye"));
    stream.close();
    for (int i = 0; i < 3; ++i) loop.run_once(1ms);
    raw.send("spoken after the close");
    EXPECT_EQ(raw.receive(), "bye");
    EXPECT_EQ(raw.receive(), "");
    EXPECT_TRUE(raw.ended);
    EXPECT_FALSE(raw.was_reset);
    raw.close();
    EXPECT_TRUE(loop.run_until([&] { return loop.executor().timers() == 0; }, 900ms));
}

TEST_F(LoopTest, close_gives_up_after_a_second) {
    RawSocket raw(port());
    Stream& stream = next_accepted();
    stream.write(pattern(20'000'000));
    const TimePoint before = loop.now();
    stream.close();
    // Nobody reads: in the end the descriptor goes, which the other side sees as a reset.
    EXPECT_EQ(loop.executor().timers(), 1u);
    EXPECT_TRUE(loop.run_until([&] { return loop.executor().timers() == 0; }));
    EXPECT_GE(loop.now() - before, 1s);
}

TEST_F(LoopTest, a_handler_may_destroy_its_stream) {
    for (const std::string at : {"data", "closed", "drained"}) {
        RawSocket raw(port());
        (void)next_accepted();
        std::unique_ptr<Stream> stream = std::move(accepted.back());
        accepted.pop_back();
        auto ear = std::make_unique<Ear>();
        int calls = 0;
        auto destroy = [&] { ++calls, stream.reset(), ear->heard.clear(); };
        if (at == "data") ear->also = destroy;
        if (at == "closed") ear->then = destroy;
        if (at == "drained") ear->refill = destroy;
        stream->start(*ear);
        raw.send(std::string(200'000, 'z'));
        if (at == "closed") raw.close();
        if (at == "drained") stream->write(pattern(100'000));
        while (stream) {
            loop.run_once(1ms);
            if (raw.fd >= 0) (void)raw.receive();
        }
        EXPECT_EQ(calls, 1) << at;
        ear.reset();
        raw.close();
        EXPECT_TRUE(loop.run_until([&] { return loop.executor().timers() == 0; })) << at;
    }
}

TEST_F(LoopTest, a_handler_may_destroy_another_stream_with_events_of_the_same_turn) {
    RawSocket one(port()), two(port());
    EXPECT_TRUE(loop.run_until([&] { return accepted.size() == 2; }));
    Ear ears[2];
    for (std::size_t i = 0; i < 2; ++i) {
        ears[i].also = [&, i] { accepted[1 - i].reset(); };
        accepted[i]->start(ears[i]);
    }
    one.send("a"), two.send("b");
    EXPECT_TRUE(loop.run_until([&] { return !accepted[0] || !accepted[1]; }));
    EXPECT_EQ(ears[0].heard.size() + ears[1].heard.size(), 1u);
}

TEST_F(LoopTest, a_flooding_stream_leaves_time_for_the_others) {
    auto [client, server] = pair();
    auto [client2, server2] = pair();
    Ear flooded, ear;
    client->write(pattern(8'000'000));
    server->start(flooded);
    server2->start(ear);
    std::size_t most = 0;
    for (std::size_t before = 0; flooded.heard.size() < 8'000'000;) {
        if (before == 0) client2->write(as_bytes("x"));
        loop.run_once(1ms);
        most = std::max(most, flooded.heard.size() - before);
        before = flooded.heard.size();
        if (before > 1'000'000) ASSERT_FALSE(ear.heard.empty());
    }
    EXPECT_LE(most, 320u * 1024u);
}

TEST_F(LoopTest, a_refused_connect_names_the_address) {
    const Endpoint at = listener->local();
    listener.reset();
    loop.run_once(0s);
    EXPECT_EQ(failure_of_connect(at),
              "refused: connect address=" + at.to_string() + ": Connection refused");
    EXPECT_EQ(failure_of_connect({"example", 1}).substr(0, 38),
              "bad_arguments: address=example:1: the ");
}

TEST_F(LoopTest, a_connect_times_out) {
    FullListener full;
    const TimePoint before = loop.now();
    EXPECT_TRUE(failure_of_connect({"127.0.0.1", full.port}, 30ms).starts_with("timed_out: "));
    EXPECT_GE(loop.now() - before, 30ms);
    EXPECT_LT(loop.now() - before, 5s);
}

TEST_F(LoopTest, a_connect_can_be_cancelled) {
    FullListener full;
    Scope scope(loop.executor(), "test");
    auto connecting = go(scope, loop.connect({"127.0.0.1", full.port}, 1h));
    loop.run_once(0s);
    EXPECT_FALSE(connecting.done());
    connecting.cancel();
    EXPECT_TRUE(loop.run_until([&] { return connecting.done(); }));
    EXPECT_EQ(loop.executor().timers(), 0u);
}

TEST_F(LoopTest, a_port_in_use_is_named) {
    auto again = loop.listen(listener->local(), [](std::unique_ptr<Stream>) {});
    ASSERT_FALSE(again);
    EXPECT_TRUE(again.error().is(errc::in_use));
    EXPECT_NE(again.error().message().find(listener->local().to_string()), std::string::npos);
    EXPECT_TRUE(loop.listen({"256.0.0.1", 0}, {}).error().is(errc::bad_arguments));
    EXPECT_TRUE(loop.listen({"192.0.2.1", 0}, {}).error().is(errc::bad_arguments));
    const Endpoint at = listener->local();
    listener.reset();
    EXPECT_TRUE(loop.listen(at, [](std::unique_ptr<Stream>) {}).ok());
}

TEST_F(LoopTest, a_listener_may_be_destroyed_by_its_handler) {
    std::vector<std::unique_ptr<Stream>> streams;
    std::unique_ptr<Listener> once =
        std::move(*loop.listen({}, [&](std::unique_ptr<Stream> stream) {
            streams.push_back(std::move(stream));
            once.reset();
        }));
    const std::uint16_t at = once->local().port;
    RawSocket first(at), second(at);
    EXPECT_TRUE(loop.run_until([&] { return !streams.empty(); }));
    EXPECT_EQ(streams.size(), 1u);
    EXPECT_FALSE(RawSocket(at).connected);
}

TEST_F(LoopTest, a_listener_may_be_destroyed_between_its_event_and_its_turn) {
    RawSocket raw(port());
    Stream& stream = next_accepted();
    Ear ear;
    ear.also = [&] { listener.reset(); };
    stream.start(ear);
    loop.run_once(0s);  // epoll tells first what became ready first, once it has seen nothing ready
    raw.send("x");
    RawSocket second(port());
    EXPECT_TRUE(loop.run_until([&] { return listener == nullptr; }));
    loop.run_once(0s);
    EXPECT_EQ(accepted.size(), 1u);
}

TEST_F(LoopTest, a_listener_without_descriptors_pauses_and_recovers) {
    std::vector<std::unique_ptr<RawSocket>> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(std::make_unique<RawSocket>(port()));
    rlimit before;
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    const rlimit low{static_cast<rlim_t>(lowest_free) + 1, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    EXPECT_TRUE(loop.run_until([&] { return loop.counters().accept_pauses >= 1; }));
    const TimePoint paused = loop.now();
    EXPECT_TRUE(loop.run_until([&] { return loop.counters().accept_pauses >= 2; }));
    EXPECT_GE(loop.now() - paused, 50ms);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(accepted.size(), 1u);
    EXPECT_EQ(clients[1]->receive(), "");
    EXPECT_TRUE(clients[1]->ended);  // shed
    RawSocket later(port());
    // The first, the last of the four, and the later one.
    EXPECT_TRUE(loop.run_until([&] { return accepted.size() == 3; }));
}

TEST_F(LoopTest, streams_and_listeners_may_outlive_the_loop) {
    std::unique_ptr<Listener> left;
    std::unique_ptr<Stream> stream, server;
    Ear ear;
    {
        Loop other;
        left =
            std::move(*other.listen({}, [&](std::unique_ptr<Stream> s) { server = std::move(s); }));
        stream = other.run_task(other.connect(left->local(), 5s));
        stream->start(ear);
        stream->write(as_bytes("unsent"));
    }
    stream->write(as_bytes("more"));
    stream->pause(true);
    EXPECT_EQ(stream->unsent_bytes(), 0u);
    EXPECT_EQ(ear.code, "");
}

TEST_F(LoopTest, timers_fire_in_order_and_not_early) {
    std::vector<int> fired;
    std::vector<Duration> late;
    std::vector<std::unique_ptr<Alarm>> alarms;
    const TimePoint start = loop.now();
    for (const int ms : {30, 10, 20, 0, 5}) {
        alarms.push_back(std::make_unique<Alarm>(loop.executor(), [&, ms] {
            fired.push_back(ms);
            late.push_back(loop.now() - start - std::chrono::milliseconds(ms));
        }));
        alarms.back()->in(std::chrono::milliseconds(ms));
    }
    EXPECT_TRUE(loop.run_until([&] { return fired.size() == 5; }));
    EXPECT_EQ(fired, (std::vector<int>{0, 5, 10, 20, 30}));
    EXPECT_GE(std::ranges::min(late), 0s);
    EXPECT_LT(std::ranges::min(late), 5ms);
    EXPECT_LT(loop.counters().turns, 50u);  // it waited, it did not poll
}

TEST_F(LoopTest, handlers_see_the_time_of_their_event) {
    loop.run_once(0s);
    TimePoint posted_at, seen;
    std::thread other([&] {
        timespec time;
        ::clock_gettime(CLOCK_MONOTONIC, &time);
        posted_at = TimePoint(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
        loop.post([&] { seen = loop.now(); });
    });
    EXPECT_TRUE(loop.run_until([&] { return seen != TimePoint(); }));
    other.join();
    EXPECT_GE(seen, posted_at);
}

TEST_F(LoopTest, posts_of_many_threads_all_arrive_in_the_order_of_each) {
    constexpr int each = 5'000;
    std::array<int, 4> next{};
    bool in_order = true;
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < next.size(); ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < each; ++i)
                loop.post([&, t, i] { in_order = in_order && next[t]++ == i; });
        });
    EXPECT_TRUE(
        loop.run_until([&] { return std::ranges::all_of(next, [](int n) { return n == each; }); }));
    for (auto& thread : threads) thread.join();
    EXPECT_TRUE(in_order);
    EXPECT_EQ(loop.counters().posts, 20'000u);
}

TEST_F(LoopTest, stop_ends_run_from_another_thread_and_before_it) {
    std::atomic<bool> running{false};
    std::thread other([&] {
        while (!running.load()) std::this_thread::yield();
        loop.stop();
    });
    loop.post([&] { running = true; });
    loop.run();
    other.join();
    loop.stop();
    loop.run();
}

TEST_F(LoopTest, signals_arrive_on_the_loop) {
    std::vector<int> heard;
    loop.on_signal({SIGUSR1, SIGUSR2}, [&](int signal) { heard.push_back(signal); });
    loop.on_signal({SIGUSR2}, [&](int) { heard.push_back(0); });
    ::kill(::getpid(), SIGUSR1);
    EXPECT_TRUE(loop.run_until([&] { return heard.size() == 1; }));
    ::kill(::getpid(), SIGUSR2);
    EXPECT_TRUE(loop.run_until([&] { return heard.size() == 3; }));
    EXPECT_EQ(heard, (std::vector<int>{SIGUSR1, SIGUSR2, 0}));
}

Task<int> twice(int value) {
    co_await sleep(1ms);
    co_return 2 * value;
}
Task<> throws_late() {
    co_await yield();
    throw Error("broken", "on purpose");
}
Task<> forever() { co_await sleep(1h); }
TEST_F(LoopTest, run_task_gives_the_result_or_the_failure_and_stop_cancels_it) {
    EXPECT_EQ(loop.run_task(twice(21)), 42);
    EXPECT_THROW(loop.run_task(throws_late()), Error);
    loop.stop();
    try {
        loop.run_task(forever());
        FAIL();
    } catch (const Error& error) {
        EXPECT_TRUE(error.is(errc::cancelled));
    }
}

TEST_F(LoopTest, random_bytes_differ_and_the_wall_clock_is_of_this_century) {
    EXPECT_NE(loop.random_u64(), loop.random_u64());
    EXPECT_GT(loop.wall_now().time_since_epoch(), std::chrono::years(50));
}

// Lanes.

/// Holds the threads of a lane until opened.
struct Gate {
    void wait() { open.wait(false); }
    void let_go() { open = true, open.notify_all(); }
    std::atomic<bool> open{false};
};

Task<int> add_on(Lane* lane, int a, int b) {
    co_return co_await lane->run([a, b] { return a + b; });
}
Task<std::thread::id> thread_of(Lane* lane) {
    co_return co_await lane->run([] { return std::this_thread::get_id(); });
}
TEST_F(LoopTest, a_lane_returns_results_from_its_own_thread) {
    auto lane = loop.make_lane({.name = "low", .low_priority = true});
    EXPECT_EQ(loop.run_task(add_on(lane.get(), 2, 3)), 5);
    EXPECT_NE(loop.run_task(thread_of(lane.get())), std::this_thread::get_id());
}

Task<> throw_on(Lane* lane) {
    co_await lane->run([] { throw Error("broken", "on the lane"); });
}
TEST_F(LoopTest, a_failure_on_a_lane_is_thrown_from_the_await) {
    auto lane = loop.make_lane({.name = "test"});
    try {
        loop.run_task(throw_on(lane.get()));
        FAIL();
    } catch (const Error& error) {
        EXPECT_TRUE(error.is("broken"));
    }
}

Task<> note_on(Lane* lane, std::vector<int>* ran, std::vector<int>* resumed, int label) {
    co_await lane->run([ran, label] { ran->push_back(label); });
    resumed->push_back(label);
}
TEST_F(LoopTest, a_lane_with_one_thread_keeps_order) {
    auto lane = loop.make_lane({.name = "test", .queue_limit = 1000});
    Scope scope(loop.executor(), "test");
    std::vector<int> ran, resumed, expected;
    for (int i = 0; i < 500; ++i) {
        expected.push_back(i);
        (void)go(scope, note_on(lane.get(), &ran, &resumed, i));
    }
    EXPECT_TRUE(loop.run_until([&] { return scope.running() == 0; }));
    EXPECT_EQ(ran, expected);
    EXPECT_EQ(resumed, expected);
}

Task<> wait_at(Lane* lane, Gate* gate, int* done) {
    co_await lane->run([gate] { gate->wait(); });
    ++*done;
}
Task<> overload_then(Lane* lane, std::string* log) {
    auto result = co_await as_result(lane->run([] {}));
    *log = result ? "ran" : result.error().code();
    Chain::running().cancel();  // looks at where the chain waits: nowhere
    auto later = co_await as_result(forever());
    *log += "+" + later.error().code();
}
TEST_F(LoopTest, a_full_lane_refuses_and_the_refused_chain_goes_on) {
    Gate gate;
    auto lane = loop.make_lane({.name = "test", .threads = 2, .queue_limit = 3});
    Scope scope(loop.executor(), "test");
    int done = 0;
    for (int i = 0; i < 5; ++i) (void)go(scope, wait_at(lane.get(), &gate, &done));
    EXPECT_EQ(lane->waiting(), 3u);
    std::string log;
    (void)go(scope, overload_then(lane.get(), &log));
    EXPECT_EQ(log, "overloaded+cancelled");
    gate.let_go();
    EXPECT_TRUE(loop.run_until([&] { return done == 5; }));
    EXPECT_EQ(lane->waiting(), 0u);
    const auto counters = loop.lanes();
    ASSERT_EQ(counters.size(), 1u);
    EXPECT_EQ(counters[0].name, "test");
    EXPECT_EQ(counters[0].calls, 5u);
    EXPECT_EQ(counters[0].refused, 1u);
    EXPECT_EQ(counters[0].waiting_max, 3u);
}

TEST_F(LoopTest, an_end_of_a_lane_waits_for_what_it_took) {
    auto lane = loop.make_lane({.name = "test"});
    Scope scope(loop.executor(), "test");
    std::vector<int> ran, resumed;
    for (int i = 0; i < 10; ++i) (void)go(scope, note_on(lane.get(), &ran, &resumed, i));
    lane.reset();
    EXPECT_EQ(ran.size(), 10u);
    EXPECT_TRUE(loop.run_until([&] { return scope.running() == 0; }));
    EXPECT_EQ(resumed, ran);
    EXPECT_TRUE(loop.lanes().empty());
}

TEST_F(LoopTest, work_on_a_lane_is_not_cancelled_once_queued) {
    Gate gate;
    auto lane = loop.make_lane({.name = "test"});
    Scope scope(loop.executor(), "test");
    int done = 0;
    auto job = go(scope, wait_at(lane.get(), &gate, &done));
    job.cancel();
    loop.run_once(0s);
    EXPECT_FALSE(job.done());
    gate.let_go();
    EXPECT_TRUE(loop.run_until([&] { return job.done(); }));
    EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace gyre::io

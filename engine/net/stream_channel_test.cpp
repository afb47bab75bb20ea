#include <gtest/gtest.h>

#include <cstdlib>
#include <gyre/net/channel.hpp>
#include <gyre/net/detail/scripted_stream.hpp>
#include <gyre/sim/world.hpp>
#include <new>

namespace {
std::size_t largest_allocation = 0;
}
void* operator new(std::size_t bytes) {
    largest_allocation = std::max(largest_allocation, bytes);
    if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace gyre::net {
namespace {

using detail::ScriptedStream;

Bytes message(std::size_t size, std::uint8_t first) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(first + i);
    return bytes;
}
void append_frame(Bytes& to, BytesView payload) {
    for (int shift = 0; shift < 32; shift += 8)
        to.push_back(static_cast<std::uint8_t>(payload.size() >> shift));
    append(to, payload);
}

struct Recorder : ChannelHandler {
    void on_message(BytesView m) override {
        messages.emplace_back(m.begin(), m.end());
        if (then) then();
    }
    void on_closed(const Error& reason) override {
        closed += reason.code();
        if (then) then();
    }
    std::vector<Bytes> messages;
    std::string closed;
    std::function<void()> then;
};

struct Scripted {
    explicit Scripted(std::size_t limit = 4096)
        : channel(stream_channel(std::make_unique<ScriptedStream>(wire), {limit})) {
        channel->start(recorder);
    }
    ScriptedStream::Wire wire;
    Recorder recorder;
    std::unique_ptr<Channel> channel;
};

const std::vector<Bytes> sizes = {message(1, 1), message(3, 10), message(300, 20), message(4, 90),
                                  message(1, 2)};
Bytes all_frames() {
    Bytes bytes;
    for (const auto& m : sizes) append_frame(bytes, m);
    return bytes;
}

TEST(StreamChannel, reads_frames_split_at_every_byte) {
    const Bytes bytes = all_frames();
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut)
        for (const std::size_t second : {cut, cut + 1, cut + 5, bytes.size()}) {
            Scripted s;
            const BytesView view(bytes);
            const std::size_t end = std::min(second, bytes.size());
            if (cut > 0) s.wire.arrive(view.first(cut));
            if (end > cut) s.wire.arrive(view.subspan(cut, end - cut));
            if (end < bytes.size()) s.wire.arrive(view.subspan(end));
            ASSERT_EQ(s.recorder.messages, sizes) << "cut at " << cut << " and " << end;
        }
    Scripted s;
    for (const std::uint8_t byte : bytes) s.wire.arrive({&byte, 1});
    EXPECT_EQ(s.recorder.messages, sizes);
}

TEST(StreamChannel, writes_what_it_reads) {
    Scripted s;
    for (const auto& m : sizes) s.channel->send(m);
    EXPECT_EQ(s.wire.written, all_frames());
}

TEST(StreamChannel, a_length_of_nothing_or_over_the_limit_ends_it_by_name) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{4097}, std::size_t{0xffffffff}})
        for (const std::size_t cut : {std::size_t{0}, std::size_t{2}, std::size_t{3}}) {
            Scripted s;
            Bytes bytes;
            append_frame(bytes, message(5, 1));
            for (int shift = 0; shift < 32; shift += 8)
                bytes.push_back(static_cast<std::uint8_t>(size >> shift));
            append(bytes, message(50, 3));
            const BytesView view(bytes);
            if (cut > 0) s.wire.arrive(view.first(9 + cut));
            largest_allocation = 0;
            s.wire.arrive(cut > 0 ? view.subspan(9 + cut) : view);
            EXPECT_EQ(s.recorder.messages.size(), 1u);
            EXPECT_EQ(s.recorder.closed, size == 0 ? errc::bad_data : errc::too_large);
            EXPECT_TRUE(s.wire.closed);
            EXPECT_LT(largest_allocation, 1024u);
        }
}

TEST(StreamChannel, memory_follows_what_arrived_not_what_was_announced) {
    Scripted s(64 << 20);
    Bytes bytes{0, 0, 0, 4};  // 64 MiB
    bytes.resize(10'000);
    largest_allocation = 0;
    for (const std::uint8_t byte : bytes) s.wire.arrive({&byte, 1});
    EXPECT_LT(largest_allocation, 64'000u);
    EXPECT_EQ(s.recorder.closed, "");
    EXPECT_EQ(s.channel->max_message_bytes(), std::size_t{64 << 20});
}

TEST(StreamChannel, a_message_of_exactly_the_limit_passes) {
    Scripted s;
    Bytes bytes;
    append_frame(bytes, message(4096, 7));
    s.wire.arrive(bytes);
    EXPECT_EQ(s.recorder.messages.at(0).size(), 4096u);
}

TEST(StreamChannel, a_handler_may_close_or_destroy_it_in_any_message) {
    const Bytes bytes = all_frames();
    for (const bool destroy : {false, true})
        for (std::size_t at = 1; at <= sizes.size(); ++at)
            for (std::size_t cut = 0; cut < bytes.size(); cut += 3) {
                Scripted s;
                s.recorder.then = [&] {
                    if (s.recorder.messages.size() != at) return;
                    if (destroy) s.channel.reset();
                    else s.channel->close();
                };
                if (cut > 0) s.wire.arrive(BytesView(bytes).first(cut));
                s.wire.arrive(BytesView(bytes).subspan(cut));
                ASSERT_EQ(s.recorder.messages.size(), at);
                EXPECT_TRUE(s.wire.closed);
                EXPECT_EQ(s.recorder.closed, "");
            }
}

TEST(StreamChannel, a_handler_may_destroy_it_when_told_of_its_end) {
    {
        Scripted s;
        s.recorder.then = [&] { s.channel.reset(); };
        s.wire.arrive(Bytes{0, 0, 0, 0, 1, 2});
        EXPECT_EQ(s.recorder.closed, errc::bad_data);
    }
    Scripted s;
    s.recorder.then = [&] { s.channel.reset(); };
    s.wire.arrive(Bytes{9, 0});
    s.wire.end();
    EXPECT_EQ(s.recorder.closed, errc::disconnected);
}

TEST(StreamChannel, nothing_is_sent_after_close) {
    Scripted s;
    s.channel->send(message(3, 1));
    s.channel->close();
    s.channel->send(message(3, 2));
    s.channel->close();
    EXPECT_EQ(s.wire.written.size(), 7u);
}

TEST(StreamChannel, another_handler_takes_over_between_two_messages_of_one_read) {
    Scripted s;
    Recorder second;
    s.recorder.then = [&] { s.channel->start(second); };
    s.wire.arrive(all_frames());
    EXPECT_EQ(s.recorder.messages.size(), 1u);
    EXPECT_EQ(second.messages.size(), sizes.size() - 1);
}

class MailboxTest : public testing::Test {
protected:
    ~MailboxTest() override {
        Scope closer(executor, "closer");
        (void)go(closer, scope.close());
        executor.turn(executor.now());
    }
    Bytes receive(Mailbox& mailbox) {
        Bytes got;
        error.clear();
        auto task = [](Mailbox* from, Bytes* into, std::string* failure) -> Task<> {
            auto result = co_await as_result(from->receive());
            if (result) *into = *result;
            else *failure = result.error().code();
        };
        (void)go(scope, task(&mailbox, &got, &error));
        executor.turn(executor.now());
        return got;
    }
    Executor executor;
    Scope scope{executor, "test"};
    std::string error;
    Scripted s;
};

TEST_F(MailboxTest, receives_in_order_and_hands_over_the_rest) {
    std::optional<Mailbox> mailbox(std::in_place, *s.channel);
    s.wire.arrive(all_frames());  // one read, more than the limit: all of it is kept
    EXPECT_TRUE(s.wire.paused);
    EXPECT_EQ(receive(*mailbox), sizes[0]);
    EXPECT_EQ(receive(*mailbox), sizes[1]);
    EXPECT_FALSE(s.wire.paused);
    const auto rest = mailbox->take_rest();
    Recorder next;
    s.channel->start(next);
    mailbox.reset();
    ASSERT_EQ(rest.size(), 3u);
    EXPECT_EQ(rest[2], sizes[4]);
    s.wire.arrive(all_frames());
    EXPECT_EQ(next.messages, sizes);
    EXPECT_TRUE(s.recorder.messages.empty());
}

TEST_F(MailboxTest, hundreds_of_messages_right_behind_a_handshake_are_not_an_attack) {
    Mailbox mailbox(*s.channel);
    Bytes bytes;
    for (int i = 0; i < 1000; ++i) append_frame(bytes, message(8, 1));
    s.wire.arrive(bytes);
    EXPECT_EQ(receive(mailbox).size(), 8u);
    EXPECT_TRUE(s.wire.paused) << "a peer that goes on talking is pushed back";
    EXPECT_EQ(mailbox.take_rest().size(), 999u);
    EXPECT_FALSE(s.wire.paused);
}

TEST_F(MailboxTest, tells_what_ended_it_after_the_last_message) {
    Mailbox mailbox(*s.channel);
    Bytes bytes;
    append_frame(bytes, sizes[0]);
    s.wire.arrive(bytes);
    s.wire.arrive(Bytes{0, 0, 0, 0});
    EXPECT_TRUE(mailbox.closed());
    EXPECT_EQ(receive(mailbox), sizes[0]);
    EXPECT_EQ(receive(mailbox), Bytes());
    EXPECT_EQ(error, errc::bad_data);
    EXPECT_EQ(receive(mailbox), Bytes());
    EXPECT_EQ(error, errc::bad_data);
}

TEST_F(MailboxTest, is_deaf_but_alive_after_it_is_gone) {
    { Mailbox mailbox(*s.channel, 1); s.wire.arrive(all_frames()); }
    EXPECT_FALSE(s.wire.paused);
    s.wire.arrive(all_frames());
    s.wire.end();
    EXPECT_EQ(s.recorder.closed, "");
}

// Through the simulated network, which cuts what is written at random bytes.
TEST(StreamChannel, carries_random_messages_between_two_machines_in_order) {
    sim::World world({.seed = sim::test_seed(), .network = {.jitter = 5ms}});
    auto& a = world.machine("a", "10.0.0.1");
    auto& b = world.machine("b", "10.0.0.2");
    Recorder received;
    std::unique_ptr<Channel> at_b;
    auto listener = b.listen({"10.0.0.2", 7}, [&](std::unique_ptr<io::Stream> stream) {
        at_b = stream_channel(std::move(stream), {100'000});
        at_b->start(received);
    }).value();
    Recorder sender;
    auto at_a = stream_channel(world.run(a, a.connect({"10.0.0.2", 7}, 1s)), {100'000});
    at_a->start(sender);
    auto dice = world.random("sizes");
    std::vector<Bytes> sent;
    for (int i = 0; i < 500; ++i) {
        sent.push_back(message(1 + dice.below(i % 50 == 0 ? 100'000 : 300),
                               static_cast<std::uint8_t>(dice.next())));
        at_a->send(sent.back());
        if (dice.below(10) == 0) world.run_for(1ms);
    }
    EXPECT_TRUE(world.run_until([&] { return received.messages.size() == sent.size(); }, 1min));
    EXPECT_EQ(received.messages, sent);
    at_a->close();
    EXPECT_TRUE(world.run_until([&] { return received.closed == errc::disconnected; }, 5s));
    at_a.reset(), at_b.reset(), listener.reset();
    world.run_for(5s);
}

}  // namespace
}  // namespace gyre::net

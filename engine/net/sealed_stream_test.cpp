#include <gtest/gtest.h>
#include <gyre/net/channel.hpp>
#include <gyre/net/sealed_stream.hpp>
#include <gyre/sim/world.hpp>

namespace gyre::net {
namespace {

const secure::Identity identity(secure::Key(secure::Seed{1}));

Result<Bytes> echo_greeting(BytesView payload) { return Bytes(payload.begin(), payload.end()); }

Task<SealedStream> dial(sim::Machine* from, io::Endpoint to, secure::PublicKey key, Bytes payload) {
    auto stream = co_await from->connect(std::move(to), 5s);
    co_return co_await seal_client(*from, std::move(stream), secure::ClientHandshake(key, fresh_seed(*from)),
                                   std::move(payload));
}

/// One end of a stream, and what happened on it.
struct End : io::StreamHandler {
    void take(std::unique_ptr<io::Stream> s) {
        stream = std::move(s);
        stream->start(*this);
    }
    void on_data(BytesView bytes) override {
        append(heard, bytes);
        if (echoes) stream->write(bytes);
        if (then) then();
    }
    void on_closed(const Error& reason) override { closed = reason.what(); }
    void on_drained() override { ++drained; }
    std::unique_ptr<io::Stream> stream;
    Bytes heard;
    std::string closed;
    int drained = 0;
    bool echoes = false;
    std::function<void()> then;
};

/// Passes bytes on, and changes those it is told to.
struct Relay {
    struct Side : io::StreamHandler {
        void on_data(BytesView bytes) override {
            Bytes changed(bytes.begin(), bytes.end());
            if (change) change(changed);
            append(seen, changed);
            if (other->stream) other->stream->write(changed);
        }
        void on_closed(const Error&) override {
            if (other->stream) other->stream->close();
        }
        std::unique_ptr<io::Stream> stream;
        Side* other = nullptr;
        std::function<void(Bytes&)> change;
        Bytes seen;
    };
    Side up, down;
};

struct SealedStreamTest : testing::Test {
    void serve(Greet greet = &echo_greeting) {
        listener = server.listen({"10.0.0.1", 7000}, [this, greet](std::unique_ptr<io::Stream> stream) {
            (void)go(server.scope(), welcome(this, std::move(stream), greet));
        }).value();
    }
    static Task<> welcome(SealedStreamTest* self, std::unique_ptr<io::Stream> stream, Greet greet) {
        auto sealed = co_await as_result(
            seal_server(self->server, std::move(stream),
                        secure::ServerHandshake(identity, fresh_seed(self->server)), std::move(greet)));
        if (!sealed) {
            self->refused = sealed.error().what();
            co_return;
        }
        self->greeted = sealed->payload;
        self->there.take(std::move(sealed->stream));
    }
    SealedStream connect(Bytes payload = {1, 2, 3}) {
        return world.run(client, dial(&client, at, identity.public_key(), std::move(payload)));
    }
    std::string connect_error(secure::PublicKey key = identity.public_key()) {
        try {
            world.run(client, dial(&client, at, key, {1}));
        } catch (const Error& error) {
            return error.code();
        }
        return "none";
    }
    void connected() {
        serve();
        here.take(connect().stream);
        ASSERT_TRUE(world.run_until([&] { return there.stream != nullptr; }, 1s));
    }
    /// A relay in the middle, to which `at` leads.
    void tamper(std::function<void(Bytes&)> up, std::function<void(Bytes&)> down) {
        relay.up.change = std::move(up), relay.down.change = std::move(down);
        relay.up.other = &relay.down, relay.down.other = &relay.up;
        middle_listener = middle.listen({"10.0.0.3", 7000}, [this](std::unique_ptr<io::Stream> stream) {
            (void)go(middle.scope(), join(this, std::move(stream)));
        }).value();
        at = {"10.0.0.3", 7000};
    }
    static Task<> join(SealedStreamTest* self, std::unique_ptr<io::Stream> stream) {
        self->relay.down.stream = co_await self->middle.connect({"10.0.0.1", 7000}, 5s);
        self->relay.up.stream = std::move(stream);
        self->relay.up.stream->start(self->relay.up);
        self->relay.down.stream->start(self->relay.down);
    }

    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& server = world.machine("server", "10.0.0.1");
    sim::Machine& client = world.machine("client", "10.0.0.2");
    sim::Machine& middle = world.machine("middle", "10.0.0.3");
    io::Endpoint at{"10.0.0.1", 7000};
    std::unique_ptr<io::Listener> listener, middle_listener;
    Relay relay;
    End here, there;
    Bytes greeted;
    std::string refused;
};

Bytes random_bytes(sim::Random& random, std::size_t size) {
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
    return bytes;
}

TEST_F(SealedStreamTest, carries_what_both_ends_say_and_write) {
    serve();
    auto sealed = connect({9, 8, 7});
    EXPECT_EQ(sealed.payload, (Bytes{9, 8, 7})) << "the server's answer";
    here.take(std::move(sealed.stream));
    ASSERT_TRUE(world.run_until([&] { return there.stream != nullptr; }, 1s));
    EXPECT_EQ(greeted, (Bytes{9, 8, 7}));
    there.echoes = true;
    auto random = world.random("bytes");
    Bytes sent;
    for (int i = 0; i < 200; ++i) {
        const Bytes part = random_bytes(random, random.below(i % 10 ? 300 : 60'000));
        here.stream->write(BytesView(part).first(part.size() / 2), BytesView(part).subspan(part.size() / 2));
        append(sent, part);
        if (i % 3 == 0) world.run_for(1ms);
    }
    ASSERT_TRUE(world.run_until([&] { return here.heard.size() >= sent.size(); }, 1min));
    EXPECT_EQ(there.heard, sent);
    EXPECT_EQ(here.heard, sent);
    EXPECT_EQ(here.stream->unsent_bytes(), 0u);
}

TEST_F(SealedStreamTest, says_nothing_in_the_clear_and_one_record_a_turn) {
    tamper({}, {});
    connected();
    const std::size_t before = relay.up.seen.size();
    for (int i = 0; i < 10; ++i) here.stream->write(as_bytes("the secret of the day; "));
    ASSERT_TRUE(world.run_until([&] { return there.heard.size() == 230; }, 1s));
    EXPECT_EQ(relay.up.seen.size() - before, 230u + 4 + 16) << "one head and one tag";
    EXPECT_EQ(as_text(relay.up.seen).find("secret"), std::string_view::npos);
}

TEST_F(SealedStreamTest, a_server_without_the_pinned_key_is_found_out) {
    serve();
    const secure::Identity other(secure::Key(secure::Seed{16}));
    EXPECT_NE(connect_error(other.public_key()), "none");
    EXPECT_EQ(there.stream, nullptr);
    EXPECT_NE(refused.find(errc::unauthorized), std::string::npos) << refused;
}

TEST_F(SealedStreamTest, a_refusal_reaches_the_client_by_its_code) {
    serve([](BytesView) -> Result<Bytes> { return Error(errc::update_required, "a newer game is needed"); });
    EXPECT_EQ(connect_error(), errc::update_required);
    EXPECT_NE(refused.find("a newer game"), std::string::npos);
}

TEST_F(SealedStreamTest, is_refused_in_the_clear_before_any_handshake) {
    listener = server.listen({"10.0.0.1", 7000}, [](std::unique_ptr<io::Stream> stream) {
        refuse_stream(*stream, Error(errc::overloaded, "the server is full"));
    }).value();
    EXPECT_EQ(connect_error(), errc::overloaded);
}

TEST_F(SealedStreamTest, whatever_is_flipped_in_the_handshake_ends_it) {
    serve();
    std::size_t flip = 0;
    bool upward = true;
    std::size_t passed[2] = {};
    tamper([&](Bytes& bytes) {
        if (upward && flip >= passed[0] && flip < passed[0] + bytes.size()) bytes[flip - passed[0]] ^= 1;
        passed[0] += bytes.size();
    }, [&](Bytes& bytes) {
        if (!upward && flip >= passed[1] && flip < passed[1] + bytes.size()) bytes[flip - passed[1]] ^= 1;
        passed[1] += bytes.size();
    });
    for (int direction = 0; direction < 2; ++direction) {
        for (std::size_t at_byte = 0;; ++at_byte) {
            passed[0] = passed[1] = 0;
            relay.up.seen.clear(), relay.down.seen.clear();
            there.stream.reset();
            upward = direction == 0, flip = at_byte;
            std::string code = "none";
            try {
                auto task = with_timeout(2s, dial(&client, at, identity.public_key(), {1, 2, 3}));
                auto sealed = world.run(client, std::move(task));
            } catch (const Error& error) {
                code = error.code();
            }
            world.run_for(1s);
            relay.up.stream.reset(), relay.down.stream.reset();
            // Message 1 and the empty record that confirms it; message 2.
            if (at_byte >= (upward ? 4u + 8 + 32 + 3 + 16 + 4 + 16 : 4u + 8 + 32 + 4 + 16)) break;
            if (upward && code == "none") {
                // The client's confirmation: message 2 was right, so only the server can tell.
                EXPECT_EQ(there.stream, nullptr) << "byte " << at_byte;
                continue;
            }
            if (there.stream && code == "none") {
                ADD_FAILURE() << (upward ? "up " : "down ") << at_byte;
                break;
            }
        }
    }
}

TEST_F(SealedStreamTest, a_changed_or_repeated_record_ends_the_stream_and_nothing_of_it_is_heard) {
    bool armed = false, repeat = false;
    tamper([&](Bytes& bytes) {
        if (!std::exchange(armed, false)) return;
        if (repeat) bytes.insert(bytes.end(), bytes.begin(), bytes.end());
        else bytes[bytes.size() / 2] ^= 0x10;
    }, {});
    for (repeat = false;; repeat = true) {
        there = {}, here = {};
        connected();
        here.stream->write(as_bytes("honest"));
        ASSERT_TRUE(world.run_until([&] { return there.heard.size() == 6; }, 1s));
        world.network().chunking = false;
        armed = true;
        here.stream->write(as_bytes("forged"));
        ASSERT_TRUE(world.run_until([&] { return !there.closed.empty(); }, 1s));
        EXPECT_EQ(there.heard.size(), repeat ? 12u : 6u);
        EXPECT_NE(there.closed.find(errc::unauthorized), std::string::npos) << there.closed;
        listener.reset();
        if (repeat) break;
    }
}

TEST_F(SealedStreamTest, an_end_that_was_not_announced_is_told_from_one_that_was) {
    connected();
    here.stream->write(as_bytes("last words"));
    here.stream->close();
    ASSERT_TRUE(world.run_until([&] { return !there.closed.empty(); }, 1s));
    EXPECT_EQ(as_text(there.heard), "last words");
    EXPECT_EQ(there.closed, "disconnected: the other end closed");

    there = {}, here = {};
    listener.reset();
    tamper({}, {});
    connected();
    relay.up.stream->close(), relay.down.stream->close();
    ASSERT_TRUE(world.run_until([&] { return !there.closed.empty() && !here.closed.empty(); }, 2s));
    EXPECT_NE(there.closed.find("not announced"), std::string::npos) << there.closed;
}

TEST_F(SealedStreamTest, pushes_back_and_drains) {
    connected();
    there.stream->pause(true);
    const Bytes block(50'000, 7);
    for (int i = 0; i < 100; ++i) here.stream->write(block);
    world.run_for(1s);
    EXPECT_GT(here.stream->unsent_bytes(), 1'000'000u);
    const std::size_t read = there.heard.size();
    world.run_for(1s);
    EXPECT_EQ(there.heard.size(), read) << "nothing while it pauses";
    EXPECT_EQ(here.drained, 0);
    there.stream->pause(false);
    ASSERT_TRUE(world.run_until([&] { return there.heard.size() == 100 * block.size(); }, 1min));
    EXPECT_GE(here.drained, 1);
    EXPECT_EQ(here.stream->unsent_bytes(), 0u);
}

TEST_F(SealedStreamTest, a_handler_may_pause_close_or_destroy_it) {
    connected();
    there.then = [&] {
        there.then = nullptr;
        there.stream->pause(true);
        there.stream->pause(false);
    };
    for (int i = 0; i < 5; ++i) {
        here.stream->write(as_bytes("12345"));
        if (i % 2) world.run_for(1ms);
    }
    ASSERT_TRUE(world.run_until([&] { return there.heard.size() == 25; }, 1s));
    there.then = [&] { there.stream.reset(); };
    here.stream->write(as_bytes("the end"));
    ASSERT_TRUE(world.run_until([&] { return !here.closed.empty(); }, 2s));
    EXPECT_EQ(here.closed, "disconnected: the other end closed");
    here.stream->write(as_bytes("into the void"));
}

TEST_F(SealedStreamTest, a_handler_may_destroy_it_when_told_of_its_end) {
    connected();
    struct Leaver : End {
        void on_closed(const Error& why) override {
            stream.reset();
            closed = why.what();  // still whole
        }
    } leaver;
    auto second = connect();
    leaver.take(std::move(second.stream));
    world.run_for(10ms);
    there.stream.reset();
    ASSERT_TRUE(world.run_until([&] { return !leaver.closed.empty(); }, 2s));
    EXPECT_EQ(leaver.closed, "disconnected: the other end closed");
}

TEST_F(SealedStreamTest, keeps_its_promises_when_cut_at_any_byte) {
    for (int round = 0; round < 200; ++round) {
        serve();
        there = {}, here = {};
        world.network().cut_probability = 0.2;
        world.network().latency = 3ms;
        std::string code = "none";
        try {
            here.take(connect().stream);
        } catch (const Error& error) {
            code = error.code();
            EXPECT_EQ(code, errc::disconnected);
        }
        Bytes sent;
        for (int i = 0; here.stream && i < 20; ++i) {
            const Bytes part(100, static_cast<std::uint8_t>(i));
            here.stream->write(part);
            append(sent, part);
            world.run_for(1ms);
        }
        world.run_for(1s);
        ASSERT_LE(there.heard.size(), sent.size());
        EXPECT_TRUE(std::equal(there.heard.begin(), there.heard.end(), sent.begin()));
        world.network().cut_probability = 0;
        here.stream.reset(), there.stream.reset(), listener.reset();
        world.run_for(5s);
    }
    EXPECT_EQ(world.connections(), 0u);
}

}  // namespace
}  // namespace gyre::net

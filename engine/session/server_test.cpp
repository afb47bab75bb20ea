#include <fstream>
#include <gtest/gtest.h>
#include <gyre/codec/codec.hpp>
#include <gyre/net/channel.hpp>
#include <gyre/metric/registry.hpp>
#include <gyre/net/sealed_stream.hpp>
#include <gyre/session/handshake.hpp>
#include <gyre/session/server.hpp>
#include <gyre/session/session.hpp>
#include <gyre/sim/world.hpp>
#include <map>

namespace gyre::session {
namespace {

/// Answers a call with its arguments; keeps who called what.
struct Echo : rpc::Target {
    struct Seen {
        EntityId entity;
        rpc::CallerId caller;
        std::string method;
    };
    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override {
        seen.push_back({call.entity, call.caller, std::string(call.method.text)});
        if (on_call) on_call();
        respond(Bytes(call.arguments.begin(), call.arguments.end()));
    }
    std::vector<Seen> seen;
    std::function<void()> on_call;
};

/// A client that sends what it is told to.
struct RawClient : net::ChannelHandler {
    explicit RawClient(std::unique_ptr<net::Channel> c) : channel(std::move(c)) { channel->start(*this); }
    void on_message(BytesView message) override { got.emplace_back(message.begin(), message.end()); }
    void on_closed(const Error& reason) override { end = reason.code(); }
    void call(std::uint64_t id, EntityId entity, std::uint64_t flags = 0) {
        Writer w;
        w.unsigned_integer(1), w.unsigned_integer(id), w.unsigned_integer(entity);
        w.text("Avatar.echo"), w.unsigned_integer(0), w.unsigned_integer(flags);
        if (flags & 2) w.unsigned_integer(666), w.unsigned_integer(667);
        w.unsigned_integer(0), w.array(1), w.text("hi");
        channel->send(w.take());
    }
    /// How many frames of this kind came.
    std::size_t count(std::uint8_t kind) const {
        std::size_t n = 0;
        for (const Bytes& message : got) n += message[0] == kind;
        return n;
    }
    std::string bye() const {
        for (const Bytes& message : got)
            if (const auto reason = rpc::read_bye(message)) return reason->code();
        return "none";
    }
    std::unique_ptr<net::Channel> channel;
    std::vector<Bytes> got;
    std::string end;
};

constexpr EntityId avatar = 4711;
const secure::Identity identity(secure::Key(secure::Seed{1}));

Task<Admission> check(Credential credential, Duration takes) {
    if (takes > Duration::zero()) co_await sleep(takes);
    if (credential.text != "right") throw Error(errc::unauthorized, "wrong token");
    co_return Admission{avatar, 42};
}

struct SessionServer : testing::Test {
    SessionServer() : SessionServer(sim::test_seed()) {}
    explicit SessionServer(std::uint64_t seed) : world({.seed = seed}) {
        config.endpoint = {"10.0.0.1", 4000};
        config.identity = identity;
        config.min_client_version = 3;
        config.metrics = &metrics;
    }
    void serve(Duration authenticate_takes = {}) {
        server.emplace(
            gate, gate.scope(), config,
            [authenticate_takes](Credential c) { return check(std::move(c), authenticate_takes); }, target);
        server->on_opened([this](Session& s) { opened.push_back(s.id()); });
        server->on_closed([this](Session&, const Error& reason) { closed.emplace_back(reason.code()); });
        server->listen().value();
    }
    std::unique_ptr<RawClient> dial(std::size_t max_message_bytes = 1 << 20) {
        auto sealed = world.run(player, seal(&player, config.endpoint, write_greeting(100)));
        return std::make_unique<RawClient>(net::stream_channel(std::move(sealed.stream), {max_message_bytes}));
    }
    /// The code with which the server refuses this greeting, before any hello.
    std::string refusal(Bytes greeting) {
        try {
            world.run(player, seal(&player, config.endpoint, std::move(greeting)));
        } catch (const Error& error) {
            return error.code();
        }
        return "welcome";
    }
    static Task<net::SealedStream> seal(sim::Machine* from, io::Endpoint to, Bytes greeting) {
        auto stream = co_await from->connect(std::move(to), 1s);
        co_return co_await net::seal_client(
            *from, std::move(stream), secure::ClientHandshake(identity.public_key(), net::fresh_seed(*from)),
            std::move(greeting));
    }
    static Bytes hello(std::string credential = "right", std::uint32_t version = 3) {
        return write_hello({version, std::move(credential)});
    }
    std::unique_ptr<RawClient> join() {
        auto client = dial();
        client->channel->send(hello());
        EXPECT_TRUE(until([&] { return !client->got.empty(); }));
        welcome = read_welcome(client->got.at(0)).value();
        client->got.clear();
        return client;
    }
    bool until(const std::function<bool()>& done, Duration limit = 30s) {
        return world.run_until(done, limit);
    }
    std::uint64_t handshakes(std::string result) {
        return metrics.counter("gyre_session_handshakes_total", {{"result", std::move(result)}}).value();
    }

    metric::Registry metrics;
    sim::World world;
    sim::Machine& gate = world.machine("gate", "10.0.0.1");
    sim::Machine& player = world.machine("player", "10.0.0.2");
    Echo target;
    ServerConfig config;
    std::optional<Server> server;
    std::vector<std::uint64_t> opened;
    std::vector<std::string> closed;
    Welcome welcome;
};

TEST_F(SessionServer, passes_calls_on_with_the_callers_stamp) {
    serve();
    auto client = join();
    ASSERT_EQ(opened.size(), 1);
    EXPECT_EQ(welcome.session, opened[0]);
    EXPECT_EQ(welcome.entity, avatar);
    EXPECT_EQ(server->find(welcome.session)->user_data, 42);
    client->call(7, 0);
    client->call(8, 99);  // another's entity: the callee sees who asks
    ASSERT_TRUE(until([&] { return client->count(2) == 2; }));
    ASSERT_EQ(target.seen.size(), 2);
    EXPECT_EQ(target.seen[0].entity, avatar);
    EXPECT_EQ(target.seen[0].method, "Avatar.echo");
    EXPECT_EQ(target.seen[1].entity, 99);
    EXPECT_EQ(target.seen[1].caller.entity, avatar);
    EXPECT_EQ(target.seen[1].caller.session, welcome.session);
    client->channel->close();
    ASSERT_TRUE(until([&] { return server->sessions() == 0; }));
    EXPECT_EQ(closed, std::vector<std::string>{"disconnected"});
}

TEST_F(SessionServer, names_why_it_refuses) {
    serve();
    Bytes other_protocol = hello();
    other_protocol[1 + 12] = 3;  // after the array's head and the word
    const std::pair<Bytes, std::string_view> cases[] = {
        {hello("wrong"), errc::unauthorized},
        {hello("right", 2), errc::update_required},
        {other_protocol, errc::update_required},
        {hello(std::string(max_hello_bytes, 'x')), errc::too_large},
        {Bytes{'G', 'E', 'T', ' ', '/'}, errc::bad_data},
        {encode(std::string("gyre-client")), errc::bad_data},
        {Bytes{0x94, 0xdb, 0xff, 0xff, 0xff, 0xff}, errc::bad_data},
    };
    for (const auto& [message, code] : cases) {
        const auto before = handshakes(std::string(code));
        auto client = dial();
        client->channel->send(message);
        ASSERT_TRUE(until([&] { return client->end != ""; })) << code;
        EXPECT_EQ(client->bye(), code);
        EXPECT_EQ(handshakes(std::string(code)), before + 1);
    }
    EXPECT_EQ(server->pending_handshakes(), 0);
    EXPECT_TRUE(opened.empty());
    EXPECT_TRUE(target.seen.empty());
}

TEST_F(SessionServer, cuts_a_frame_above_the_limit) {
    serve();
    auto client = dial();
    client->channel->send(Bytes(config.max_message_bytes + 1, 0));
    ASSERT_TRUE(until([&] { return client->end != ""; }));
    EXPECT_EQ(handshakes("too_large"), 1);
    EXPECT_EQ(server->pending_handshakes(), 0);
}

TEST_F(SessionServer, waits_for_a_hello_no_longer_than_its_limit) {
    serve();
    auto client = dial();
    const TimePoint began = world.now();
    ASSERT_TRUE(until([&] { return client->end != ""; }));
    EXPECT_EQ(client->bye(), errc::timed_out);
    EXPECT_NEAR(static_cast<double>((world.now() - began) / 1ms), 5000, 100);
    EXPECT_EQ(handshakes("timed_out"), 1);
}

TEST_F(SessionServer, cancels_an_authentication_that_takes_too_long) {
    serve(6s);
    auto client = dial();
    client->channel->send(hello());
    ASSERT_TRUE(until([&] { return client->end != ""; }));
    EXPECT_EQ(client->bye(), errc::timed_out);
    EXPECT_EQ(server->sessions(), 0);
}

TEST_F(SessionServer, opens_no_session_for_who_left_during_authentication) {
    serve(1s);
    auto client = dial();
    client->channel->send(hello());
    world.run_for(100ms);
    client.reset();
    ASSERT_TRUE(until([&] { return server->pending_handshakes() == 0; }));
    ASSERT_TRUE(until([&] { return server->sessions() == 0; }, 1s));
}

TEST_F(SessionServer, limits_what_comes_from_one_address) {
    config.max_handshakes_per_ip_per_second = 2;  // 4 saved up
    serve();
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(dial());
    EXPECT_EQ(refusal(write_greeting(3)), errc::overloaded) << "before a handshake, in the clear";
    EXPECT_EQ(refusal(write_greeting(3)), errc::overloaded);
    EXPECT_EQ(clients[3]->end, "");
    world.run_for(1s);
    EXPECT_NO_FATAL_FAILURE(join());
}

TEST_F(SessionServer, is_full_at_its_limits) {
    config.max_pending_handshakes = 1;
    config.max_sessions = 2;
    serve();
    auto silent = dial();
    EXPECT_EQ(refusal(write_greeting(3)), errc::overloaded);
    silent->channel->send(hello());
    ASSERT_TRUE(until([&] { return server->sessions() == 1; }));
    auto third = join();
    EXPECT_EQ(refusal(write_greeting(3)), errc::overloaded);
    EXPECT_EQ(server->sessions(), 2);
}

TEST_F(SessionServer, refuses_a_forged_stamp) {
    serve();
    auto client = join();
    client->call(1, 0, 2);
    ASSERT_TRUE(until([&] { return client->end != ""; }));
    EXPECT_EQ(client->bye(), errc::forbidden);
    EXPECT_EQ(closed, std::vector<std::string>{"forbidden"});
    EXPECT_TRUE(target.seen.empty());
}

TEST_F(SessionServer, limits_the_calls_of_a_session) {
    config.calls_per_second = 10;  // 20 saved up
    serve();
    auto client = join();
    for (std::uint64_t id = 1; id <= 25; ++id) client->call(id, 0);
    client->call(0, 0);  // a notify
    ASSERT_TRUE(until([&] { return client->count(2) + client->count(3) == 25; }));
    EXPECT_EQ(client->count(2), 20);
    EXPECT_EQ(target.seen.size(), 20);
    EXPECT_EQ(metrics.counter("gyre_session_calls_limited_total").value(), 6);
    world.run_for(1s);
    client->call(30, 0);
    ASSERT_TRUE(until([&] { return client->count(2) == 21; }));
}

TEST_F(SessionServer, limits_may_change_while_clients_are_here) {
    config.calls_per_second = 1;  // 2 saved up
    serve();
    auto client = join();
    const auto answered = [&](std::uint64_t first, std::uint64_t count) {
        const auto before = client->count(2), all = before + client->count(3);
        for (std::uint64_t id = first; id < first + count; ++id) client->call(id, 0);
        EXPECT_TRUE(until([&] { return client->count(2) + client->count(3) == all + count; }));
        return client->count(2) - before;
    };
    EXPECT_EQ(answered(1, 10), 2u);
    server->set_limits({.max_sessions = 10, .calls_per_second = 4, .min_client_version = 0});
    EXPECT_EQ(answered(20, 10), 8u);
    server->set_limits({.max_sessions = 10, .calls_per_second = 0, .min_client_version = 0});
    EXPECT_EQ(answered(40, 10), 10u);
}

TEST_F(SessionServer, ends_a_session_that_reads_too_slowly) {
    serve();
    auto client = join();
    client->channel->pause(true);
    Session* session = server->find(opened[0]);
    const Bytes kilobytes = encode(std::make_tuple(std::string(32 * 1024, 'x')));
    const rpc::MethodName show{hash_method("Hud", "show"), "Hud.show"};
    const rpc::MethodName state{hash_method("Hud", "state"), "Hud.state", {.order = Order::sequenced}};
    std::size_t sent = 0;
    while (session->push(state, kilobytes)) {
        ++sent;
        world.run_for(10ms);
        ASSERT_LT(sent, 100);
    }
    EXPECT_LE(session->connection().unsent_bytes(), config.max_unsent_bytes);
    EXPECT_TRUE(closed.empty());
    std::size_t most = 0;
    for (int i = 0; i < 100 && session; ++i) {
        (void)session->push(show, kilobytes);
        most = std::max(most, session->connection().unsent_bytes());
        world.run_for(50ms);
        session = server->find(opened[0]);
    }
    EXPECT_EQ(closed, std::vector<std::string>{"overloaded"});
    EXPECT_LE(most, 4 * config.max_unsent_bytes + 64 * 1024);
}

TEST_F(SessionServer, keeps_a_session_that_catches_up) {
    serve();
    auto client = join();
    client->channel->pause(true);
    const Bytes kilobytes = encode(std::make_tuple(std::string(32 * 1024, 'x')));
    const rpc::MethodName show{hash_method("Hud", "show"), "Hud.show"};
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(server->find(opened[0])->push(show, kilobytes));
    world.run_for(500ms);
    client->channel->pause(false);
    ASSERT_TRUE(until([&] { return client->count(1) == 20; }));
    world.run_for(5s);
    EXPECT_EQ(server->sessions(), 1);
}

TEST_F(SessionServer, ends_a_session_that_falls_silent) {
    serve();
    auto client = join();
    world.partition(gate, player);
    ASSERT_TRUE(until([&] { return server->sessions() == 0; }));
    EXPECT_EQ(closed, std::vector<std::string>{"timed_out"});
}

TEST_F(SessionServer, tells_everybody_that_it_ends) {
    serve();
    auto first = join();
    auto second = join();
    auto third = dial();
    ASSERT_TRUE(until([&] { return server->pending_handshakes() == 1; }));
    server->find(opened[0])->close(Error("replaced", "from elsewhere"));
    EXPECT_EQ(server->find(opened[0]), nullptr);
    third->channel->send(hello());
    server->close();
    EXPECT_EQ(server->sessions(), 0);
    ASSERT_TRUE(until([&] { return first->end != "" && second->end != "" && third->end != ""; }));
    EXPECT_EQ(first->bye(), "replaced");
    EXPECT_EQ(second->bye(), errc::closed);
    EXPECT_EQ(third->bye(), errc::closed);
    EXPECT_EQ(closed, (std::vector<std::string>{"replaced", "closed"}));
}

TEST_F(SessionServer, may_end_a_session_in_the_middle_of_its_call) {
    serve();
    auto client = join();
    target.on_call = [this] {
        if (Session* session = server->find(opened[0])) session->close(Error("kicked"));
    };
    client->call(1, 0), client->call(2, 0);
    ASSERT_TRUE(until([&] { return client->end != ""; }));
    EXPECT_EQ(client->bye(), "kicked");
    EXPECT_EQ(target.seen.size(), 1);
}

TEST_F(SessionServer, may_be_destroyed_amid_everything) {
    serve(1s);
    auto pending = dial();
    pending->channel->send(hello());
    auto silent = dial();
    world.run_for(100ms);
    ASSERT_EQ(server->pending_handshakes(), 2);
    server.reset();
    ASSERT_TRUE(until([&] { return pending->end != "" && silent->end != ""; }));
    EXPECT_EQ(pending->bye(), errc::closed);
}

TEST_F(SessionServer, refuses_a_greeting_before_any_credential_is_shown) {
    serve();
    EXPECT_EQ(refusal(write_greeting(2)), errc::update_required);
    EXPECT_EQ(refusal(Bytes{}), errc::bad_data);
    EXPECT_EQ(refusal(Bytes{1, 2, 3}), errc::bad_data);
    Bytes other_protocol = write_greeting(3);
    other_protocol[1 + 12] = 3;
    EXPECT_EQ(refusal(other_protocol), errc::update_required);
    EXPECT_EQ(refusal(write_greeting(3)), "welcome");
    EXPECT_EQ(handshakes("update_required"), 2);
}

TEST_F(SessionServer, only_who_holds_the_key_is_believed) {
    serve();
    const auto impostor = secure::Identity(secure::Key(secure::Seed{9}));
    auto stream = world.run(player, player.connect(config.endpoint, 1s));
    const auto shaken = [](sim::Machine* from, std::unique_ptr<io::Stream> raw, secure::PublicKey key) -> Task<> {
        (void)co_await net::seal_client(*from, std::move(raw), secure::ClientHandshake(key, net::fresh_seed(*from)),
                                        write_greeting(3));
    };
    EXPECT_THROW(world.run(player, shaken(&player, std::move(stream), impostor.public_key())), Error);
    EXPECT_EQ(handshakes("unauthorized"), 1);
}

TEST_F(SessionServer, listens_with_a_key_only) {
    config.identity.reset();
    server.emplace(gate, gate.scope(), config, [](Credential c) { return check(std::move(c), {}); }, target);
    const auto result = server->listen();
    ASSERT_FALSE(result);
    EXPECT_TRUE(result.error().is(errc::bad_config)) << result.error().what();
}

TEST_F(SessionServer, answers_the_golden_conversation) {
    std::ifstream file("protocol/golden/session.hex");
    std::map<std::string, Bytes> golden;
    for (std::string direction, name, hex; file >> direction;) {
        if (direction == "#") {
            std::getline(file, hex);
            continue;
        }
        file >> name >> hex;
        for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
            golden[name].push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    config.min_client_version = 7;
    server.emplace(gate, gate.scope(), config,
                   [](Credential) -> Task<Admission> { co_return Admission{avatar}; }, target);
    server->on_opened([](Session& s) {
        const auto hello = encode(std::make_tuple(std::string("hello")));
        s.push({hash_method("Hud", "show"), "Hud.show"}, hello);
    });
    server->listen().value();
    auto client = dial();
    for (const auto* name : {"hello", "call_by_name", "call_by_number", "notify", "ping"})
        client->channel->send(golden.at(name));
    ASSERT_TRUE(until([&] { return client->count(6) == 1; }, 1s));
    ASSERT_EQ(client->got.size(), 5);  // welcome, push, two results, pong
    EXPECT_EQ(client->got[1], golden.at("push"));
    EXPECT_EQ(client->got[2], (Bytes{2, 1, 0x91, 5}));  // Echo answers with the arguments
    EXPECT_EQ(client->got[4], golden.at("pong"));
    ASSERT_EQ(target.seen.size(), 3);
    EXPECT_EQ(target.seen[1].method, "Avatar.add");
    EXPECT_EQ(target.seen[2].method, "Avatar.shout");
}

TEST_F(SessionServer, survives_frames_with_flipped_bytes) {
    config.max_handshakes_per_ip_per_second = 0;
    serve();
    auto random = world.random("flips");
    for (int round = 0; round < 300; ++round) {
        auto client = dial();
        Bytes first = hello();
        if (random.chance(0.3)) first[random.below(first.size())] ^= 1u << random.below(8);
        client->channel->send(first);
        for (int i = 0; i < 5; ++i) {
            Writer w;
            w.unsigned_integer(random.chance(0.1) ? random.below(10) : 1), w.unsigned_integer(i), w.unsigned_integer(0);
            w.text("Avatar.echo"), w.unsigned_integer(0), w.unsigned_integer(0), w.unsigned_integer(0);
            w.array(1), w.text("hi");
            Bytes frame = w.take();
            for (std::uint64_t flips = random.below(4); flips > 0; --flips)
                frame[random.below(frame.size())] ^= 1u << random.below(8);
            client->channel->send(frame);
        }
        world.run_for(20ms);
    }
    ASSERT_TRUE(until([&] { return server->sessions() == 0 && server->pending_handshakes() == 0; }));
    EXPECT_EQ(opened.size(), closed.size());
    EXPECT_GT(opened.size(), 100);
    join();
}

}  // namespace
}  // namespace gyre::session

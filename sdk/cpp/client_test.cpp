#include <gtest/gtest.h>
#include <gyre/io/loop.hpp>
#include <gyre/metric/registry.hpp>
#include <gyre/session/server.hpp>
#include <gyre/session/session.hpp>
#include <gyre/sim/link.hpp>
#include <gyre/sim/world.hpp>
#include <gyre_sdk/client.hpp>

namespace gyre::sdk {
namespace {

/// What lives on the server, one for each player; and the client's side.
struct Avatar {
    Task<std::int64_t> add(std::int64_t amount) {
        co_await sleep(1ms);
        co_return gold += amount;
    }
    void shout(std::string text) { heard += text; }
    Task<> fail() {
        throw Error("not_enough_gold", "gold=0 price=5");
        co_return;
    }
    std::int64_t gold = 0;
    std::string heard;
    static consteval auto describe() {
        return type<Avatar>("Avatar", field<&Avatar::gold>(), field<&Avatar::heard>(),
                            method<&Avatar::add>(Caller::owner), method<&Avatar::shout>(Caller::owner),
                            method<&Avatar::fail>(Caller::owner));
    }
};

struct Hud {
    void show(std::string text) { lines.push_back(std::move(text)); }
    Task<std::string> ask(std::string question) {
        co_await sleep(1ms);
        co_return question + " yes";
    }
    std::vector<std::string> lines;
    static consteval auto describe() {
        return type<Hud>("Hud", field<&Hud::lines>(), method<&Hud::show>(Caller::anyone),
                         method<&Hud::ask>(Caller::anyone, serial));
    }
};

Task<session::Admission> check(session::Credential credential) {
    if (credential.text.rfind("player/", 0) != 0) throw Error(errc::unauthorized, "unknown token");
    co_return session::Admission{1000 + std::stoull(credential.text.substr(7))};
}

/// Avatars made by their first call.
struct Game : rpc::Target {
    explicit Game(Scope& s) : scope(s) {}
    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override {
        for (const auto& method : rpc::methods_of<Avatar>())
            if (method.id == call.method.id)
                return rpc::run_call({&avatars[call.entity], &method, &scope, nullptr, call.entity},
                                     call, std::move(respond));
        respond(Error(errc::unknown_method, std::string(call.method.text)));
    }
    Scope& scope;
    std::map<EntityId, Avatar> avatars;
};

struct Gate {
    Gate(io::Io& io, Scope& scope, session::ServerConfig config)
        : game(scope), server(io, scope, std::move(config), [](session::Credential c) { return check(std::move(c)); }, game) {
        server.on_opened([this](session::Session& s) {
            last = s.id();
            s.push<&Hud::show>("hello " + std::to_string(s.entity()));
        });
        server.listen().value();
    }
    Game game;
    session::Server server;
    std::uint64_t last = 0;
};

const secure::Identity identity(secure::Key(secure::Seed{1}));
ConnectOptions options(io::Endpoint to, int player = 1) {
    ConnectOptions o;
    o.server_key = identity.public_key();
    o.endpoint = std::move(to);
    o.credential = "player/" + std::to_string(player);
    return o;
}
session::ServerConfig at(io::Endpoint endpoint) {
    session::ServerConfig config;
    config.identity = identity;
    config.endpoint = std::move(endpoint);
    return config;
}

/// Everything a client does, on whatever stands behind io.
Task<> play(io::Io* io, Scope* scope, Gate* gate, Transport transport = Transport::tcp) {
    Hud hud;
    auto how = options(gate->server.local());
    how.transport = transport;
    Client client = co_await Client::connect(*io, *scope, how);
    client.handle(hud);
    EXPECT_EQ(client.entity(), 1001);
    EXPECT_EQ(client.session(), gate->last);
    EXPECT_EQ(co_await client.call<&Avatar::add>(5), 5);
    EXPECT_EQ(co_await client.within(1s).call<&Avatar::add>(5), 10);
    EXPECT_EQ(hud.lines, std::vector<std::string>{"hello 1001"});
    client.notify<&Avatar::shout>("hey");
    EXPECT_EQ(co_await client.call<&Avatar::add>(0), 10);
    EXPECT_EQ(gate->game.avatars[1001].heard, "hey");

    const auto failed = co_await as_result(client.call<&Avatar::fail>());
    EXPECT_EQ(failed.error().code(), "not_enough_gold");
    const auto others = co_await as_result(client.entity(Id<Avatar>{77}).call<&Avatar::add>(1));
    EXPECT_EQ(others.error().code(), errc::forbidden);
    const auto raw = co_await client.call_raw("Avatar.add", encode(std::make_tuple(std::int64_t{1})));
    EXPECT_EQ(decode<std::int64_t>(raw).value(), 11);
    const auto unknown = co_await as_result(client.call_raw("Avatar.fly", encode(std::tuple<>{})));
    EXPECT_EQ(unknown.error().code(), errc::unknown_method);

    auto& connection = gate->server.find(client.session())->connection();
    const auto answer = co_await connection.call(0, rpc::method_name<&Hud::ask>,
                                                 encode(std::make_tuple(std::string("well?"))), {});
    EXPECT_EQ(decode<std::string>(answer).value(), "well? yes");

    std::string told;
    client.on_closed([&told](const Error& reason) { told = reason.code(); });
    gate->server.find(client.session())->close(Error("replaced", "from elsewhere"));
    co_await client.closed();
    EXPECT_EQ(client.close_reason()->code(), "replaced");
    EXPECT_EQ(told, "replaced");
    EXPECT_FALSE(client.open());
    const auto late = co_await as_result(client.call<&Avatar::add>(1));
    EXPECT_EQ(late.error().code(), errc::closed);

    Client again = co_await Client::connect(*io, *scope, how);
    again.close();
    co_await again.closed();
    EXPECT_EQ(again.close_reason()->code(), errc::closed);
    while (gate->server.sessions() > 0) co_await sleep(1ms);
}

TEST(Client, plays_over_a_real_socket) {
    io::Loop loop;
    Scope scope(loop.executor(), "test");
    Gate gate(loop, scope, at({"127.0.0.1", 0}));
    loop.run_task(play(&loop, &scope, &gate));
    loop.run_task(scope.close());
}

TEST(Client, plays_over_reliable_udp_and_plain_kcp) {
    for (const Transport transport : {Transport::rudp, Transport::kcp}) {
        io::Loop loop;
        Scope scope(loop.executor(), "test");
        auto config = at({"127.0.0.1", 0});
        config.rudp = true;
        config.standard_kcp = transport == Transport::kcp;
        Gate gate(loop, scope, std::move(config));
        loop.run_task(play(&loop, &scope, &gate, transport));
        loop.run_task(scope.close());
    }
}

TEST(Client, plays_over_a_bad_link) {
    for (const Transport transport : {Transport::rudp, Transport::kcp}) {
        sim::World world({.seed = sim::test_seed()});
        auto& machine = world.machine("gate", "10.0.0.1");
        auto& phone = world.machine("phone", "10.0.0.2");
        world.link(phone, machine, sim::parse_link("rtt=60ms,loss=20%,reorder=5%,duplicate=5%").value());
        auto config = at({"10.0.0.1", 4000});
        config.rudp = true;
        config.standard_kcp = transport == Transport::kcp;
        Gate gate(machine, machine.scope(), std::move(config));
        world.run(phone, play(&phone, &phone.scope(), &gate, transport));
    }
}

TEST(Client, plays_in_the_simulator) {
    sim::World world({.seed = sim::test_seed()});
    auto& machine = world.machine("gate", "10.0.0.1");
    Gate gate(machine, machine.scope(), at({"10.0.0.1", 4000}));
    world.run(machine, play(&machine, &machine.scope(), &gate));
}

Task<std::string> reason_of(io::Io* io, Scope* scope, ConnectOptions o);

Task<> mind_handlers(io::Io* io, Scope* scope, Gate* gate) {
    Client client = co_await Client::connect(*io, *scope, options(gate->server.local()));
    std::vector<std::string> unhandled;
    client.on_unhandled([&unhandled](std::string_view method, BytesView) { unhandled.emplace_back(method); });
    Hud hud;
    client.handle(hud);
    auto& session = *gate->server.find(client.session());
    co_await client.call<&Avatar::add>(1);
    EXPECT_EQ(hud.lines.size(), 1);
    client.remove_handler(&hud);
    session.push<&Hud::show>("nobody listens");
    co_await client.call<&Avatar::add>(1);
    EXPECT_EQ(hud.lines.size(), 1);
    EXPECT_EQ(unhandled, std::vector<std::string>{"Hud.show"});
    const auto refused = co_await as_result(session.connection().call(
        0, rpc::method_name<&Hud::ask>, encode(std::make_tuple(std::string("?"))), {}));
    EXPECT_EQ(refused.error().code(), errc::unknown_method);

    auto pending = go(as_result(client.call<&Avatar::add>(1)));
    client.close();
    EXPECT_EQ((co_await pending).error().code(), errc::disconnected);
    EXPECT_FALSE(client.notify_raw("Avatar.shout", encode(std::make_tuple(std::string("late")))));
}

TEST(Client, minds_its_handlers) {
    sim::World world({.seed = sim::test_seed()});
    auto& machine = world.machine("gate", "10.0.0.1");
    Gate gate(machine, machine.scope(), at({"10.0.0.1", 4000}));
    world.run(machine, mind_handlers(&machine, &machine.scope(), &gate));
}

TEST(Client, gives_up_on_a_server_that_says_nothing_or_nonsense) {
    for (const bool nonsense : {false, true}) {
        sim::World world({.seed = sim::test_seed()});
        auto& machine = world.machine("gate", "10.0.0.1");
        std::vector<std::unique_ptr<io::Stream>> streams;
        const auto listener = machine.listen({"10.0.0.1", 4000}, [&](std::unique_ptr<io::Stream> stream) {
            if (nonsense) stream->write(as_bytes(std::string_view("\x05\0\0\0hello", 9)));
            streams.push_back(std::move(stream));
        });
        ASSERT_TRUE(listener);
        const auto code = world.run(machine, reason_of(&machine, &machine.scope(), options({"10.0.0.1", 4000})));
        EXPECT_EQ(code, nonsense ? errc::bad_data : errc::timed_out);
        streams.clear();
    }
}

Task<std::string> reason_of(io::Io* io, Scope* scope, ConnectOptions o) {
    const auto client = co_await as_result(Client::connect(*io, *scope, std::move(o)));
    co_return client ? "connected" : client.error().code();
}

TEST(Client, hears_why_it_may_not_enter) {
    io::Loop loop;
    Scope scope(loop.executor(), "test");
    auto config = at({"127.0.0.1", 0});
    config.min_client_version = 2;
    config.max_sessions = 1;
    Gate gate(loop, scope, std::move(config));
    auto mine = options(gate.server.local());
    EXPECT_EQ(loop.run_task(reason_of(&loop, &scope, mine)), "update_required");
    mine.client_version = 2;
    mine.credential = "guess";
    EXPECT_EQ(loop.run_task(reason_of(&loop, &scope, mine)), "unauthorized");
    mine.credential = std::string(9000, 'x');
    EXPECT_EQ(loop.run_task(reason_of(&loop, &scope, mine)), "too_large");
    mine.credential = "player/2";
    auto first = loop.run_task(Client::connect(loop, scope, mine));
    EXPECT_EQ(loop.run_task(reason_of(&loop, &scope, mine)), "overloaded");
    const auto nowhere = gate.server.local();
    gate.server.close();
    loop.run_task(first.closed());
    EXPECT_EQ(first.close_reason()->code(), "closed");
    EXPECT_EQ(loop.run_task(reason_of(&loop, &scope, options(nowhere))), "refused");
    loop.run_task(scope.close());
}

Task<> bot(io::Io* io, Scope* scope, io::Endpoint to, int player, int* done) {
    Client client = co_await Client::connect(*io, *scope, options(std::move(to), player));
    for (int i = 1; i <= 10; ++i) EXPECT_EQ(co_await client.call<&Avatar::add>(player), i * player);
    ++*done;
}

TEST(Client, two_hundred_at_once) {
    io::Loop loop;
    Scope scope(loop.executor(), "test");
    auto config = at({"127.0.0.1", 0});
    config.max_handshakes_per_ip_per_second = 0;
    Gate gate(loop, scope, std::move(config));
    int done = 0;
    for (int player = 1; player <= 200; ++player)
        (void)go(scope, bot(&loop, &scope, gate.server.local(), player, &done));
    EXPECT_TRUE(loop.run_until([&] { return done == 200 && gate.server.sessions() == 0; }));
    EXPECT_EQ(gate.game.avatars.size(), 200);
    loop.run_task(scope.close());
}

/// Calls end in a value or a named error, each at most once, whatever the network does.
Task<> struggle(io::Io* io, Scope* scope, io::Endpoint to, int player, int* sure, int* rounds) {
    for (int round = 0; round < 30; ++round) {
        auto opened = co_await as_result(Client::connect(*io, *scope, options(to, player)));
        if (opened) {
            Client client = std::move(*opened);
            for (int i = 0; i < 5; ++i)
                if (co_await as_result(client.call<&Avatar::add>(1))) ++*sure;
        } else {
            const auto& code = opened.error().code();
            EXPECT_TRUE(code == errc::disconnected || code == errc::refused || code == errc::timed_out) << code;
        }
        ++*rounds;
    }
}

TEST(Client, survives_cuts_at_any_byte) {
    for (std::uint64_t seed = sim::test_seed(), last = seed + 10; seed < last; ++seed) {
        SCOPED_TRACE("GYRE_SEED=" + std::to_string(seed));
        sim::World world({.seed = seed, .network = {.stall_probability = 0.01, .stall_max = 12s,
                                                    .cut_probability = 0.05, .refuse_probability = 0.02}});
        auto& machine = world.machine("gate", "10.0.0.1");
        auto& phone = world.machine("phone", "10.0.0.2");
        auto config = at({"10.0.0.1", 4000});
        metric::Registry metrics;
        config.metrics = &metrics;
        Gate gate(machine, machine.scope(), std::move(config));
        int sure[2] = {}, rounds = 0;
        for (int player = 0; player < 2; ++player)
            (void)go(phone.scope(), struggle(&phone, &phone.scope(), gate.server.local(), player, &sure[player], &rounds));
        ASSERT_TRUE(world.run_until([&] { return rounds == 60; }, 2h));
        ASSERT_TRUE(world.run_until([&] { return gate.server.sessions() == 0; }, 1min));
        for (int player = 0; player < 2; ++player) {
            const auto gold = gate.game.avatars[1000 + static_cast<EntityId>(player)].gold;
            EXPECT_GE(gold, sure[player]);  // an unanswered call may have run
            EXPECT_LE(gold, 150);
            EXPECT_LT(sure[player], 150);   // the network did break something
            EXPECT_GT(sure[player], 20);
        }
        gate.server.close();
    }
}

}  // namespace
}  // namespace gyre::sdk

#include <gtest/gtest.h>

#include <gyre/codec/codec.hpp>
#include <gyre/log/capture.hpp>
#include <gyre/module/manifest.hpp>
#include <gyre/module/node_test.hpp>
#include <gyre/module/nodes.hpp>
#include <gyre/net/channel.hpp>
#include <gyre/rpc/connection.hpp>
#include <gyre/net/sealed_stream.hpp>
#include <gyre/session/handshake.hpp>

#include <set>

namespace gyre::module {
namespace {

constexpr EntityId player = 4711;

/// What clients play.
struct Hero : Entity<Hero> {
    std::uint32_t calls = 0;
    std::uint64_t echo(std::uint64_t value) {
        ++calls;
        log::debug("hero.echoed");
        return value + calling_entity() + calling_session() * 0;
    }
    Task<> rest() { co_await sleep(1h); }
    static consteval auto describe() {
        return type<Hero>("Hero", field<&Hero::calls>(), method<&Hero::echo>(Caller::anyone),
                          method<&Hero::rest>(Caller::anyone));
    }
};

/// Says where each goes; keeps what it was asked. The code of a later version has the same data.
template <int version>
struct PorterOf : Service<PorterOf<version>> {
    using Porter = PorterOf;
    static constexpr std::string_view role = "front";
    std::vector<std::string> asked;
    std::map<std::uint64_t, EntityId> to;  // by the client's entity: the hero it plays
    io::Endpoint at;                       // node of the heroes; no port: this
    std::uint32_t refuse_enters = 0, refuse_goodbyes = 0;
    Duration entering{};
    std::uint32_t entering_now = 0, entering_max = 0;
    std::vector<std::string> left;

    Task<> on_start() {
        session::ServerConfig config;
        door().open<&Porter::admit, &Porter::opened, &Porter::closed, &Porter::enter>(config);
        nodes().on_left<&Porter::node_left>();
        nodes().on_joined<&Porter::node_joined>();
        co_return;
    }
    Task<> on_stop() { co_await door().close(); }
    Task<session::Admission> admit(session::Credential credential) {
        asked.push_back("admit " + credential.text);
        if (credential.text == "wrong") throw Error(errc::unauthorized, "who is that?");
        co_return session::Admission{player, 5, "Ada"};
    }
    void opened(SessionInfo client) {
        asked.push_back("opened " + client.user_text + std::to_string(client.user_data));
        if (to.empty()) throw Error("no_seat", "none is left");
    }
    Task<> enter(SessionInfo client) {
        if constexpr (version > 1) asked.push_back("new code");
        ++entering_now;
        entering_max = std::max(entering_max, entering_now);
        asked.push_back("enter");
        if (entering > Duration::zero()) co_await sleep(entering);
        --entering_now;
        if (refuse_enters > 0) {
            --refuse_enters;
            throw Error(errc::unavailable, "not yet");
        }
        door().route(client.session, to[client.entity],
                     at.port ? std::optional(at) : std::nullopt);
    }
    void closed(SessionInfo client) {
        asked.push_back("closed " + std::to_string(client.entity));
        if (refuse_goodbyes == 0) return;
        --refuse_goodbyes;
        throw Error(errc::unavailable, "not now");
    }
    void node_left(cluster::NodeInfo gone) { left.push_back("left " + gone.name); }
    void node_joined(cluster::NodeInfo came) { left.push_back("joined " + came.name); }
    std::size_t count(std::string_view what) const {
        return static_cast<std::size_t>(std::count(asked.begin(), asked.end(), what));
    }
    static consteval auto describe() {
        return type<Porter>("Porter", field<&Porter::asked>(), field<&Porter::to>(), field<&Porter::at>(),
                            field<&Porter::refuse_enters>(), field<&Porter::refuse_goodbyes>(),
                            field<&Porter::entering>(), field<&Porter::entering_now>(),
                            field<&Porter::entering_max>(), field<&Porter::left>(),
                            method<&Porter::admit>(), method<&Porter::opened>(),
                            method<&Porter::enter>(), method<&Porter::closed>(),
                            method<&Porter::node_left>(), method<&Porter::node_joined>());
    }
};
using Porter = PorterOf<1>;

namespace grown {
/// The same with other data.
struct Porter : Service<Porter> {
    static constexpr std::string_view role = "front";
    std::uint64_t enters = 0;
    std::vector<std::string> asked;
    io::Endpoint at;
    std::map<std::uint64_t, EntityId> to;
    Task<> on_stop() { co_await door().close(); }
    Task<session::Admission> admit(session::Credential) { co_return session::Admission{player}; }
    void opened(SessionInfo) {}
    void closed(SessionInfo) { asked.push_back("closed"); }
    void enter(SessionInfo client) {
        ++enters;
        door().route(client.session, to[client.entity], at);
    }
    void node_left(cluster::NodeInfo) {}
    void node_joined(cluster::NodeInfo) {}
    static consteval auto describe() {
        return type<Porter>("Porter", field<&Porter::enters>(), field<&Porter::asked>(), field<&Porter::at>(),
                            field<&Porter::to>(), method<&Porter::admit>(), method<&Porter::enter>(),
                            method<&Porter::opened>(), method<&Porter::closed>(),
                            method<&Porter::node_left>(), method<&Porter::node_joined>());
    }
};
}  // namespace grown

struct Silent : rpc::Target {
    void dispatch(const rpc::IncomingCall& call, rpc::Responder) override {
        pushed.emplace_back(call.method.text);
    }
    std::vector<std::string> pushed;
};

/// A client by hand.
class Player {
public:
    Player(sim::World& world, sim::Machine& machine) : world_(world), machine_(machine) {}
    ~Player() { hang_up(); }
    /// Its session, or the code with which it was refused.
    std::string dial(io::Endpoint door, std::string credential = "right") {
        auto sealed = world_.run(machine_, seal(&machine_, door));
        auto channel = net::stream_channel(std::move(sealed.stream), {});
        auto hello = [](net::Channel* to, net::Mailbox* in, std::string text) -> Task<Bytes> {
            to->send(session::write_hello({1, std::move(text)}));
            co_return co_await in->receive();
        };
        net::Mailbox mailbox(*channel);
        const Bytes answer = world_.run(machine_, hello(channel.get(), &mailbox, std::move(credential)));
        const auto welcome = session::read_welcome(answer);
        if (!welcome) return welcome.error().code();
        session = welcome->session;
        connection_ = rpc::Connection::open(
            machine_.executor(), std::move(channel), {}, silent,
            [this](const Error& reason) { ended = reason.what(); }, mailbox.take_rest());
        return "in";
    }
    static Task<net::SealedStream> seal(sim::Machine* from, io::Endpoint door) {
        auto stream = co_await from->connect(std::move(door), 1s);
        co_return co_await net::seal_client(
            *from, std::move(stream),
            secure::ClientHandshake(secure::Identity(module::Keys{}.server).public_key(), net::fresh_seed(*from)),
            session::write_greeting(1));
    }
    void hang_up() {
        if (connection_) connection_->close(Error(errc::closed, "bye"));
        connection_.reset();
    }
    template <auto M, class... A>
    Join<Result<Bytes>> begin(EntityId entity, A... arguments) {
        rpc::CallOptions options;
        options.limit = 10s;
        return go(machine_.scope(), as_result(connection_->call(entity, rpc::method_name<M>,
                                                                encode(std::tuple(arguments...)), options)));
    }
    std::string finish(Join<Result<Bytes>> call) {
        auto wait = [](Join<Result<Bytes>> job) -> Task<Result<Bytes>> { co_return co_await job; };
        const auto answer = world_.run(machine_, wait(std::move(call)));
        if (!answer) return answer.error().code();
        const auto value = decode<std::uint64_t>(*answer);
        return value ? std::to_string(*value) : "?";
    }
    template <auto M, class... A>
    std::string call(EntityId entity, A... arguments) {
        return finish(begin<M>(entity, arguments...));
    }
    std::uint64_t session = 0;
    std::string ended;
    Silent silent;

private:
    sim::World& world_;
    sim::Machine& machine_;
    std::shared_ptr<rpc::Connection> connection_;
};

class DoorTest : public testing::Test {
protected:
    DoorTest() {
        front.start(type_list<Porter, Hero>, "front");
        back.start(type_list<Hero>);
        hero = back.inside().host.create(*back.inside().host.find_type("Hero")).id;
        inside = front.inside().host.create(*front.inside().host.find_type("Hero")).id;
        porter().to[player] = hero;
        porter().at = back.inside().rpc.address();
    }
    ~DoorTest() override { one.hang_up(); }
    Porter& porter() { return front.service<Porter>(); }
    Hero& there() { return *static_cast<Hero*>(back.inside().host.find(hero)->object); }
    io::Endpoint address() { return front.inside().info.client_address; }
    Door& door() { return *front.inside().door; }
    bool until(const std::function<bool()>& done, Duration limit = 30s) {
        return world.run_until(done, limit);
    }

    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& registry_machine = world.machine("registry", "10.0.9.1");
    cluster::EmbeddedRegistryServer registry{registry_machine.executor()};
    std::unique_ptr<store::Store> store = world.run(registry_machine, store::open(registry_machine, {}));
    sim::Machine& front_machine = world.machine("front_0", "10.0.0.1");
    sim::Machine& back_machine = world.machine("back_0", "10.0.0.2");
    TestNode front{world, front_machine, registry, *store, {.role = "front"}};
    TestNode back{world, back_machine, registry, *store, {.role = "back"}};
    Player one{world, world.machine("client", "10.1.0.1")};
    EntityId hero = 0, inside = 0;
};

TEST_F(DoorTest, passes_calls_on_with_the_clients_entity_and_session) {
    EXPECT_EQ(one.dial(address(), "wrong"), errc::unauthorized);
    ASSERT_EQ(one.dial(address()), "in");
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{3}), std::to_string(3 + player));
    EXPECT_EQ(one.call<&Hero::echo>(player, std::uint64_t{4}), std::to_string(4 + player));
    EXPECT_EQ(one.call<&Hero::echo>(hero, std::uint64_t{4}), errc::forbidden) << "not its own entity";
    EXPECT_EQ(there().calls, 2u);
    EXPECT_EQ(porter().asked, (std::vector<std::string>{"admit wrong", "admit right", "opened Ada5", "enter"}));
    const auto stats = door().stats();
    EXPECT_EQ(stats.sessions, 1u);
    EXPECT_EQ(stats.routed, 1u);
    EXPECT_EQ(stats.forwarded, 2u);
    EXPECT_EQ(stats.failed, 0u);
    EXPECT_EQ(front.inside().info.sessions, 1u);
    one.hang_up();
    ASSERT_TRUE(until([&] { return porter().count("closed 4711") == 1; }));
    EXPECT_EQ(door().size(), 0u);
    EXPECT_EQ(front.inside().info.sessions, 0u);
}

TEST_F(DoorTest, passes_calls_to_an_entity_of_this_node) {
    porter().to[player] = inside;
    porter().at = {};
    ASSERT_EQ(one.dial(address()), "in");
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{3}), std::to_string(3 + player));
    EXPECT_EQ(static_cast<Hero*>(front.inside().host.find(inside)->object)->calls, 1u);
}

TEST_F(DoorTest, lines_of_a_call_name_its_session_its_number_and_a_trace_of_its_own) {
    log::Capture log;
    ASSERT_EQ(one.dial(address()), "in");
    (void)one.call<&Hero::echo>(player, 1ul);  // on another node
    porter().to[player] = inside;
    porter().at = {};
    door().find_again(one.session);
    (void)one.call<&Hero::echo>(player, 1ul);  // here
    std::set<std::string> traces;
    for (const auto& line : log.lines()) {
        if (line.event != "hero.echoed") continue;
        EXPECT_NE(line.fields.find("session=" + std::to_string(one.session)), std::string::npos) << line.fields;
        EXPECT_NE(line.fields.find(" call="), std::string::npos) << line.fields;
        const auto trace = line.fields.find("trace=");
        ASSERT_NE(trace, std::string::npos) << line.fields;
        traces.insert(line.fields.substr(trace));
    }
    EXPECT_EQ(traces.size(), 2u);
}

TEST_F(DoorTest, asks_once_at_a_time_for_all_calls_that_wait) {
    porter().entering = 300ms;
    ASSERT_EQ(one.dial(address()), "in");
    std::vector<Join<Result<Bytes>>> calls;
    for (std::uint64_t i = 0; i < 10; ++i) calls.push_back(one.begin<&Hero::echo>(0, i));
    for (std::uint64_t i = 0; i < 10; ++i)
        EXPECT_EQ(one.finish(std::move(calls[i])), std::to_string(i + player));
    EXPECT_EQ(porter().count("enter"), 1u);
    EXPECT_EQ(porter().entering_max, 1u);
}

TEST_F(DoorTest, asks_again_until_there_is_a_route) {
    porter().refuse_enters = 4;
    ASSERT_EQ(one.dial(address()), "in");
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{1}), errc::unavailable);
    ASSERT_TRUE(until([&] { return door().routed(one.session); }, 3s));
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{1}), std::to_string(1 + player));
    EXPECT_EQ(porter().count("enter"), 5u);
}

TEST_F(DoorTest, a_route_that_is_out_of_date_when_it_comes_is_asked_for_anew) {
    porter().entering = 300ms;
    ASSERT_EQ(one.dial(address()), "in");
    world.run_for(100ms);
    door().find_again(one.session);  // amid the first enter
    world.run_for(250ms);
    EXPECT_FALSE(door().routed(one.session));
    ASSERT_TRUE(until([&] { return door().routed(one.session); }, 1s));
    EXPECT_EQ(porter().count("enter"), 2u);
    EXPECT_EQ(porter().entering_max, 1u);
}

TEST_F(DoorTest, a_session_the_service_cannot_open_ends_and_is_told_why) {
    porter().to.clear();
    ASSERT_EQ(one.dial(address()), "in");
    ASSERT_TRUE(until([&] { return !one.ended.empty(); }));
    EXPECT_NE(one.ended.find("no_seat"), std::string::npos) << one.ended;
    EXPECT_TRUE(until([&] { return porter().count("closed 4711") == 1; }));
}

TEST_F(DoorTest, says_goodbye_until_it_is_heard_and_after_what_was_asked_before) {
    porter().entering = 2s;
    porter().refuse_goodbyes = 2;
    ASSERT_EQ(one.dial(address()), "in");
    world.run_for(100ms);
    one.hang_up();
    world.run_for(1s);
    EXPECT_EQ(porter().count("closed 4711"), 0u) << "enter has not ended";
    ASSERT_TRUE(until([&] { return porter().count("closed 4711") == 3; }, 5s));
    world.run_for(3s);
    EXPECT_EQ(porter().count("closed 4711"), 3u);
}

TEST_F(DoorTest, finds_a_moved_entity_again) {
    ASSERT_EQ(one.dial(address()), "in");
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{1}), std::to_string(1 + player));
    front.inside().clients->moved(one.session);
    porter().to[player] = inside;
    porter().at = {};
    ASSERT_TRUE(until([&] { return porter().count("enter") == 2; }, 1s));
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{2}), std::to_string(2 + player));
    EXPECT_EQ(there().calls, 1u);
}

TEST_F(DoorTest, a_call_that_was_answered_moved_is_made_once_more_on_another_route) {
    ASSERT_EQ(one.dial(address()), "in");
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{1}), std::to_string(1 + player));
    back.inside().host.elsewhere = [&](EntityId, std::string_view) {
        return std::optional(front.inside().rpc.address());
    };
    back.run(back.inside().host.destroy(hero));
    porter().to[player] = inside;
    porter().at = {};
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{2}), std::to_string(2 + player));
    EXPECT_EQ(porter().count("enter"), 2u);
    back.inside().host.elsewhere = nullptr;
}

TEST_F(DoorTest, a_broken_link_ends_the_route_and_the_call) {
    ASSERT_EQ(one.dial(address()), "in");
    auto call = one.begin<&Hero::rest>(0);
    world.run_for(100ms);
    world.cut(front_machine, back_machine);
    EXPECT_EQ(one.finish(std::move(call)), errc::disconnected);
    EXPECT_FALSE(door().routed(one.session));
    EXPECT_EQ(door().stats().failed, 1u);
    world.heal();
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{1}), std::to_string(1 + player));
    EXPECT_EQ(porter().count("enter"), 2u);
}

TEST_F(DoorTest, pushes_and_kicks) {
    ASSERT_EQ(one.dial(address()), "in");
    auto* clients = front.inside().clients;
    EXPECT_TRUE(clients->push(one.session, {fnv1a("Hud.show"), "Hud.show"}, encode(std::tuple(1))));
    EXPECT_FALSE(clients->push(one.session + 1, {fnv1a("Hud.show"), "Hud.show"}, encode(std::tuple(1))));
    ASSERT_TRUE(until([&] { return one.silent.pushed == std::vector<std::string>{"Hud.show"}; }));
    clients->kick(one.session, Error("replaced", "by another"));
    ASSERT_TRUE(until([&] { return one.ended.find("replaced") != std::string::npos; }));
    EXPECT_TRUE(until([&] { return porter().count("closed 4711") == 1; }));
}

/// Stands in a door's place.
struct Noting final : ClientSink {
    bool push(std::uint64_t, rpc::MethodName method, BytesView) override {
        seen.emplace_back(method.text, method.delivery);
        return true;
    }
    void kick(std::uint64_t, const Error&) override {}
    std::vector<std::pair<std::string, Delivery>> seen;
};
struct Hud {
    void show(int) {}
    void score(int) {}
    static consteval auto describe() {
        return type<Hud>("Hud", method<&Hud::show>(Order::sequenced, lane(15), Care::urgent), method<&Hud::score>());
    }
};
Task<> push_both(ClientRef to) {
    gyre::push<&Hud::show>(to, 1);
    gyre::push<&Hud::score>(to, 2);
    co_return;
}

TEST_F(DoorTest, a_push_travels_as_its_method_is_described_from_any_node) {
    Noting noting;
    TestNode gate(world, world.machine("gate_0", "10.0.0.3"), registry, *store, {.role = "gate"});
    gate.start(type_list<Clients>);
    gate.inside().clients = &noting;
    const ClientRef to{1, gate.inside().rpc.address()};
    gate.run(push_both(to));
    back.run(push_both(to));
    EXPECT_TRUE(until([&] { return noting.seen.size() == 4; }));
    const Delivery show{.order = Order::sequenced, .lane = 15, .care = Care::urgent};
    const std::vector<std::pair<std::string, Delivery>> both{{"Hud.show", show}, {"Hud.score", {}}};
    ASSERT_EQ(noting.seen.size(), 4u);
    EXPECT_TRUE(std::equal(both.begin(), both.end(), noting.seen.begin()));
    EXPECT_TRUE(std::equal(both.begin(), both.end(), noting.seen.begin() + 2));
}

TEST_F(DoorTest, closes_when_its_service_stops) {
    ASSERT_EQ(one.dial(address()), "in");
    auto call = one.begin<&Hero::rest>(0);
    world.run_for(100ms);
    front.run(front.stop_services());
    EXPECT_EQ(one.finish(std::move(call)), errc::disconnected);
    EXPECT_TRUE(until([&] { return !one.ended.empty(); }));
    EXPECT_EQ(front.inside().clients, nullptr);
    EXPECT_EQ(door().size(), 0u);
}

TEST_F(DoorTest, methods_hear_of_nodes_that_come_and_go) {
    sim::Machine& late = world.machine("late_0", "10.0.0.3");
    {
        TestNode third{world, late, registry, *store, {.role = "back"}};
        third.start(type_list<Hero>);
        ASSERT_TRUE(until([&] { return !porter().left.empty() && porter().left.back() == "joined late_0"; }));
    }
    ASSERT_TRUE(until([&] { return porter().left.back() == "left late_0"; }));
}

TEST_F(DoorTest, clients_stay_when_the_service_takes_new_code) {
    ASSERT_EQ(one.dial(address()), "in");
    auto call = one.begin<&Hero::rest>(0);
    world.run_for(100ms);
    auto swapping = [](TestNode* node) -> Task<> {
        co_await yield();
        node->inside().host.swap("front", type_list<PorterOf<2>, Hero>).value();
    };
    front.run(swapping(&front));
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{1}), std::to_string(1 + player)) << "the route stays";
    EXPECT_EQ(porter().count("enter"), 1u);
    EXPECT_FALSE(call.done());
    door().find_again(one.session);
    ASSERT_TRUE(until([&] { return porter().count("new code") == 1; }));
    Player two{world, world.machine("client", "10.1.0.1")};
    ASSERT_EQ(two.dial(address()), "in");
    EXPECT_EQ(porter().count("new code"), 2u);
    EXPECT_EQ(one.ended, "");
}

TEST_F(DoorTest, clients_stay_when_the_service_is_carried_over_to_other_data) {
    ASSERT_EQ(one.dial(address()), "in");
    porter().entering = 1h;
    door().find_again(one.session);  // is cancelled, and asked of the new code
    world.run_for(100ms);
    auto call = one.begin<&Hero::echo>(0, std::uint64_t{1});
    auto carrying = [](TestNode* node) -> Task<> {
        co_await yield();
        (void)co_await node->inside().host.carry_over("front", type_list<grown::Porter, Hero>, 100ms);
    };
    front.run(carrying(&front));
    EXPECT_EQ(one.finish(std::move(call)), std::to_string(1 + player));
    const auto& now = front.service<grown::Porter>();
    EXPECT_EQ(now.enters, 1u);
    EXPECT_EQ(now.to.at(player), hero);
    EXPECT_EQ(now.asked.front(), "admit right");
    one.hang_up();
    ASSERT_TRUE(until([&] { return now.asked.back() == "closed"; }));
}

/// Opens and forgets to close; names what it has not.
struct Careless : Service<Careless> {
    static constexpr std::string_view role = "careless";
    std::string refused;
    Task<> on_start() {
        session::ServerConfig config;
        try {
            door().open<&Careless::admit, &Careless::heard, &Careless::heard, &Porter::enter>(config);
        } catch (const Error& error) {
            refused = error.what();
        }
        door().open<&Careless::admit, &Careless::heard, &Careless::heard, &Careless::heard>(config);
        co_return;
    }
    Task<session::Admission> admit(session::Credential) { co_return session::Admission{player}; }
    void heard(SessionInfo) {}
    static consteval auto describe() {
        return type<Careless>("Careless", field<&Careless::refused>(), method<&Careless::admit>(),
                              method<&Careless::heard>());
    }
};

TEST_F(DoorTest, closes_when_its_service_has_forgotten_to) {
    TestNode node{world, world.machine("careless_0", "10.0.0.4"), registry, *store, {.role = "careless"}};
    node.start(type_list<Careless>);
    EXPECT_NE(node.service<Careless>().refused.find("Porter.enter is not a method of Careless"), std::string::npos);
    ASSERT_EQ(one.dial(node.inside().info.client_address), "in");
    EXPECT_EQ(one.call<&Hero::echo>(0, std::uint64_t{2}), errc::unavailable) << "it sets no route";
    node.run(node.stop_services());
    ASSERT_TRUE(until([&] { return !one.ended.empty(); }));
    EXPECT_EQ(node.inside().clients, nullptr);
}

}  // namespace
}  // namespace gyre::module

#include <gtest/gtest.h>

#include <gyre/io/loop.hpp>
#include <gyre/log/capture.hpp>
#include <gyre/world/entity.hpp>

namespace gyre {
namespace {

enum class ItemId : std::uint32_t { none, sword, potion };

struct Stack {
    ItemId item = ItemId::none;
    std::uint16_t count = 0;
    static consteval auto describe() {
        return type<Stack>("Stack", field<&Stack::item>(), field<&Stack::count>());
    }
};

struct Bag : Component<Bag> {
    std::vector<Stack> stacks;
    std::int64_t gold = 0;
    int ticks = 0;

    Task<> put(Stack stack) {
        stacks.push_back(stack);
        co_return;
    }
    Task<Stack> take(ItemId item, std::uint16_t count) {
        for (auto& s : stacks)
            if (s.item == item && s.count >= count) {
                s.count = static_cast<std::uint16_t>(s.count - count);
                co_return Stack{item, count};
            }
        throw Error("not_enough_items", "item=1");
    }
    /// Reads, waits, writes: only right when serial.
    Task<std::int64_t> earn(std::int64_t amount) {
        const auto before = gold;
        co_await sleep(1ms);
        gold = before + amount;
        co_return gold;
    }
    std::int64_t worth() const { return gold; }
    Task<> tick() {
        ++ticks;
        co_return;
    }
    int tick_count() { return ticks; }
    Task<> nap() { co_await sleep(1h); }
    Task<> foreign() {
        throw std::runtime_error("secret");
        co_return;
    }
    static consteval auto describe() {
        return type<Bag>("Bag", field<&Bag::stacks>(persist), field<&Bag::gold>(persist),
                         field<&Bag::ticks>(), method<&Bag::put>(), method<&Bag::take>(Caller::owner),
                         method<&Bag::earn>(serial), method<&Bag::worth>(), method<&Bag::tick>(),
                         method<&Bag::tick_count>(), method<&Bag::nap>(), method<&Bag::foreign>());
    }
};

struct Hero : Entity<Hero, Bag> {
    std::vector<std::string> history;
    Task<> on_start() {
        history.push_back("started on " + current->node->name);
        timers().every<&Hero::beat>(2ms, "beat");
        timers().every<&Hero::beat>(3ms, "beat");
        co_return;
    }
    Task<> on_stop();
    Task<> beat() {
        ++get<Bag>().ticks;
        co_return;
    }
    std::string where() { return current->node->name + "/" + std::to_string(current->entity == id().value); }
    std::size_t quiet() { return timers().cancel("beat"); }
    static consteval auto describe() {
        return type<Hero>("Hero", field<&Hero::history>(), method<&Hero::beat>(),
                          method<&Hero::where>(), method<&Hero::quiet>());
    }
};

int stopped = 0;
Task<> Hero::on_stop() {
    ++stopped;
    co_return;
}

struct Load : Service<Load> {
    static constexpr std::string_view role = "test";
    int calls = 0;
    std::string current_load(int scale) {
        ++calls;
        return current->node->name + ":" + std::to_string(scale * 2);
    }
    static consteval auto describe() {
        return type<Load>("Load", field<&Load::calls>(), method<&Load::current_load>());
    }
};

struct TestNode {
    NodeIdentity identity;
    Scope scope;
    world::Host host;
    rpc::Rpc rpc;

    TestNode(io::Io& io, std::string name, secure::Key key)
        : scope(io.executor(), name, context(name)),
          host(io.executor(), identity, [&io] { return io.random_u64(); }),
          rpc(io, scope, config(name, key), host) {
        identity.scope = &scope;
        identity.rpc = &rpc;
        identity.host = &host;
        static constexpr const world::TypeTable* types[] = {&world::table<Hero>, &world::table<Load>};
        host.add_types(types).value();
        rpc.listen({}).value();
    }
    Context context(const std::string& name) {
        identity.name = name;
        Context c;
        c.node = &identity;
        return c;
    }
    static rpc::RpcConfig config(std::string name, secure::Key key) {
        rpc::RpcConfig c;
        c.name = std::move(name);
        c.incarnation = 1;
        c.key = key;
        return c;
    }
};

Task<> close_node(TestNode* node) {
    co_await node->host.destroy_all();
    co_await node->host.stop_services();
    node->rpc.close();
    co_await node->scope.close();
}

class WorldTest : public testing::Test {
protected:
    WorldTest() { loop.run_task(start(&a)), loop.run_task(start(&b)); }
    ~WorldTest() override { loop.run_task(close_node(&a)), loop.run_task(close_node(&b)); }
    static Task<> start(TestNode* node) { co_await node->host.start_services("test"); }
    template <class T>
    Result<T> run_on(TestNode& node, Task<T> task) {
        auto job = go(node.scope, as_result(std::move(task)));
        EXPECT_TRUE(loop.run_until([&] { return job.done(); }, 5s));
        return loop.run_task(join(std::move(job)));
    }
    template <class T>
    static Task<T> join(Join<T> job) {
        co_return co_await job;
    }
    io::Loop loop;
    secure::Key key{{1, 2, 3}};
    TestNode a{loop, "a", key}, b{loop, "b", key};
};

Task<Id<Hero>> make_hero() { co_return create<Hero>([](Hero& h) { h.get<Bag>().gold = 5; }); }
Task<Stack> play(io::Endpoint where, Id<Hero> hero) {
    auto there = at(where).entity(hero);
    co_await there.call<&Bag::put>({ItemId::sword, 5});
    co_return co_await there.call<&Bag::take>(ItemId::sword, 3);
}

TEST_F(WorldTest, an_entity_is_called_from_its_node_and_from_another) {
    const auto hero = run_on(a, make_hero()).value();
    EXPECT_EQ(run_on(a, play(a.rpc.address(), hero)).value().count, 3);
    EXPECT_EQ(run_on(b, play(a.rpc.address(), hero)).value().count, 3);
    auto where = [](io::Endpoint to, Id<Hero> h) -> Task<std::string> {
        co_return co_await at(to).entity(h).call<&Hero::where>();
    };
    EXPECT_EQ(run_on(b, where(a.rpc.address(), hero)).value(), "a/1");
    EXPECT_EQ(a.host.find(hero.value)->type.name, "Hero");
}

TEST_F(WorldTest, errors_come_back_by_name) {
    const auto hero = run_on(a, make_hero()).value();
    auto take = [](io::Endpoint to, Id<Hero> h) -> Task<Stack> {
        co_return co_await at(to).entity(h).call<&Bag::take>(ItemId::potion, 60'000);
    };
    EXPECT_EQ(run_on(b, take(a.rpc.address(), hero)).error().code(), "not_enough_items");
    EXPECT_EQ(run_on(b, take(a.rpc.address(), Id<Hero>{7})).error().code(), errc::entity_gone);
    auto foreign = [](io::Endpoint to, Id<Hero> h) -> Task<> {
        co_await at(to).entity(h).call<&Bag::foreign>();
    };
    log::Capture log;
    const auto failed = run_on(b, foreign(a.rpc.address(), hero));
    EXPECT_EQ(failed.error().code(), errc::internal);
    EXPECT_EQ(failed.error().message().find("secret"), std::string::npos);
    EXPECT_TRUE(log.has("rpc.method_failed"));
    auto raw = [](rpc::Rpc* rpc, io::Endpoint to, EntityId id, std::string name, Bytes args,
                  rpc::CallerId caller) -> Task<Bytes> {
        auto options = rpc->default_options();
        options.caller = caller;
        co_return co_await rpc->call({.entity = id, .at = to}, {fnv1a(name), name}, args, options);
    };
    const Bytes none{0x90};
    const auto call = [&](std::string name, Bytes args, rpc::CallerId caller) {
        return run_on(b, raw(&b.rpc, a.rpc.address(), hero.value, name, args, caller)).error();
    };
    EXPECT_EQ(call("Bag.fly", none, {}).code(), errc::unknown_method);
    EXPECT_EQ(call("Bag.put", none, {}).code(), errc::bad_arguments);
    EXPECT_EQ(call("Bag.put", encode(std::tuple(std::string("x"))), {}).code(), errc::bad_arguments);
    EXPECT_EQ(call("Bag.put", none, {hero.value, 9}).code(), errc::forbidden);
    EXPECT_EQ(call("Bag.take", none, {hero.value + 1, 9}).code(), errc::forbidden);
    EXPECT_EQ(call("Bag.take", none, {hero.value, 9}).code(), errc::bad_arguments);
}

TEST_F(WorldTest, services_answer_by_address) {
    auto ask = [](io::Endpoint to) -> Task<std::string> {
        co_return co_await at(to.to_string()).service<Load>().call<&Load::current_load>(4);
    };
    EXPECT_EQ(run_on(a, ask(b.rpc.address())).value(), "b:8");
    EXPECT_EQ(run_on(a, ask(a.rpc.address())).value(), "a:8");
}

TEST_F(WorldTest, serial_methods_queue) {
    const auto hero = run_on(a, make_hero()).value();
    auto earn = [](io::Endpoint to, Id<Hero> h) -> Task<std::int64_t> {
        std::vector<Join<std::int64_t>> all;
        for (int i = 0; i < 10; ++i) all.push_back(go(at(to).entity(h).call<&Bag::earn>(10)));
        for (auto& job : all) (void)co_await job;
        co_return co_await at(to).entity(h).call<&Bag::worth>();
    };
    EXPECT_EQ(run_on(b, earn(a.rpc.address(), hero)).value(), 105);
}

TEST_F(WorldTest, timers_share_a_key_and_end_together) {
    const auto hero = run_on(a, make_hero()).value();
    auto ticks = [](io::Endpoint to, Id<Hero> h) -> Task<std::size_t> {
        while (co_await at(to).entity(h).call<&Bag::tick_count>() < 5) co_await sleep(1ms);
        co_return co_await at(to).entity(h).call<&Hero::quiet>();
    };
    EXPECT_EQ(run_on(b, ticks(a.rpc.address(), hero)).value(), 2u);
}

TEST_F(WorldTest, destroying_refuses_calls_and_ends_those_in_flight) {
    const auto hero = run_on(a, make_hero()).value();
    auto nap = [](io::Endpoint to, Id<Hero> h) -> Task<> {
        co_await at(to).entity(h).within(1h).call<&Bag::nap>();
    };
    auto job = go(b.scope, as_result(nap(a.rpc.address(), hero)));
    auto worth = [](io::Endpoint to, Id<Hero> h) -> Task<std::int64_t> {
        co_return co_await at(to).entity(h).call<&Bag::worth>();
    };
    EXPECT_EQ(run_on(b, worth(a.rpc.address(), hero)).value(), 5);
    stopped = 0;
    (void)run_on(a, [](world::Host* host, EntityId id) -> Task<> { co_await host->destroy(id); }(
                        &a.host, hero.value));
    EXPECT_EQ(stopped, 1);
    EXPECT_EQ(a.host.entities(), 0u);
    EXPECT_TRUE(loop.run_until([&] { return job.done(); }, 5s));
    EXPECT_EQ(loop.run_task(join(std::move(job))).error().code(), errc::disconnected);
    EXPECT_EQ(run_on(b, worth(a.rpc.address(), hero)).error().code(), errc::entity_gone);
}

TEST_F(WorldTest, a_stranger_without_the_key_is_refused) {
    log::Capture log;
    TestNode stranger(loop, "stranger", secure::Key{{9}});
    auto ask = [](io::Endpoint to) -> Task<std::string> {
        co_return co_await at(to).service<Load>().call<&Load::current_load>(4);
    };
    const auto refused = run_on(stranger, ask(a.rpc.address()));
    ASSERT_FALSE(refused);
    EXPECT_NE(std::string(refused.error().what()).find("another cluster key"), std::string::npos);
    EXPECT_TRUE(loop.run_until([&] { return log.has("rpc.stranger"); }, 5s));
    loop.run_task(close_node(&stranger));
}

TEST_F(WorldTest, a_lost_node_ends_calls_disconnected_and_is_reported) {
    auto node = std::make_unique<TestNode>(loop, "c", key);
    const auto address = node->rpc.address();
    const auto hero = run_on(*node, make_hero()).value();
    std::string lost;
    a.rpc.on_link_lost = [&](const io::Endpoint& at, const Error&) { lost = at.to_string(); };
    auto nap = [](io::Endpoint to, Id<Hero> h) -> Task<> {
        co_await at(to).entity(h).within(1h).call<&Bag::nap>();
    };
    auto job = go(a.scope, as_result(nap(address, hero)));
    EXPECT_TRUE(loop.run_until([&] { return a.rpc.links() == 1; }, 5s));
    node->rpc.close();
    EXPECT_TRUE(loop.run_until([&] { return job.done(); }, 5s));
    EXPECT_EQ(loop.run_task(join(std::move(job))).error().code(), errc::disconnected);
    EXPECT_EQ(lost, address.to_string());
    loop.run_task(close_node(node.get()));
}

}  // namespace
}  // namespace gyre

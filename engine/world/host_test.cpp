#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/world/entity.hpp>

namespace gyre {
namespace {

std::vector<std::string> events;
Duration start_delay{};
bool fail_in_hook = false, leave_a_task = false, fail_in_start = false, hang_in_stop = false;

Task<> forget() { co_await sleep(1h); }

struct Part : Component<Part> {
    std::int64_t worth = 0;
    Task<> on_start() {
        events.push_back("start Part");
        co_return;
    }
    Task<> on_stop() {
        events.push_back("stop Part");
        if (fail_in_hook) throw Error("broken", "on purpose");
        co_return;
    }
    std::int64_t get_worth() { return worth; }
    static consteval auto describe() {
        return type<Part>("Part", field<&Part::worth>(persist), method<&Part::get_worth>());
    }
};
struct Other : Component<Other> {
    int seen = 0;
    Task<> on_stop() {
        co_await sleep(1ms);
        events.push_back("stop Other");
        if (leave_a_task) {
            (void)go(scope(), forget());
            timers().after(1h, "late", [] {});
        }
    }
    static consteval auto describe() { return type<Other>("Other", field<&Other::seen>()); }
};

struct Actor : Entity<Actor, Part, Other> {
    int beats = 0;
    std::string text = std::string(100, 'x');
    Task<> on_start() {
        events.push_back("start Actor");
        if (start_delay > 0ms) co_await sleep(start_delay);
        if (fail_in_start) throw Error("broken", "at the start");
        events.push_back("started");
    }
    Task<> on_stop() {
        events.push_back("stop Actor");
        if (hang_in_stop) co_await sleep(1h);
        co_return;
    }
    Task<> nap() { co_await sleep(1h); }
    Task<> slow(std::string label) {
        events.push_back(label);
        co_await sleep(10ms);
        events.push_back(label + "!");
    }
    int ping() { return ++beats; }
    void beat_once() { ++beats, timers().cancel("beat"); }
    void beat_and_retire() { ++beats, retire(id()); }
    void start_timers(std::string which) {
        if (which == "once") timers().every<&Actor::beat_once>(1ms, "beat");
        if (which == "retire") timers().every<&Actor::beat_and_retire>(1ms, "beat");
        const auto big = std::make_shared<std::string>(100, 'y');
        if (which == "after_retire")
            timers().after(1ms, "end", [this, big, copy = *big] {
                retire(id());
                retire(id());
                events.push_back("after retire: " + std::to_string(text.size() + copy.size()));
            });
        if (which == "after_cancel")
            timers().after(1ms, "end", [this, big, copy = *big] {
                events.push_back("cancelled " + std::to_string(timers().cancel("end")));
                events.push_back(std::to_string(copy.size() + big->size()));
            });
        if (which == "after_throw") timers().after(0ms, "end", [] { throw Error("broken", "in a timer"); });
        if (which == "after_go")
            timers().after(1ms, "end", [this] {
                (void)go(slow("from a timer"));
                timers().after(1ms, "end", [] { events.push_back("again"); });
            });
    }
    Task<> destroy_self() { co_await current->node->host->destroy(id().value); }
    static consteval auto describe() {
        return type<Actor>("Actor", field<&Actor::beats>(), field<&Actor::text>(),
                           method<&Actor::nap>(), method<&Actor::slow>(serial), method<&Actor::ping>(Caller::anyone),
                           method<&Actor::beat_once>(), method<&Actor::beat_and_retire>(),
                           method<&Actor::start_timers>(), method<&Actor::destroy_self>());
    }
};

struct Nest : Entity<Nest> {
    Id<Actor> child;
    Task<> on_start() {
        child = create<Actor>();
        co_return;
    }
    static consteval auto describe() { return type<Nest>("Nest", field<&Nest::child>()); }
};
/// Stored too, and it shares a component with Actor.
struct Guild : Entity<Guild, Part> {
    static consteval auto describe() { return type<Guild>("Guild"); }
};

/// Loads after 5 ms, each id once; "documents" says which there are.
class TestKeeper : public world::Keeper {
public:
    explicit TestKeeper(world::Host& host) : host_(host) { host.set_keeper(this); }
    ~TestKeeper() override { host_.set_keeper(nullptr); }
    Task<> activate(EntityId id, const world::TypeTable& type) override {
        ++asked;
        if (const auto found = loading.find(id); found != loading.end()) {
            const auto other = found->second;
            co_await other->wait();
        } else {
            const auto mine = loading.emplace(id, std::make_shared<Event>()).first->second;
            co_await sleep(5ms);
            ++loads;
            const auto document = documents.find(id);
            if (document != documents.end() && document->second == type.name && !host_.find(id))
                host_.create(type, id).storage = std::make_shared<int>(1);
            loading.erase(id);
            mine->set();
        }
        if (!failure.empty()) throw Error(failure);
        if (!host_.find(id)) throw Error(errc::entity_gone);
    }
    Task<> stopped(world::Record& record) override {
        co_await sleep(1ms);
        events.push_back("saved " + std::string(record.type.name));
        if (!failure.empty()) throw Error(failure);
    }
    std::map<EntityId, std::string> documents;
    std::map<EntityId, std::shared_ptr<Event>> loading;
    std::string failure;
    int asked = 0, loads = 0;

private:
    world::Host& host_;
};

class HostTest : public testing::Test {
protected:
    HostTest() {
        events.clear();
        start_delay = {};
        fail_in_hook = leave_a_task = fail_in_start = hang_in_stop = false;
        identity.name = "n";
        identity.scope = &scope;
        identity.rpc = &rpc;
        identity.host = &host;
        static constexpr const world::TypeTable* types[] = {
            &world::table<Actor>, &world::table<Guild>, &world::table<Nest>};
        host.add_types(types).value();
        rpc.listen({"10.0.0.1", 100}).value();
        machine.executor().on_dropped_failure = [](const Error& e, const std::exception_ptr&) { events.push_back("dropped " + e.code()); };
    }
    ~HostTest() override {
        run([](HostTest* t) -> Task<> {
            co_await t->host.destroy_all();
            t->rpc.close();
        }(this));
        world.run(machine, scope.close());
    }
    Context context() {
        Context c;
        c.node = &identity;
        return c;
    }
    /// As a task of the node.
    template <class T>
    T run(Task<T> task) {
        auto job = go(scope, std::move(task));
        EXPECT_TRUE(world.run_until([&] { return job.done(); }, 1min));
        return world.run(machine, join(std::move(job)));
    }
    template <class T>
    static Task<T> join(Join<T> job) {
        co_return co_await job;
    }
    static Task<Id<Actor>> make() { co_return create<Actor>(); }
    static Task<> destroying(HostTest* t, EntityId id) { co_await t->host.destroy(id); }
    template <auto M, class... A>
    void ask(Id<Actor> id, A... arguments) {
        (void)go(scope, asking<M, A...>(this, id, std::move(arguments)...));
    }
    template <auto M, class... A>
    static Task<> asking(HostTest* t, Id<Actor> id, A... arguments) {
        const auto result =
            co_await as_result(at(t->rpc.address()).entity(id).within(t->limit).template call<M>(
                std::move(arguments)...));
        t->out += (result ? "ok" : result.error().code()) + " ";
    }
    std::string asked() {
        world.run_for(100ms);
        return std::exchange(out, {});
    }
    static rpc::RpcConfig rpc_config() {
        rpc::RpcConfig c;
        c.name = "n";
        return c;
    }
    using Strings = std::vector<std::string>;

    log::Capture log{log::Level::warn};
    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& machine = world.machine("n", "10.0.0.1");
    NodeIdentity identity;
    Scope scope{machine.executor(), "n", context()};
    world::Host host{machine.executor(), identity, [this] { return machine.random_u64(); }};
    rpc::Rpc rpc{machine, scope, rpc_config(), host};
    Duration limit = 5s;
    std::string out;
};

TEST_F(HostTest, an_entity_is_marked_when_a_task_of_it_ran) {
    constexpr auto who = world::MarkFor::sync;
    const auto marked = [&] {
        std::string ids;
        host.each_marked(who, [&](world::Record& r) { ids += std::to_string(r.id) + " "; });
        return ids;
    };
    for (const EntityId id : {3, 1, 2}) host.create(world::table<Actor>, id);
    EXPECT_EQ(marked(), "1 2 3 ") << "new ones";
    EXPECT_EQ(marked(), "");
    world.run_for(10ms);
    EXPECT_EQ(marked(), "") << "nothing of them ran";
    run([](world::Host* h) -> Task<> {
        (void)go(h->find(2)->scope, forget());
        find_local(Id<Actor>{3});
        co_return;
    }(&host));
    EXPECT_EQ(marked(), "2 3 ");
    world.run_for(30min);
    EXPECT_EQ(marked(), "");
    world.run_for(31min);
    EXPECT_EQ(marked(), "2 ") << "its task was resumed";
    EXPECT_TRUE(host.find(2)->marked(world::MarkFor::save)) << "who saves has not looked yet";
}

TEST_F(HostTest, hooks_start_with_the_entity_and_stop_in_reverse) {
    const auto id = run(make());
    world.run_for(1ms);
    run(destroying(this, id.value));
    EXPECT_EQ(events, (Strings{"start Actor", "started", "start Part", "stop Other", "stop Part",
                               "stop Actor"}));
    EXPECT_EQ(host.find(id.value), nullptr);
}

TEST_F(HostTest, a_hook_that_fails_keeps_no_other_from_running) {
    fail_in_hook = true;
    const auto id = run(make());
    events.clear();
    run(destroying(this, id.value));
    EXPECT_EQ(events, (Strings{"stop Other", "stop Part", "stop Actor"}));
    EXPECT_TRUE(log.has("world.stop_failed", "Part"));
    EXPECT_EQ(host.entities(), 0u);
}

TEST_F(HostTest, one_that_fails_to_start_ends_and_says_why) {
    fail_in_start = true;
    start_delay = 1ms;
    const auto id = run(make());
    ask<&Actor::ping>(id);
    std::string why;
    (void)go(scope, [](io::Endpoint here, Id<Actor> who, std::string* out) -> Task<> {
        const auto result = co_await as_result(at(here).entity(who).call<&Actor::ping>());
        *out = result ? "ok" : result.error().message();
    }(rpc.address(), id, &why));
    EXPECT_EQ(asked(), "entity_gone ");
    EXPECT_NE(why.find("did not start: broken: at the start"), std::string::npos) << why;
    EXPECT_EQ(host.entities(), 0u);
    EXPECT_EQ(std::count(events.begin(), events.end(), "stop Actor"), 0) << "what has not begun is not ended";
    EXPECT_TRUE(log.has("world.start_failed", "at the start"));
}

TEST_F(HostTest, an_on_stop_that_hangs_is_cut_off) {
    hang_in_stop = true;
    const auto id = run(make());
    run(destroying(this, id.value));
    EXPECT_TRUE(log.has("world.stop_failed", "timed_out"));
    EXPECT_EQ(host.entities(), 0u);
    EXPECT_EQ(scope.running(), 0u);
}

TEST_F(HostTest, what_a_hook_leaves_behind_ends_with_the_entity) {
    leave_a_task = true;
    const auto id = run(make());
    run(destroying(this, id.value));
    EXPECT_EQ(host.entities(), 0u);
    EXPECT_EQ(scope.running(), 0u);
}

TEST_F(HostTest, destroying_ends_calls_in_flight_and_refuses_new_ones) {
    const auto id = run(make());
    ask<&Actor::nap>(id);
    ask<&Actor::slow>(id, std::string("a"));
    ask<&Actor::slow>(id, std::string("b"));  // waits in line
    host.retire(id.value);
    ask<&Actor::ping>(id);
    EXPECT_EQ(asked(), "entity_gone disconnected disconnected disconnected ");
    EXPECT_EQ(std::count(events.begin(), events.end(), "b"), 0);
    ask<&Actor::ping>(id);
    EXPECT_EQ(asked(), "entity_gone ");
}

TEST_F(HostTest, destroyed_twice_it_ends_once) {
    const auto id = run(make());
    events.clear();
    host.retire(id.value);
    host.retire(id.value);
    run(destroying(this, id.value));
    world.run_for(10ms);
    EXPECT_EQ(std::count(events.begin(), events.end(), "stop Actor"), 1);
    host.retire(id.value);
    world.run_for(10ms);
    EXPECT_EQ(events.size(), 3u);
}

TEST_F(HostTest, an_entity_cannot_wait_for_its_own_end_and_lives_on) {
    const auto id = run(make());
    ask<&Actor::destroy_self>(id);
    EXPECT_EQ(asked(), "closed_from_inside ");
    ask<&Actor::ping>(id);
    EXPECT_EQ(asked(), "ok ");
}

TEST_F(HostTest, a_timer_cancels_itself) {
    const auto id = run(make());
    ask<&Actor::start_timers>(id, std::string("once"));
    EXPECT_EQ(asked(), "ok ");
    EXPECT_EQ(host.find(id.value)->timers.size(), 0u);
    EXPECT_EQ(static_cast<Actor*>(host.find(id.value)->object)->beats, 1);
    events.clear();
    ask<&Actor::start_timers>(id, std::string("after_cancel"));
    (void)asked();
    EXPECT_EQ(events, (Strings{"cancelled 0", "200"}));
}

TEST_F(HostTest, a_timer_retires_its_own_entity) {
    for (const char* which : {"retire", "after_retire"}) {
        events.clear();
        const auto id = run(make());
        ask<&Actor::start_timers>(id, std::string(which));
        (void)asked();
        EXPECT_EQ(host.find(id.value), nullptr) << which;
        EXPECT_EQ(std::count(events.begin(), events.end(), "stop Actor"), 1);
        if (which == std::string("after_retire")) EXPECT_EQ(events[3], "after retire: 200");
    }
}

TEST_F(HostTest, a_timer_that_fails_harms_nobody) {
    const auto id = run(make());
    ask<&Actor::start_timers>(id, std::string("after_throw"));
    (void)asked();
    EXPECT_EQ(events.back(), "dropped broken");
    ask<&Actor::ping>(id);
    EXPECT_EQ(asked(), "ok ");
}

TEST_F(HostTest, a_timer_starts_tasks_and_timers) {
    const auto id = run(make());
    events.clear();
    ask<&Actor::start_timers>(id, std::string("after_go"));
    (void)asked();
    EXPECT_EQ(events, (Strings{"from a timer", "again", "from a timer!"}));
}

TEST_F(HostTest, on_start_creates_entities) {
    auto nest = []() -> Task<Id<Nest>> { co_return create<Nest>(); };
    const auto id = run(nest());
    const auto* record = host.find(id.value);
    ASSERT_TRUE(record);
    EXPECT_TRUE(host.find(static_cast<Nest*>(record->object)->child.value));
    EXPECT_EQ(host.entities(), 2u);
}

TEST_F(HostTest, a_set_up_that_fails_leaves_no_entity) {
    auto fail = []() -> Task<> {
        (void)create<Actor>([](Actor&) { throw Error("no_room"); });
        co_return;
    };
    EXPECT_EQ(run(as_result(fail())).error().code(), "no_room");
    EXPECT_EQ(host.entities(), 0u);
}

TEST_F(HostTest, calls_before_it_has_started_wait_in_order) {
    start_delay = 20ms;
    const auto id = run(make());
    events.clear();
    ask<&Actor::slow>(id, std::string("a"));
    ask<&Actor::slow>(id, std::string("b"));
    ask<&Actor::ping>(id);
    world.run_for(10ms);
    EXPECT_EQ(out, "");
    EXPECT_EQ(asked(), "ok ok ok ");
    EXPECT_EQ(events, (Strings{"started", "start Part", "a", "a!", "b", "b!"}));
}

TEST_F(HostTest, destroyed_before_it_has_started_it_is_gone_for_those_who_wait) {
    start_delay = 1h;
    const auto id = run(make());
    ask<&Actor::ping>(id);
    world.run_for(1ms);
    run(destroying(this, id.value));
    EXPECT_EQ(asked(), "entity_gone ");
    EXPECT_EQ(host.entities(), 0u);
}

TEST_F(HostTest, a_serial_call_nobody_waits_for_any_more_is_not_run) {
    const auto id = run(make());
    ask<&Actor::slow>(id, std::string("a"));
    limit = 5ms;
    ask<&Actor::slow>(id, std::string("b"));
    limit = 1s;
    ask<&Actor::slow>(id, std::string("c"));
    EXPECT_EQ(asked(), "timed_out ok ok ");
    EXPECT_EQ(std::count(events.begin(), events.end(), "b"), 0);
    EXPECT_EQ(host.find(id.value)->serial.free(), 1u);
}

TEST_F(HostTest, a_stored_entity_is_loaded_once_for_all_who_call_it) {
    TestKeeper keeper(host);
    keeper.documents[42] = "Actor";
    for (int i = 0; i < 10; ++i) ask<&Actor::ping>(Id<Actor>{42});
    EXPECT_EQ(asked(), "ok ok ok ok ok ok ok ok ok ok ");
    EXPECT_EQ(keeper.loads, 1);
    EXPECT_EQ(static_cast<Actor*>(host.find(42)->object)->beats, 10);
    events.clear();
    run(destroying(this, 42));
    EXPECT_EQ(events.back(), "saved Actor");
}

TEST_F(HostTest, all_who_wait_hear_why_it_could_not_be_loaded) {
    TestKeeper keeper(host);
    ask<&Actor::ping>(Id<Actor>{43});
    ask<&Actor::ping>(Id<Actor>{43});
    EXPECT_EQ(asked(), "entity_gone entity_gone ");
    keeper.failure = errc::fenced;
    ask<&Actor::ping>(Id<Actor>{43});
    ask<&Actor::ping>(Id<Actor>{43});
    EXPECT_EQ(asked(), "fenced fenced ");
    EXPECT_EQ(host.entities(), 0u);
}

TEST_F(HostTest, a_component_of_two_stored_types_finds_the_one_with_a_document) {
    TestKeeper keeper(host);
    keeper.documents[44] = "Guild";
    keeper.documents[45] = "Actor";
    auto worth = [](EntityId id) -> Task<std::int64_t> {
        co_return co_await at(current->node->rpc->address()).entity(Id<Guild>{id}).call<&Part::get_worth>();
    };
    EXPECT_TRUE(run(as_result(worth(44))));
    EXPECT_EQ(host.find(44)->type.name, "Guild");
    EXPECT_TRUE(run(as_result(worth(45))));
    EXPECT_EQ(host.find(45)->type.name, "Actor");
    EXPECT_EQ(run(as_result(worth(46))).error().code(), errc::entity_gone);
}

TEST_F(HostTest, a_client_makes_nobody_load_but_itself) {
    TestKeeper keeper(host);
    keeper.documents[42] = "Actor";
    auto raw = [](rpc::Rpc* from, EntityId caller) -> Task<Bytes> {
        rpc::CallOptions options;
        options.caller = {caller, 1};
        co_return co_await from->call({.entity = 42, .at = from->address()}, rpc::method_name<&Actor::ping>,
                                       Bytes{0x90}, options);
    };
    EXPECT_EQ(run(as_result(raw(&rpc, 41))).error().code(), errc::entity_gone);
    EXPECT_EQ(keeper.asked, 0);
    EXPECT_TRUE(run(as_result(raw(&rpc, 42))));
}

TEST_F(HostTest, a_last_save_that_fails_is_told_and_the_entity_ends) {
    TestKeeper keeper(host);
    keeper.documents[42] = "Actor";
    ask<&Actor::ping>(Id<Actor>{42});
    (void)asked();
    keeper.failure = "disk_full";
    run(destroying(this, 42));
    EXPECT_TRUE(log.has("world.last_save_failed", "disk_full"));
    EXPECT_EQ(host.entities(), 0u);
}

TEST_F(HostTest, a_closing_node_stops_its_entities_whole) {
    (void)run(make());
    (void)run(make());
    events.clear();
    auto closing = go(scope, [](world::Host* h) -> Task<> { co_await h->destroy_all(); }(&host));
    closing.cancel();  // amid of it
    world.run_for(100ms);
    EXPECT_EQ(std::count(events.begin(), events.end(), "stop Actor"), 2);
    EXPECT_EQ(host.entities(), 0u);
}

}  // namespace
}  // namespace gyre

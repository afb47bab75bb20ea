#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/world/entity.hpp>

namespace gyre {
namespace {

struct Stand : Entity<Stand> {
    int served = 0;
    Task<int> slow() {
        co_await sleep(10ms);
        co_return ++served;
    }
    int quick() { return ++served; }
    void broken() { throw Error("broken", "on purpose"); }
    Task<int> down(int levels) {
        if (levels == 0) co_return 0;
        co_return 1 + co_await remote(id()).call<&Stand::down>(levels - 1);
    }
    static consteval auto describe() {
        return type<Stand>("Stand", field<&Stand::served>(), method<&Stand::slow>(limit_at_once(2)),
                           method<&Stand::quick>(Caller::anyone, limit_per_second(5)),
                           method<&Stand::broken>(Caller::owner), method<&Stand::down>());
    }
};

class Limits : public testing::Test {
protected:
    Limits() {
        const world::TypeTable* types[] = {&world::table<Stand>};
        host.add_types(types).value();
        identity.scope = &scope, identity.host = &host, identity.rpc = &rpc;
        ContextGuard guard(&scope.context());
        first = create<Stand>(), second = create<Stand>();
    }
    ~Limits() override {
        rpc.close();
        auto end = [](world::Host* h, Scope* s) -> Task<> {
            co_await h->destroy_all();
            co_await s->close();
        };
        (void)go(machine.scope(), end(&host, &scope));
        world.run_for(1min);
    }
    template <auto M>
    static Task<> call(Id<Stand> id, std::string* out) {
        const auto result = co_await as_result(remote(id).call<M>());
        *out += result ? "ok " : result.error().code() + " ";
    }
    template <auto M>
    void calls(Id<Stand> id, int count) {
        for (int i = 0; i < count; ++i) (void)go(scope, call<M>(id, &out));
    }
    const rpc::MethodStats& stats(std::string_view method) { return host.method_stats().find(method)->second; }

    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& machine = world.machine("node", "10.0.0.1");
    NodeIdentity identity;
    Scope scope{machine.executor(), "node", {.node = &identity}};
    world::Host host{machine.executor(), identity, [this] { return machine.random_u64(); }};
    rpc::Rpc rpc{machine, scope, {.name = "node"}, host};
    Id<Stand> first, second;
    std::string out;
};

TEST_F(Limits, calls_at_once_are_of_one_object_and_end) {
    world.run_for(1ms);
    calls<&Stand::slow>(first, 3);
    EXPECT_EQ(out, "overloaded ");
    calls<&Stand::slow>(second, 1);
    world.run_for(9ms);
    EXPECT_EQ(stats("Stand.slow").running, 3u);
    world.run_for(2ms);
    EXPECT_EQ(out, "overloaded ok ok ok ");
    calls<&Stand::slow>(first, 1);
    world.run_for(20ms);
    EXPECT_EQ(out, "overloaded ok ok ok ok ");
    EXPECT_EQ(stats("Stand.slow").calls, 4u);
    EXPECT_EQ(stats("Stand.slow").refused, 1u);
    EXPECT_EQ(stats("Stand.slow").running, 0u);
    EXPECT_EQ(stats("Stand.slow").running_max, 3u);
    EXPECT_EQ(stats("Stand.slow").time, 40ms);
    EXPECT_EQ(stats("Stand.slow").time_max, 10ms);
}

TEST_F(Limits, a_rate_is_saved_up_for_two_seconds) {
    world.run_for(1ms);
    calls<&Stand::quick>(first, 12);
    EXPECT_EQ(out, "ok ok ok ok ok ok ok ok ok ok overloaded overloaded ");
    out.clear();
    world.run_for(400ms);
    calls<&Stand::quick>(first, 3);
    EXPECT_EQ(out, "ok ok overloaded ");
}

TEST_F(Limits, failures_and_refusals_are_counted) {
    world.run_for(1ms);
    log::Capture log;
    calls<&Stand::broken>(first, 2);
    EXPECT_EQ(out, "broken broken ");
    EXPECT_EQ(stats("Stand.broken").failed, 2u);
    rpc::IncomingCall from_client;
    from_client.entity = first.value;
    from_client.method = rpc::method_name<&Stand::broken>;
    from_client.caller = {second.value, 7};
    host.dispatch(from_client, {});
    EXPECT_EQ(stats("Stand.broken").refused, 1u);
    EXPECT_EQ(stats("Stand.broken").calls, 2u);
}

TEST_F(Limits, calls_within_calls_do_not_grow_the_stack) {
    world.run_for(1ms);
    auto dive = [](Id<Stand> id, int* levels) -> Task<> {
        *levels = co_await remote(id).call<&Stand::down>(20'000);
    };
    int levels = 0;
    (void)go(scope, dive(first, &levels));
    world.run_for(1s);
    EXPECT_EQ(levels, 20'000);
}

}  // namespace
}  // namespace gyre

#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/codec/codec.hpp>
#include <gyre/world/entity.hpp>
#include <gyre/world/rows.hpp>

namespace gyre {
namespace {

TimePoint machine_clock{};  // What the meter reads: systems "take" time by moving it.

struct Heat {
    float degrees = 0;
    static consteval auto describe() { return type<Heat>("heat", field<&Heat::degrees>()); }
};

struct Arena : Entity<Arena> {
    int calls = 0;
    void step() {
        ++calls;
        rules.tick(1.0f / 50);
    }
    void step_and_stop() {
        ++calls;
        ticks().remove(rules);
    }
    void step_and_retire() {
        ++calls;
        retire(id());
    }
    void begin(bool by_method) {
        weather.spawn(Heat{});
        stepped = by_method;
        on_after_reload();
    }
    void on_after_reload() {  // what is code goes with it: the same at the start and after a reload
        weather.system<Heat>("warm", ecs::Phase::simulate,
                             [](float dt_s, Heat& heat) { heat.degrees += dt_s; });
        ticks().add(weather, 10_hz, "weather");
        if (stepped) ticks().add<&Arena::step>(rules, 50_hz, "rules");
    }
    const world::TickStats& stats(const ecs::World& world) { return ticks().stats(world); }
    template <auto M>
    void add() {
        ticks().add<M>(rules, 50_hz, "rules");
    }
    std::size_t ticked() { return ticks().size(); }
    bool stepped = false;
    Rows<Heat> weather, rules;
    static consteval auto describe() {
        return type<Arena>("Arena", field<&Arena::calls>(), field<&Arena::stepped>(),
                           field<&Arena::weather>(), field<&Arena::rules>(), method<&Arena::step>(),
                           method<&Arena::step_and_stop>(), method<&Arena::step_and_retire>());
    }
};

class TicksTest : public testing::Test {
protected:
    TicksTest() {
        machine_clock = {};
        identity.name = "n";
        identity.scope = &scope;
        identity.host = &host;
        static constexpr const world::TypeTable* types[] = {&world::table<Arena>};
        host.add_types(types).value();
        host.set_tick_meter({[] { return machine_clock; }, &metrics});
        executor.on_dropped_failure = [this](const Error& error, const std::exception_ptr&) { failures.push_back(error.code()); };
        record = &host.create(world::table<Arena>, 7);
        arena = static_cast<Arena*>(record->object);
    }
    ~TicksTest() override {
        (void)go(scope, host.destroy_all());
        for (int i = 0; i < 100 && host.entities() > 0; ++i) executor.turn(executor.now());
        (void)go(other, scope.close());
        executor.turn(executor.now());
    }
    void turn_at(Duration time) { executor.turn(TimePoint{} + time); }
    /// Loop turns every millisecond.
    void pass(Duration time) {
        for (const TimePoint end = executor.now() + time; executor.now() < end;)
            executor.turn(executor.now() + 1ms);
    }
    std::uint64_t counted(const char* name, const char* world) {
        const auto snapshot = metrics.snapshot();
        const auto* sample = snapshot.find(name, {{"world", world}});
        return sample ? static_cast<std::uint64_t>(sample->value) : 0;
    }

    Executor executor;
    NodeIdentity identity;
    Context context() {
        Context c;
        c.node = &identity;
        return c;
    }
    Scope other{executor, "other", context()}, scope{executor, "n", context()};
    metric::Registry metrics;
    std::uint64_t random = 1;
    world::Host host{executor, identity, [this] { return random++; }};
    world::Record* record;
    Arena* arena;
    std::vector<std::string> failures;
};

TEST_F(TicksTest, worlds_tick_each_at_its_own_rate_without_drift) {
    arena->begin(true);
    pass(3s);
    EXPECT_EQ(arena->weather.ticks(), 30u);
    EXPECT_EQ(arena->rules.ticks(), 150u);
    EXPECT_EQ(arena->calls, 150);
    float degrees = 0;
    arena->weather.each<const Heat>([&](const Heat& heat) { degrees = heat.degrees; });
    EXPECT_NEAR(degrees, 3.0f, 1e-4f);
    EXPECT_EQ(arena->stats(arena->rules).lag_max, 0ms);
    EXPECT_EQ(arena->stats(arena->rules).skipped, 0u);
}

TEST_F(TicksTest, a_rate_that_divides_no_second_keeps_time_for_an_hour) {
    ecs::World world;
    record->ticks.add(world, TickRate{30}, "thirty");
    for (int second = 1; second <= 3'600; ++second)
        for (int part = 0; part < 30; ++part)
            turn_at(std::chrono::seconds(second - 1) + Duration((part + 1) * 1'000'000'000ll / 30));
    EXPECT_EQ(world.ticks(), 3'600u * 30);
    EXPECT_EQ(record->ticks.stats(world).lag_max, 0ns);
    record->ticks.remove(world);
}

TEST_F(TicksTest, late_ticks_are_made_up_for_one_a_turn_and_never_too_many) {
    arena->begin(true);
    turn_at(100ms);  // Five of the rules are due.
    EXPECT_EQ(arena->calls, 1);
    EXPECT_EQ(arena->stats(arena->rules).lag, 80ms);
    for (int i = 0; i < 10; ++i) turn_at(100ms);
    EXPECT_EQ(arena->calls, 5);
    turn_at(10s);
    for (int i = 0; i < 20; ++i) turn_at(10s);
    EXPECT_EQ(arena->calls, 5 + 8);
    EXPECT_EQ(arena->stats(arena->rules).skipped, 500u - 13);
    EXPECT_EQ(counted("gyre_world_ticks_skipped_total", "rules"), 500u - 13);
    turn_at(10s + 20ms);
    EXPECT_EQ(arena->calls, 14) << "in phase as before";
}

TEST_F(TicksTest, a_slow_tick_is_counted_and_logged_with_the_systems_that_took_the_time) {
    log::Capture log;
    const auto takes = [&](const char* name, Duration time) {
        arena->rules.add({name, ecs::Phase::simulate, ecs::reads<>, ecs::writes<>,
                          [time](ecs::World&, float) { machine_clock += time; }});
    };
    takes("steer", 2ms);
    takes("collide", 25ms);
    takes("idle", 0ms);
    arena->begin(true);
    pass(20ms);
    const auto& stats = arena->stats(arena->rules);
    EXPECT_EQ(stats.ticks, 1u);
    EXPECT_EQ(stats.took, 27ms);
    EXPECT_EQ(stats.overruns, 1u);
    EXPECT_TRUE(log.has("world.slow_tick", "collide 25.00 ms, steer 2.00 ms"));
    EXPECT_TRUE(log.has("world.slow_tick", "world=rules"));
    EXPECT_FALSE(log.has("world.slow_tick", "idle"));
    pass(2s);
    EXPECT_EQ(stats.overruns, 101u);
    EXPECT_EQ(counted("gyre_world_tick_overruns_total", "rules"), 101u);
    EXPECT_EQ(counted("gyre_world_tick_overruns_total", "weather"), 0u);
    EXPECT_LE(log.count("world.slow_tick"), 4u) << "once a second of the machine's clock";
    EXPECT_GE(log.count("world.slow_tick"), 2u);
}

TEST_F(TicksTest, a_tick_may_remove_itself_or_end_its_entity) {
    arena->add<&Arena::step_and_stop>();
    pass(100ms);
    EXPECT_EQ(arena->calls, 1);
    EXPECT_EQ(arena->ticked(), 0u);
    arena->add<&Arena::step_and_retire>();
    pass(100ms);
    EXPECT_EQ(host.find(7), nullptr);
    EXPECT_EQ(host.entities(), 0u);
}

TEST_F(TicksTest, a_world_that_is_moved_is_ticked_on_in_step) {
    arena->begin(true);
    pass(1s);
    const Bytes bytes = encode(arena->weather);
    record->ticks.detach();
    auto moved = std::make_unique<Rows<Heat>>();
    Reader reader(bytes);
    ASSERT_TRUE(Codec<Rows<Heat>>::decode(reader, *moved));
    pass(240ms);
    EXPECT_EQ(arena->weather.ticks(), 10u) << "nobody ticks it meanwhile";
    EXPECT_EQ(arena->calls, 62) << "a method runs on";
    record->ticks.add(*moved, 10_hz, "weather");
    EXPECT_TRUE(record->ticks.end_detached().empty());
    EXPECT_EQ(record->ticks.size(), 2u);
    pass(59ms);
    EXPECT_EQ(moved->ticks(), 10u);
    pass(1ms);
    EXPECT_EQ(moved->ticks(), 11u) << "as if nothing had been";
    record->ticks.detach();
    EXPECT_EQ(record->ticks.end_detached(), std::vector<std::string>{"weather"});
    EXPECT_EQ(record->ticks.size(), 1u);
}

TEST_F(TicksTest, adding_a_world_again_changes_nothing_but_a_new_rate) {
    arena->begin(true);
    pass(70ms);
    arena->weather.remove_systems();
    arena->on_after_reload();
    pass(30ms);
    EXPECT_EQ(arena->weather.ticks(), 1u) << "in step";
    EXPECT_EQ(record->ticks.size(), 2u);
    record->ticks.add(arena->weather, 20_hz, "weather");
    pass(100ms);
    EXPECT_EQ(arena->weather.ticks(), 3u);
    EXPECT_EQ(record->ticks.size(), 2u);
}

TEST_F(TicksTest, a_system_that_throws_is_reported_and_the_world_ticks_on) {
    int runs = 0;
    arena->weather.add({"broken", ecs::Phase::input, ecs::reads<>, ecs::writes<>,
                        [&](ecs::World&, float) {
                            if (++runs == 1) throw Error("broken", "on purpose");
                        }});
    arena->begin(false);
    pass(300ms);
    EXPECT_EQ(runs, 3);
    EXPECT_EQ(failures, std::vector<std::string>{"broken"});
}

TEST_F(TicksTest, nothing_is_measured_without_a_clock) {
    host.set_tick_meter({});
    arena->rules.add({"busy", ecs::Phase::simulate, ecs::reads<>, ecs::writes<>,
                      [](ecs::World&, float) { machine_clock += 1h; }});
    arena->begin(true);
    pass(1s);
    EXPECT_EQ(arena->stats(arena->rules).overruns, 0u);
    EXPECT_EQ(arena->calls, 50);
}

}  // namespace
}  // namespace gyre

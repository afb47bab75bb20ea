#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/world/entity.hpp>
#include <gyre/world/rows.hpp>

namespace gyre {
namespace {

std::vector<std::string> events;
bool throw_in_hook = false;
/// Lets methods that wait go on.
Event* gate = nullptr;
Task<> pass_gate() { co_await gate->wait(); }

struct Place {
    std::int32_t x = 0;
    static consteval auto describe() { return type<Place>("Place", field<&Place::x>()); }
};
using Ground = Rows<Place>;

/// The builds of one module. `vN` is what answers tell.
namespace v1 {
struct Purse : Component<Purse> {
    std::int64_t gold = 10;
    std::int64_t count() { return gold; }
    static consteval auto describe() {
        return type<Purse>("Purse", field<&Purse::gold>(persist), method<&Purse::count>());
    }
};
struct Hero : Entity<Hero, Purse> {
    std::int32_t runs = 0, beats = 0, hooks = 0;
    std::string name = "anna";
    Ground ground;
    Task<> on_start() {
        timers().every<&Hero::beat>(10ms, "beat");
        ticks().add(ground, 10_hz, "ground");
        set_up();
        co_return;
    }
    void set_up() {
        ground.system<Place>("walk", ecs::Phase::simulate, [](Place& p) { p.x += 1; });
    }
    void on_after_reload() {
        ++hooks;
        set_up();
        ticks().add(ground, 10_hz, "ground");
        if (throw_in_hook) throw Error("hook_failed", "v1");
    }
    void beat() { ++beats; }
    Task<> run() {
        events.push_back("v1 runs " + std::to_string(++runs));
        for (;;) co_await sleep(1s);
    }
    std::string version() { return "v1"; }
    Task<std::string> slow() {
        co_await pass_gate();
        co_return "v1 slow";
    }
    Task<> watch() { co_await pass_gate(); }  // a long wait, as for another node
    std::int32_t walked() {
        std::int32_t sum = 0;
        ground.each<const Place>([&](const Place& p) { sum += p.x; });
        return sum;
    }
    void walker() { ground.spawn(Place{}); }
    void gone() {}
    static consteval auto describe() {
        return type<Hero>("Hero", field<&Hero::runs>(), field<&Hero::beats>(), field<&Hero::hooks>(),
                          field<&Hero::name>(), field<&Hero::ground>(), method<&Hero::beat>(), method<&Hero::version>(),
                          method<&Hero::slow>(), method<&Hero::walked>(), method<&Hero::walker>(),
                          method<&Hero::gone>(), method<&Hero::watch>(restartable), resident<&Hero::run>());
    }
};
}  // namespace v1

namespace v2 {  // the same layout, another behaviour
struct Purse : Component<Purse> {
    std::int64_t gold = 20;
    std::int64_t count() { return gold * 100; }
    static consteval auto describe() {
        return type<Purse>("Purse", field<&Purse::gold>(persist), method<&Purse::count>());
    }
};
struct Hero : Entity<Hero, Purse> {
    std::int32_t runs = 0, beats = 0, hooks = 0;
    std::string name = "bert";
    Ground ground;
    void set_up() {
        ground.system<Place>("walk", ecs::Phase::simulate, [](Place& p) { p.x += 100; });
    }
    void on_after_reload() {
        ++hooks;
        set_up();
        ticks().add(ground, 10_hz, "ground");
        if (throw_in_hook) throw Error("hook_failed", "v2");
    }
    void beat() { beats += 1000; }
    Task<> run() {
        events.push_back("v2 runs " + std::to_string(++runs));
        for (;;) co_await sleep(1s);
    }
    std::string version() { return "v2"; }
    Task<std::string> slow() {
        co_await pass_gate();
        co_return "v2 slow";
    }
    std::int32_t walked() {
        std::int32_t sum = 0;
        ground.each<const Place>([&](const Place& p) { sum += p.x; });
        return sum;
    }
    void walker() { ground.spawn(Place{}); }
    std::int32_t hooked() { return hooks; }
    static consteval auto describe() {
        return type<Hero>("Hero", field<&Hero::runs>(), field<&Hero::beats>(), field<&Hero::hooks>(),
                          field<&Hero::name>(), field<&Hero::ground>(), method<&Hero::beat>(), method<&Hero::version>(),
                          method<&Hero::slow>(), method<&Hero::walked>(), method<&Hero::walker>(),
                          method<&Hero::hooked>(), resident<&Hero::run>());
    }
};
}  // namespace v2

namespace v3 {  // another layout
struct Purse : Component<Purse> {
    std::string note = "new";       // added
    std::int64_t coins = 0;         // was gold
    static void migrate(Old& old, Purse& now) {
        if (const auto gold = old.get<std::int64_t>("gold")) now.coins = *gold;
    }
    std::int64_t count() { return coins; }
    static consteval auto describe() {
        return type<Purse>("Purse", field<&Purse::note>(), field<&Purse::coins>(persist), method<&Purse::count>());
    }
};
struct Hat : Component<Hat> {
    std::int32_t size = 5;
    static consteval auto describe() { return type<Hat>("Hat", field<&Hat::size>()); }
};
struct Hero : Entity<Hero, Hat, Purse> {
    std::int64_t beats = 0;  // grew
    std::int32_t runs = 0;
    std::string name;
    Ground ground;
    void on_after_reload() {
        ground.system<Place>("walk", ecs::Phase::simulate, [](Place& p) { p.x += 10'000; });
        ticks().add(ground, 10_hz, "ground");
        if (throw_in_hook) throw Error("hook_failed", "v3");
    }
    void beat() { beats += 1'000'000; }
    Task<> run() {
        events.push_back("v3 runs " + std::to_string(++runs));
        for (;;) co_await sleep(1s);
    }
    std::string version() { return "v3 " + name; }
    std::int32_t walked() {
        std::int32_t sum = 0;
        ground.each<const Place>([&](const Place& p) { sum += p.x; });
        return sum;
    }
    static consteval auto describe() {
        return type<Hero>("Hero", field<&Hero::beats>(), field<&Hero::runs>(), field<&Hero::name>(),
                          field<&Hero::ground>(), method<&Hero::beat>(), method<&Hero::version>(),
                          method<&Hero::walked>(), resident<&Hero::run>());
    }
};
}  // namespace v3

namespace v4 {  // name is a number now, and nobody migrates it
struct Hero : Entity<Hero, v1::Purse> {
    std::int32_t name = 0;
    static consteval auto describe() { return type<Hero>("Hero", field<&Hero::name>()); }
};
}  // namespace v4

template <class... T>
inline constexpr const world::TypeTable* types[] = {&world::table<T>...};

class ReloadTest : public testing::Test {
protected:
    ReloadTest() {
        events.clear();
        throw_in_hook = false;
        gate = &gate_;
        identity.name = "n";
        identity.scope = &scope;
        identity.rpc = &rpc;
        identity.host = &host;
        host.add_types(types<v1::Hero>, "game").value();
        rpc.listen({"10.0.0.1", 100}).value();
        hero = {start(making())};
    }
    ~ReloadTest() override {
        gate_.set();
        start([](ReloadTest* t) -> Task<> {
            co_await t->host.destroy_all();
            t->rpc.close();
        }(this));
        world.run(machine, scope.close());
    }
    static Task<EntityId> making() { co_return create<v1::Hero>().value; }
    template <class T>
    T start(Task<T> task) {
        auto job = go(scope, std::move(task));
        EXPECT_TRUE(world.run_until([&] { return job.done(); }, 1min));
        return world.run(machine, [](Join<T> j) -> Task<T> { co_return co_await j; }(std::move(job)));
    }
    template <auto M>
    auto ask() {
        return start(asking<M>(hero));
    }
    template <auto M>
    static Task<typename signature<M>::Result> asking(EntityId id) {
        co_return co_await remote(Id<typename signature<M>::Class>{id}).template call<M>();
    }
    void wait(Duration time) {
        const TimePoint until = world.now() + time;
        world.run_until([&] { return world.now() >= until; }, time + 1s);
    }
    static Task<Result<>> swapping(ReloadTest* t, std::span<const world::TypeTable* const> to) {
        co_await yield();
        co_return t->host.swap("game", to);
    }
    Result<> swap(std::span<const world::TypeTable* const> to) { return start(swapping(this, to)); }
    Result<world::CarryReport> carry(std::span<const world::TypeTable* const> to, Duration patience = 1s) {
        return start(as_result(host.carry_over("game", to, patience)));
    }
    v1::Hero& object() { return *static_cast<v1::Hero*>(host.find(hero)->object); }

    sim::World world;
    sim::Machine& machine = world.machine("n", "10.0.0.1");
    NodeIdentity identity;
    Scope scope{machine.executor(), "n", [this] {
                    Context c;
                    c.node = &identity;
                    return c;
                }()};
    world::Host host{machine.executor(), identity, [this] { return machine.random_u64(); }};
    rpc::Rpc rpc{machine, scope, {.name = "n", .incarnation = 1}, host};
    Event gate_;
    EntityId hero = 0;
};

TEST_F(ReloadTest, objects_stay_and_their_functions_change) {
    wait(35ms);
    const auto* before = &object();
    const auto beats = object().beats;
    EXPECT_GE(beats, 3);
    ASSERT_TRUE(swap(types<v2::Hero>));
    EXPECT_EQ(&object(), before);
    EXPECT_EQ(object().beats, beats);
    EXPECT_EQ(ask<&v1::Hero::version>(), "v2");
    EXPECT_EQ(ask<&v1::Purse::count>(), 1000) << "the gold of before, the rule of now";
    EXPECT_EQ(object().name, "anna");
    wait(10ms);
    EXPECT_EQ(object().beats % 1000, beats) << "the timer has moved";
    EXPECT_GE(object().beats, 1000);
    EXPECT_EQ(ask<&v2::Hero::hooked>(), 1);
    EXPECT_THROW((void)ask<&v1::Hero::gone>(), Error);
    ASSERT_TRUE(swap(types<v1::Hero>)) << "and back";
    EXPECT_EQ(ask<&v1::Hero::version>(), "v1");
}

TEST_F(ReloadTest, a_method_in_progress_ends_in_the_code_it_began_in) {
    auto slow = go(scope, asking<&v1::Hero::slow>(hero));
    wait(1ms);
    ASSERT_TRUE(swap(types<v2::Hero>));
    auto newer = go(scope, asking<&v1::Hero::slow>(hero));
    wait(1ms);
    EXPECT_FALSE(slow.done());
    gate_.set();
    wait(1ms);
    ASSERT_TRUE(slow.done() && newer.done());
    EXPECT_EQ(slow.take(), "v1 slow");
    EXPECT_EQ(newer.take(), "v2 slow");
}

TEST_F(ReloadTest, a_resident_is_cancelled_and_that_of_the_new_build_starts) {
    wait(5ms);
    EXPECT_EQ(events, std::vector<std::string>{"v1 runs 1"});
    ASSERT_TRUE(swap(types<v2::Hero>));
    wait(5ms);
    EXPECT_EQ(events, (std::vector<std::string>{"v1 runs 1", "v2 runs 2"}));
    EXPECT_EQ(host.find(hero)->scope.running(), 1u);
}

TEST_F(ReloadTest, an_ecs_world_takes_the_new_systems_and_keeps_its_rows) {
    (void)ask<&v1::Hero::walker>();
    wait(150ms);
    const auto before = ask<&v1::Hero::walked>();
    EXPECT_GE(before, 1);
    ASSERT_TRUE(swap(types<v2::Hero>));
    wait(100ms);
    EXPECT_EQ(ask<&v1::Hero::walked>(), before + 100);
    ASSERT_TRUE(carry(types<v3::Hero>));
    wait(100ms);
    EXPECT_EQ(ask<&v1::Hero::walked>(), before + 100 + 10'000);
}

namespace told {
struct Pocket : Component<Pocket> {
    std::int32_t heard = 0;
    void on_config_changed() { ++heard; }
    static consteval auto describe() { return type<Pocket>("Pocket", field<&Pocket::heard>()); }
};
struct Elf : Entity<Elf, Pocket> {
    std::int32_t heard = 0;
    void on_config_changed() {
        if (++heard > 1) throw Error("cracked");
    }
    static consteval auto describe() { return type<Elf>("Elf", field<&Elf::heard>()); }
};
}  // namespace told

TEST_F(ReloadTest, a_changed_configuration_is_told_to_all_that_listen) {
    ASSERT_TRUE(host.add_types(types<told::Elf>, "elves"));
    auto& record = host.create(world::table<told::Elf>);
    auto& elf = *static_cast<told::Elf*>(record.object);
    (void)record.take_mark(world::MarkFor::save);
    host.tell_config_changed();
    EXPECT_EQ(elf.heard, 1);
    EXPECT_EQ(elf.get<told::Pocket>().heard, 1);
    EXPECT_TRUE(record.marked(world::MarkFor::save));
    host.tell_config_changed();
    EXPECT_EQ(elf.heard, 2);
    EXPECT_EQ(elf.get<told::Pocket>().heard, 2) << "what one throws stops none";
}

TEST_F(ReloadTest, another_layout_is_refused_field_by_field) {
    const auto refused = swap(types<v3::Hero>);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::conflict);
    for (const std::string_view part : {"added field Purse.note: std::basic_string<char>", "removed field Purse.gold: long",
                                        "changed field Hero.beats: int -> long", "added component Hat"})
        EXPECT_NE(refused.error().message().find(part), std::string::npos) << part << "\n" << refused.error().message();
    EXPECT_EQ(ask<&v1::Hero::version>(), "v1");
}

TEST_F(ReloadTest, carries_objects_over_to_another_layout) {
    wait(35ms);
    const auto beats = object().beats;
    const auto report = carry(types<v3::Hero>).value();
    EXPECT_EQ(report.objects, 1u);
    EXPECT_EQ(ask<&v1::Hero::version>(), "v3 anna");
    auto& now = *static_cast<v3::Hero*>(host.find(hero)->object);
    EXPECT_EQ(now.beats % 1'000'000, beats);
    EXPECT_EQ(now.get<v3::Purse>().coins, 10);
    EXPECT_EQ(now.get<v3::Purse>().note, "new");
    EXPECT_EQ(now.get<v3::Hat>().size, 5);
    wait(10ms);
    EXPECT_GE(now.beats, 1'000'000) << "the timer has moved";
    EXPECT_EQ(now.beats % 1'000'000, beats);
    EXPECT_EQ(events.back(), "v3 runs 2");
}

TEST_F(ReloadTest, calls_wait_at_the_barrier_while_methods_end) {
    auto slow = go(scope, asking<&v1::Hero::slow>(hero));
    wait(1ms);
    auto carrying = go(scope, host.carry_over("game", types<v3::Hero>, 1s));
    wait(5ms);
    auto version = go(scope, asking<&v1::Hero::version>(hero));
    wait(50ms);
    EXPECT_FALSE(carrying.done() || version.done());
    gate_.set();
    wait(10ms);
    ASSERT_TRUE(carrying.done() && version.done());
    EXPECT_EQ(slow.take(), "v1 slow");
    EXPECT_EQ(version.take(), "v3 anna");
    const auto report = carrying.take();
    EXPECT_EQ(report.cancelled, 0u);
    EXPECT_GE(report.waited, 1u);
}

TEST_F(ReloadTest, a_method_that_does_not_end_in_time_is_cancelled_by_name) {
    auto slow = go(scope, as_result(asking<&v1::Hero::slow>(hero)));
    wait(1ms);
    const auto report = carry(types<v3::Hero>, 100ms).value();
    EXPECT_EQ(report.cancelled, 1u);
    ASSERT_TRUE(slow.done());
    const auto result = slow.take();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), errc::reloading) << result.error().what();
    EXPECT_EQ(ask<&v1::Hero::version>(), "v3 anna");
}

TEST_F(ReloadTest, what_is_called_again_anyway_is_not_waited_for) {
    auto watch = go(scope, as_result(asking<&v1::Hero::watch>(hero)));
    wait(1ms);
    const TimePoint begun = world.now();
    const auto report = carry(types<v3::Hero>, 1s).value();
    EXPECT_LT(world.now() - begun, 100ms);
    EXPECT_EQ(report.cancelled, 0u);
    ASSERT_TRUE(watch.done());
    EXPECT_EQ(watch.take().error().code(), errc::reloading);
}

TEST_F(ReloadTest, what_cannot_be_read_changes_nothing) {
    wait(5ms);
    const auto* before = &object();
    const auto refused = carry(types<v4::Hero>);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::bad_data);
    EXPECT_NE(refused.error().message().find("Hero.name: expected an integer"), std::string::npos) << refused.error().message();
    EXPECT_EQ(&object(), before);
    EXPECT_EQ(ask<&v1::Hero::version>(), "v1");
    wait(10ms);
    EXPECT_EQ(events.back(), "v1 runs 2") << "its resident runs again";
    EXPECT_GT(object().beats, 0);
}

TEST_F(ReloadTest, a_hook_that_throws_takes_it_back) {
    wait(5ms);
    log::Capture log;
    for (const bool full : {false, true}) {
        throw_in_hook = true;
        const auto failed = full ? Result<>(carry(types<v3::Hero>).error()) : swap(types<v2::Hero>);
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().code(), "hook_failed");
        EXPECT_EQ(failed.error().message(), full ? "v3" : "v2");
        throw_in_hook = false;
        EXPECT_EQ(ask<&v1::Hero::version>(), "v1");
        EXPECT_EQ(ask<&v1::Purse::count>(), 10);
        (void)ask<&v1::Hero::walker>();
        const auto before = ask<&v1::Hero::walked>();
        wait(100ms);
        EXPECT_GT(ask<&v1::Hero::walked>(), before) << "its world is ticked by the old systems";
    }
    EXPECT_TRUE(log.has("world.reload_hook_failed", "v1"));
}

struct Bell : Service<Bell> {
    static inline bool broken = false;
    Task<> on_start() {
        if (broken) throw Error("cracked");
        co_return;
    }
    static consteval auto describe() { return type<Bell>("Bell"); }
};

TEST_F(ReloadTest, services_that_come_are_started_or_the_swap_can_be_taken_back) {
    ASSERT_TRUE(swap((types<v2::Hero, Bell>)));
    Bell::broken = true;
    const auto failed = start(as_result(host.start_added_services("")));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code(), "cracked");
    ASSERT_TRUE(swap(types<v1::Hero>)) << "nothing of it is left";
    Bell::broken = false;
    ASSERT_TRUE(swap((types<v2::Hero, Bell>)));
    start(host.start_added_services(""));
    EXPECT_NE(host.find_service("Bell"), nullptr);
    start(host.start_added_services(""));
    EXPECT_EQ(host.find_service("Bell")->hosted.objects.size(), 1u) << "once";
    start(host.stop_services());
}

TEST_F(ReloadTest, types_come_and_go) {
    ASSERT_TRUE(host.add_types(types<v3::Hero>, "other").error().is(errc::conflict));
    struct Lamp : Entity<Lamp> {
        static consteval auto describe() { return type<Lamp>("Lamp"); }
    };
    ASSERT_TRUE(swap((types<v2::Hero, Lamp>)));
    EXPECT_NE(host.find_type("Lamp"), nullptr);
    ASSERT_TRUE(swap(types<v2::Hero>));
    EXPECT_EQ(host.find_type("Lamp"), nullptr);
    const auto gone = swap(types<Lamp>);
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().message(), "module game: type Hero is gone, but 1 are alive");
}

}  // namespace
}  // namespace gyre

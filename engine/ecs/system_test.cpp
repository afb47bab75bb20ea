#include <gtest/gtest.h>
#include <gyre/ecs/world.hpp>

#include <memory>
#include <stdexcept>
#include <string>

namespace gyre::ecs {
namespace {

struct Position {
    static constexpr std::string_view ecs_name = "position";
    float x = 0;
};
struct Velocity {
    static constexpr std::string_view ecs_name = "velocity";
    float x = 0;
};
struct Owned {
    static constexpr std::string_view ecs_name = "owned";
    std::unique_ptr<int> value;
};

struct Holds {
    static constexpr std::string_view ecs_name = "holds";
    std::shared_ptr<int> value;
};

TEST(EcsSystem, runs_by_phase_then_in_order_of_addition) {
    World world;
    std::string log;
    const auto note = [&](const char* name, Phase phase) {
        world.add({name, phase, reads<>, writes<>, [&log, name](World&, float) { log += name; }});
    };
    note("d", Phase::publish);
    note("b", Phase::simulate);
    note("a", Phase::input);
    note("c", Phase::simulate);
    world.tick(0.1f);
    EXPECT_EQ(log, "abcd");
    EXPECT_EQ(world.ticks(), 1u);
}

TEST(EcsSystem, a_query_system_declares_what_its_query_says) {
    World world;
    const Row row = world.spawn(Position{1}, Velocity{2});
    world.system<Position, const Velocity>(
        "move", Phase::simulate,
        [](float dt_s, Position& p, const Velocity& v) { p.x += v.x * dt_s; });
    std::size_t seen = 0;
    world.system<const Position>("count", Phase::publish, [&](Row, const Position&) { ++seen; });
    ASSERT_EQ(world.systems().size(), 2u);
    EXPECT_EQ(world.systems()[0].write_ids, std::vector{component_id<Position>});
    EXPECT_EQ(world.systems()[0].read_ids, std::vector{component_id<Velocity>});
    world.tick(0.5f);
    EXPECT_EQ(world.get<const Position>(row).x, 2);
    EXPECT_EQ(seen, 1u);
}

TEST(EcsSystem, commands_take_effect_at_the_end_of_the_phase) {
    World world;
    Row made;
    std::size_t at_simulate = 9, at_resolve = 9;
    world.add({"spawn", Phase::simulate, reads<>, writes<>, [&](World& w, float) {
                   made = w.commands().spawn(Position{1}, Owned{std::make_unique<int>(7)});
                   w.commands().add(made, Velocity{3});
                   EXPECT_FALSE(w.alive(made));
               }});
    world.add({"look", Phase::simulate, reads<>, writes<>,
               [&](World& w, float) { at_simulate = w.size(); }});
    world.add({"look again", Phase::resolve, reads<Owned>, writes<>, [&](World& w, float) {
                   at_resolve = w.size();
                   EXPECT_EQ(*w.get<const Owned>(made).value, 7);
               }});
    world.tick(0.1f);
    EXPECT_EQ(at_simulate, 0u);
    EXPECT_EQ(at_resolve, 1u);
    EXPECT_EQ(world.get<const Velocity>(made).x, 3);
}

TEST(EcsSystem, commands_for_a_row_that_is_gone_do_nothing) {
    World world;
    const Row row = world.spawn(Position{});
    world.commands().destroy(row);
    world.commands().destroy(row);
    world.commands().add(row, Owned{std::make_unique<int>(1)});
    world.commands().remove<Position>(row);
    world.flush();
    EXPECT_EQ(world.size(), 0u);
    const Row next = world.spawn();  // Same index, another generation: untouched by old commands.
    EXPECT_EQ(next.index, row.index);
    world.commands().destroy(row);
    world.flush();
    EXPECT_TRUE(world.alive(next));
}

TEST(EcsSystem, commands_never_applied_release_their_values) {
    const auto shared = std::make_shared<int>(1);
    {
        World world;
        for (int i = 0; i < 2'000; ++i) world.commands().spawn(Holds{shared});
        EXPECT_EQ(shared.use_count(), 2'001);
        world.flush();
        EXPECT_EQ(shared.use_count(), 2'001);
        world.commands().spawn(Holds{shared});
    }
    EXPECT_EQ(shared.use_count(), 1);
}

TEST(EcsSystem, commands_after_one_whose_hook_threw_are_applied_next_time) {
    World world;
    int thrown = 0;
    world.on_added<Position>([&](World&, Row, Position&) {
        if (thrown++ == 0) throw std::runtime_error("no");
    });
    const Row first = world.commands().spawn(Position{1});
    const Row second = world.commands().spawn(Position{2});
    EXPECT_THROW(world.flush(), std::runtime_error);
    world.flush();
    EXPECT_EQ(world.get<const Position>(first).x, 1);
    EXPECT_EQ(world.get<const Position>(second).x, 2);
    EXPECT_EQ(world.size(), 2u);
}

TEST(EcsSystem, an_exception_leaves_the_world_usable) {
    World world;
    bool fail = true;
    world.add({"fail", Phase::input, reads<>, writes<>, [&](World& w, float) {
                   w.commands().spawn(Position{});
                   w.each<>([&](Row) {});
                   if (fail) throw std::runtime_error("no");
               }});
    EXPECT_THROW(world.tick(0.1f), std::runtime_error);
    fail = false;
    world.tick(0.1f);
    EXPECT_EQ(world.count<With<Position>>(), 2u);
    world.spawn(Position{});
}

TEST(EcsSystemDeathTest, undeclared_access_names_system_and_component) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    World world;
    const Row row = world.spawn(Position{}, Velocity{});
    world.add({"sneaky", Phase::simulate, reads<Position>, writes<>, [&](World& w, float) {
                   EXPECT_EQ(w.get<const Position>(row).x, 0);  // Declared.
                   w.get<Position>(row).x = 1;
               }});
    EXPECT_DEATH(world.tick(0.1f), "sneaky writes position");
    World other;
    other.spawn(Velocity{});
    other.add({"peek", Phase::simulate, reads<Position>, writes<>,
               [](World& w, float) { w.each<const Velocity>([](const Velocity&) {}); }});
    EXPECT_DEATH(other.tick(0.1f), "peek reads velocity");
}

}  // namespace
}  // namespace gyre::ecs

#include <gtest/gtest.h>
#include <gyre/ecs/mark_check.hpp>
#include <gyre/ecs/world.hpp>

#include <string>
#include <vector>

namespace gyre::ecs {
namespace {

struct Position {
    static constexpr std::string_view ecs_name = "position";
    float x = 0, y = 0;
};
struct Velocity {
    static constexpr std::string_view ecs_name = "velocity";
    float x = 0, y = 0;
};
struct Number {
    static constexpr std::string_view ecs_name = "number";
    std::uint32_t value = 0;
};
struct Name {
    static constexpr std::string_view ecs_name = "name";
    std::string text;
    void hash(StateHasher& hasher) const { hasher.bytes(text.data(), text.size()); }
};
struct Frozen {
    static constexpr std::string_view ecs_name = "frozen";
};
struct Padded {
    static constexpr std::string_view ecs_name = "padded";
    std::uint8_t small = 0;
    std::uint32_t large = 0;
};
struct WithArray {
    static constexpr std::string_view ecs_name = "with_array";
    float m[4] = {};
    std::uint32_t n[2] = {};
};
struct Pointing {
    static constexpr std::string_view ecs_name = "pointing";
    int* at = nullptr;
};
struct Described {
    struct Description {
        std::string_view name;
    };
    static constexpr Description describe() { return {"described"}; }
    int value = 0;
};

struct InheritsItsDescription : Described {};
static_assert(Component<Described>);

static_assert(detail::PlainBytes<Position> && detail::PlainBytes<WithArray>);
static_assert(!detail::PlainBytes<Padded> && !detail::PlainBytes<Pointing>);
static_assert(component_id<WithArray> != component_id<Pointing>);
static_assert(component_id<Described> == fnv1a("described"));

TEST(EcsWorld, keeps_values_through_spawn_add_remove_destroy) {
    World world;
    const Row a = world.spawn(Position{1, 2}, Name{"a"});
    const Row b = world.spawn(Name{"b"}, Position{3, 4});  // The order of components is no matter.
    world.add(a, Velocity{5, 6});
    EXPECT_EQ(world.get<const Name>(a).text, "a");
    EXPECT_EQ(world.get<const Velocity>(a).x, 5);
    EXPECT_EQ(world.get<const Position>(b).y, 4);
    world.add(a, Velocity{7, 8});  // Replaces.
    EXPECT_EQ(world.get<const Velocity>(a).x, 7);
    EXPECT_TRUE(world.remove<Name>(a));
    EXPECT_FALSE(world.remove<Name>(a));
    EXPECT_EQ(world.find<Name>(a), nullptr);
    EXPECT_EQ(world.get<const Position>(a).x, 1);
    EXPECT_TRUE(world.destroy(a));
    EXPECT_FALSE(world.destroy(a));
    EXPECT_FALSE(world.alive(a));
    const Row again = world.spawn();
    EXPECT_EQ(again.index, a.index);
    EXPECT_NE(again, a);
    EXPECT_EQ(world.find<Position>(a), nullptr);
    EXPECT_FALSE(world.alive(Row{}));
    EXPECT_EQ(world.size(), 2u);
}

TEST(EcsWorld, each_selects_by_components_and_filters) {
    World world;
    const Row plain = world.spawn(Position{1, 0}, Velocity{1, 0});
    const Row frozen = world.spawn(Position{2, 0}, Velocity{1, 0}, Frozen{});
    world.spawn(Position{3, 0});
    std::vector<Row> seen;
    const auto move = [&](Row row, Position& p, const Velocity& v) {
        p.x += v.x, seen.push_back(row);
    };
    world.each<Position, const Velocity>(move);
    EXPECT_EQ(seen, (std::vector{plain, frozen}));
    seen.clear();
    world.each<Position, const Velocity, Without<Frozen>>(move);
    EXPECT_EQ(seen, std::vector{plain});
    float sum = 0;
    std::as_const(world).each<const Position>([&](const Position& p) { sum += p.x; });
    EXPECT_EQ(sum, 3 + 3 + 3);
    EXPECT_EQ(world.count<With<Frozen>>(), 1u);
    std::size_t tags = 0;
    world.each<Frozen, Position>([&](Frozen&, Position&) { ++tags; });
    EXPECT_EQ(tags, 1u);
    // A kind of row made after the query was cached is found too.
    world.spawn(Position{}, Velocity{}, Name{"late"});
    seen.clear();
    world.each<Position, const Velocity>(move);
    EXPECT_EQ(seen.size(), 3u);
}

TEST(EcsWorld, spawn_many_crosses_blocks_and_reuses_rows) {
    World world;
    std::vector<Row> rows;
    for (int round = 0; round < 3; ++round) {
        std::uint32_t next = 0;
        world.spawn_many<Position, Name>(50'000, [&](Row row, Position& p, Name& n) {
            p.x = static_cast<float>(next++);
            n.text = "a name longer than any small string " + std::to_string(row.index);
            rows.push_back(row);
        });
        ASSERT_EQ(world.size(), 50'000u);
        for (std::uint32_t i = 0; i < next; ++i) {
            ASSERT_EQ(world.get<const Position>(rows[i]).x, static_cast<float>(i));
            ASSERT_TRUE(
                world.get<const Name>(rows[i]).text.ends_with(" " + std::to_string(rows[i].index)));
        }
        std::size_t spans = 0, total = 0;
        world.each_span<const Position>([&](std::span<const Row> r, std::span<const Position> p) {
            ASSERT_EQ(r.size(), p.size());
            ++spans, total += r.size();
        });
        EXPECT_GT(spans, 1u);
        EXPECT_EQ(total, 50'000u);
        for (const Row row : rows) world.destroy(row);
        rows.clear();
        EXPECT_EQ(world.size(), 0u);
    }
}

TEST(EcsWorld, rows_and_versions_survive_moves_between_blocks) {
    constexpr std::uint32_t count = 300'000;
    World world;
    std::vector<Row> rows;
    world.spawn_many<Position, Velocity>(count, [&](Row row, Position& p, Velocity&) {
        p.x = static_cast<float>(rows.size());
        rows.push_back(row);
    });
    const auto mark = world.checkpoint();
    for (std::uint32_t i = 0; i < count; i += 5) world.get<Position>(rows[i]).y = 1;
    for (std::uint32_t i = 0; i < count; i += 3) world.destroy(rows[i]);
    for (std::uint32_t i = 0; i < count; i += 7)
        if (world.alive(rows[i])) world.add(rows[i], Frozen{});
    std::vector<char> reported(count);
    std::size_t total = 0;
    world.changed<Position>(mark, [&](Row, const Position& p) {
        ++total;
        reported[static_cast<std::size_t>(p.x)] = 1;
    });
    std::size_t expected = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        ASSERT_EQ(world.alive(rows[i]), i % 3 != 0);
        if (i % 3 == 0) continue;
        ASSERT_EQ(world.get<const Position>(rows[i]).x, static_cast<float>(i));
        ASSERT_EQ(world.has<Frozen>(rows[i]), i % 7 == 0);
        ASSERT_EQ(reported[i] != 0, i % 5 == 0) << i;
        expected += i % 5 == 0;
    }
    EXPECT_EQ(total, expected);
}

TEST(EcsWorld, reports_changes_since_a_checkpoint_per_row) {
    World world;
    std::vector<Row> rows;
    for (int i = 0; i < 100; ++i) rows.push_back(world.spawn(Position{}, Velocity{}));
    const auto changed = [&](std::uint64_t since) {
        std::vector<Row> found;
        world.changed<Position>(since, [&](Row row, const Position&) { found.push_back(row); });
        return found;
    };
    auto mark = world.checkpoint();
    EXPECT_TRUE(changed(mark).empty());
    static_cast<void>(world.get<const Position>(rows[7]));
    world.each<const Position, Velocity>([](const Position&, Velocity&) {});
    EXPECT_TRUE(changed(mark).empty());  // Reading marks nothing.
    world.get<Position>(rows[7]).x = 1;
    world.add(rows[9], Position{2, 2});
    const Row fresh = world.spawn(Position{}, Velocity{});
    EXPECT_EQ(changed(mark), (std::vector{rows[7], rows[9], fresh}));
    mark = world.checkpoint();
    world.destroy(rows[0]);        // The last row moves into the hole, unchanged.
    world.add(rows[7], Frozen{});  // Moves to another kind, unchanged.
    EXPECT_TRUE(changed(mark).empty());
    world.each<Position>([](Position&) {});
    EXPECT_EQ(changed(mark).size(), 100u);
}

TEST(EcsWorld, rows_keep_their_places_until_holes_are_filled) {
    World world;
    std::vector<Row> rows;
    for (std::uint32_t i = 0; i < 1'000; ++i) rows.push_back(world.spawn(Number{i}));
    std::vector<Row> odd;
    for (std::uint32_t i = 1; i < 1'000; i += 2) odd.push_back(rows[i]);
    Number* const kept = &world.get<Number>(rows[998]);
    EXPECT_EQ(world.destroy(odd), 500u);
    EXPECT_EQ(world.destroy(odd), 0u);
    const auto look = [&] {
        std::uint64_t sum = 0;
        std::size_t seen = 0;
        world.each<const Number>([&](Row row, const Number& n) {
            EXPECT_EQ(rows[n.value], row);
            sum += n.value, ++seen;
        });
        EXPECT_EQ(seen, 500u);
        EXPECT_EQ(sum, 499u * 500u);
        EXPECT_EQ(world.count<Number>(), 500u);
    };
    look();
    EXPECT_EQ(&world.get<Number>(rows[998]), kept) << "looking moves nothing";
    world.settle();
    look();
    std::size_t spans = 0;
    world.each_span<const Number>([&](auto, auto) { ++spans; });
    EXPECT_EQ(spans, 1u) << "no holes are left";
}

TEST(EcsWorld, looking_at_a_world_does_not_change_what_becomes_of_it) {
    const auto run = [](bool look) {
        World world;
        std::vector<Row> rows;
        for (std::uint32_t i = 0; i < 300; ++i) rows.push_back(world.spawn(Number{i}));
        for (std::uint32_t i = 0; i < 300; i += 3) {
            world.destroy(rows[i * 7 % 300]);
            if (!look) continue;
            world.state_hash();
            world.count<Number>();
            world.each<const Number>([](const Number&) {});
        }
        world.tick(0.1f);
        return world.state_hash();
    };
    EXPECT_EQ(run(false), run(true));
}

TEST(EcsWorld, a_write_past_its_mark_is_found_and_named) {
    World world;
    const Row first = world.spawn(Position{1, 2}, Number{3}), second = world.spawn(Number{4});
    MarkCheck check(world);
    Number& kept = world.get<Number>(second);
    EXPECT_TRUE(check.look().empty()) << "the mark of get<Number>";
    world.get<Number>(first).value = 5;
    world.add(first, Frozen{});
    world.each<Position>([](Position& p) { p.x = 9; });
    EXPECT_TRUE(check.look().empty()) << "all marked";
    kept.value = 6;
    const_cast<Position&>(world.get<const Position>(first)).y = 7;
    const auto missed = check.look();
    ASSERT_EQ(missed.size(), 2u);
    EXPECT_EQ(missed[0].row, second);
    EXPECT_EQ(missed[0].component, "number");
    EXPECT_EQ(missed[1].row, first);
    EXPECT_EQ(missed[1].component, "position");
    EXPECT_EQ(missed[1].byte / sizeof(float), 1u) << "in y";
    kept.value = 8;
    world.touch<Number>(second);
    EXPECT_TRUE(check.look().empty()) << "marked by hand";
}

TEST(EcsWorld, hooks_see_what_comes_and_goes) {
    World world;
    std::string log;
    const Row early = world.spawn(Name{"early"});
    world.on_added<Name>([&](World&, Row, Name& n) { log += "+" + n.text + " "; });
    world.on_removed<Name>([&](World&, Row, Name& n) { log += "-" + n.text + " "; });
    const Row a = world.spawn(Name{"a"}, Position{});
    const Row b = world.spawn(Position{});
    world.add(b, Name{"b"});
    world.add(b, Name{"c"});  // A replacement is a change, not an addition.
    world.remove<Name>(b);
    world.destroy(a);
    world.destroy(early);
    world.spawn_many<Name>(2, [](Name& n) { n.text = "m"; });
    EXPECT_EQ(log, "+a +b -c -a -early +m +m ");
}

TEST(EcsWorld, hooks_may_queue_commands) {
    World world;
    world.on_removed<Frozen>([](World& w, Row, Frozen&) { w.commands().spawn(Name{"thawed"}); });
    const Row row = world.spawn(Frozen{});
    world.commands().destroy(row);
    world.flush();
    EXPECT_EQ(world.count<With<Name>>(), 1u);
}

TEST(EcsWorld, tools_list_the_components_of_a_row) {
    World world;
    const Row row = world.spawn(Position{1, 2}, Described{3});
    std::size_t found = 0;
    world.each_component(row, [&](ComponentId id, std::string_view name, const void* value) {
        ++found;
        EXPECT_EQ(id, fnv1a(name));
        if (name == "described") {
            EXPECT_EQ(static_cast<const Described*>(value)->value, 3);
        }
    });
    EXPECT_EQ(found, 2u);
}

TEST(EcsWorld, state_hash_follows_values_and_rows) {
    const auto build = [](float x, bool extra) {
        World world;
        world.spawn(Position{x, 0}, Name{"n"}, Frozen{});
        if (extra) world.destroy(world.spawn());
        return world.state_hash();
    };
    EXPECT_EQ(build(1, false), build(1, false));
    EXPECT_NE(build(1, false), build(2, false));
    EXPECT_NE(build(1, false), build(1, true));  // The next row would get another name.
}

TEST(EcsWorldDeathTest, own_mistakes_assert) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    World world;
    const Row row = world.spawn(Position{});
    EXPECT_DEATH(world.each<Position>([&](Position&) { world.spawn(); }), "commands");
    EXPECT_DEATH(world.each<Position>([&](Position&) { world.add(row, Velocity{}); }), "commands");
    EXPECT_DEATH(static_cast<void>(world.get<Velocity>(row)), "does not have");
    world.spawn(Padded{});
    EXPECT_DEATH(static_cast<void>(world.state_hash()), "padded");
}

// A component in two builds: the newer one has got a destructor.
namespace older {
struct Thing {
    static constexpr std::string_view ecs_name = "replaced_thing";
    std::uint32_t value = 0;
};
}  // namespace older
namespace newer {
int ended = 0;
struct Thing {
    static constexpr std::string_view ecs_name = "replaced_thing";
    std::uint32_t value = 0;
    Thing() = default;
    Thing(Thing&& other) noexcept : value(std::exchange(other.value, 0)) {}
    ~Thing() { ended += value != 0; }
};
}  // namespace newer

TEST(World, replaced_code_takes_over_the_values_there_are) {
    newer::ended = 0;
    {
        World world;
        std::vector<Row> rows;
        for (std::uint32_t i = 1; i <= 40; ++i) rows.push_back(world.spawn(older::Thing{i}));
        world.add(rows[0], Position{});  // this way is planned with the old code
        world.register_component<newer::Thing>();
        world.add(rows[1], Position{});
        world.destroy(rows[2]);
        EXPECT_EQ(newer::ended, 1);
        world.settle();
        EXPECT_EQ(world.get<const newer::Thing>(rows[1]).value, 2u);
        EXPECT_EQ(world.get<const newer::Thing>(rows[39]).value, 40u);
    }
    EXPECT_EQ(newer::ended, 40);
}

}  // namespace
}  // namespace gyre::ecs

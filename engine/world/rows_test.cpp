#include <gtest/gtest.h>
#include <gyre/codec/codec.hpp>
#include <gyre/world/rows.hpp>

#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <string>

// Two builds of one game: the described names say which types are the same.
namespace before {
using namespace gyre;
struct Position {
    float x = 0, y = 0;
    static consteval auto describe() {
        return type<Position>("position", field<&Position::x>(), field<&Position::y>());
    }
};
struct Name {
    std::string text;
    std::vector<std::uint16_t> marks;
    void hash(ecs::StateHasher& hasher) const {
        hasher.bytes(text.data(), text.size());
        hasher.bytes(marks.data(), marks.size() * sizeof marks[0]);
    }
    static consteval auto describe() {
        return type<Name>("name", field<&Name::text>(), field<&Name::marks>());
    }
};
struct Frozen {
    static consteval auto describe() { return type<Frozen>("frozen"); }
};
struct Follows {
    ecs::Row whom;
    static consteval auto describe() { return type<Follows>("follows", field<&Follows::whom>()); }
};
struct World {
    Rows<Position, Name, Frozen, Follows> rows;
    ecs::Row leader;
    static consteval auto describe() {
        return type<World>("World", field<&World::rows>(), field<&World::leader>());
    }
};
}  // namespace before

namespace after {
using namespace gyre;
struct Position {
    float y = 0, z = 5;  // x has gone, z is new
    static consteval auto describe() {
        return type<Position>("position", field<&Position::y>(), field<&Position::z>());
    }
};
struct Named {  // "name" has gone
    int text = 0;
    static consteval auto describe() { return type<Named>("named", field<&Named::text>()); }
};
struct Frozen {  // is no tag any more
    std::uint32_t since = 7;
    static consteval auto describe() { return type<Frozen>("frozen", field<&Frozen::since>()); }
};
struct Follows {
    ecs::Row whom;
    static consteval auto describe() { return type<Follows>("follows", field<&Follows::whom>()); }
};
struct World {
    ecs::Row leader;
    Rows<Named, Follows, Position, Frozen> rows;
    static consteval auto describe() {
        return type<World>("World", field<&World::leader>(), field<&World::rows>());
    }
};
}  // namespace after

namespace gyre {
namespace {

using before::Follows;
using before::Frozen;
using before::Name;
using before::Position;
using World = Rows<Position, Name, Frozen, Follows>;

std::uint64_t test_seed() {
    const char* text = std::getenv("GYRE_SEED");
    return text ? std::strtoull(text, nullptr, 10) : 1;
}

/// A world does not move, so there is no decode() of one.
template <class T>
std::string read(const Bytes& bytes, T& value) {
    Reader reader(bytes);
    return Codec<T>::decode(reader, value) && reader.finish() ? "" : reader.error_message();
}

/// Random operations, the same on every world they are given to.
class Player {
public:
    explicit Player(std::uint64_t seed) : random_(seed) {}
    template <class... Worlds>
    void step(Worlds&... worlds) {
        const std::uint32_t n = below(1'000);
        const ecs::Row row = rows_.empty() ? ecs::Row{} : rows_[below(rows_.size())];
        const auto number = static_cast<float>(n);
        switch (below(10)) {
            case 0: return made(worlds.spawn(Position{number, 1})...);
            case 1: return made(worlds.spawn(Position{number, 2}, Name{std::string(n % 50, 'n'), {}})...);
            case 2: return made(worlds.spawn(Name{std::to_string(n), {1, 2}}, Follows{row})...);
            case 3: return made(worlds.spawn()...);
            case 4: return (void(worlds.destroy(row)), ...);
            case 5: return ((worlds.alive(row) ? void(worlds.add(row, Frozen{})) : void()), ...);
            case 6: return ((worlds.alive(row) ? void(worlds.add(row, Name{"again", {3}})) : void()), ...);
            case 7: return (void(worlds.template remove<Position>(row)), ...);
            case 8: return ((n < 100 ? worlds.tick(0.1f) : void()), ...);
            default:
                (worlds.template each<Position>([&](Position& at) { at.y += number; }), ...);
        }
    }
    const std::vector<ecs::Row>& rows() const { return rows_; }  ///< Also those that are gone.

private:
    std::uint32_t below(std::size_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
    template <class... Same>
    void made(ecs::Row row, Same... same) {
        EXPECT_TRUE(((row == same) && ...));
        rows_.push_back(row);
    }
    std::mt19937_64 random_;
    std::vector<ecs::Row> rows_;
};

TEST(Rows, a_world_goes_on_as_it_would_have_after_being_read_back) {
    for (std::uint64_t seed = test_seed(); seed < test_seed() + 40; ++seed) {
        SCOPED_TRACE("GYRE_SEED=" + std::to_string(seed));
        World world;
        Player player(seed);
        for (int i = 0; i < 400; ++i) player.step(world);
        for (const Form form : {Form::names, Form::indexes}) {
            World back;
            const Bytes bytes = encode(world, form);
            ASSERT_EQ(read(bytes, back), "");
            ASSERT_EQ(back.state_hash(), world.state_hash());
            EXPECT_EQ(back.ticks(), world.ticks());
            EXPECT_EQ(back.size(), world.size());
            for (const ecs::Row row : player.rows()) {
                ASSERT_EQ(back.alive(row), world.alive(row));
                const auto* name = world.find<const Name>(row);
                const auto* same = back.find<const Name>(row);
                ASSERT_EQ(!name, !same);
                if (name) {
                    EXPECT_EQ(name->text, same->text);
                    EXPECT_EQ(name->marks, same->marks);
                }
                EXPECT_EQ(back.has<Frozen>(row), world.has<Frozen>(row));
            }
            Player on = player;
            if (form == Form::names) {
                World other;
                ASSERT_EQ(read(bytes, other), "");
                for (int i = 0; i < 200; ++i) on.step(back, other);
                EXPECT_EQ(back.state_hash(), other.state_hash());
            } else {
                for (int i = 0; i < 200; ++i) {
                    player.step(world, back);
                    ASSERT_EQ(back.state_hash(), world.state_hash()) << "step " << i;
                }
            }
        }
    }
}

TEST(Rows, more_rows_than_a_block_and_a_page_hold) {
    World world;
    world.spawn_many<Position, Follows>(200'000, [](ecs::Row row, Position& at, Follows& follows) {
        at.x = static_cast<float>(row.index);
        follows.whom = row;
    });
    for (std::uint32_t i = 0; i < 200'000; i += 3) world.destroy({i, 1});
    World back;
    const Bytes bytes = encode(world);
    Reader small(bytes), large(bytes, {.nodes = 1u << 24});
    EXPECT_FALSE(Codec<World>::decode(small, back)) << "the budget of the reader holds";
    ASSERT_TRUE(Codec<World>::decode(large, back)) << large.error_message();
    EXPECT_EQ(back.state_hash(), world.state_hash());
}

TEST(Rows, a_new_build_takes_over_what_it_still_knows) {
    before::World world;
    const auto plain = world.rows.spawn(Position{1, 2});
    const auto both = world.rows.spawn(Position{3, 4}, Name{"gone", {}});
    const auto only = world.rows.spawn(Name{"gone too", {}}, Follows{both});
    const auto cold = world.rows.spawn(Frozen{});
    const auto dead = world.rows.spawn(Frozen{});
    world.rows.destroy(dead);
    world.leader = only;
    after::World back;
    ASSERT_EQ(read(encode(world, Form::names), back), "");
    const auto& rows = std::as_const(back.rows);
    EXPECT_EQ(rows.size(), 4u);
    EXPECT_EQ(rows.get<after::Position>(plain).y, 2);
    EXPECT_EQ(rows.get<after::Position>(plain).z, 5);
    EXPECT_EQ(rows.get<after::Position>(both).y, 4);
    EXPECT_EQ(rows.get<after::Follows>(back.leader).whom, both);
    EXPECT_EQ(rows.get<after::Frozen>(cold).since, 7u);
    EXPECT_FALSE(rows.alive(dead));
    EXPECT_EQ(rows.count<after::Named>(), 0u);
    // And back: the tag and what was dropped.
    before::World older;
    ASSERT_EQ(read(encode(back, Form::names), older), "");
    EXPECT_TRUE(older.rows.has<Frozen>(cold));
    EXPECT_FALSE(older.rows.has<Name>(both));
    EXPECT_EQ(older.rows.get<Position>(both).y, 4);
}

TEST(Rows, what_was_looked_at_before_is_all_newer_now) {
    World world;
    const auto row = world.spawn(Position{1, 1});
    std::uint64_t since = 0;
    for (int i = 0; i < 100; ++i) since = world.checkpoint();
    World back;
    ASSERT_EQ(read(encode(world), back), "");
    int seen = 0;
    back.changed<Position>(since, [&](ecs::Row changed, const Position&) {
        EXPECT_EQ(changed, row);
        ++seen;
    });
    EXPECT_EQ(seen, 1);
    since = back.checkpoint();
    back.changed<Position>(since, [&](ecs::Row, const Position&) { ++seen; });
    EXPECT_EQ(seen, 1);
}

TEST(Rows, waiting_commands_are_applied_before_it_is_written) {
    World world;
    const auto row = world.commands().spawn(Position{1, 1}, Name{"queued", {}});
    World back;
    ASSERT_EQ(read(encode(world), back), "");
    EXPECT_EQ(back.get<const Name>(row).text, "queued");
}

TEST(Rows, adopting_leaves_nothing_of_the_old_code) {
    const auto before = detail::code_uses.closures.load();
    World world;
    Player player(3);
    for (int i = 0; i < 300; ++i) player.step(world);
    const auto hash = world.state_hash();
    int runs = 0, came = 0;
    world.system<Position>("move", ecs::Phase::simulate, [&](Position&) { ++runs; });
    world.on_added<Name>([&](ecs::World&, ecs::Row, Name&) { ++came; });
    world.on_removed<Name>([&](ecs::World&, ecs::Row, Name&) { ++came; });
    EXPECT_EQ(detail::code_uses.closures.load(), before + 3);
    world.measure([] { return std::uint64_t{1}; });
    EXPECT_EQ(detail::code_uses.closures.load(), before + 4);
    world.measure({});
    world.gyre_adopt();
    EXPECT_EQ(detail::code_uses.closures.load(), before);
    EXPECT_EQ(world.state_hash(), hash);
    EXPECT_TRUE(world.systems().empty());
    world.spawn(Name{}, Position{});
    world.tick(0.1f);
    EXPECT_EQ(runs + came, 0);
}

TEST(Rows, a_component_that_is_not_listed_asserts_with_its_name) {
    Rows<Position> world;
    EXPECT_DEATH(world.spawn(Follows{}), "follows is not among the components");
}

TEST(Rows, the_layout_covers_the_components) {
    using Same = Rows<Position, Name, Frozen, Follows>;
    EXPECT_EQ(layout_hash<World>(), layout_hash<Same>());
    EXPECT_NE(layout_hash<Rows<Position>>(), layout_hash<Rows<after::Position>>());
    EXPECT_NE((layout_hash<Rows<Position, Name>>()), (layout_hash<Rows<Name, Position>>()));
    EXPECT_TRUE(check_layout("World", sizeof(before::World), alignof(before::World),
                             fields_of<before::World>())
                    .ok());
}

// --- bytes nobody vouches for ---

std::string refused(const Bytes& bytes) {
    World world;
    const std::string reason = read(bytes, world);
    if (reason.empty()) return {};
    world.spawn(Position{});  // it can still be used
    world.tick(0.1f);
    return reason;
}

/// [names, version, ticks, generations, unused, kinds, values] with one row of a position.
Bytes one_row(std::function<void(Writer&, int part)> instead, int part) {
    Writer w;
    w.array(7);
    for (int i = 0; i < 7; ++i) {
        if (i == part) {
            instead(w, i);
            continue;
        }
        if (i == 0) w.array(1), w.text("position");
        if (i == 1 || i == 2) w.integer(1);
        if (i == 3) w.array(2), w.integer(1), w.integer(4);
        if (i == 4) w.array(1), w.integer(0);
        if (i == 5) w.array(1), w.array(2), w.array(1), w.integer(0), w.array(1), w.integer(1);
        if (i == 6)
            w.array(1), w.array(1), w.array(1), w.array(2), w.number(1.0f), w.number(2.0f);
    }
    return w.take();
}

TEST(Rows, what_cannot_be_is_refused_with_the_reason) {
    EXPECT_EQ(refused(one_row({}, -1)), "");
    const auto numbers = [](std::vector<std::uint32_t> values) {
        return [values](Writer& w, int) { Codec<std::vector<std::uint32_t>>::encode(w, values); };
    };
    const auto kinds = [](std::vector<std::pair<std::vector<int>, std::vector<int>>> values) {
        return [values](Writer& w, int) { Codec<std::decay_t<decltype(values)>>::encode(w, values); };
    };
    const auto names = [](std::vector<std::string> values) {
        return [values](Writer& w, int) { Codec<std::vector<std::string>>::encode(w, values); };
    };
    const auto has = [](const std::string& text, const char* part) {
        return testing::AssertionResult(text.find(part) != std::string::npos) << text;
    };
    EXPECT_TRUE(has(refused(one_row(names({"position", "position"}), 0)), "named twice"));
    EXPECT_TRUE(has(refused(one_row(names({}), 0)), "component 0 of 0 that are named"));
    EXPECT_EQ(refused(one_row(names({"was removed"}), 0)), "");
    EXPECT_TRUE(has(refused(one_row(names({std::string(10'000, 'x')}), 0)), "10000 bytes"));
    EXPECT_TRUE(has(refused(one_row(numbers({1, 0}), 3)), "generation 0"));
    EXPECT_TRUE(has(refused(one_row(numbers({1, 1, 1}), 3)), "1 rows are in no place"));
    EXPECT_TRUE(has(refused(one_row(numbers({1}), 3)), "row 1 never was"));
    EXPECT_TRUE(has(refused(one_row(numbers({0, 0}), 4)), "unused twice"));
    EXPECT_TRUE(has(refused(one_row(numbers({9}), 4)), "unused row 9 never was"));
    EXPECT_TRUE(has(refused(one_row(numbers({1}), 4)), "in two places"));
    EXPECT_TRUE(has(refused(one_row(kinds({{{0}, {1, 1}}}), 5)), "in two places"));
    EXPECT_TRUE(has(refused(one_row(kinds({{{0, 0}, {1}}}), 5)), "a component twice"));
    EXPECT_TRUE(has(refused(one_row(kinds({{{3}, {1}}}), 5)), "component 3 of 1"));
    EXPECT_TRUE(has(refused(one_row(kinds({{{0}, {-5}}}), 5)), "expected"));
    EXPECT_TRUE(has(refused(one_row(kinds({{{0}, {1}}, {{0}, {}}}), 5)), "the same components"));
    EXPECT_TRUE(has(refused(one_row(kinds({{{0}, {1}}, {{}, {}}}), 5)), "values"));
    const auto huge = [](Writer& w, int) { w.integer(std::uint64_t{1} << 63); };
    EXPECT_TRUE(has(refused(one_row(huge, 1)), "version"));
    const auto lengths = [](Writer& w, int) { w.array(0xffffffffu); };
    for (int part = 0; part < 7; ++part) EXPECT_NE(refused(one_row(lengths, part)), "") << part;
}

TEST(Rows, truncated_and_flipped_bytes_never_crash) {
    World world;
    Player player(test_seed());
    for (int i = 0; i < 120; ++i) player.step(world);
    for (const Form form : {Form::names, Form::indexes}) {
        const Bytes good = encode(world, form);
        EXPECT_EQ(refused(good), "");
        for (std::size_t n = 0; n < good.size(); n += 1 + n / 64)
            EXPECT_NE(refused(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n))), "");
        std::mt19937_64 random(test_seed());
        for (int i = 0; i < 4'000; ++i) {
            Bytes bad = good;
            for (std::uint64_t flips = 1 + random() % 4; flips-- > 0;)
                bad[random() % std::min<std::size_t>(bad.size(), i % 2 ? 300 : bad.size())] ^=
                    static_cast<std::uint8_t>(1u << random() % 8);
            (void)refused(bad);
        }
    }
}

}  // namespace
}  // namespace gyre

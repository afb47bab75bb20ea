#pragma once
#include <gyre/module/manifest.hpp>
#include <gyre/world/rows.hpp>

// A game in three builds: 1 and 2 differ in behaviour, 3 also in layout. Build 0 is part of the program.
#ifndef GAME_BUILD
#define GAME_BUILD 0
#endif

namespace game {

struct Place : gyre::Component<Place> {
    float x = 1, y = 2, z = 3;
    std::uint32_t zone = 7;
    static consteval auto describe() {
        return gyre::type<Place>("Place", gyre::field<&Place::x>(), gyre::field<&Place::y>(), gyre::field<&Place::z>(),
                                 gyre::field<&Place::zone>());
    }
};
struct Item {
    std::uint32_t id = 0;
    std::uint16_t count = 0;
    static consteval auto describe() {
        return gyre::type<Item>("Item", gyre::field<&Item::id>(), gyre::field<&Item::count>());
    }
};
struct Bag : gyre::Component<Bag> {
    std::vector<Item> items{{1, 2}, {3, 4}, {5, 6}};
    std::int64_t gold = 100;
#if GAME_BUILD == 3
    std::int64_t gems = 3;
#endif
    std::int64_t worth(std::int64_t rate) { return gold * rate + GAME_BUILD; }
    gyre::Task<std::int64_t> later(std::int64_t rate) { co_return gold * rate; }
    static consteval auto describe() {
        return gyre::type<Bag>("Bag", gyre::field<&Bag::items>(), gyre::field<&Bag::gold>(),
#if GAME_BUILD == 3
                               gyre::field<&Bag::gems>(),
#endif
                               gyre::method<&Bag::worth>(), gyre::method<&Bag::later>());
    }
};
struct Health : gyre::Component<Health> {
    std::int32_t points = 100, most = 100;
    bool poisoned = false;
    static consteval auto describe() {
        return gyre::type<Health>("Health", gyre::field<&Health::points>(), gyre::field<&Health::most>(),
                                  gyre::field<&Health::poisoned>());
    }
};
struct Profile : gyre::Component<Profile> {
    std::string name = "somebody with a name";
    std::uint32_t level = 1;
    static consteval auto describe() {
        return gyre::type<Profile>("Profile", gyre::field<&Profile::name>(), gyre::field<&Profile::level>());
    }
};
struct Quests : gyre::Component<Quests> {
    std::vector<std::uint32_t> open{10, 20, 30}, done{1, 2, 3, 4, 5};
    static consteval auto describe() {
        return gyre::type<Quests>("Quests", gyre::field<&Quests::open>(), gyre::field<&Quests::done>());
    }
};
struct Hero : gyre::Entity<Hero, Place, Bag, Health, Profile, Quests> {
    static consteval auto describe() { return gyre::type<Hero>("Hero"); }
};

struct Position {
    float x = 0, y = 0;
    static consteval auto describe() {
        return gyre::type<Position>("Position", gyre::field<&Position::x>(), gyre::field<&Position::y>());
    }
};
struct Velocity {
    float x = 1, y = 0.5f;
    static consteval auto describe() {
        return gyre::type<Velocity>("Velocity", gyre::field<&Velocity::x>(), gyre::field<&Velocity::y>());
    }
};
/// Rows and the system that moves them.
struct Field : gyre::Entity<Field> {
    gyre::Rows<Position, Velocity> rows;
    gyre::Task<> on_start() {
        rows.spawn_many<Position, Velocity>(100'000, [](Position& p, Velocity&) { p = {}; });
        on_after_reload();
        co_return;
    }
    void on_after_reload() {
        rows.system<Position, const Velocity>("move", gyre::ecs::Phase::simulate,
                                              [](float dt, Position& p, const Velocity& v) {
                                                  p.x += v.x * dt, p.y += v.y * dt;
                                              });
    }
    void tick() { rows.tick(1.0f / 30); }
    static consteval auto describe() {
        return gyre::type<Field>("Field", gyre::field<&Field::rows>(), gyre::method<&Field::tick>());
    }
};

}  // namespace game

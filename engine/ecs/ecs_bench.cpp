// A million rows of Position and Velocity beside plain arrays that do the same work. Times are
// nanoseconds a row of this thread (others may use the machine). `peer:arrays` is the floor: std::vectors, and where rows are named an index.
#include <benchmark/benchmark.h>
#include <gyre/ecs/world.hpp>

#include <ctime>
#include <memory>
#include <optional>
#include <vector>

namespace gyre::ecs {
namespace {

constexpr std::uint32_t row_count = 1'000'000;
constexpr float dt_s = 1.0f / 30;

struct Position {
    static constexpr std::string_view ecs_name = "position";
    float x = 0, y = 0, z = 0;
};
struct Velocity {
    static constexpr std::string_view ecs_name = "velocity";
    float x = 1, y = 1, z = 1;
};
struct Health {
    static constexpr std::string_view ecs_name = "health";
    std::uint32_t points = 100;
};

double thread_time_s() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Each iteration: prepare(), then work() timed, as nanoseconds a row.
void timed(benchmark::State& state, std::size_t rows, auto prepare, auto work) {
    for (auto _ : state) {
        prepare();
        const double start = thread_time_s();
        work();
        benchmark::ClobberMemory();
        state.SetIterationTime((thread_time_s() - start) / static_cast<double>(rows));
    }
}
void timed(benchmark::State& state, std::size_t rows, auto work) {
    timed(state, rows, [] {}, work);
}
#define ROWS(name, function, rounds) \
    BENCHMARK(function)->Name(name)->Iterations(rounds)->UseManualTime()

template <class T>
void shuffle(std::vector<T>& values) {
    std::uint64_t random = 7;
    for (std::size_t i = values.size(); i > 1; --i)
        std::swap(values[i - 1], values[mix(random += 0x9e3779b97f4a7c15u) % i]);
}
std::vector<std::uint32_t> numbers(bool random) {
    std::vector<std::uint32_t> order(row_count);
    for (std::uint32_t i = 0; i < row_count; ++i) order[i] = i;
    if (random) shuffle(order);
    return order;
}

std::vector<Row> fill(World& world) {
    std::vector<Row> rows;
    rows.reserve(row_count);
    for (std::uint32_t i = 0; i < row_count; ++i)
        rows.push_back(world.spawn(Position{}, Velocity{}));
    return rows;
}

/// What the world does, done by hand: packed arrays, an index from row to place, the last row
/// fills a hole.
struct Arrays {
    std::vector<std::uint32_t> names;
    std::vector<Position> positions;
    std::vector<Velocity> velocities;
    std::vector<Health> healths;  ///< Only of rows that have it: then each has.

    void push(std::uint32_t name, Position p, Velocity v) {
        names.push_back(name), positions.push_back(p), velocities.push_back(v);
    }
    void erase(std::uint32_t at, std::vector<std::uint32_t>& index) {
        index[names.back()] = at;
        names[at] = names.back(), names.pop_back();
        positions[at] = positions.back(), positions.pop_back();
        velocities[at] = velocities.back(), velocities.pop_back();
        if (!healths.empty()) healths[at] = healths.back(), healths.pop_back();
    }
    void fill() {
        *this = {};
        for (std::uint32_t i = 0; i < row_count; ++i) push(i, {}, {});
    }
};

// ---- loops

void move(World& world) {
    world.each<Position, const Velocity>([](Position& p, const Velocity& v) {
        p.x += v.x * dt_s, p.y += v.y * dt_s, p.z += v.z * dt_s;
    });
}

template <std::size_t count>
void arrays_move(benchmark::State& state) {
    std::vector<Position> positions(count);
    const std::vector<Velocity> velocities(count);
    timed(state, count, [&] {
        for (std::size_t i = 0; i < count; ++i) {
            Position& p = positions[i];
            const Velocity& v = velocities[i];
            p.x += v.x * dt_s, p.y += v.y * dt_s, p.z += v.z * dt_s;
        }
        benchmark::DoNotOptimize(positions.data());
    });
}

void world_move(benchmark::State& state) {
    World world;
    fill(world);
    timed(state, row_count, [&] { move(world); });
}
ROWS("move", world_move, 100);
ROWS("move/peer:arrays", arrays_move<row_count>, 100);

/// Half of the rows destroyed at random and as many made anew.
void world_move_refilled(benchmark::State& state) {
    World world;
    std::vector<Row> rows = fill(world);
    shuffle(rows);
    for (std::size_t i = 0; i < rows.size() / 2; ++i) world.destroy(rows[i]);
    for (std::size_t i = 0; i < rows.size() / 2; ++i) world.spawn(Position{}, Velocity{});
    timed(state, row_count, [&] { move(world); });
}
ROWS("move_refilled", world_move_refilled, 100);
ROWS("move_refilled/peer:arrays", arrays_move<row_count>, 100);

/// Every tenth of 1 M rows, scattered, has a Velocity. The arrays hold these alone.
void world_move_one_in_ten(benchmark::State& state) {
    World world;
    std::vector<Row> rows;
    for (std::uint32_t i = 0; i < row_count; ++i) rows.push_back(world.spawn(Position{}));
    shuffle(rows);
    for (std::uint32_t i = 0; i < row_count / 10; ++i) world.add(rows[i], Velocity{});
    timed(state, row_count / 10, [&] { move(world); });
}
ROWS("move_one_in_ten", world_move_one_in_ten, 300);
ROWS("move_one_in_ten/peer:arrays", arrays_move<row_count / 10>, 300);

// ---- rows come

void world_create(benchmark::State& state) {
    std::optional<World> world;
    timed(
        state, row_count, [&] { world.emplace(); },
        [&] {
            for (std::uint32_t i = 0; i < row_count; ++i)
                benchmark::DoNotOptimize(world->spawn(Position{}, Velocity{}));
        });
}
void arrays_create(benchmark::State& state) {
    Arrays arrays;
    timed(
        state, row_count, [&] { arrays = {}; },
        [&] {
            for (std::uint32_t i = 0; i < row_count; ++i) arrays.push(i, {}, {});
        });
}
ROWS("create", world_create, 10);
ROWS("create/peer:arrays", arrays_create, 10);

void world_create_in_bulk(benchmark::State& state) {
    std::optional<World> world;
    timed(
        state, row_count, [&] { world.emplace(); },
        [&] {
            world->spawn_many<Position, Velocity>(
                row_count, [](Position& p, Velocity& v) { p.x = 1, v.x = 2; });
        });
}
ROWS("create_in_bulk", world_create_in_bulk, 20);

// ---- components come and go

void world_add_component(benchmark::State& state) {
    World world;
    const std::vector<Row> rows = fill(world);
    for (const Row row : rows) world.add(row, Health{});  // The memory is there, as in the arrays.
    timed(
        state, row_count,
        [&] {
            for (const Row row : rows) world.remove<Health>(row);
            world.settle();
        },
        [&] {
            for (const Row row : rows) world.add(row, Health{});
            world.settle();
        });
}
void world_remove_component(benchmark::State& state) {
    World world;
    const std::vector<Row> rows = fill(world);
    timed(
        state, row_count,
        [&] {
            for (const Row row : rows) world.add(row, Health{});
            world.settle();
        },
        [&] {
            for (const Row row : rows) world.remove<Health>(row);
            world.settle();
        });
}
void arrays_move_rows(benchmark::State& state, bool adds) {
    Arrays without, with;
    std::vector<std::uint32_t> index = numbers(false);
    const std::vector<std::uint32_t> order = index;
    without.fill();
    const auto pass = [&](Arrays& from, Arrays& to, bool add) {
        for (const std::uint32_t name : order) {
            const std::uint32_t at = index[name];
            to.push(name, from.positions[at], from.velocities[at]);
            if (add) to.healths.push_back({});
            from.erase(at, index);
            index[name] = static_cast<std::uint32_t>(to.names.size() - 1);
        }
    };
    if (adds) pass(without, with, true);
    timed(
        state, row_count, [&] { adds ? pass(with, without, false) : pass(without, with, true); },
        [&] { adds ? pass(without, with, true) : pass(with, without, false); });
}
void arrays_add_component(benchmark::State& state) { arrays_move_rows(state, true); }
void arrays_remove_component(benchmark::State& state) { arrays_move_rows(state, false); }
ROWS("add_component", world_add_component, 5);
ROWS("add_component/peer:arrays", arrays_add_component, 5);
ROWS("remove_component", world_remove_component, 5);
ROWS("remove_component/peer:arrays", arrays_remove_component, 5);

// ---- one row

void world_get_at_random(benchmark::State& state) {
    World world;
    std::vector<Row> rows = fill(world);
    shuffle(rows);
    timed(state, row_count, [&] {
        float sum = 0;
        for (const Row row : rows) sum += world.get<const Position>(row).x;
        benchmark::DoNotOptimize(sum);
    });
}
void world_get_for_writing_at_random(benchmark::State& state) {
    World world;
    std::vector<Row> rows = fill(world);
    shuffle(rows);
    timed(state, row_count, [&] {
        world.checkpoint();
        for (const Row row : rows) world.get<Position>(row).x += 1;
    });
}
/// Through an index, as a row's name needs one.
void arrays_get_at_random(benchmark::State& state) {
    Arrays arrays;
    arrays.fill();
    const std::vector<std::uint32_t> index = numbers(false), order = numbers(true);
    benchmark::DoNotOptimize(index.data());
    benchmark::DoNotOptimize(arrays.positions.data());
    timed(state, row_count, [&] {
        float sum = 0;
        for (const std::uint32_t name : order) sum += arrays.positions[index[name]].x;
        benchmark::DoNotOptimize(sum);
    });
}
ROWS("get_at_random", world_get_at_random, 10);
ROWS("get_at_random/peer:arrays", arrays_get_at_random, 10);
ROWS("get_for_writing_at_random", world_get_for_writing_at_random, 10);

// ---- rows go

/// The first 1/part of the rows in the order made or shuffled, then what is left is packed.
template <bool random, std::size_t part>
void world_destroy(benchmark::State& state) {
    std::optional<World> world;
    std::vector<Row> rows;
    timed(
        state, row_count / part,
        [&] {
            world.emplace();
            rows = fill(*world);
            if (random) shuffle(rows);
        },
        [&] {
            for (std::size_t i = 0; i < rows.size() / part; ++i) world->destroy(rows[i]);
            world->settle();
        });
}
template <bool random, std::size_t part>
void arrays_destroy(benchmark::State& state) {
    Arrays arrays;
    std::vector<std::uint32_t> index;
    const std::vector<std::uint32_t> order = numbers(random);
    timed(
        state, row_count / part,
        [&] {
            arrays.fill();
            index = numbers(false);
        },
        [&] {
            for (std::size_t i = 0; i < order.size() / part; ++i)
                arrays.erase(index[order[i]], index);
        });
}
ROWS("destroy", (world_destroy<false, 1>), 5);
ROWS("destroy/peer:arrays", (arrays_destroy<false, 1>), 5);
ROWS("destroy_at_random", (world_destroy<true, 1>), 3);
ROWS("destroy_at_random/peer:arrays", (arrays_destroy<true, 1>), 3);
ROWS("destroy_half_at_random", (world_destroy<true, 2>), 3);
ROWS("destroy_half_at_random/peer:arrays", (arrays_destroy<true, 2>), 3);
ROWS("destroy_one_in_ten_at_random", (world_destroy<true, 10>), 3);
ROWS("destroy_one_in_ten_at_random/peer:arrays", (arrays_destroy<true, 10>), 3);

void world_destroy_span(benchmark::State& state) {
    std::optional<World> world;
    std::vector<Row> rows;
    timed(
        state, row_count / 2,
        [&] {
            world.emplace();
            rows = fill(*world);
            shuffle(rows);
        },
        [&] {
            world->destroy(std::span(rows).first(row_count / 2));
            world->settle();
        });
}
ROWS("destroy_half_at_random_as_span", world_destroy_span, 3);
ROWS("destroy_half_at_random_as_span/peer:arrays", (arrays_destroy<true, 2>), 3);

void world_destroy_commands(benchmark::State& state) {
    std::optional<World> world;
    std::vector<Row> rows;
    timed(
        state, row_count / 2,
        [&] {
            world.emplace();
            rows = fill(*world);
            shuffle(rows);
        },
        [&] {
            for (std::size_t i = 0; i < row_count / 2; ++i) world->commands().destroy(rows[i]);
            world->flush();
        });
}
ROWS("destroy_half_at_random_by_commands", world_destroy_commands, 3);

// ---- a tick

/// 20 systems that do nothing: what the tick itself costs a system.
void world_tick(benchmark::State& state, bool measured) {
    World world;
    for (int i = 0; i < 20; ++i)
        world.add({"nothing", Phase(i / 5), reads<>, writes<>, [](World&, float) {}});
    if (measured) world.measure([] {
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
               static_cast<std::uint64_t>(now.tv_nsec);
    });
    timed(state, 20 * 1'000, [&] {
        for (int i = 0; i < 1'000; ++i) world.tick(dt_s);
    });
}
void world_tick_measured(benchmark::State& state) { world_tick(state, true); }
void world_tick_plain(benchmark::State& state) { world_tick(state, false); }
ROWS("tick_a_system_measured", world_tick_measured, 20);
ROWS("tick_a_system_measured/peer:unmeasured", world_tick_plain, 20);

void world_state_hash(benchmark::State& state) {
    World world;
    fill(world);
    timed(state, row_count, [&] { benchmark::DoNotOptimize(world.state_hash()); });
}
ROWS("state_hash", world_state_hash, 5);

}  // namespace
}  // namespace gyre::ecs

// 1 M rows of Position and Velocity against plain arrays, in the same run. Compare the
// per_row column with the `arrays_` line of the same work.
#include <benchmark/benchmark.h>
#include <gyre/ecs/world.hpp>

#include <algorithm>
#include <memory>
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

void finish(benchmark::State& state, std::size_t rows = row_count) {
    state.counters["per_row"] = benchmark::Counter(
        static_cast<double>(rows),
        benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

template <class T>
void shuffle(std::vector<T>& values) {
    std::uint64_t random = 7;
    for (std::size_t i = values.size(); i > 1; --i)
        std::swap(values[i - 1], values[mix(random += 0x9e3779b97f4a7c15u) % i]);
}

std::vector<Row> fill(World& world) {
    std::vector<Row> rows;
    rows.reserve(row_count);
    for (std::uint32_t i = 0; i < row_count; ++i)
        rows.push_back(world.spawn(Position{}, Velocity{}));
    return rows;
}

void move(World& world) {
    world.each<Position, const Velocity>([](Position& p, const Velocity& v) {
        p.x += v.x * dt_s, p.y += v.y * dt_s, p.z += v.z * dt_s;
    });
}

void arrays_move(benchmark::State& state) {
    std::vector<Position> positions(row_count);
    const std::vector<Velocity> velocities(row_count);
    for (auto _ : state) {
        for (std::size_t i = 0; i < row_count; ++i) {
            Position& p = positions[i];
            const Velocity& v = velocities[i];
            p.x += v.x * dt_s, p.y += v.y * dt_s, p.z += v.z * dt_s;
        }
        benchmark::ClobberMemory();
    }
    finish(state);
}
BENCHMARK(arrays_move);

void world_move(benchmark::State& state) {
    World world;
    fill(world);
    for (auto _ : state) move(world);
    finish(state);
}
BENCHMARK(world_move);

void world_move_after_half_destroyed_at_random_and_refilled(benchmark::State& state) {
    World world;
    std::vector<Row> rows = fill(world);
    shuffle(rows);
    for (std::size_t i = 0; i < rows.size() / 2; ++i) world.destroy(rows[i]);
    for (std::size_t i = 0; i < rows.size() / 2; ++i) world.spawn(Position{}, Velocity{});
    for (auto _ : state) move(world);
    finish(state);
}
BENCHMARK(world_move_after_half_destroyed_at_random_and_refilled);

/// 1 M rows of which every tenth, scattered, has a Velocity. Per matching row.
void world_move_one_in_ten(benchmark::State& state) {
    World world;
    std::vector<Row> rows;
    for (std::uint32_t i = 0; i < row_count; ++i) rows.push_back(world.spawn(Position{}));
    shuffle(rows);
    for (std::uint32_t i = 0; i < row_count / 10; ++i) world.add(rows[i], Velocity{});
    for (auto _ : state) move(world);
    finish(state, row_count / 10);
}
BENCHMARK(world_move_one_in_ten);

void arrays_move_one_in_ten(benchmark::State& state) {  // Already gathered: the limit.
    std::vector<Position> positions(row_count / 10);
    const std::vector<Velocity> velocities(row_count / 10);
    for (auto _ : state) {
        for (std::size_t i = 0; i < positions.size(); ++i) {
            Position& p = positions[i];
            const Velocity& v = velocities[i];
            p.x += v.x * dt_s, p.y += v.y * dt_s, p.z += v.z * dt_s;
        }
        benchmark::ClobberMemory();
    }
    finish(state, row_count / 10);
}
BENCHMARK(arrays_move_one_in_ten);

void world_create(benchmark::State& state) {
    for (auto _ : state) {
        auto world = std::make_unique<World>();
        for (std::uint32_t i = 0; i < row_count; ++i)
            benchmark::DoNotOptimize(world->spawn(Position{}, Velocity{}));
        state.PauseTiming();
        world.reset();
        state.ResumeTiming();
    }
    finish(state);
}
BENCHMARK(world_create);

void world_create_in_bulk(benchmark::State& state) {
    for (auto _ : state) {
        auto world = std::make_unique<World>();
        world->spawn_many<Position, Velocity>(row_count,
                                              [](Position& p, Velocity& v) { p.x = 1, v.x = 2; });
        state.PauseTiming();
        world.reset();
        state.ResumeTiming();
    }
    finish(state);
}
BENCHMARK(world_create_in_bulk);

/// Into a world that held as many before.
void world_create_in_bulk_again(benchmark::State& state) {
    World world;
    std::vector<Row> rows;
    rows.reserve(row_count);
    for (auto _ : state) {
        world.spawn_many<Position, Velocity>(row_count,
                                             [](Position& p, Velocity& v) { p.x = 1, v.x = 2; });
        state.PauseTiming();
        rows.clear();
        world.each<With<Position>>([&](Row row) { rows.push_back(row); });
        for (const Row row : rows) world.destroy(row);
        state.ResumeTiming();
    }
    finish(state);
}
BENCHMARK(world_create_in_bulk_again);

void arrays_create(benchmark::State& state) {
    for (auto _ : state) {
        std::vector<Position> positions;
        std::vector<Velocity> velocities;
        for (std::uint32_t i = 0; i < row_count; ++i) {
            positions.push_back({});
            velocities.push_back({});
        }
        benchmark::DoNotOptimize(positions.data());
        benchmark::DoNotOptimize(velocities.data());
    }
    finish(state);
}
BENCHMARK(arrays_create);

void world_add_component(benchmark::State& state) {
    World world;
    const std::vector<Row> rows = fill(world);
    for (auto _ : state) {
        for (const Row row : rows) world.add(row, Health{});
        state.PauseTiming();
        for (const Row row : rows) world.remove<Health>(row);
        state.ResumeTiming();
    }
    finish(state);
}
BENCHMARK(world_add_component);

void world_remove_component(benchmark::State& state) {
    World world;
    const std::vector<Row> rows = fill(world);
    for (auto _ : state) {
        state.PauseTiming();
        for (const Row row : rows) world.add(row, Health{});
        state.ResumeTiming();
        for (const Row row : rows) world.remove<Health>(row);
    }
    finish(state);
}
BENCHMARK(world_remove_component);

void arrays_get_at_random(benchmark::State& state) {
    std::vector<Position> positions(row_count);
    benchmark::DoNotOptimize(positions.data());
    std::vector<std::uint32_t> order(row_count);
    for (std::uint32_t i = 0; i < row_count; ++i) order[i] = i;
    shuffle(order);
    for (auto _ : state) {
        benchmark::ClobberMemory();
        float sum = 0;
        for (const std::uint32_t i : order) sum += positions[i].x;
        benchmark::DoNotOptimize(sum);
    }
    finish(state);
}
BENCHMARK(arrays_get_at_random);

void world_get_at_random(benchmark::State& state) {
    World world;
    std::vector<Row> rows = fill(world);
    shuffle(rows);
    for (auto _ : state) {
        float sum = 0;
        for (const Row row : rows) sum += world.get<const Position>(row).x;
        benchmark::DoNotOptimize(sum);
    }
    finish(state);
}
BENCHMARK(world_get_at_random);

void world_get_for_writing_at_random(benchmark::State& state) {
    World world;
    std::vector<Row> rows = fill(world);
    shuffle(rows);
    for (auto _ : state) {
        world.checkpoint();
        for (const Row row : rows) world.get<Position>(row).x += 1;
    }
    finish(state);
}
BENCHMARK(world_get_for_writing_at_random);

void destroy_all(benchmark::State& state, bool random) {
    for (auto _ : state) {
        state.PauseTiming();
        auto world = std::make_unique<World>();
        std::vector<Row> rows = fill(*world);
        if (random) shuffle(rows);
        state.ResumeTiming();
        for (const Row row : rows) world->destroy(row);
        state.PauseTiming();
        world.reset();
        state.ResumeTiming();
    }
    finish(state);
}
void world_destroy(benchmark::State& state) { destroy_all(state, false); }
BENCHMARK(world_destroy);
void world_destroy_at_random(benchmark::State& state) { destroy_all(state, true); }
BENCHMARK(world_destroy_at_random);

void world_state_hash(benchmark::State& state) {
    World world;
    fill(world);
    for (auto _ : state) benchmark::DoNotOptimize(world.state_hash());
    finish(state);
}
BENCHMARK(world_state_hash);

}  // namespace
}  // namespace gyre::ecs

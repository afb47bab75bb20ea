#include <benchmark/benchmark.h>
#include <gyre/codec/codec.hpp>
#include <gyre/world/rows.hpp>

namespace gyre {
namespace {

struct Position {
    float x = 0, y = 0, z = 0;
    static consteval auto describe() {
        return type<Position>("position", field<&Position::x>(), field<&Position::y>(),
                              field<&Position::z>());
    }
};
struct Health {
    std::int32_t points = 100;
    static consteval auto describe() { return type<Health>("health", field<&Health::points>()); }
};
struct Name {
    std::string text;
    static consteval auto describe() { return type<Name>("name", field<&Name::text>()); }
};
struct Body {
    Position position;
    Health health;
    Name name;
    static consteval auto describe() {
        return type<Body>("body", field<&Body::position>(), field<&Body::health>(),
                          field<&Body::name>());
    }
};

constexpr std::uint32_t rows = 100'000;
constexpr ReaderOptions all{.nodes = 1u << 24, .bytes = 1u << 30};
using World = Rows<Position, Health, Name>;

template <class T>
void carry(benchmark::State& state, const T& from) {
    for (auto _ : state) {
        Writer w(Form::names);
        Codec<T>::encode(w, from);
        T to;
        Reader r(w.view(), all);
        if (!Codec<T>::decode(r, to)) return state.SkipWithError(r.error_message().c_str());
        benchmark::DoNotOptimize(to);
        state.counters["bytes_per_row"] = static_cast<double>(w.size()) / rows;
    }
    state.SetItemsProcessed(state.iterations() * rows);
}

/// A world of 100,000 rows of three components, written by name, read, and the copy ended.
void rows_carried_over(benchmark::State& state) {
    World world;
    for (std::uint32_t i = 0; i < rows; ++i)
        world.spawn(Position{float(i), 1, 2}, Health{}, Name{"row " + std::to_string(i)});
    carry(state, world);
}
/// The same values as plain structs.
void rows_carried_over_vector(benchmark::State& state) {
    std::vector<Body> bodies;
    for (std::uint32_t i = 0; i < rows; ++i)
        bodies.push_back({Position{float(i), 1, 2}, Health{}, Name{"row " + std::to_string(i)}});
    carry(state, bodies);
}
BENCHMARK(rows_carried_over)->Unit(benchmark::kMillisecond);
BENCHMARK(rows_carried_over_vector)->Name("rows_carried_over/peer:vector")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gyre

// Entities that come: nanoseconds each, of this thread. Ending them is not timed.
#include <benchmark/benchmark.h>
#include <gyre/world/entity.hpp>

#include <ctime>

namespace gyre {
namespace {

constexpr int batch = 10'000;

double thread_time_s() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Purse : Component<Purse> {
    std::int64_t gold = 0;
    static consteval auto describe() { return type<Purse>("Purse", field<&Purse::gold>()); }
};
struct Place : Component<Place> {
    float x = 0, y = 0;
    static consteval auto describe() {
        return type<Place>("Place", field<&Place::x>(), field<&Place::y>());
    }
};
struct Plain : Entity<Plain, Purse, Place> {
    static consteval auto describe() { return type<Plain>("Plain"); }
};
struct Starting : Entity<Starting, Purse, Place> {
    Task<> on_start() { co_return; }
    static consteval auto describe() { return type<Starting>("Starting"); }
};

/// Into a node that held as many before.
template <class E>
void create_entities(benchmark::State& state) {
    Executor executor;
    NodeIdentity identity;
    identity.name = "n";
    Context context;
    context.node = &identity;
    Scope scope(executor, "n", context);
    identity.scope = &scope;
    std::uint64_t random = 1;
    world::Host host(executor, identity, [&] { return mix(++random); });
    identity.host = &host;
    static constexpr const world::TypeTable* types[] = {&world::table<E>};
    host.add_types(types).value();
    const auto round = [&] {
        for (int i = 0; i < batch; ++i) benchmark::DoNotOptimize(&host.create(*types[0]));
    };
    const auto end = [&] {
        for (const EntityId id : host.ids({})) host.retire(id);
        while (host.entities() > 0) executor.turn(executor.now());
    };
    round();
    end();
    for (auto _ : state) {
        const double start = thread_time_s();
        round();
        state.SetIterationTime((thread_time_s() - start) / batch);
        end();
    }
}
BENCHMARK(create_entities<Plain>)->Name("create_entity")->Iterations(20)->UseManualTime();
BENCHMARK(create_entities<Starting>)
    ->Name("create_entity_with_on_start")
    ->Iterations(20)
    ->UseManualTime();

}  // namespace
}  // namespace gyre

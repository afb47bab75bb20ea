#include <benchmark/benchmark.h>

#include <gyre/io/loop.hpp>
#include <gyre/world/entity.hpp>

// A call to an entity of the same node, through the line that game code writes, 64 bytes each way.
namespace gyre::world {
namespace {

struct Echo : Component<Echo> {
    Task<Bytes> echo(Bytes payload) { co_return payload; }
    Task<std::uint64_t> add(std::uint64_t a, std::uint64_t b) { co_return a + b; }
    std::uint64_t count = 0;
    static consteval auto describe() {
        return type<Echo>("Echo", field<&Echo::count>(), method<&Echo::echo>(), method<&Echo::add>());
    }
};
struct Actor : Entity<Actor, Echo> {
    static consteval auto describe() { return type<Actor>("Actor"); }
};

struct Node {
    Node() {
        const TypeTable* types[] = {&table<Actor>};
        host.add_types(types).value();
        identity.scope = &scope, identity.host = &host, identity.rpc = &rpc;
    }
    ~Node() {
        rpc.close();
        auto end = [](Host* h, Scope* s) -> Task<> {
            co_await h->destroy_all();
            co_await s->close();
        };
        loop.run_task(end(&host, &scope));
    }
    io::Loop loop;
    NodeIdentity identity;
    Scope scope{loop.executor(), "bench", {.node = &identity}};
    Host host{loop.executor(), identity, [this] { return loop.random_u64(); }};
    rpc::Rpc rpc{loop, scope, {.name = "bench"}, host};
};

Task<> make(Id<Actor>* id) {
    *id = create<Actor>();
    co_await yield();
}
Task<> add(Id<Actor> id, std::int64_t count) {
    std::uint64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum = co_await remote(id).call<&Echo::add>(sum, 1u);
    benchmark::DoNotOptimize(sum);
}
Task<> echo(Id<Actor> id, std::int64_t count) {
    Bytes payload(64, 7);
    for (std::int64_t i = 0; i < count; ++i)
        payload = co_await remote(id).call<&Echo::echo>(std::move(payload));
    benchmark::DoNotOptimize(payload);
}

template <auto Calls>
void to_entity_here(benchmark::State& state) {
    Node node;
    Id<Actor> id;
    const auto run = [&](Task<> task) {
        auto all = go(node.scope, std::move(task));
        node.loop.run_until([&] { return all.done(); });
    };
    run(make(&id));
    for (auto _ : state) run(Calls(id, 10'000));
    state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(to_entity_here<add>)->Name("call_entity_here_integers");
BENCHMARK(to_entity_here<echo>)->Name("call_entity_here_64_bytes");

}  // namespace
}  // namespace gyre::world

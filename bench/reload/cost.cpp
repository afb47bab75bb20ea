// A line of JSON a figure, for tools/bench_reload.py: the pause of a swap, the length of carrying over, and
// calls and rows of a module beside the same code in the program.
#include <gyre/io/loop.hpp>
#include <gyre/module/build.hpp>
#include <gyre/world/host.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "bench/reload/game.hpp"

namespace gyre {
namespace {

using Clock = std::chrono::steady_clock;
using Types = std::span<const world::TypeTable* const>;
constexpr int entities = 100'000;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}
std::shared_ptr<module::Build> build(int number) {
    return module::load_build(std::string(GYRE_BENCH_MODULES) + "/game_" + std::to_string(number) + ".so").value();
}

/// A node without sockets.
struct Node {
    explicit Node(Types types) {
        identity.name = "n";
        identity.scope = &scope;
        identity.host = &host;
        host.add_types(types, "game").value();
    }
    ~Node() {
        run([](world::Host* h) -> Task<> { co_await h->destroy_all(); }(&host));
        run(scope.close(), false);
    }
    template <class T>
    T run(Task<T> task, bool inside = true) {
        Scope outside(executor, "outside");
        auto job = go(inside ? scope : outside, std::move(task));
        while (!job.done()) executor.turn(executor.now() + 1ms);
        return job.take();
    }
    Executor executor;
    NodeIdentity identity;
    Scope scope{executor, "n", [this] {
                    Context c;
                    c.node = &identity;
                    return c;
                }()};
    std::uint64_t random = 1;
    world::Host host{executor, identity, [this] { return mix(++random); }};
};

void fill(Node& node) {
    const auto* type = node.host.find_type("Hero");
    for (int i = 0; i < entities; ++i) (void)node.host.create(*type);
}

void pauses(int rounds) {
    const auto first = build(1), second = build(2), third = build(3);
    Node node(first->types());
    fill(node);
    for (int i = 0; i < rounds; ++i) {
        const auto start = Clock::now();
        node.host.swap("game", (i % 2 ? first : second)->types()).value();
        std::printf("{\"name\": \"incremental_pause\", \"value\": %.4f, \"unit\": \"ms\"}\n", ms_since(start));
    }
    for (int i = 0; i < rounds; ++i) {
        const auto start = Clock::now();
        const auto report = node.run(node.host.carry_over("game", (i % 2 ? first : third)->types(), 1s));
        std::printf("{\"name\": \"carry_over\", \"value\": %.2f, \"unit\": \"ms\", \"bytes\": %llu}\n", ms_since(start),
                    static_cast<unsigned long long>(report.bytes));
        if (report.objects != entities) std::abort();
    }
}

/// Answers nobody.
struct Nothing : rpc::Responder::Sink {
    void fail(std::uint64_t, const Error& error) override {
        std::fprintf(stderr, "%s\n", error.what());
        std::abort();
    }
    Writer& begin_result(std::uint64_t) override { return writer.clear(), writer; }
    void end_result(std::uint64_t) override {}
    Writer writer;
};

double call_ns(Node& node, EntityId id, std::uint64_t method, int times) {
    static Nothing nothing;
    const Bytes arguments = encode(std::tuple<std::int64_t>(3));
    rpc::IncomingCall call;
    call.entity = id;
    call.method = {method, "Bag.later"};
    call.arguments = arguments;
    const auto start = Clock::now();
    for (int i = 0; i < times; ++i) node.host.dispatch(call, rpc::Responder(nothing, 1));
    return ms_since(start) * 1e6 / times;
}
double tick_ns_a_row(Node& node, world::Record& record, int times) {
    const auto start = Clock::now();
    for (int i = 0; i < times; ++i) node.host.run_method(record, hash_method("Field", "tick"));
    return ms_since(start) * 1e6 / times / entities;
}

void costs(int rounds) {
    static constexpr const world::TypeTable* own[] = {&world::table<game::Hero>, &world::table<game::Field>};
    const auto loaded = build(1);
    Node module(loaded->types()), program(own);
    const auto hero = [](Node& node) { return node.host.create(*node.host.find_type("Hero")).id; };
    const auto field = [](Node& node) -> world::Record& { return node.host.create(*node.host.find_type("Field")); };
    const EntityId there = hero(module), here = hero(program);
    world::Record &rows_there = field(module), &rows_here = field(program);
    for (const char* name : {"worth", "later"}) {
        const std::uint64_t method = hash_method("Bag", name);
        for (int i = 0; i < rounds; ++i) {
            const double a = call_ns(module, there, method, 300'000), b = call_ns(program, here, method, 300'000);
            if (i > 1)
                std::printf("{\"name\": \"call_%s\", \"value\": %.2f, \"unit\": \"ns\", \"peer\": \"in_program\", "
                            "\"peer_value\": %.2f}\n", name, a, b);
        }
    }
    for (int i = 0; i < rounds; ++i) {
        const double a = tick_ns_a_row(module, rows_there, 200), b = tick_ns_a_row(program, rows_here, 200);
        if (i > 1)
            std::printf("{\"name\": \"rows_move\", \"value\": %.3f, \"unit\": \"ns\", \"peer\": \"in_program\", "
                        "\"peer_value\": %.3f}\n", a, b);
    }
}

}  // namespace
}  // namespace gyre

int main() {
    gyre::pauses(20);
    gyre::costs(22);
}

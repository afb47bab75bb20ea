#include <benchmark/benchmark.h>

#include <gyre/rpc/methods.hpp>
#include <gyre/task/scope.hpp>

// A call that ends well, from its bytes to its answer, without a link.
namespace gyre::rpc {
namespace {

struct Shop {
    std::uint64_t sum = 0;
    std::uint64_t add(std::uint32_t a, std::uint64_t b) { return sum += a + b; }
    std::uint64_t name(std::string text) { return sum += text.size(); }
    std::uint64_t hide(std::string text) { return sum += text.size(); }
    static consteval auto describe() { return type<Shop>("Shop", method<&Shop::add>(), method<&Shop::name>(), method<&Shop::hide>(secret)); }
};
struct Caller : Responder::Sink {
    void fail(std::uint64_t, const Error&) override { std::abort(); }
    Writer& begin_result(std::uint64_t) override {
        writer.clear();
        return writer;
    }
    void end_result(std::uint64_t) override {}
    Writer writer;
};

template <auto M, class... A>
void run(benchmark::State& state, const A&... arguments) {
    Executor executor;
    Scope scope(executor, "bench");
    Shop shop;
    Caller caller;
    const Bytes bytes = encode(std::tuple<A...>(arguments...));
    Callee callee;
    callee.object = &shop;
    callee.scope = &scope;
    for (const auto& method : methods_of<Shop>())
        if (method.id == method_id<M>) callee.method = &method;
    IncomingCall incoming;
    incoming.arguments = bytes;
    for (auto _ : state) run_call(callee, incoming, Responder(caller, 1));
    state.SetItemsProcessed(state.iterations());
}
void method_with_numbers(benchmark::State& state) { run<&Shop::add>(state, std::uint32_t{7}, std::uint64_t{8}); }
void method_with_a_string(benchmark::State& state) { run<&Shop::name>(state, std::string("a name of thirty-two characters.")); }
/// Of which no arguments are kept for a line of the log.
void method_with_a_secret_string(benchmark::State& state) { run<&Shop::hide>(state, std::string("a name of thirty-two characters.")); }
BENCHMARK(method_with_numbers);
BENCHMARK(method_with_a_string);
BENCHMARK(method_with_a_secret_string);

}  // namespace
}  // namespace gyre::rpc

#include <benchmark/benchmark.h>

#include <gyre/base/hash.hpp>
#include <gyre/io/loop.hpp>
#include <gyre/rpc/rpc.hpp>
#include <thread>

// Calls that come back as they are, 64 bytes of arguments. A node on a thread of its own and the
// caller on another, over loopback; and a node that calls itself.
namespace gyre::rpc {
namespace {

struct EchoTarget : Target {
    void dispatch(const IncomingCall& call, Responder respond) override {
        respond(call.arguments);
    }
};

struct Node {
    explicit Node(std::string name) : rpc(loop, scope, config(std::move(name)), target) {
        rpc.listen({}).value();
    }
    ~Node() {
        rpc.close();
        auto end = [](Scope* s) -> Task<> { co_await s->close(); };
        loop.run_task(end(&scope));
    }
    static RpcConfig config(std::string name) {
        RpcConfig c;
        c.name = std::move(name);
        return c;
    }
    io::Loop loop;
    Scope scope{loop.executor(), "bench"};
    EchoTarget target;
    Rpc rpc;
};

const Bytes arguments = [] {
    Bytes bytes{0x91, 0xc4, 61};
    bytes.resize(64, 7);
    return bytes;
}();
constexpr MethodName echo{fnv1a("T.echo"), "T.echo"};

Task<> calls(Rpc* rpc, io::Endpoint to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i)
        benchmark::DoNotOptimize(co_await rpc->call({.entity = 7, .at = to}, echo, arguments, {}));
}
Task<> pipelined(Rpc* rpc, io::Endpoint to, std::int64_t width, std::int64_t each) {
    std::vector<Join<>> callers;
    for (std::int64_t i = 0; i < width; ++i) callers.push_back(go(calls(rpc, to, each)));
    for (auto& caller : callers) co_await caller;
}

/// Args: calls at a time.
void over_loopback(benchmark::State& state) {
    Node here("here");
    std::unique_ptr<Node> there;
    std::atomic<bool> ready = false;
    std::thread thread([&] {
        there = std::make_unique<Node>("there");
        ready = true;
        ready.notify_one();
        there->loop.run();
        there.reset();
    });
    ready.wait(false);
    const io::Endpoint to = there->rpc.address();
    const std::int64_t width = state.range(0), each = width == 1 ? 100 : 16;
    here.loop.run_task(calls(&here.rpc, to, 1));  // the link
    for (auto _ : state) here.loop.run_task(pipelined(&here.rpc, to, width, each));
    state.SetItemsProcessed(state.iterations() * width * each);
    there->loop.stop();
    thread.join();
}
BENCHMARK(over_loopback)->Arg(1)->Arg(256)->UseRealTime();

void to_itself(benchmark::State& state) {
    Node here("here");
    const io::Endpoint to = here.rpc.address();
    for (auto _ : state) here.loop.run_task(calls(&here.rpc, to, 1000));
    state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(to_itself);

}  // namespace
}  // namespace gyre::rpc

#include <benchmark/benchmark.h>

#include <gyre/sim/world.hpp>

namespace gyre::sim {
namespace {

struct Echo : io::StreamHandler {
    void on_data(BytesView bytes) override {
        ++calls;
        stream->write(bytes);
    }
    void on_closed(const Error&) override {}
    std::unique_ptr<io::Stream> stream;
    std::uint64_t calls = 0;
};

/// One delivery of some of 64 bytes that two machines keep throwing to and fro, in ever smaller
/// pieces, among `range` idle machines.
void delivery(benchmark::State& state) {
    World world;
    Machine& a = world.machine("a", "10.0.0.1");
    Machine& b = world.machine("b", "10.0.0.2");
    for (int i = 0; i < state.range(0); ++i)
        (void)world.machine("idle_" + std::to_string(i), "10.0.1." + std::to_string(i));
    Echo client, server;
    const auto listener = b.listen({"10.0.0.2", 7000}, [&](std::unique_ptr<io::Stream> stream) {
                               server.stream = std::move(stream);
                               server.stream->start(server);
                           }).value();
    client.stream = world.run(a, a.connect({"10.0.0.2", 7000}, 1s));
    client.stream->start(client);
    client.stream->write(as_bytes(std::string(64, 'x')));
    for (auto _ : state) world.run_for(1s);
    state.SetItemsProcessed(static_cast<std::int64_t>(client.calls + server.calls));
}
BENCHMARK(delivery)->Arg(0)->Arg(20);

/// 1 MiB in bulk from one machine to another.
void stream_1_mib(benchmark::State& state) {
    World world;
    Machine& a = world.machine("a", "10.0.0.1");
    Machine& b = world.machine("b", "10.0.0.2");
    struct Count : io::StreamHandler {
        void on_data(BytesView bytes) override { count += bytes.size(); }
        void on_closed(const Error&) override {}
        std::size_t count = 0;
    } count, nothing;
    std::unique_ptr<io::Stream> server;
    const auto listener = b.listen({"10.0.0.2", 7000}, [&](std::unique_ptr<io::Stream> stream) {
                               server = std::move(stream);
                               server->start(count);
                           }).value();
    auto client = world.run(a, a.connect({"10.0.0.2", 7000}, 1s));
    client->start(nothing);
    const Bytes bytes(1 << 20);
    for (auto _ : state) {
        count.count = 0;
        client->write(bytes);
        world.run_until([&] { return count.count == bytes.size(); }, 1min);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(stream_1_mib);

}  // namespace
}  // namespace gyre::sim

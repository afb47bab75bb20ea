#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <gyre/codec/codec.hpp>
#include <gyre/io/loop.hpp>
#include <gyre/log/capture.hpp>
#include <gyre/world/entity.hpp>

#include "allocations.hpp"
#include "echo.hpp"
#include "packet.hpp"

// Calls as game code writes them, through a node with its host: described methods, names, deadlines,
// scopes, contexts. `server` and `client` are one node each; `here` calls an entity of its own node;
// `count` repeats one operation a fixed number of times, for callgrind.
namespace kernel_bench {
namespace {
using namespace gyre;

struct EchoService : Service<EchoService> {
    static constexpr std::string_view role = "bench";
    Bytes echo(Bytes payload) { return payload; }
    static consteval auto describe() {
        return type<EchoService>("EchoService", method<&EchoService::echo>());
    }
};

struct Purse : Entity<Purse> {
    std::int64_t gold = 0;
    std::int64_t earn(std::int64_t amount) { return gold += amount; }
    Task<std::int64_t> earn_later(std::int64_t amount) { co_return gold += amount; }
    std::array<std::uint8_t, payload_bytes> echo(std::array<std::uint8_t, payload_bytes> payload) {
        return payload;
    }
    static consteval auto describe() {
        return type<Purse>("Purse", field<&Purse::gold>(), method<&Purse::earn>(),
                           method<&Purse::earn_later>(), method<&Purse::echo>());
    }
};

struct Node {
    Node(io::Io& io, std::string name)
        : scope(io.executor(), name, context(name)),
          host(io.executor(), identity, [&io] { return io.random_u64(); }),
          rpc(io, scope, config(name), host) {
        identity.scope = &scope;
        identity.rpc = &rpc;
        identity.host = &host;
        static constexpr const world::TypeTable* types[] = {&world::table<EchoService>,
                                                            &world::table<Purse>};
        host.add_types(types).value();
        rpc.listen({}).value();
    }
    Context context(const std::string& name) {
        identity.name = name;
        Context made;
        made.node = &identity;
        return made;
    }
    static rpc::RpcConfig config(std::string name) {
        rpc::RpcConfig made;
        made.name = std::move(name);
        made.incarnation = 1;
        return made;
    }
    NodeIdentity identity;
    Scope scope;
    world::Host host;
    rpc::Rpc rpc;
};

Task<> serve_echo(Node* node) { co_await node->host.start_services("bench"); }

void run(io::Loop& loop, Node& node, Task<> task) {
    auto job = go(node.scope, as_result(std::move(task)));
    while (!job.done()) loop.run_once();
    auto result = [](Join<Result<>> done) -> Task<> { (co_await done).value(); };
    loop.run_task(result(std::move(job)));
}

/// One of the callers of a window.
Task<> call_until_over(io::Endpoint to, Meter* meter) {
    const auto echo = at(to).service<EchoService>();
    const Bytes payload(payload_bytes, 7);
    while (!meter->over()) {
        const Bytes answer = co_await echo.call<&EchoService::echo>(payload);
        if (answer.size() != payload_bytes) std::abort();
        meter->add(1);
    }
}
Task<> drive(Arguments arguments, Meter* meter) {
    const io::Endpoint to("127.0.0.1", arguments.port);
    std::vector<Join<>> callers;
    for (std::size_t i = 0; i < arguments.window; ++i)
        callers.push_back(go(call_until_over(to, meter)));
    for (auto& caller : callers) co_await caller;
}

Task<> echo_times(io::Endpoint to, std::uint64_t times) {
    const auto echo = at(to).service<EchoService>();
    const Bytes payload(payload_bytes, 7);
    for (std::uint64_t i = 0; i < times; ++i) (void)co_await echo.call<&EchoService::echo>(payload);
}
/// 256 callers, both nodes on this loop: the instructions and allocations of both ends.
Task<> echo_windowed(io::Endpoint to, std::uint64_t times) {
    std::vector<Join<>> callers;
    for (int i = 0; i < 256; ++i) callers.push_back(go(echo_times(to, times / 256)));
    for (auto& caller : callers) co_await caller;
}

template <auto M>
Task<> earn_times(Id<Purse> purse, std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i)
        if (co_await remote(purse).template call<M>(1) < 1) std::abort();
}
Task<> echo_here_times(Id<Purse> purse, std::uint64_t times) {
    std::array<std::uint8_t, payload_bytes> payload{};
    for (std::uint64_t i = 0; i < times; ++i) payload = co_await remote(purse).call<&Purse::echo>(payload);
}
Task<> make_purse(Id<Purse>* purse) {
    *purse = create<Purse>();
    co_return;
}

Task<long> leaf(long value) { co_return value + 1; }
Task<> await_times(std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i)
        if (co_await leaf(1) != 2) std::abort();
}
Task<> encode_times(std::uint64_t times) {
    Bytes out;
    for (std::uint64_t i = 0; i < times; ++i) {
        out.clear();
        Writer writer(out);
        Codec<Packet>::encode(writer, sample);
    }
    co_return;
}
Task<> decode_times(std::uint64_t times) {
    const Bytes bytes = encode(sample);
    for (std::uint64_t i = 0; i < times; ++i)
        if (!decode<Packet>(bytes).ok()) std::abort();
    co_return;
}

/// Seconds a quarter of `operation` takes after three quarters of it warmed up; reports one line.
template <class Operation>
void timed(io::Loop& loop, Node& node, std::uint64_t times, Operation operation) {
    run(loop, node, operation(times));
    const std::uint64_t before = allocations();
    const auto start = std::chrono::steady_clock::now();
    run(loop, node, operation(times));
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    // The few of starting and joining are not the operation's.
    const auto each = static_cast<double>(allocations() - before) / static_cast<double>(times);
    std::printf("{\"ns\": %.2f, \"allocations\": %.2f}\n", took.count() / static_cast<double>(times), each);
}

int repeat(const std::string& what, std::uint64_t times) {
    io::Loop loop;
    Node node(loop, "here"), other(loop, "there");
    Id<Purse> purse;
    run(loop, other, serve_echo(&other));
    run(loop, node, make_purse(&purse));
    const io::Endpoint to = other.rpc.address();
    if (what == "rpc") timed(loop, node, times, [&](auto n) { return echo_windowed(to, n); });
    else if (what == "here") timed(loop, node, times, [&](auto n) { return earn_times<&Purse::earn>(purse, n); });
    else if (what == "here_64") timed(loop, node, times, [&](auto n) { return echo_here_times(purse, n); });
    else if (what == "here_task") timed(loop, node, times, [&](auto n) { return earn_times<&Purse::earn_later>(purse, n); });
    else if (what == "task") timed(loop, node, times, [](auto n) { return await_times(n); });
    else if (what == "encode") timed(loop, node, times, [](auto n) { return encode_times(n); });
    else if (what == "decode") timed(loop, node, times, [](auto n) { return decode_times(n); });
    else return 2;
    std::fflush(stdout);
    std::_Exit(0);  // The operation is what counts, not the end of two nodes.
}

void start(const Arguments& arguments) {
    io::Loop loop;
    Node node(loop, arguments.server ? "server" : "client");
    if (arguments.server) {
        run(loop, node, serve_echo(&node));
        announce(node.rpc.address().port);
        loop.run();
    }
    Meter meter(arguments);
    run(loop, node, drive(arguments, &meter));
    meter.report();
    std::fflush(stdout);
    std::_Exit(0);
}

}  // namespace
}  // namespace kernel_bench

int main(int count, char** values) {
    if (count == 4 && std::strcmp(values[1], "repeat") == 0)
        return kernel_bench::repeat(values[2], std::strtoull(values[3], nullptr, 10));
    kernel_bench::start(kernel_bench::Arguments(count, values));
}

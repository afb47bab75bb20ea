#include <benchmark/benchmark.h>
#include <gyre/base/assert.hpp>
#include <gyre/net/kcp.hpp>

namespace gyre::net {
namespace {

/// Two ends whose datagrams wait in flat memory, as they would in a socket's.
struct Wire final : KcpOutput {
    void output(BytesView datagram) override {
        if (lose_each > 0 && ++count % lose_each == 0) return;
        sizes.push_back(datagram.size());
        append(bytes, datagram);
    }
    void deliver(Kcp& to, TimePoint now) {
        std::size_t at = 0;
        for (const std::size_t size : sizes) {
            const auto taken = to.input(BytesView(bytes).subspan(at, size), now);
            GYRE_ASSERT(taken, "an honest datagram");
            at += size;
        }
        sizes.clear();
        bytes.clear();
    }
    Bytes bytes;
    std::vector<std::size_t> sizes;
    std::uint64_t count = 0, lose_each = 0;
};

/// Nanoseconds of one segment at both ends: sent, received and acknowledged; eight each way each 10 ms.
void per_segment(benchmark::State& state, std::uint64_t lose_each) {
    const KcpConfig config = kcp_fast();
    KcpPool pool;
    Wire up, down;
    up.lose_each = lose_each, down.lose_each = lose_each;
    Kcp a(1, config, pool, up), b(1, config, pool, down);
    TimePoint now{1s};
    const Bytes message(static_cast<std::size_t>(state.range(0)), 7);
    Bytes heard;
    const auto turn = [&] {
        now += 10ms;
        for (int i = 0; i < 8; ++i) GYRE_ASSERT(a.send(message) && b.send(message), "there is room");
        (void)a.update(now), (void)b.update(now);
        up.deliver(b, now), down.deliver(a, now);
        for (Kcp* end : {&a, &b})
            while (end->receive(heard)) benchmark::DoNotOptimize(heard.data());
    };
    for (int i = 0; i < 100; ++i) turn();
    while (state.KeepRunningBatch(16)) turn();
}

void segment(benchmark::State& state) { per_segment(state, 0); }
void segment_one_in_20_lost(benchmark::State& state) { per_segment(state, 20); }
BENCHMARK(segment)->Arg(64)->Arg(1200);
BENCHMARK(segment_one_in_20_lost)->Arg(64);

}  // namespace
}  // namespace gyre::net

#include <benchmark/benchmark.h>
#include <gyre/base/assert.hpp>
#include <gyre/net/detail/block_pool.hpp>
#include <gyre/net/rudp.hpp>
#include <gyre/secure/packets.hpp>

namespace gyre::net {
namespace {

/// One end with its seal; its datagrams wait in flat memory, as they would in a socket's.
struct End final : RudpOutput {
    End(const RudpConfig& config, BlockPool& pool, std::uint8_t send, std::uint8_t receive)
        : sealer(secure::Key(secure::Seed{send})), opener(secure::Key(secure::Seed{receive})), rudp(config, pool, *this) {}
    std::uint64_t next_number() const override { return sealer.next_number(); }
    std::size_t output(BytesView plain, unsigned number_bytes) override {
        const std::size_t begin = bytes.size();
        bytes.resize(begin + 5 + 4 + 1175 + 16);
        bytes[begin] = static_cast<std::uint8_t>(0x40 | (number_bytes - 1));
        const std::size_t size = sealer.seal(std::span(bytes).subspan(begin), 5, number_bytes, plain);
        const bool lost = lose_each > 0 && ++count % lose_each == 0;
        bytes.resize(lost ? begin : begin + size);
        if (!lost) sizes.push_back(size);
        return size + 28;
    }
    void deliver(End& to, TimePoint now) {
        std::size_t at = 0;
        for (const std::size_t size : sizes) {
            const auto datagram = std::span(bytes).subspan(at, size);
            const auto packet = to.opener.open(datagram, 5, (datagram[0] & 3u) + 1);
            GYRE_ASSERT(packet && to.rudp.input(packet->number, packet->plain, now), "an honest datagram");
            at += size;
        }
        sizes.clear();
        bytes.clear();
    }
    secure::PacketSealer sealer;
    secure::PacketOpener opener;
    Bytes bytes;
    std::vector<std::size_t> sizes;
    std::uint64_t count = 0, lose_each = 0;
    Rudp rudp;
};

/// Nanoseconds of one message, at both ends together: sent, sealed, opened, acknowledged, delivered; one each way
/// each 33 ms, in datagrams of their own.
void per_message(benchmark::State& state, std::uint64_t lose_each, Care care) {
    const RudpConfig config;
    BlockPool pool;
    End a(config, pool, 1, 3), b(config, pool, 3, 1);
    a.lose_each = b.lose_each = lose_each;
    TimePoint now{1s};
    const Bytes message(static_cast<std::size_t>(state.range(0)), 7);
    Bytes heard;
    const auto turn = [&] {
        for (End* end : {&a, &b}) GYRE_ASSERT(end->rudp.send(message, {.care = care}, now), "there is room");
        for (int i = 0; i < 3; ++i) {
            (void)a.rudp.update(now), (void)b.rudp.update(now);
            a.deliver(b, now), b.deliver(a, now);
            for (End* end : {&a, &b})
                while (end->rudp.receive(heard)) benchmark::DoNotOptimize(heard.data());
            now += 11ms;
        }
    };
    for (int i = 0; i < 1000; ++i) turn();
    while (state.KeepRunningBatch(2)) turn();
}

void rudp_message(benchmark::State& state) { per_message(state, 0, Care::balanced); }
void rudp_message_one_in_20_lost(benchmark::State& state) { per_message(state, 20, Care::balanced); }
void rudp_message_urgent_one_in_20_lost(benchmark::State& state) { per_message(state, 20, Care::urgent); }
BENCHMARK(rudp_message)->Arg(64)->Arg(1000);
BENCHMARK(rudp_message_one_in_20_lost)->Arg(64);
BENCHMARK(rudp_message_urgent_one_in_20_lost)->Arg(64);

}  // namespace
}  // namespace gyre::net

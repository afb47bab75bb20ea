#include <benchmark/benchmark.h>
#include <gyre/net/detail/rudp_code.hpp>

#include <array>

namespace gyre::net::rudp {
namespace {

void add_scaled(benchmark::State& state) {
    Bytes to(static_cast<std::size_t>(state.range(0))), from(to.size(), 77);
    std::uint8_t factor = 1;
    for (auto _ : state) {
        rudp::add_scaled(to, from, ++factor);
        benchmark::DoNotOptimize(to.data());
    }
}

/// The last records by number.
struct Ring final : KnownRecords {
    BytesView record(std::uint64_t number) const override {
        const auto& one = slots[number % slots.size()];
        return one.number == number ? BytesView(one.bytes) : BytesView();
    }
    bool wanted(std::uint64_t number) const override { return slots[number % slots.size()].number != number; }
    void put(std::uint64_t number, BytesView bytes) {
        auto& one = slots[number % slots.size()];
        one.number = number;
        one.bytes.assign(bytes.begin(), bytes.end());
    }
    struct Slot {
        std::uint64_t number = ~0ull;
        Bytes bytes;
    };
    std::array<Slot, 64> slots;
};

void make(Bytes& symbol, const Ring& sent, std::uint64_t packet, std::uint64_t first, unsigned span) {
    symbol.assign(66, 0);
    for (unsigned i = 0; i < span; ++i) rudp::add_scaled(symbol, sent.record(first + i), coefficient(packet, 0, first + i));
}

/// A repair of two segments of 64 bytes that are both here.
void repair_without_unknowns(benchmark::State& state) {
    Ring ring;
    const Bytes record(66, 7);
    ring.put(1, record), ring.put(2, record);
    Bytes symbol;
    make(symbol, ring, 9, 1, 2);
    RepairDecoder decoder;
    for (auto _ : state) decoder.repair(9, 0, 1, 2, symbol, ring);
    if (!decoder.empty()) state.SkipWithError("nothing is unknown");
}

/// A repair of two segments of 64 bytes, one of which it brings back.
void repair_with_one_unknown(benchmark::State& state) {
    Ring sent, ring;
    const Bytes record(66, 7);
    sent.put(1, record), sent.put(2, record), ring.put(1, record);
    Bytes symbol, out;
    make(symbol, sent, 9, 1, 2);
    RepairDecoder decoder;
    std::uint64_t number = 0;
    for (auto _ : state) {
        decoder.repair(9, 0, 1, 2, symbol, ring);
        if (!decoder.recovered(number, out)) return state.SkipWithError("it is told");
    }
}

/// A message of 64 bytes: put, summed with the one before into a repair, taken or lost with what rides with it.
void message_one_in_20_lost(benchmark::State& state) {
    Ring sent, ring;
    RepairDecoder decoder;
    Bytes record(66, 7), symbol, out;
    std::uint64_t n = 0, number = 0, recovered = 0;
    for (auto _ : state) {
        sent.put(++n, record);
        if (n < 3) continue;
        make(symbol, sent, n, n - 2, 2);
        if (n % 20 == 0) continue;
        decoder.repair(n, 0, n - 2, 2, symbol, ring);
        ring.put(n, record);
        decoder.known(n, record);
        while (decoder.recovered(number, out)) ring.put(number, out), ++recovered;
    }
    if (n > 1000 && recovered < n / 20 - 5) state.SkipWithError("losses come back");
}

BENCHMARK(add_scaled)->Arg(64)->Arg(256)->Arg(1200);
BENCHMARK(repair_without_unknowns);
BENCHMARK(repair_with_one_unknown);
BENCHMARK(message_one_in_20_lost);

}  // namespace
}  // namespace gyre::net::rudp

#include <benchmark/benchmark.h>

#include <gyre/codec/json.hpp>

using namespace gyre;
namespace {

struct Packet {
    int id = 70'000;
    double x = 1.25;
    std::string name = "sixteen letters!";
    std::vector<int> items = {1, 200, 30'000, 4'000'000};
    std::map<std::string, int> counts = {{"gold", 100}, {"wood", 2'000}};
    static consteval auto describe() {
        return gyre::type<Packet>("Packet", gyre::field<&Packet::id>(), gyre::field<&Packet::x>(),
                                  gyre::field<&Packet::name>(), gyre::field<&Packet::items>(),
                                  gyre::field<&Packet::counts>());
    }
};

/// The yardstick: what one would write by hand with the Writer.
void by_hand(Writer& w, const Packet& p) {
    w.array(5);
    w.signed_integer(p.id);
    w.number(p.x);
    w.text(p.name);
    w.array(p.items.size());
    for (const int item : p.items) w.signed_integer(item);
    w.map(p.counts.size());
    for (const auto& [name, count] : p.counts) {
        w.text(name);
        w.signed_integer(count);
    }
}

void encode_by_hand(benchmark::State& state) {
    const Packet packet;
    Bytes out;
    for (auto _ : state) {
        out.clear();
        Writer w(out);
        by_hand(w, packet);
        w.finish();
        benchmark::DoNotOptimize(out.data());
    }
}
BENCHMARK(encode_by_hand);

void encode_packet(benchmark::State& state) {
    const Packet packet;
    Bytes out;
    const Form form = static_cast<Form>(state.range(0));
    for (auto _ : state) {
        out.clear();
        Writer w(out, form);
        Codec<Packet>::encode(w, packet);
        w.finish();
        benchmark::DoNotOptimize(out.data());
    }
    state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(encode_packet)->Arg(0)->Arg(1);

void encode_packet_to_new_bytes(benchmark::State& state) {
    const Packet packet;
    for (auto _ : state) benchmark::DoNotOptimize(encode(packet));
}
BENCHMARK(encode_packet_to_new_bytes);

/// Into a fresh object: one string, one vector and two map nodes are allocated.
void decode_packet(benchmark::State& state) {
    const Bytes bytes = encode(Packet{}, static_cast<Form>(state.range(0)));
    for (auto _ : state) {
        Packet packet{0, 0, {}, {}, {}};
        Reader reader(bytes);
        benchmark::DoNotOptimize(Codec<Packet>::decode(reader, packet));
        benchmark::DoNotOptimize(packet);
    }
}
BENCHMARK(decode_packet)->Arg(0)->Arg(1);

void skip_packet(benchmark::State& state) {
    const Bytes bytes = encode(Packet{}, Form::names);
    for (auto _ : state) {
        Reader reader(bytes);
        benchmark::DoNotOptimize(reader.skip());
    }
}
BENCHMARK(skip_packet);

void packet_to_json(benchmark::State& state) {
    const Packet packet;
    for (auto _ : state) benchmark::DoNotOptimize(to_json(packet));
}
BENCHMARK(packet_to_json);

void packet_from_json(benchmark::State& state) {
    const std::string text = to_json(Packet{});
    for (auto _ : state) benchmark::DoNotOptimize(from_json<Packet>(text));
}
BENCHMARK(packet_from_json);

}  // namespace

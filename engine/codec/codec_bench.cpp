#include <benchmark/benchmark.h>

#include <gyre/codec/json.hpp>
#include <gyre/codec/views.hpp>

using namespace gyre;
namespace {

struct Packet {
    int id = 0;
    double x = 0;
    std::string name;
    std::vector<int> items;
    std::map<std::string, int> counts;
    static consteval auto describe() {
        return gyre::type<Packet>("Packet", gyre::field<&Packet::id>(), gyre::field<&Packet::x>(),
                                  gyre::field<&Packet::name>(), gyre::field<&Packet::items>(),
                                  gyre::field<&Packet::counts>());
    }
};

const Packet sample = {70'000, 1.25, "sixteen letters!", {1, 200, 30'000, 4'000'000},
                       {{"gold", 100}, {"wood", 2'000}}};

/// The same with its texts and lists left where they are.
struct PacketView {
    int id = 0;
    double x = 0;
    std::string_view name;
    ListView<int> items;
    MapView<std::string_view, int> counts;
    static consteval auto describe() {
        using P = PacketView;
        return gyre::type<P>("PacketView", gyre::field<&P::id>(), gyre::field<&P::x>(),
                             gyre::field<&P::name>(), gyre::field<&P::items>(),
                             gyre::field<&P::counts>());
    }
};

// The yardstick: this one struct by hand, without anything of the codec's.
namespace hand {

std::uint8_t* put(std::uint8_t* p, std::uint8_t head, auto value) {
    *p = head;
    if constexpr (sizeof value == 2) value = __builtin_bswap16(value);
    if constexpr (sizeof value == 4) value = __builtin_bswap32(value);
    if constexpr (sizeof value == 8) value = __builtin_bswap64(value);
    std::memcpy(p + 1, &value, sizeof value);
    return p + 1 + sizeof value;
}
std::uint8_t* put_int(std::uint8_t* p, int value) {
    if (value >= -32 && value < 128) return *p = static_cast<std::uint8_t>(value), p + 1;
    if (value >= 0) {
        if (value <= 0xff) return put(p, 0xcc, static_cast<std::uint8_t>(value));
        if (value <= 0xffff) return put(p, 0xcd, static_cast<std::uint16_t>(value));
        return put(p, 0xce, static_cast<std::uint32_t>(value));
    }
    if (value >= INT8_MIN) return put(p, 0xd0, static_cast<std::uint8_t>(value));
    if (value >= INT16_MIN) return put(p, 0xd1, static_cast<std::uint16_t>(value));
    return put(p, 0xd2, static_cast<std::uint32_t>(value));
}
std::uint8_t* put_count(std::uint8_t* p, std::uint8_t fix, std::uint8_t head16, std::size_t n) {
    if (n < 16) return *p = static_cast<std::uint8_t>(fix | n), p + 1;
    if (n <= 0xffff) return put(p, head16, static_cast<std::uint16_t>(n));
    return put(p, static_cast<std::uint8_t>(head16 + 1), static_cast<std::uint32_t>(n));
}
std::uint8_t* put_text(std::uint8_t* p, std::string_view text) {
    const std::size_t n = text.size();
    if (n < 32) *p++ = static_cast<std::uint8_t>(0xa0 | n);
    else if (n <= 0xff) p = put(p, 0xd9, static_cast<std::uint8_t>(n));
    else if (n <= 0xffff) p = put(p, 0xda, static_cast<std::uint16_t>(n));
    else p = put(p, 0xdb, static_cast<std::uint32_t>(n));
    std::memcpy(p, text.data(), n);
    return p + n;
}
/// One look at the size for all of it.
void encode(const Packet& packet, Bytes& out) {
    std::size_t most = 1 + 5 + 9 + 5 + packet.name.size() + 5 + packet.items.size() * 5 + 5;
    for (const auto& [name, count] : packet.counts) most += name.size() + 10;
    out.resize(most);
    std::uint8_t* p = out.data();
    *p++ = 0x95;
    p = put_int(p, packet.id);
    p = put(p, 0xcb, std::bit_cast<std::uint64_t>(packet.x));
    p = put_text(p, packet.name);
    p = put_count(p, 0x90, 0xdc, packet.items.size());
    for (const int item : packet.items) p = put_int(p, item);
    p = put_count(p, 0x80, 0xde, packet.counts.size());
    for (const auto& [name, count] : packet.counts) {
        p = put_text(p, name);
        p = put_int(p, count);
    }
    out.resize(static_cast<std::size_t>(p - out.data()));
}

/// Reads what may be wrong: every step is checked against the end, every integer against its range.
struct In {
    const std::uint8_t* at;
    const std::uint8_t* end;
    std::size_t left() const { return static_cast<std::size_t>(end - at); }
    template <class U>
    bool get(U& value) {
        if (left() < sizeof(U)) return false;
        std::memcpy(&value, at, sizeof(U));
        if constexpr (sizeof(U) == 2) value = __builtin_bswap16(value);
        if constexpr (sizeof(U) == 4) value = __builtin_bswap32(value);
        if constexpr (sizeof(U) == 8) value = __builtin_bswap64(value);
        at += sizeof(U);
        return true;
    }
    template <class U>
    bool get_as(int& value) {
        U wide{};
        if (!get(wide) || !std::in_range<int>(wide)) return false;
        value = static_cast<int>(wide);
        return true;
    }
    bool integer(int& value) {
        if (at == end) return false;
        const std::uint8_t head = *at++;
        if (head < 0x80 || head >= 0xe0) return value = static_cast<std::int8_t>(head), true;
        switch (head) {
            case 0xcc: return get_as<std::uint8_t>(value);
            case 0xcd: return get_as<std::uint16_t>(value);
            case 0xce: return get_as<std::uint32_t>(value);
            case 0xcf: return get_as<std::uint64_t>(value);
            case 0xd0: return get_as<std::int8_t>(value);
            case 0xd1: return get_as<std::int16_t>(value);
            case 0xd2: return get_as<std::int32_t>(value);
            case 0xd3: return get_as<std::int64_t>(value);
            default: return false;
        }
    }
    template <class U>
    bool length(std::size_t& n) {
        U value{};
        if (!get(value)) return false;
        n = value;
        return true;
    }
    bool text(std::string_view& value) {
        if (at == end) return false;
        const std::uint8_t head = *at++;
        std::size_t n = head & 0x1fu;
        if ((head & 0xe0) != 0xa0 && !(head == 0xd9   ? length<std::uint8_t>(n)
                                       : head == 0xda ? length<std::uint16_t>(n)
                                                      : head == 0xdb && length<std::uint32_t>(n)))
            return false;
        if (n > left()) return false;
        value = {reinterpret_cast<const char*>(at), n};
        at += n;
        return true;
    }
    bool count(std::uint8_t fix, std::uint8_t head16, std::size_t& n) {
        if (at == end) return false;
        const std::uint8_t head = *at++;
        n = head & 0x0fu;
        if ((head & 0xf0) != fix && !(head == head16 ? length<std::uint16_t>(n)
                                                     : head == head16 + 1 && length<std::uint32_t>(n)))
            return false;
        return n <= left();
    }
    bool number(double& value) {
        std::uint64_t bits = 0;
        if (at == end || *at++ != 0xcb || !get(bits)) return false;
        value = std::bit_cast<double>(bits);
        return true;
    }
};

std::optional<Packet> decode(BytesView bytes) {
    In in{bytes.data(), bytes.data() + bytes.size()};
    std::optional<Packet> out(std::in_place);
    Packet& packet = *out;
    std::size_t n = 0;
    std::string_view text;
    if (!in.count(0x90, 0xdc, n) || n != 5 || !in.integer(packet.id) || !in.number(packet.x) ||
        !in.text(text) || !in.count(0x90, 0xdc, n))
        return {};
    packet.name.assign(text);
    packet.items.resize(n);
    for (int& item : packet.items)
        if (!in.integer(item)) return {};
    if (!in.count(0x80, 0xde, n)) return {};
    for (std::size_t i = 0; i < n; ++i) {
        int count = 0;
        if (!in.text(text) || !in.integer(count)) return {};
        packet.counts.emplace_hint(packet.counts.end(), text, count);
    }
    if (in.at != in.end) return {};
    return out;
}

struct View {
    int id = 0;
    double x = 0;
    std::string_view name;
    std::size_t items = 0, counts = 0;
    BytesView items_bytes, counts_bytes;
};
std::optional<View> decode_view(BytesView bytes) {
    In in{bytes.data(), bytes.data() + bytes.size()};
    View view;
    std::size_t n = 0;
    int value = 0;
    std::string_view text;
    if (!in.count(0x90, 0xdc, n) || n != 5 || !in.integer(view.id) || !in.number(view.x) ||
        !in.text(view.name) || !in.count(0x90, 0xdc, view.items))
        return {};
    const std::uint8_t* from = in.at;
    for (std::size_t i = 0; i < view.items; ++i)
        if (!in.integer(value)) return {};
    view.items_bytes = {from, in.at};
    if (!in.count(0x80, 0xde, view.counts)) return {};
    from = in.at;
    for (std::size_t i = 0; i < view.counts; ++i)
        if (!in.text(text) || !in.integer(value)) return {};
    view.counts_bytes = {from, in.at};
    if (in.at != in.end) return {};
    return view;
}

}  // namespace hand

void encode_by_hand(benchmark::State& state) {
    Bytes out;
    for (auto _ : state) {
        out.clear();
        hand::encode(sample, out);
        benchmark::DoNotOptimize(out.data());
    }
    if (out != encode(sample)) state.SkipWithError("by hand come other bytes");
}
BENCHMARK(encode_by_hand)->Name("encode/peer:hand");

void encode_packet(benchmark::State& state, Form form) {
    Bytes out;
    for (auto _ : state) {
        out.clear();
        Writer w(out, form);
        Codec<Packet>::encode(w, sample);
        w.finish();
        benchmark::DoNotOptimize(out.data());
    }
    state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK_CAPTURE(encode_packet, indexes, Form::indexes)->Name("encode");
BENCHMARK_CAPTURE(encode_packet, names, Form::names)->Name("encode_names");

void encode_to_new_bytes(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(encode(sample));
}
BENCHMARK(encode_to_new_bytes);

/// Into a fresh object: one string, one vector and two map nodes are allocated.
void decode_packet(benchmark::State& state, Form form) {
    const Bytes bytes = encode(sample, form);
    for (auto _ : state) {
        auto packet = decode<Packet>(bytes);
        if (!packet.ok()) state.SkipWithError("refused");
        benchmark::DoNotOptimize(packet);
    }
}
BENCHMARK_CAPTURE(decode_packet, indexes, Form::indexes)->Name("decode");
BENCHMARK_CAPTURE(decode_packet, names, Form::names)->Name("decode_names");

void decode_by_hand(benchmark::State& state) {
    const Bytes bytes = encode(sample);
    for (auto _ : state) {
        auto packet = hand::decode(bytes);
        if (!packet) state.SkipWithError("refused");
        benchmark::DoNotOptimize(packet);
    }
}
BENCHMARK(decode_by_hand)->Name("decode/peer:hand");

void decode_to_views(benchmark::State& state) {
    const Bytes bytes = encode(sample);
    for (auto _ : state) {
        auto view = decode_views<PacketView>(bytes);
        if (!view.ok()) state.SkipWithError("refused");
        benchmark::DoNotOptimize(view);
    }
}
BENCHMARK(decode_to_views)->Name("decode_views");

void decode_to_views_by_hand(benchmark::State& state) {
    const Bytes bytes = encode(sample);
    for (auto _ : state) {
        auto view = hand::decode_view(bytes);
        if (!view) state.SkipWithError("refused");
        benchmark::DoNotOptimize(view);
    }
}
BENCHMARK(decode_to_views_by_hand)->Name("decode_views/peer:hand");

void skip_packet(benchmark::State& state) {
    const Bytes bytes = encode(sample, Form::names);
    for (auto _ : state) {
        Reader reader(bytes);
        benchmark::DoNotOptimize(reader.skip());
    }
}
BENCHMARK(skip_packet);

void packet_to_json(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(to_json(sample));
}
BENCHMARK(packet_to_json);

void packet_from_json(benchmark::State& state) {
    const std::string text = to_json(sample);
    for (auto _ : state) benchmark::DoNotOptimize(from_json<Packet>(text));
}
BENCHMARK(packet_from_json);

}  // namespace

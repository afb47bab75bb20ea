#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <msgpack.hpp>

#include "packet.hpp"

// Gyre's codec and msgpack-cxx on the same struct and the same bytes, one after the other.
namespace {
using kernel_bench::Packet;

struct Peer {
    int id = 70'000;
    double x = 1.25;
    std::string name = "sixteen letters!";
    std::vector<int> items = {1, 200, 30'000, 4'000'000};
    std::map<std::string, int> counts = {{"gold", 100}, {"wood", 2'000}};
    MSGPACK_DEFINE_ARRAY(id, x, name, items, counts)
};

template <class Operation>
double nanoseconds(Operation operation) {
    constexpr int times = 200'000;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < times; ++i) operation();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    return took.count() / times;
}

void row(const char* name, double own, double peer) {
    std::printf("{\"name\": \"%s\", \"value\": %.1f, \"unit\": \"ns\", \"peer\": \"msgpack-cxx\", \"peer_value\": %.1f}\n",
                name, own, peer);
}

}  // namespace

int main() {
    const gyre::Bytes bytes = gyre::encode(Packet{});
    msgpack::sbuffer packed;
    msgpack::pack(packed, Peer{});
    if (std::string_view(packed.data(), packed.size()) != gyre::as_text(bytes)) {
        std::fprintf(stderr, "the two codecs write different bytes\n");
        return 1;
    }
    for (int pair = 0; pair < 7; ++pair) {
        const Packet packet;
        const Peer other;
        gyre::Bytes out;
        const double encode = nanoseconds([&] {
            out.clear();
            gyre::Writer writer(out);
            gyre::Codec<Packet>::encode(writer, packet);
        });
        const double pack = nanoseconds([&] {
            packed.clear();
            msgpack::pack(packed, other);
        });
        row("codec_encode_over_msgpack_cxx", encode, pack);
        const double decode = nanoseconds([&] {
            if (!gyre::decode<Packet>(bytes).ok()) std::abort();
        });
        const double unpack = nanoseconds([&] {
            const auto handle = msgpack::unpack(packed.data(), packed.size());
            if (handle.get().as<Peer>().id != 70'000) std::abort();
        });
        row("codec_decode_over_msgpack_cxx", decode, unpack);
    }
}

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <msgpack.hpp>

#include "packet.hpp"

// Gyre's codec and msgpack-cxx on the same struct and the same bytes, one after the other.
namespace {
using kernel_bench::Packet;

struct Peer {
    int id = 0;
    double x = 0;
    std::string name;
    std::vector<int> items;
    std::map<std::string, int> counts;
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
    const Packet packet = kernel_bench::sample;
    const Peer other{packet.id, packet.x, packet.name, packet.items, packet.counts};
    const gyre::Bytes bytes = gyre::encode(packet);
    msgpack::sbuffer packed;
    msgpack::pack(packed, other);
    if (std::string_view(packed.data(), packed.size()) != gyre::as_text(bytes)) {
        std::fprintf(stderr, "the two codecs write different bytes\n");
        return 1;
    }
    for (int pair = 0; pair < 7; ++pair) {
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

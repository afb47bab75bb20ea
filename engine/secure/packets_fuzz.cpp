#include <algorithm>
#include <cstdlib>
#include <gyre/secure/packets.hpp>
#include <set>
#include <vector>

using namespace gyre;
using namespace gyre::secure;

namespace {

const Key key{[] {
    Seed seed;
    seed.fill(5);
    return seed;
}()};
constexpr std::size_t head_bytes = 2;

/// A peer who holds the key, and a network that does what the input says with its packets.
struct Link {
    PacketSealer sealer{key};
    PacketOpener opener{key};
    std::vector<std::pair<unsigned, Bytes>> sent;  // number bytes, packet
    std::set<std::uint64_t> opened;

    void seal(unsigned number_bytes, BytesView plain) {
        Bytes packet(PacketSealer::size(head_bytes, number_bytes, plain.size()));
        packet[0] = static_cast<std::uint8_t>(number_bytes);
        sealer.seal(packet, head_bytes, number_bytes, plain);
        sent.emplace_back(number_bytes, std::move(packet));
    }
    void deliver(unsigned number_bytes, Bytes packet, bool real) {
        const std::uint64_t before = opener.next_number();
        const auto heard = opener.open(packet, head_bytes, number_bytes);
        if (!heard) {
            if (opener.next_number() != before) std::abort();
            return;
        }
        if (!real || heard->number >= sealer.next_number()) std::abort();
        if (!opened.insert(heard->number).second) std::abort();  // twice
        if (heard->newest != (heard->number >= before)) std::abort();
        if (opener.next_number() != std::max(before, heard->number + 1)) std::abort();
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Link link;
    BytesView left{data, size};
    const auto byte = [&]() -> std::uint8_t {
        if (left.empty()) return 0;
        const std::uint8_t first = left[0];
        left = left.subspan(1);
        return first;
    };
    while (!left.empty()) {
        const std::uint8_t step = byte();
        const unsigned number_bytes = 1 + (step >> 3 & 3);
        switch (step & 7) {
            case 0:
            case 1: link.seal(number_bytes, left.first(std::min<std::size_t>(left.size(), step >> 5))); break;
            case 2:  // many that get lost
                for (int i = byte() * 4; i > 0 && link.sealer.next_number() < 3 * replay_window; --i) {
                    Bytes packet(PacketSealer::size(head_bytes, 1, 0));
                    link.sealer.seal(packet, head_bytes, 1, {});
                }
                break;
            case 3:  // one of those sent, maybe again
                if (!link.sent.empty()) {
                    const auto& [sent_bytes, packet] = link.sent[byte() % link.sent.size()];
                    link.deliver(sent_bytes, packet, true);
                }
                break;
            case 4:  // changed on the way
                if (!link.sent.empty()) {
                    auto [sent_bytes, packet] = link.sent[byte() % link.sent.size()];
                    packet[byte() % packet.size()] ^= static_cast<std::uint8_t>(1 + byte() % 255);
                    link.deliver(sent_bytes, std::move(packet), false);
                }
                break;
            case 5:  // cut, or said to be of another form
                if (!link.sent.empty()) {
                    auto [sent_bytes, packet] = link.sent[byte() % link.sent.size()];
                    packet.resize(byte() % packet.size());
                    link.deliver(number_bytes, std::move(packet), false);
                }
                break;
            default: {  // forged
                const std::size_t most = byte();
                const BytesView forged = left.first(std::min(left.size(), most));
                link.deliver(number_bytes, Bytes(forged.begin(), forged.end()), false);
            }
        }
    }
    return 0;
}

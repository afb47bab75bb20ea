#pragma once
#include <gyre/net/detail/scripted_rudp.hpp>

namespace gyre::net::detail {

/// What a fuzzer chose, a piece at a time; zeros at its end.
struct FuzzInput {
    BytesView rest;
    bool empty() const { return rest.empty(); }
    std::uint8_t u8() {
        if (rest.empty()) return 0;
        const std::uint8_t value = rest[0];
        rest = rest.subspan(1);
        return value;
    }
    unsigned u16() { return u8() | unsigned{u8()} << 8; }
    BytesView bytes(std::size_t count) {
        const BytesView taken = rest.first(std::min(count, rest.size()));
        rest = rest.subspan(taken.size());
        return taken;
    }
};

/// A data packet that may make sense: numbers are near those that matter.
/// sent: packets that its receiver has sent; expected: the segment it lacks, as far as its peer knows.
inline Bytes fuzzed_packet(FuzzInput& in, std::uint64_t sent, std::uint64_t& expected) {
    RudpPacket packet;
    const unsigned what = in.u8();
    const std::uint64_t newest = sent - 1 - (what & 0x40 ? in.u16() : in.u8() % 16u);
    switch (what & 3) {
        case 1: {
            const unsigned code = in.u8() & 7;
            packet.bitmap(newest, in.bytes(rudp::bitmap_bytes[code]), code);
            break;
        }
        case 2: case 3: {
            std::vector<std::uint64_t> numbers(what & 1 ? in.u8() : 1 + in.u8() % 3);
            for (auto& number : numbers) number = newest - in.u8();
            packet.list(numbers);
            break;
        }
        default: break;
    }
    if (what & 4) packet.una(in.u16());
    packet.flags(what & 0x18);
    for (unsigned frames = in.u8() % 34; frames > 0 && !in.empty(); --frames) {
        const unsigned kind = in.u8();
        const std::uint64_t number = kind & 0x80 ? expected++ : expected + static_cast<std::uint64_t>(static_cast<std::int8_t>(in.u8())) * (kind & 0x40 ? 9 : 1);
        Bytes payload(in.u8() * (kind & 0x20 ? 5u : 1u), in.u8());
        if (kind & 0x10 && payload.size() > 8) {
            const BytesView some = in.bytes(8);
            std::copy(some.begin(), some.end(), payload.begin());
        }
        switch (kind & 7) {
            case 0: case 1: packet.segment(number, payload, kind & 1, kind & 8); break;
            case 2: packet.ordered_segment(number, payload, in.u8() & 0x3f, in.u8(), kind & 8); break;
            case 3: case 4: packet.repair(number, 1 + in.u8() % 8u, payload); break;
            case 5: packet.unreliable(number, payload); break;
            case 6: packet.sequenced(number, in.u8() & 0x1f, payload); break;
            default: packet.put(payload);
        }
    }
    return packet.bytes();
}

}  // namespace gyre::net::detail

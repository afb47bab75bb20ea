#include <gyre/net/detail/rudp_wire.hpp>

namespace gyre::net::rudp {

bool read_record(std::uint16_t head, BytesView behind, Record& record, std::size_t& size) {
    const std::size_t length = head & length_mask, order = head & order_bit ? order_bytes : 0;
    if (head >> 14 != 0 || length == 0 || length > fragment_bytes_max || behind.size() < order + length) return false;
    record = {head, Order::ordered, 0, 1, behind.subspan(order, length)};
    size = 2 + order + length;
    if (order == 0) return true;
    if (!record.begins() || behind[0] >> 4 > static_cast<unsigned>(Order::sequenced)) return false;
    record.order = static_cast<Order>(behind[0] >> 4);
    record.lane = behind[0] & 15;
    record.distance = read_u16(behind.data() + 1);
    return true;
}

bool read_frame(BytesView& rest, Frame& frame) {
    if (rest.size() < 4) return false;
    const std::uint16_t head = read_u16(rest.data());
    const std::size_t length = head & length_mask;
    frame.number = read_u16(rest.data() + 2);
    rest = rest.subspan(4);
    std::size_t size = length;
    switch (head >> 14) {
        case 0:
            frame.kind = FrameClass::segment;
            if (!read_record(head, rest, frame.record, size)) return false;
            size -= 2;
            frame.bytes = rest.first(size);
            break;
        case 1:
            frame.kind = FrameClass::repair;
            frame.span = (head >> 11 & 7) + 1u;
            if (length < 3 || rest.size() < length) return false;
            frame.bytes = rest.first(length);
            break;
        case 2:
            frame.kind = FrameClass::loose;
            frame.sequenced = head & sequenced_bit;
            frame.lane = 0;
            if (head & (begins_bit | order_bit)) return false;
            if (frame.sequenced) {
                if (rest.empty() || rest[0] > 15) return false;
                frame.lane = rest[0];
                rest = rest.subspan(1);
            }
            if (length == 0 || rest.size() < length) return false;
            frame.bytes = rest.first(length);
            break;
        default: return false;
    }
    rest = rest.subspan(size);
    return true;
}

Result<Packet> read_packet(BytesView plain) {
    const auto wrong = [](const char* what) { return Error(errc::bad_data, what); };
    Packet packet;
    if (plain.empty()) return packet;
    const std::uint8_t flags = plain[0];
    plain = plain.subspan(1);
    packet.acks = static_cast<AckKind>(flags & acks_mask);
    packet.ask = flags & ask_flag;
    packet.full = flags & full_flag;
    const unsigned code = flags >> 5;
    const auto take = [&plain](std::size_t bytes, BytesView& taken) {
        if (plain.size() < bytes) return false;
        taken = plain.first(bytes);
        plain = plain.subspan(bytes);
        return true;
    };
    BytesView part;
    if (packet.acks != AckKind::none) {
        if (!take(1, part)) return wrong("acknowledgements that were cut");
        packet.delay = part[0];
    }
    switch (packet.acks) {
        case AckKind::none:
            if (code != 0) return wrong("an unknown flag");
            break;
        case AckKind::bitmap:
            if (!take(2, part)) return wrong("acknowledgements that were cut");
            packet.newest = read_u16(part.data());
            if (!take(bitmap_bytes[code], packet.bitmap)) return wrong("acknowledgements that were cut");
            break;
        case AckKind::few:
            if (code > 2 || !take(2 * (code + 1), packet.list)) return wrong("acknowledgements that were cut");
            packet.newest = read_u16(packet.list.data());
            break;
        case AckKind::list:
            if (code != 0) return wrong("an unknown flag");
            if (!take(1, part) || part[0] == 0 || !take(2 * std::size_t{part[0]}, packet.list))
                return wrong("acknowledgements that were cut");
            packet.newest = read_u16(packet.list.data());
            break;
    }
    if (flags & una_flag) {
        if (!take(2, part)) return wrong("a number that was cut");
        packet.has_una = true;
        packet.una = read_u16(part.data());
    }
    packet.frames = plain;
    packet.asks_for_ack = packet.ask || !plain.empty();
    unsigned segments = 0;
    Frame frame;
    while (!plain.empty()) {
        if (!read_frame(plain, frame)) return wrong("a frame that makes no sense");
        if (frame.kind == FrameClass::segment && ++segments > segments_max) return wrong("too many segments");
    }
    return packet;
}

}  // namespace gyre::net::rudp

#pragma once
#include <gyre/base/bytes.hpp>
#include <gyre/base/delivery.hpp>
#include <gyre/base/result.hpp>

/// What is within the data packets of RUDP (protocol/rudp.md).
namespace gyre::net::rudp {

inline constexpr std::size_t fragment_bytes_max = 1120;  // of a message in one segment
inline constexpr std::uint64_t window = 1024;            // segments from the first that the receiver lacks
inline constexpr unsigned segments_max = 30;             // of one packet
inline constexpr std::size_t datagram_overhead = 28 + 6 + 16;  // about, of IP, UDP, head and tag
inline constexpr unsigned delay_unit_us = 250;
inline constexpr std::uint8_t delay_unknown = 255;

enum Flag : std::uint8_t { acks_mask = 3, una_flag = 4, ask_flag = 8, full_flag = 16 };
enum class AckKind : std::uint8_t { none = 0, bitmap = 1, few = 2, list = 3 };
inline constexpr std::size_t bitmap_bytes[] = {0, 1, 2, 3, 4, 8, 16, 32};

enum class FrameClass : std::uint8_t { segment = 0, repair = 1, loose = 2 };
inline constexpr std::uint16_t length_mask = 0x07ff;
inline constexpr std::uint16_t ends_bit = 1 << 13, begins_bit = 1 << 12, order_bit = 1 << 11;  // of segments
inline constexpr std::uint16_t sequenced_bit = 1 << 13;                                        // of loose ones
inline constexpr std::size_t order_bytes = 3;

inline std::uint16_t read_u16(const std::uint8_t* p) { return static_cast<std::uint16_t>(p[0] | p[1] << 8); }
inline void write_u16(std::uint8_t* p, std::uint64_t value) {
    p[0] = static_cast<std::uint8_t>(value), p[1] = static_cast<std::uint8_t>(value >> 8);
}
/// The number nearest to `near` with these low bits; may wrap below 0, to very large ones.
inline std::uint64_t whole(std::uint64_t near, std::uint16_t low) {
    return near + static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int16_t>(low - static_cast<std::uint16_t>(near))));
}

/// A segment as repairs count it: its frame without the number.
struct Record {
    std::uint16_t head;
    Order order;
    std::uint8_t lane;
    std::uint16_t distance;  ///< 0: waits for nothing; by default 1, on lane 0. Of a sequenced one its loose number.
    BytesView payload;
    bool begins() const { return head & begins_bit; }
    bool ends() const { return head & ends_bit; }
};
/// False: no record. Zeros may follow it; size is its own.
bool read_record(std::uint16_t head, BytesView behind, Record& record, std::size_t& size);

struct Frame {
    FrameClass kind;
    std::uint16_t number = 0;
    Record record{};            ///< Of a segment.
    unsigned span = 0;          ///< Of a repair.
    bool sequenced = false;     ///< Of a loose one; it has a lane then.
    std::uint8_t lane = 0;
    BytesView bytes;            ///< Symbol or payload; of a segment its record without the head.
};
/// Takes one frame off the front. False: it makes no sense.
bool read_frame(BytesView& rest, Frame& frame);

struct Packet {
    AckKind acks = AckKind::none;
    std::uint8_t delay = 0;
    std::uint16_t newest = 0;
    BytesView bitmap;      ///< Of AckKind::bitmap; empty: eight before the newest.
    BytesView list;        ///< Of the others, two bytes each.
    bool has_una = false, ask = false, full = false;
    std::uint16_t una = 0;
    BytesView frames;      ///< All of them make sense.
    bool asks_for_ack = false;  ///< Has frames, or asks.
};
Result<Packet> read_packet(BytesView plain);

}  // namespace gyre::net::rudp

#pragma once
#include <gyre/net/detail/rudp_link.hpp>

namespace gyre::net::rudp {

/// A packet that is being put together.
struct Builder {
    std::array<std::uint8_t, Rudp::plain_bytes> bytes;
    std::size_t size = 0;
    std::uint64_t number = 0;
    std::array<std::uint16_t, segments_max> segments;  // low bits
    unsigned segment_count = 0, repair_count = 0;
    bool told_acks = false;

    std::size_t room() const { return bytes.size() - size; }
    void put_u8(std::uint8_t value) { bytes[size++] = value; }
    void put_u16(std::uint64_t value) {
        write_u16(bytes.data() + size, value);
        size += 2;
    }
    void put(BytesView more) {
        std::copy(more.begin(), more.end(), bytes.data() + size);
        size += more.size();
    }
};

}  // namespace gyre::net::rudp

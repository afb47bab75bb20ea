#pragma once
#include <deque>
#include <gyre/base/hash.hpp>
#include <gyre/net/detail/block_pool.hpp>
#include <gyre/net/detail/rudp_wire.hpp>
#include <gyre/net/rudp.hpp>

namespace gyre::net::detail {

/// The plain bytes of a data packet, written by hand: well-formed or not. For tests, fuzzers and benchmarks.
class RudpPacket {
public:
    /// acks, una, ask and full come first, in this order; each once.
    RudpPacket& bitmap(std::uint64_t newest, BytesView bits, unsigned code) {
        bytes_[0] |= static_cast<std::uint8_t>(1 | code << 5);
        return u8(0).u16(newest).put(bits);
    }
    RudpPacket& list(const std::vector<std::uint64_t>& numbers) {
        const bool few = !numbers.empty() && numbers.size() <= 3;
        bytes_[0] |= static_cast<std::uint8_t>(few ? 2 | (numbers.size() - 1) << 5 : 3);
        u8(0);
        if (!few) u8(static_cast<unsigned>(numbers.size()));
        for (const std::uint64_t number : numbers) u16(number);
        return *this;
    }
    RudpPacket& una(std::uint64_t number) {
        bytes_[0] |= 4;
        return u16(number);
    }
    RudpPacket& flags(unsigned more) {
        bytes_[0] |= static_cast<std::uint8_t>(more);
        return *this;
    }
    RudpPacket& segment(std::uint64_t number, BytesView payload, bool begins = true, bool ends = true) {
        return u16(unsigned{ends} << 13 | unsigned{begins} << 12 | payload.size()).u16(number).put(payload);
    }
    RudpPacket& ordered_segment(std::uint64_t number, BytesView payload, unsigned order_lane, unsigned distance, bool ends = true) {
        return u16(unsigned{ends} << 13 | 1u << 12 | 1u << 11 | payload.size()).u16(number).u8(order_lane).u16(distance).put(payload);
    }
    RudpPacket& repair(std::uint64_t first, unsigned span, BytesView symbol) {
        return u16(1u << 14 | (span - 1) << 11 | symbol.size()).u16(first).put(symbol);
    }
    RudpPacket& unreliable(std::uint64_t number, BytesView payload) {
        return u16(2u << 14 | payload.size()).u16(number).put(payload);
    }
    RudpPacket& sequenced(std::uint64_t number, unsigned lane, BytesView payload) {
        return u16(2u << 14 | 1u << 13 | payload.size()).u16(number).u8(lane).put(payload);
    }
    RudpPacket& u8(unsigned value) {
        bytes_.push_back(static_cast<std::uint8_t>(value));
        return *this;
    }
    RudpPacket& u16(std::uint64_t value) { return u8(value & 255).u8(value >> 8 & 255); }
    RudpPacket& put(BytesView more) {
        append(bytes_, more);
        return *this;
    }
    const Bytes& bytes() const { return bytes_; }

private:
    Bytes bytes_ = Bytes(1);
};

/// Messages that say what they are, and a receiver's book of what may still come of them.
class RudpLedger {
public:
    /// A message of so many bytes, at least 8, that is to be sent so.
    Bytes make(std::size_t bytes, Delivery how) {
        const auto id = static_cast<std::uint32_t>(sent_.size());
        sent_.push_back({how, std::max<std::size_t>(bytes, 8), false});
        if (how.order == Order::ordered) lanes_[how.lane].push_back(id);
        if (how.order == Order::ordered || how.order == Order::unordered) ++owed_;
        return write(id, sent_.back().bytes);
    }
    /// The newest could not be sent.
    void unmake() {
        const auto& last = sent_.back();
        if (last.how.order == Order::ordered) lanes_[last.how.lane].pop_back();
        if (last.how.order == Order::ordered || last.how.order == Order::unordered) --owed_;
        sent_.pop_back();
    }
    /// What arrived. Empty: as it must be; else what is wrong.
    std::string take(BytesView message) {
        std::uint32_t id = 0;
        if (message.size() < 8) return "a message of " + std::to_string(message.size()) + " bytes";
        for (unsigned i = 0; i < 4; ++i) id |= std::uint32_t{message[i]} << (8 * i);
        const std::string name = "message " + std::to_string(id);
        if (id >= sent_.size()) return name + " was never sent";
        Entry& entry = sent_[id];
        const Bytes expected = write(id, entry.bytes);
        if (!std::equal(message.begin(), message.end(), expected.begin(), expected.end())) return name + " was changed";
        if (std::exchange(entry.heard, true)) return name + " came twice";
        const unsigned lane = entry.how.lane;
        if (entry.how.order == Order::sequenced) {
            if (newest_[lane] > id) return name + " came after " + std::to_string(newest_[lane]);
            newest_[lane] = id;
        } else if (entry.how.order == Order::ordered) {
            if (lanes_[lane].front() != id) return name + " came before " + std::to_string(lanes_[lane].front());
            lanes_[lane].pop_front();
        }
        if (entry.how.order == Order::ordered || entry.how.order == Order::unordered) --owed_;
        return {};
    }
    std::size_t owed() const { return owed_; }  ///< Messages that must still come.

private:
    struct Entry {
        Delivery how;
        std::size_t bytes;
        bool heard;
    };
    static Bytes write(std::uint32_t id, std::size_t size) {
        Bytes bytes(size);
        for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(id >> (8 * i));
        for (std::size_t i = 4; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(mix(id + i * 131));
        return bytes;
    }
    std::vector<Entry> sent_;
    std::deque<std::uint32_t> lanes_[16];
    std::uint32_t newest_[16] = {};
    std::size_t owed_ = 0;
};

/// One end whose packets wait where a test finds them.
struct RudpEnd final : RudpOutput {
    struct Sent {
        std::uint64_t number;
        Bytes plain;
        unsigned number_bytes;
    };
    RudpEnd(const RudpConfig& config, BlockPool& pool, std::uint64_t first_number = 0)
        : number(first_number), rudp(config, pool, *this) {}
    std::uint64_t next_number() const override { return number; }
    std::size_t output(BytesView plain, unsigned number_bytes) override {
        if (keeps) sent.push_back({number, Bytes(plain.begin(), plain.end()), number_bytes});
        ++number;
        ++count;
        return plain.size() + 28 + 18 + number_bytes;
    }
    std::uint64_t number, count = 0;
    bool keeps = true;
    std::deque<Sent> sent;
    Rudp rudp;
};

}  // namespace gyre::net::detail

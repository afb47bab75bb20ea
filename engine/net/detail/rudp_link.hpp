#pragma once
#include <array>
#include <bitset>
#include <gyre/net/detail/block_pool.hpp>
#include <gyre/net/detail/rudp_code.hpp>
#include <gyre/net/detail/rudp_pace.hpp>
#include <gyre/net/detail/rudp_path.hpp>
#include <gyre/net/detail/rudp_wire.hpp>
#include <gyre/net/rudp.hpp>
#include <vector>

/// One end of a link: what it sends (detail/rudp_send.cpp) and what it receives (detail/rudp_receive.cpp).
namespace gyre::net {
namespace rudp {

inline constexpr TimePoint never = TimePoint::max();
inline constexpr double bursts_from = 1.7;  // mean packets in a run of losses
inline constexpr std::uint64_t none = ~std::uint64_t{0};

/// A segment on its way out; room for its record follows: 2 bytes of head and 3 of order before the payload.
struct Out {
    Out* next;
    std::uint64_t number;
    std::uint64_t packet;   // that carried it last
    std::uint64_t cover;    // the first packet after that which repairs it
    std::uint16_t size;     // of the payload
    std::uint16_t fragments;  // of its message
    std::uint16_t loose;      // its number among those, of a sequenced message
    std::uint8_t size_class, care, lane;
    Order order;
    bool begins : 1, ends : 1, numbered : 1, told_order : 1, sent : 1, acked : 1;
    bool lost : 1, late : 1;  // to be sent again; found out by its deadline
    std::uint8_t copies, repaired;
    std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(this + 1); }
    std::uint8_t* payload() { return bytes() + 2 + order_bytes; }
    std::span<std::uint8_t> record() {
        const std::size_t head = told_order ? 2 + order_bytes : 2;
        return {payload() - head, head + size};
    }
};

/// A loose message; its frame follows.
struct Loose {
    Loose* next;
    std::uint64_t packet;  // that carried it first
    std::uint16_t size;
    std::uint8_t size_class, lane, copies_left;
    Care care;
    bool sequenced;
    std::uint8_t* frame() { return reinterpret_cast<std::uint8_t*>(this + 1); }
};

/// A packet that waits to be acknowledged.
struct Sent {
    TimePoint sent, declared;  // when it counted as lost
    Duration overtaken;        // by packets so much younger, then
    std::uint64_t number;
    std::uint32_t bytes;
    float patience;  // of its deadline
    std::uint8_t size_class, count;
    bool acked, lost, late;
    std::uint16_t segments[1];  // low bits; as many as count
};

/// A segment that arrived; its record follows.
struct In {
    In* next;
    std::uint64_t number;
    std::uint16_t size;      // of the record
    std::uint16_t distance;  // of a sequenced message its loose number
    std::uint8_t size_class, lane;
    Order order;
    bool begins : 1, ends : 1, listed : 1, in_ring : 1, delivered : 1, blocked : 1;
    std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(this + 1); }
    BytesView record() { return {bytes(), size}; }
    std::size_t memory() const { return sizeof(In) + size; }
    BytesView payload() {
        const std::size_t head = read_u16(bytes()) & order_bit ? 2 + order_bytes : 2;
        return record().subspan(head);
    }
};

/// Why nothing more will arrive.
struct Broken {
    std::string_view code;
    const char* why;
};

template <class T>
struct List {
    T* first = nullptr;
    T* last = nullptr;
    void append(T* one) {
        one->next = nullptr;
        (first ? last->next : first) = one;
        last = one;
    }
    T* pop() {
        T* one = first;
        first = one->next;
        return one;
    }
};

struct Builder;

}  // namespace rudp

struct Rudp::Impl final : rudp::KnownRecords {
    Impl(const RudpConfig& c, BlockPool& p, RudpOutput& o) : config(c), pool(p), output(o) {}
    ~Impl();

    // rudp.cpp
    Result<> input(std::uint64_t number, BytesView plain, TimePoint now);
    TimePoint update(TimePoint now);
    void trim();
    bool idle() const;

    // detail/rudp_send.cpp
    Result<> send(BytesView message, Delivery how, TimePoint now);
    void send_loose(BytesView message, Delivery how);
    void drop_older(std::uint8_t lane);
    bool sensible_acks(const rudp::Packet& packet) const;
    void take_acks(const rudp::Packet& packet, std::uint64_t number, TimePoint now);
    void acked_packet(std::uint64_t number, TimePoint now, bool newest, std::size_t& bytes);
    void acked_segment(std::uint64_t number);
    void detect(TimePoint now);
    void lose(rudp::Sent& packet, bool late, TimePoint now);
    void settle_packets(TimePoint now);
    void settle_suspects();
    bool flying(std::uint64_t packet) const;
    bool assign(rudp::Out& first);
    rudp::List<rudp::Out>* next_queue();
    bool queues_wait() const;
    void flush(TimePoint now);
    bool build(TimePoint now, bool data, bool repair);
    void add_repairs(rudp::Builder& packet, unsigned count, std::uint64_t before, TimePoint now);
    void add_copies(rudp::Builder& packet, unsigned count, std::uint64_t first, std::uint64_t end);
    bool affordable(const rudp::Builder& packet, std::size_t size) const;
    bool redundant();
    unsigned ride_count(Care care);
    unsigned overdue(std::uint64_t first, std::uint64_t end, TimePoint now);
    bool bursts() const { return path.burst() > rudp::bursts_from; }
    template <class F>
    void drop_loose(rudp::List<rudp::Loose>& list, F drops);
    rudp::Sent* sent_packet(std::uint64_t number) const {
        return number >= settled && number < packets_end ? packets.at(number) : nullptr;
    }
    TimePoint next_deadline() const;
    void free_out(rudp::Out* one) { pool.give_back(one, one->size_class); }

    // detail/rudp_receive.cpp
    bool sensible_numbers(BytesView frames) const;
    void take_frames(std::uint64_t number, BytesView frames);
    void take_segment(std::uint64_t number, const rudp::Record& record, std::uint16_t head, BytesView behind);
    void take_loose(const rudp::Frame& frame);
    std::uint64_t loose_number(std::uint16_t low);
    bool newer(unsigned lane, std::uint64_t number);
    bool superseded(const rudp::In& first) const;
    void take_message(Bytes* message);
    void take_recovered();
    void advance();
    void complete(std::uint64_t number);
    bool deliverable(std::uint64_t begin) const;
    void list(std::uint64_t begin, std::uint64_t end);
    void deliver(std::uint64_t begin, std::uint64_t end);
    void drop_history();
    void release_in(rudp::In* one);
    bool receive(Bytes& message);
    void received_packet(std::uint64_t number, const rudp::Packet& packet, std::size_t size, TimePoint now);
    void write_acks(rudp::Builder& packet, TimePoint now);
    Duration ack_delay(TimePoint now) const;
    bool gap() const { return expected < highest; }
    rudp::In* find_in(std::uint64_t number) const {
        return number >= in_base && number < highest ? ins.at(number) : nullptr;
    }
    BytesView record(std::uint64_t number) const override;
    bool wanted(std::uint64_t number) const override;

    const RudpConfig& config;
    BlockPool& pool;
    RudpOutput& output;
    LinkStats counted;
    rudp::Path path;
    rudp::Pace pace;

    // Out: segments [una, next) have numbers; queues hold those that have none, or were not sent.
    rudp::List<rudp::Out> queues[3];
    rudp::List<rudp::Loose> loose, recent;  // to be sent; sent, with copies left
    NumberRing<rudp::Out> outs;
    NumberRing<rudp::Sent> packets;  // [settled, ...)
    std::uint64_t una = 0, next = 0;
    std::uint64_t settled = 0, packets_end = 0;
    std::uint64_t newest_acked = 0;  // one above; 0: none
    TimePoint newest_acked_sent{}, first_acked_sent{}, last_ack{}, last_stall{};
    TimePoint told_at{};          // when the peer last said what it has,
    std::uint64_t told_from = 0;  // of packets from this one on
    std::uint64_t last_sent_end = 0;  // one above the highest segment that was sent
    std::size_t queued_bytes = 0, in_flight = 0, loose_count = 0, recent_count = 0;
    std::vector<std::uint64_t> suspects, resends;
    TimePoint repair_at = rudp::never;
    double credit = 0, extra_bytes = 0;
    struct Lane {
        std::uint64_t last_end = 0;  // one above the last segment of its newest message
        std::uint32_t queued = 0;
        std::uint8_t queue = 0;
    };
    Lane lane0;
    std::unique_ptr<std::array<Lane, 16>> lanes;  // all but the first, once one is used
    Lane& lane(unsigned number) {
        if (number == 0) return lane0;
        if (!lanes) lanes = std::make_unique<std::array<Lane, 16>>();
        return (*lanes)[number];
    }
    std::uint16_t loose_next = 0;
    std::uint32_t sequenced_waiting = 0;  // segments in queues, without a number
    bool peer_full = false, limited = false, losing = true;
    TimePoint blocked_until = TimePoint::min(), full_ask_at = rudp::never;
    TimePoint last_data = TimePoint::min();
    Duration cadence = 1s;  // between packets with something new
    bool ask_next = false;

    // In.
    NumberRing<rudp::In> ins;
    std::uint64_t in_base = 0, expected = 0, highest = 0;  // highest: one above
    std::uint64_t open_begin = rudp::none;                 // of the message that [.., expected) ends amid
    std::size_t open_bytes = 0, in_bytes = 0;
    std::uint32_t blocked = 0;
    rudp::List<rudp::In> ready;
    rudp::List<rudp::Loose> ready_loose;
    rudp::RepairDecoder decoder;
    const rudp::Broken* broken = nullptr;
    bool is_held = false, told_full = false;
    struct LooseIn {
        bool any = false;
        std::uint64_t newest = 1 << 16, seen = 0;  // bit i: newest - i
        std::array<std::uint64_t, 16> lanes{};      // newest of each
    };
    std::unique_ptr<LooseIn> loose_in;

    // Acknowledgements to write.
    std::uint64_t got_end = 0;  // one above the newest packet
    std::bitset<256> got;       // by number
    TimePoint got_at{};
    TimePoint ack_at = rudp::never, told_last{};
    std::size_t unacked_bytes = 0;
    std::array<std::uint64_t, 4> told{};  // got_end when acknowledgements were told lately
    std::uint8_t told_next = 0, tell_una = 0;
    std::vector<std::uint16_t> fresh, older;  // of the list form
};

}  // namespace gyre::net

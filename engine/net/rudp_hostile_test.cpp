#include <gtest/gtest.h>
#include <malloc.h>
#include <gyre/net/detail/rudp_link.hpp>
#include <gyre/net/detail/scripted_rudp.hpp>
#include <gyre/sim/random.hpp>

#include <algorithm>

// What a peer that holds the key can do to this end: nothing but end its own link.
namespace gyre::net {

struct RudpAccess {
    static Rudp::Impl& impl(Rudp& rudp) { return *rudp.impl_; }
};

namespace {

using detail::RudpEnd;
using detail::RudpLedger;
using detail::RudpPacket;

/// Two ends on one clock. Packets arrive 20 ms later, unless `lose` says otherwise.
struct RudpHostileTest : testing::Test {
    void open(RudpConfig with = {}, std::uint64_t first_packet = 0) {
        ASSERT_TRUE(check(with));
        a.reset(), b.reset();
        config = with;
        pool = std::make_unique<BlockPool>();
        a = std::make_unique<RudpEnd>(config, *pool, first_packet);
        b = std::make_unique<RudpEnd>(config, *pool, first_packet);
    }
    /// Counters of segments and loose messages begin elsewhere, at both ends.
    void begin_at(std::uint64_t segment, std::uint16_t loose) {
        for (RudpEnd* end : {a.get(), b.get()}) {
            Rudp::Impl& impl = RudpAccess::impl(end->rudp);
            impl.una = impl.next = impl.last_sent_end = segment;
            impl.in_base = impl.expected = impl.highest = segment;
            impl.loose_next = loose;
        }
    }
    void send(RudpEnd& from, RudpLedger& ledger, std::size_t bytes, Delivery how) {
        if (!from.rudp.send(ledger.make(bytes, how), how, now)) ledger.unmake();
    }
    void hear(RudpEnd& end, RudpLedger* ledger) {
        for (Bytes message; end.rudp.receive(message); ++heard)
            if (ledger) ASSERT_EQ(ledger->take(message), "");
    }
    /// One round trip: what each has sent arrives.
    void exchange(double loss = 0) {
        now += 20ms;
        std::deque<RudpEnd::Sent> up, down;
        up.swap(a->sent), down.swap(b->sent);
        for (auto& packet : up)
            if (!random.chance(loss)) ASSERT_TRUE(b->rudp.input(packet.number, packet.plain, now));
        for (auto& packet : down)
            if (!random.chance(loss)) ASSERT_TRUE(a->rudp.input(packet.number, packet.plain, now));
        hear(*a, &to_a), hear(*b, &to_b);
        (void)a->rudp.update(now), (void)b->rudp.update(now);
    }
    void settle() {
        for (int i = 0; i < 3000 && !(a->rudp.idle() && b->rudp.idle() && a->sent.empty() && b->sent.empty()); ++i) {
            exchange();
            if (HasFatalFailure()) return;
        }
        EXPECT_EQ(to_a.owed(), 0u);
        EXPECT_EQ(to_b.owed(), 0u);
        EXPECT_TRUE(a->rudp.idle());
        EXPECT_TRUE(b->rudp.idle());
    }
    /// Traffic of every kind both ways.
    void talk(int rounds, double loss) {
        for (int i = 0; i < rounds; ++i) {
            for (unsigned n = 0; n < 3; ++n) {
                const Delivery how{static_cast<Order>(random.below(4)), static_cast<std::uint8_t>(random.below(16)), static_cast<Care>(random.below(3))};
                const std::size_t size = 8 + (random.chance(0.02) && how.order <= Order::unordered ? random.below(5000) : random.below(100));
                send(n & 1 ? *a : *b, n & 1 ? to_b : to_a, size, how);
            }
            exchange(loss);
            if (HasFatalFailure()) return;
        }
    }
    /// All that can be seen of an end.
    static std::string state(const Rudp& rudp) {
        const LinkStats s = rudp.stats();
        std::string text;
        for (const auto n : {s.messages_received, s.messages_sent, s.datagrams_received, s.recovered, s.segments_sent, std::uint64_t{s.queued_bytes},
                             std::uint64_t{s.in_flight}, s.spurious, s.resent_late, s.resent_early, static_cast<std::uint64_t>(s.srtt.count()),
                             static_cast<std::uint64_t>(s.rto.count())})
            text += ' ' + std::to_string(n);
        return text;
    }
    static std::size_t memory() { return mallinfo2().uordblks; }

    RudpConfig config;
    std::unique_ptr<BlockPool> pool;
    std::unique_ptr<RudpEnd> a, b;
    RudpLedger to_a, to_b;
    TimePoint now{1s};
    int heard = 0;
    sim::Random random{sim::Random(5).fork("hostile")};
};

TEST_F(RudpHostileTest, what_was_never_sent_cannot_be_acknowledged) {
    open();
    for (int i = 0; i < 5; ++i) {
        send(*a, to_b, 50, {});
        (void)a->rudp.update(now);
    }
    ASSERT_EQ(a->number, 5u);
    const std::string before = state(a->rudp);
    std::uint64_t refused = 0;
    const auto refuse = [&](const RudpPacket& packet) {
        EXPECT_FALSE(a->rudp.input(refused, packet.bytes(), now));
        EXPECT_EQ(a->rudp.stats().refused, ++refused);
        EXPECT_EQ(state(a->rudp), before);
        EXPECT_FALSE(a->rudp.broken());
    };
    const Bytes ones(32, 255), byte(1, 1);
    for (const std::uint64_t n : {5u, 6u, 100u, 0x7fffu, 0x8000u, 0xffffu}) {
        for (unsigned code = 0; code < 8; ++code) refuse(RudpPacket().bitmap(n, BytesView(ones).first(rudp::bitmap_bytes[code]), code));
        refuse(RudpPacket().list({n}));
        refuse(RudpPacket().list({4, n}));
        refuse(RudpPacket().list({4, 3, n}));
        refuse(RudpPacket().list({4, 3, 2, n}));
        refuse(RudpPacket().list({n, 4, 3, 2, 1}));
        refuse(RudpPacket().list(std::vector<std::uint64_t>(255, n)));
    }
    for (const std::uint64_t n : {6u, 7u, 1024u, 0x7fffu}) refuse(RudpPacket().una(n));
    // Nor does the rest of such a packet count.
    refuse(RudpPacket().una(6).segment(0, byte));
    refuse(RudpPacket().list({4, 9}).una(3).segment(0, byte));
    Bytes message;
    EXPECT_FALSE(a->rudp.receive(message));
    // What was sent can be, in part and again, and old numbers say nothing.
    ASSERT_TRUE(a->rudp.input(1000, RudpPacket().list({1, 3}).bytes(), now));
    ASSERT_TRUE(a->rudp.input(1001, RudpPacket().una(3).bytes(), now));
    ASSERT_TRUE(a->rudp.input(1002, RudpPacket().una(0xfff0).bytes(), now));
    ASSERT_TRUE(a->rudp.input(1003, RudpPacket().una(0).bytes(), now));
    EXPECT_EQ(a->rudp.queued_bytes(), 50u);  // the fifth: 0, 1, 2 by una, 1 and 3 by number
    ASSERT_TRUE(a->rudp.input(1004, RudpPacket().bitmap(4, {}, 0).bytes(), now));
    EXPECT_EQ(a->rudp.queued_bytes(), 0u);
    (void)a->rudp.update(now);
    EXPECT_TRUE(a->rudp.idle());
}

TEST_F(RudpHostileTest, packets_that_are_cut_or_make_no_sense_count_for_nothing) {
    open();
    send(*a, to_b, 50, {});
    (void)a->rudp.update(now);
    const Bytes one(1, 7), some(40, 7);
    std::vector<Bytes> wrong;
    const std::vector<RudpPacket> good = {
        RudpPacket().bitmap(0, BytesView(some).first(3), 3).una(0).segment(0, some),
        RudpPacket().list({0}).ordered_segment(0, some, 3, 0),
        RudpPacket().list({0, 0, 0, 0}).repair(0, 8, some),
        RudpPacket().unreliable(0, some).segment(0, one),
        RudpPacket().sequenced(0, 15, some),
    };
    for (const RudpPacket& packet : good)  // every cut but those between frames
        for (std::size_t size = 1; size < packet.bytes().size(); ++size) {
            Bytes cut(packet.bytes().begin(), packet.bytes().begin() + static_cast<std::ptrdiff_t>(size));
            if (!rudp::read_packet(cut)) wrong.push_back(cut);
        }
    EXPECT_GT(wrong.size(), 200u);
    const std::vector<RudpPacket> senseless = {
        RudpPacket().flags(0x20),                                     // bits that mean nothing without acknowledgements
        RudpPacket().list({}),                                        // an empty list
        RudpPacket().put(some),                                       // no frame
        RudpPacket().segment(0, {}),                                  // nothing in it
        RudpPacket().segment(0, Bytes(1121)),                         // longer than a fragment may be
        RudpPacket().u16(3u << 14 | 1).u16(0).put(one),               // of no class
        RudpPacket().u16(1u << 13 | 1u << 11 | 1).u16(0).u8(0).u16(0).put(one),  // an order amid a message
        RudpPacket().ordered_segment(0, one, 0x30, 0),                // of no order
        RudpPacket().ordered_segment(0, one, 0xf0, 0),
        RudpPacket().sequenced(0, 16, one),                           // of no lane
        RudpPacket().u16(2u << 14 | 1u << 12 | 1).u16(0).put(one),    // bits that mean nothing
        RudpPacket().unreliable(0, {}),
        RudpPacket().segment(1024, one),                              // beyond the window
        RudpPacket().segment(0x8000, one),
        RudpPacket().segment(0xffff, one),                            // below 0
        RudpPacket().repair(0xffff, 1, some).segment(0xffff, one),
        RudpPacket().repair(0xffff, 8, some).segment(0, one),
        RudpPacket().repair(1020, 5, some),
        RudpPacket().repair(0, 8, {}),
        RudpPacket().segment(0, one).segment(1024, one),              // the first one does not count either
        RudpPacket().segment(0, one).repair(0, 1, some).put(one),
    };
    for (const RudpPacket& packet : senseless) wrong.push_back(packet.bytes());
    RudpPacket many;
    for (unsigned n = 0; n < 31; ++n) many.segment(n, one);
    wrong.push_back(many.bytes());
    const std::string before = state(a->rudp);
    std::uint64_t number = 0;
    Bytes message;
    for (const Bytes& bytes : wrong) {
        std::string hex;
        for (const std::uint8_t byte : bytes) hex += "0123456789abcdef"[byte >> 4], hex += "0123456789abcdef"[byte & 15];
        ASSERT_FALSE(a->rudp.input(number++, bytes, now)) << hex;
        ASSERT_EQ(state(a->rudp), before) << hex;
        ASSERT_EQ(a->rudp.stats().refused, number) << hex;
        ASSERT_FALSE(a->rudp.receive(message)) << hex;
    }
    ASSERT_FALSE(a->rudp.broken());
    ASSERT_TRUE(a->rudp.input(number, RudpPacket().segment(0, some).bytes(), now));
    EXPECT_TRUE(a->rudp.receive(message));
}

TEST_F(RudpHostileTest, every_counter_wraps) {
    for (const AckForm form : {AckForm::bitmap, AckForm::list})
        for (const std::uint64_t base : {0xff00ull, 0xffff'ff00ull, 0xffff'ffff'ff00ull}) {
            RudpConfig with;
            with.acks = form;
            open(with, base);
            begin_at(base, 0xff80);
            to_a = {}, to_b = {};
            talk(1500, 0.1);
            settle();
            if (HasFailure()) FAIL() << "from " << base;
            ASSERT_GT(a->number, base + 512);
            EXPECT_GT(a->rudp.stats().recovered, 10u) << "repairs across the wrap";
            EXPECT_EQ(a->rudp.stats().refused + b->rudp.stats().refused, 0u);
            EXPECT_EQ(RudpAccess::impl(a->rudp).next >> 8, (base >> 8) + (RudpAccess::impl(a->rudp).next - base + (base & 255)) / 256);
            EXPECT_GT(RudpAccess::impl(a->rudp).next, base + 256);
        }
}

TEST_F(RudpHostileTest, more_than_65536_segments_and_loose_messages_pass) {
    RudpConfig with;
    with.cap = false;
    open(with);
    for (int i = 0; i < 2500; ++i) {
        for (int n = 0; n < 30; ++n) {
            send(*a, to_b, 8, {n & 1 ? Order::ordered : Order::unordered, static_cast<std::uint8_t>(n / 2 % 3), Care::economy});
            send(*a, to_b, 8, {n & 1 ? Order::unreliable : Order::sequenced, 2, Care::economy});
        }
        (void)a->rudp.update(now);
        exchange(0.01);
        ASSERT_FALSE(HasFatalFailure());
    }
    settle();
    EXPECT_GT(a->rudp.stats().segments_sent, 70'000u);
    EXPECT_EQ(b->rudp.stats().refused, 0u);
}

/// A recording cannot be opened again, but if it could: whole sessions played again, both ways, tell nothing twice.
TEST_F(RudpHostileTest, a_capture_played_again_delivers_nothing) {
    open();
    std::vector<std::pair<bool, RudpEnd::Sent>> capture;
    for (int i = 0; i < 300; ++i) {
        send(*a, to_b, 8 + random.below(60), {static_cast<Order>(random.below(4)), static_cast<std::uint8_t>(random.below(3)), {}});
        send(*b, to_a, 8 + random.below(60), {static_cast<Order>(random.below(4)), static_cast<std::uint8_t>(random.below(3)), {}});
        (void)a->rudp.update(now), (void)b->rudp.update(now);
        for (auto& packet : a->sent) capture.emplace_back(true, packet);
        for (auto& packet : b->sent) capture.emplace_back(false, packet);
        exchange(0.05);
        ASSERT_FALSE(HasFatalFailure());
    }
    settle();
    int before = 0;
    const std::size_t held = memory();
    for (int again = 0; again < 20; ++again)
        for (auto& [up, packet] : capture) {
            (void)(up ? b : a)->rudp.input(packet.number, packet.plain, now);
            hear(*a, &to_a), hear(*b, &to_b);
            ASSERT_FALSE(HasFatalFailure());
            if (again == 0) before = heard;  // loose ones that were lost may come once
        }
    EXPECT_EQ(heard, before);
    EXPECT_LE(memory(), held + 64 * 1024);
    (void)a->rudp.update(now), (void)b->rudp.update(now);
    talk(100, 0.05);
    settle();
}

struct Flood {
    const char* name;
    std::function<Bytes(std::uint64_t)> packet;  ///< The i-th.
    bool may_break;
};

/// Whatever a peer sends for ever, what it costs has a limit: messages that never end, holes that never close,
/// repairs, jumps of every number, tiny messages for a reader that does not read.
TEST_F(RudpHostileTest, memory_is_bounded_whatever_a_peer_sends) {
    const Bytes one(1, 7), full(1120, 7), symbol(1100, 7);
    sim::Random dice(9);
    std::uint64_t expected = 0;
    const std::vector<Flood> floods = {
        {"a message that never ends", [&](std::uint64_t i) { return RudpPacket().segment(i, full, i == 0, false).bytes(); }, true},
        {"one in small parts", [&](std::uint64_t i) { return RudpPacket().segment(i, one, i == 0, false).bytes(); }, true},
        {"fragments above a hole", [&](std::uint64_t i) { return RudpPacket().segment(1 + i % 1023, full, false, false).bytes(); }, false},
        {"messages above a hole", [&](std::uint64_t i) { return RudpPacket().ordered_segment(1 + i % 1023, full, 0, 1).bytes(); }, false},
        {"unordered messages above a hole, each a window long",
         [&](std::uint64_t i) { return RudpPacket().ordered_segment(1 + i % 1023, full, 0x10, 0).bytes(); }, false},
        {"tiny messages for ever",
         [&](std::uint64_t i) {
             RudpPacket packet;
             for (std::uint64_t n = 0; n < 30; ++n) packet.segment(i * 30 + n, one);
             return packet.bytes();
         }, false},
        {"tiny loose messages for ever",
         [&](std::uint64_t i) {
             RudpPacket packet;
             for (std::uint64_t n = 0; n < 200; ++n) packet.unreliable(i * 200 + n, one);
             return packet.bytes();
         }, false},
        {"sequenced ones on all lanes",
         [&](std::uint64_t i) {
             RudpPacket packet;
             for (std::uint64_t n = 0; n < 100; ++n) packet.sequenced(i * 100 + n, static_cast<unsigned>(n % 16), one);
             return packet.bytes();
         }, false},
        {"loose numbers that jump", [&](std::uint64_t i) { return RudpPacket().unreliable(i * 0x7fff, one).bytes(); }, false},
        {"repairs of what never comes",
         [&](std::uint64_t i) { return RudpPacket().repair(i % 1000, static_cast<unsigned>(1 + i % 8), symbol).bytes(); }, true},
        {"repairs that tell nonsense",
         [&](std::uint64_t i) {
             Bytes noise(3 + dice.below(1100));
             dice.fill(noise);
             if (i & 1) noise[0] = 1, noise[1] = static_cast<std::uint8_t>(dice.below(64));
             return RudpPacket().repair(i % 1000, 1, noise).bytes();
         }, true},
        {"windows that jump", [&](std::uint64_t i) { return RudpPacket().segment(i * 1023, one).segment(i * 1023 + 1, one).bytes(); }, false},
        {"orders that point nowhere",
         [&](std::uint64_t i) { return RudpPacket().ordered_segment(expected + 1 + i % 1000, one, i & 15, static_cast<unsigned>(dice.next() & 0xffff)).bytes(); }, false},
        {"questions", [&](std::uint64_t) { return RudpPacket().flags(8).bytes(); }, false},
        {"full for ever", [&](std::uint64_t) { return RudpPacket().flags(16).bytes(); }, false},
    };
    for (const bool reads : {true, false})
        for (const AckForm form : {AckForm::bitmap, AckForm::list})
            for (const Flood& flood : floods) {
                RudpConfig with;
                with.acks = form;
                with.max_message_bytes = 64 << 10;
                with.max_received_bytes = 256 << 10;
                const std::size_t before = memory();
                {
                    BlockPool kept(0);
                    RudpEnd end(with, kept);
                    end.keeps = false;
                    end.rudp.hold(!reads);
                    expected = 0;
                    Bytes message;
                    std::size_t most = 0;
                    for (std::uint64_t i = 0; i < 30'000; ++i) {
                        // Numbers of packets jump as well.
                        (void)end.rudp.input(i * (i < 20'000 ? 1 : 100'000), flood.packet(i), now);
                        while (end.rudp.receive(message)) {
                            ASSERT_GT(message.size(), 0u);
                            ASSERT_LE(message.size(), with.max_message_bytes) << flood.name;
                        }
                        if (i % 16 == 0) now += 1ms;
                        ASSERT_GT(end.rudp.update(now), now) << flood.name;
                        if (i % 64 == 0) most = std::max(most, memory());
                    }
                    EXPECT_LE(most, before + with.max_received_bytes + (3 << 20)) << flood.name << (reads ? "" : ", unread");
                    EXPECT_TRUE(flood.may_break || !end.rudp.broken()) << flood.name;
                }
                EXPECT_LE(memory(), before + 256 * 1024) << flood.name;  // with what the allocator keeps by size
            }
}

TEST_F(RudpHostileTest, a_peer_that_never_acknowledges_fills_one_queue) {
    open();
    a->keeps = false;
    const std::size_t before = memory();
    std::uint64_t taken = 0;
    const Bytes message(1000, 1), small(20, 1);
    for (int i = 0; i < 20'000; ++i) {
        taken += a->rudp.send(message, {}, now) ? 1 : 0;
        (void)a->rudp.send(small, {Order::unreliable, 0, Care::urgent}, now);
        (void)a->rudp.send(small, {Order::sequenced, static_cast<std::uint8_t>(i & 15), {}}, now);
        now += 5ms;
        ASSERT_GT(a->rudp.update(now), now);
    }
    EXPECT_EQ(taken, config.max_queued_bytes / message.size());
    EXPECT_LE(memory(), before + 4 * config.max_queued_bytes);
    EXPECT_LT(a->count, 200'000u);
}

/// Loose messages alone are repeated too: the copies wait for a packet, but not for ever.
TEST_F(RudpHostileTest, loose_messages_alone_keep_nothing) {
    open();
    const std::size_t before = memory();
    for (int i = 0; i < 20'000; ++i) {
        send(*a, to_b, 20, {Order::unreliable, 0, Care::balanced});
        (void)a->rudp.update(now);
        exchange(0.1);
        ASSERT_FALSE(HasFatalFailure());
    }
    EXPECT_LE(memory(), before + 20'000 * 32 + 256 * 1024) << "the ledger and little else";
    EXPECT_GT(heard, 17'900);
}

TEST_F(RudpHostileTest, a_message_above_the_limit_ends_the_link_whichever_way_it_comes) {
    RudpConfig with;
    with.max_message_bytes = 64 << 10;
    with.max_received_bytes = 1 << 20;
    const Bytes part(1120, 7);
    for (const bool hole : {false, true}) {
        open(with);
        const std::uint64_t parts = with.max_message_bytes / part.size() + 1, first = hole;
        for (std::uint64_t i = 0; i < parts; ++i) {
            const bool last = i + 1 == parts;
            const auto packet = i == 0 ? RudpPacket().ordered_segment(first, part, 0x10, 0, false) : RudpPacket().segment(first + i, part, false, last);
            (void)b->rudp.input(i, packet.bytes(), now);
        }
        Bytes message;
        EXPECT_FALSE(b->rudp.receive(message)) << hole;
        EXPECT_TRUE(b->rudp.broken()) << hole;
        EXPECT_FALSE(b->rudp.input(1000, RudpPacket().segment(first + parts, part).bytes(), now));
    }
}

/// Each of many tiny repairs costs as much time as a whole packet: most of them are passed over.
TEST_F(RudpHostileTest, a_packet_full_of_repairs_costs_no_more_than_a_few) {
    open();
    const Bytes one(1, 7), symbol(3, 9);
    ASSERT_TRUE(b->rudp.input(0, RudpPacket().segment(2, one).bytes(), now));
    const Bytes record{1, 0x30, 7};
    Bytes repair(3);
    rudp::add_scaled(repair, record, rudp::coefficient(1, 16, 0));
    RudpPacket packet;
    for (int i = 0; i < 16; ++i) packet.repair(2, 1, symbol);  // of what is there
    packet.repair(0, 1, repair);
    ASSERT_TRUE(b->rudp.input(1, packet.bytes(), now));
    Bytes message;
    EXPECT_EQ(b->rudp.stats().recovered, 0u);
    repair.assign(3, 0);
    rudp::add_scaled(repair, record, rudp::coefficient(2, 15, 0));
    packet = {};
    for (int i = 0; i < 15; ++i) packet.repair(2, 1, symbol);
    packet.repair(0, 1, repair);
    ASSERT_TRUE(b->rudp.input(2, packet.bytes(), now));
    EXPECT_EQ(b->rudp.stats().recovered, 1u);
    EXPECT_TRUE(b->rudp.receive(message));
}

/// A reader that stops and goes on, messages of the largest size behind others, through losses: nothing gets stuck.
TEST_F(RudpHostileTest, a_full_receiver_still_takes_what_it_lacks) {
    RudpConfig with;
    with.max_message_bytes = 100'000;
    with.max_received_bytes = 200'000;
    with.max_queued_bytes = 1 << 20;
    with.cap = false;
    open(with);
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 3; ++i) {
            send(*a, to_b, 100'000, {Order::ordered, 0, Care::economy});
            (void)a->rudp.update(now);
            exchange(0.2);  // numbers are given; then something more urgent comes between
            for (int n = 0; n < 40; ++n) send(*a, to_b, 3000, {Order::ordered, static_cast<std::uint8_t>(n % 4), Care::urgent});
            if (i == 1) b->rudp.hold(true);
            for (int n = 0; n < 5; ++n) exchange(0.2);
            b->rudp.hold(false);
        }
        for (int n = 0; n < 50; ++n) exchange(0.1);
        ASSERT_FALSE(HasFatalFailure());
    }
    settle();
}

TEST_F(RudpHostileTest, the_largest_message_passes_a_receiver_that_holds_others) {
    open();
    for (int i = 0; i < 30; ++i) send(*a, to_b, 200, {});
    for (int i = 0; i < 30; ++i) exchange();
    for (int i = 0; i < 2; ++i) {
        send(*a, to_b, config.max_message_bytes, {});
        for (int n = 0; n < 400; ++n) exchange(0.02);
    }
    settle();
    EXPECT_EQ(heard, 32);
}

}  // namespace
}  // namespace gyre::net

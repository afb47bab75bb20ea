#include <gtest/gtest.h>
#include <malloc.h>
#include <gyre/net/detail/rudp_code.hpp>
#include <gyre/sim/random.hpp>

#include <map>
#include <set>

namespace gyre::net::rudp {
namespace {

/// Bit by bit, so that it is seen to be right.
unsigned slow(unsigned a, unsigned b) {
    unsigned product = 0;
    for (int bit = 7; bit >= 0; --bit) {
        product <<= 1;
        if (product & 0x100) product ^= 0x11D;
        if (b >> bit & 1) product ^= a;
    }
    return product;
}

TEST(RudpCode, coefficients_are_those_of_the_wire) {
    EXPECT_EQ(coefficient(0, 0, 0), 1);
    EXPECT_EQ(coefficient(1, 0, 0), 16);
    EXPECT_EQ(coefficient(0, 1, 0), 249);
    EXPECT_EQ(coefficient(0, 0, 1), 160);
    EXPECT_EQ(coefficient(7, 2, 65535), 80);
    EXPECT_EQ(coefficient(7, 2, 131071), 80);
    EXPECT_EQ(coefficient(1ull << 32 | 7, 2, 65535), 80);
    EXPECT_EQ(coefficient(0xFFFFFFFF, 7, 1ull << 40), 40);
}

TEST(RudpCode, products_are_those_of_the_field) {
    for (unsigned a = 0; a < 256; ++a)
        for (unsigned b = 0; b < 256; ++b)
            ASSERT_EQ(multiply(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b)), slow(a, b)) << a << " " << b;
}

TEST(RudpCode, adds_what_was_multiplied_at_every_size_and_place) {
    sim::Random random(sim::Random(1).fork("add"));
    Bytes to(1400), from(1400);
    for (std::size_t size = 0; size <= 1200; size = size < 300 ? size + 1 : size + 97)
        for (int i = 0; i < 8; ++i) {
            random.fill(to), random.fill(from);
            const auto factor = static_cast<std::uint8_t>(random.next());
            const std::size_t a = random.below(64), b = random.below(64);
            Bytes expected = to;
            for (std::size_t k = 0; k < size; ++k) expected[a + k] ^= static_cast<std::uint8_t>(slow(factor, from[b + k]));
            add_scaled(std::span(to).subspan(a, size + random.below(10)), BytesView(from).subspan(b, size), factor);
            ASSERT_EQ(to, expected) << size;
            expected = to;  // in place
            for (std::size_t k = 0; k < size; ++k) expected[a + k] ^= static_cast<std::uint8_t>(slow(factor, to[a + k]));
            add_scaled(std::span(to).subspan(a, size), BytesView(to).subspan(a, size), factor);
            ASSERT_EQ(to, expected) << size;
        }
}

struct Receiver final : KnownRecords {
    BytesView record(std::uint64_t number) const override {
        const auto found = has.find(number);
        return found == has.end() ? BytesView() : BytesView(found->second);
    }
    bool wanted(std::uint64_t number) const override { return number >= least && !has.contains(number); }
    std::map<std::uint64_t, Bytes> has;
    std::uint64_t least = 0;
};

struct Repair {
    std::uint64_t packet;
    unsigned index;
    std::uint64_t first;
    unsigned span;
    Bytes symbol;
};

/// What was sent, and a decoder with what it has of it.
struct RudpCodeTest : testing::Test {
    Bytes& record(std::uint64_t number, std::size_t bytes) {
        Bytes& one = sent[number];
        one.resize(bytes);
        random.fill(one);
        one.back() |= 1;  // so that zeros behind it are seen as such
        return one;
    }
    Repair repair(std::uint64_t first, unsigned span, std::uint64_t packet, unsigned index = 0) const {
        Repair one{packet, index, first, span, {}};
        for (unsigned i = 0; i < span; ++i) one.symbol.resize(std::max(one.symbol.size(), sent.at(first + i).size()));
        for (unsigned i = 0; i < span; ++i)
            for (std::size_t k = 0; k < sent.at(first + i).size(); ++k)
                one.symbol[k] ^= static_cast<std::uint8_t>(slow(coefficient(packet, index, first + i), sent.at(first + i)[k]));
        return one;
    }
    void take(const Repair& one) {
        decoder.repair(one.packet, one.index, one.first, one.span, one.symbol, receiver);
        drain();
    }
    void take(std::uint64_t number) {
        if (receiver.has.emplace(number, sent.at(number)).second) decoder.known(number, sent.at(number));
        drain();
    }
    void drain() {
        std::uint64_t number = 0;
        for (Bytes bytes; decoder.recovered(number, bytes);) {
            ASSERT_TRUE(sent.contains(number));
            const Bytes& truth = sent.at(number);
            ASSERT_GE(bytes.size(), truth.size());
            ASSERT_TRUE(std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(truth.size()), bytes.end(), [](auto b) { return b == 0; }));
            bytes.resize(truth.size());
            ASSERT_EQ(bytes, truth) << number;
            ASSERT_TRUE(receiver.has.emplace(number, bytes).second) << "told twice: " << number;
            ++recoveries;
        }
    }
    sim::Random random{sim::Random(7).fork("records")};
    std::map<std::uint64_t, Bytes> sent;
    Receiver receiver;
    RepairDecoder decoder;
    int recoveries = 0;
};

/// Which unknowns the repairs determine, by plain elimination over all that came.
std::set<std::uint64_t> determined(const std::vector<Repair>& repairs, const Receiver& receiver) {
    std::set<std::uint64_t> unknowns;
    for (const Repair& one : repairs)
        for (unsigned i = 0; i < one.span; ++i)
            if (!receiver.has.contains(one.first + i)) unknowns.insert(one.first + i);
    const std::vector<std::uint64_t> columns(unknowns.begin(), unknowns.end());
    std::vector<std::vector<unsigned>> rows;
    for (const Repair& one : repairs) {
        rows.emplace_back();
        for (const std::uint64_t number : columns)
            rows.back().push_back(number >= one.first && number < one.first + one.span ? coefficient(one.packet, one.index, number) : 0);
    }
    std::size_t rank = 0;
    for (std::size_t column = 0; column < columns.size(); ++column) {
        std::size_t pivot = rank;
        while (pivot < rows.size() && rows[pivot][column] == 0) ++pivot;
        if (pivot == rows.size()) continue;
        std::swap(rows[pivot], rows[rank]);
        unsigned inverse = 1;
        while (slow(inverse, rows[rank][column]) != 1) ++inverse;
        for (unsigned& factor : rows[rank]) factor = slow(factor, inverse);
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (const unsigned factor = rows[i][column]; i != rank && factor)
                for (std::size_t k = 0; k < columns.size(); ++k) rows[i][k] ^= slow(factor, rows[rank][k]);
        ++rank;
    }
    std::set<std::uint64_t> result;
    for (const auto& row : rows) {
        std::size_t weight = 0, last = 0;
        for (std::size_t k = 0; k < columns.size(); ++k)
            if (row[k]) ++weight, last = k;
        if (weight == 1) result.insert(columns[last]);
    }
    return result;
}

TEST_F(RudpCodeTest, one_lost_segment_comes_back_whichever_it_is_and_whenever_the_repair_comes) {
    for (unsigned span = 1; span <= max_span; ++span)
        for (unsigned lost = 0; lost < span; ++lost)
            for (unsigned when = 0; when <= span; ++when) {
                const std::uint64_t first = 65'530 + 100 * span;  // across low words
                receiver.has.clear(), sent.clear(), recoveries = 0;
                for (unsigned i = 0; i < span; ++i) record(first + i, 2 + random.below(300));
                for (unsigned i = 0; i <= span; ++i) {
                    if (i == when) take(repair(first, span, 3, lost));
                    if (i < span && i != lost) take(first + i);
                }
                ASSERT_EQ(recoveries, 1) << span << " " << lost << " " << when;
                ASSERT_TRUE(decoder.empty());
            }
}

/// Within its bounds the decoder tells exactly what the equations determine, after each event in any order.
TEST_F(RudpCodeTest, tells_what_plain_elimination_tells) {
    int told = 0, waited = 0;
    for (int round = 0; round < 1500; ++round) {
        receiver.has.clear(), sent.clear(), recoveries = 0;
        decoder.release();
        const std::uint64_t base = random.below(1ull << 40);
        const unsigned count = 2 + static_cast<unsigned>(random.below(13));
        for (unsigned i = 0; i < count; ++i) record(base + i, random.chance(0.1) ? 1200 : 2 + random.below(90));
        std::vector<Repair> repairs, came;
        for (unsigned i = 0; i < 14; ++i) {
            const auto span = static_cast<unsigned>(1 + random.below(std::min(count, max_span)));
            const std::uint64_t first = base + random.below(count - span + 1);
            repairs.push_back(repair(first, span, random.below(1000), i % 3));
            if (random.chance(0.1)) repairs.push_back(repairs.back()), ++i;  // linearly dependent
        }
        // An event is a segment or a repair; a part of the segments never come.
        std::vector<int> events;
        for (unsigned i = 0; i < count; ++i)
            if (random.chance(0.4)) events.push_back(static_cast<int>(i));
        for (unsigned i = 0; i < 14; ++i) events.push_back(-1 - static_cast<int>(i));
        for (std::size_t i = events.size(); i > 1; --i) std::swap(events[i - 1], events[random.below(i)]);
        for (const int event : events) {
            if (event >= 0) take(base + static_cast<unsigned>(event));
            else {
                came.push_back(repairs[static_cast<unsigned>(-1 - event)]);
                take(came.back());
            }
            if (HasFatalFailure()) return;
            const auto left = determined(came, receiver);
            ASSERT_TRUE(left.empty()) << "round " << round << " does not tell " << *left.begin();
        }
        told += recoveries;
        waited += !decoder.empty();
    }
    EXPECT_GT(told, 3000);
    EXPECT_GT(waited, 50);
}

/// A long stream with losses in bursts: what it tells is true, and it tells most of what a window can.
TEST_F(RudpCodeTest, a_stream_with_losses_comes_back) {
    int lost = 0;
    constexpr std::uint64_t begin = 0xFFFF'FF00;  // across 2^32
    bool bad = false;
    for (std::uint64_t n = begin; n < begin + 20'000; ++n) {
        record(n, 2 + random.below(100));
        bad = random.chance(bad ? 0.5 : 0.04);
        if (bad) ++lost;  // with the repair in it
        else {
            if (n >= begin + 4) take(repair(n - 4, 5, n));  // before its own segment
            take(n);
        }
        if (HasFatalFailure()) return;
        if (n < begin + 40) continue;
        receiver.least = n - 30;
        decoder.forget_below(receiver.least);
        receiver.has.erase(receiver.has.begin(), receiver.has.lower_bound(receiver.least));
        sent.erase(sent.begin(), sent.lower_bound(receiver.least));
    }
    EXPECT_GT(lost, 1000);
    EXPECT_GT(recoveries, lost * 7 / 10);
}

TEST_F(RudpCodeTest, a_repair_that_tells_nothing_takes_nothing) {
    for (std::uint64_t n = 10; n < 14; ++n) record(n, 50);
    const Repair one = repair(10, 4, 5);
    for (std::uint64_t n = 10; n < 14; ++n) take(n);
    const std::size_t memory = mallinfo2().uordblks;
    for (int i = 0; i < 100; ++i) decoder.repair(one.packet, one.index, one.first, one.span, one.symbol, receiver);
    EXPECT_EQ(mallinfo2().uordblks, memory);
    EXPECT_TRUE(decoder.empty());
    EXPECT_LE(sizeof decoder, 16u);

    receiver.has.erase(12);
    for (int i = 0; i < 3; ++i) decoder.repair(one.packet, one.index, one.first, one.span, one.symbol, receiver);
    drain();
    EXPECT_EQ(recoveries, 1);
    EXPECT_TRUE(decoder.empty());
    decoder.release();
    EXPECT_LE(mallinfo2().uordblks, memory + 256);
}

TEST_F(RudpCodeTest, a_segment_too_old_spoils_its_repair_only) {
    for (std::uint64_t n = 1; n <= 4; ++n) record(n, 50);
    receiver.least = 2;
    take(repair(1, 2, 9));  // 1 is neither here nor wanted
    EXPECT_TRUE(decoder.empty());
    take(repair(2, 3, 9));
    EXPECT_FALSE(decoder.empty());
    take(4), take(2);
    EXPECT_EQ(recoveries, 1);
}

TEST_F(RudpCodeTest, what_is_forgotten_costs_one_equation) {
    for (std::uint64_t n = 1; n <= 3; ++n) record(n, 20 * n);
    take(repair(1, 3, 9)), take(repair(1, 3, 10));
    receiver.least = 2;
    decoder.forget_below(2);
    EXPECT_FALSE(decoder.empty());
    take(3);
    EXPECT_EQ(recoveries, 1);
    EXPECT_TRUE(receiver.has.contains(2));

    receiver.has.clear(), receiver.least = 0;
    take(repair(1, 3, 9));
    decoder.forget_below(4);
    EXPECT_TRUE(decoder.empty());
}

TEST_F(RudpCodeTest, the_oldest_equation_goes) {
    for (std::uint64_t n = 0; n < 100; ++n) record(n, 30);
    for (std::uint64_t n = 0; n < 40; n += 2) take(repair(n, 2, n));  // 20 of two unknowns: 8 stay
    for (std::uint64_t n = 0; n < 40; n += 2) take(n);
    EXPECT_EQ(recoveries, 8);
    EXPECT_TRUE(receiver.has.contains(39));
    EXPECT_TRUE(receiver.has.contains(25));
    EXPECT_FALSE(receiver.has.contains(1));
    EXPECT_TRUE(decoder.empty());
}

/// Symbols of a peer that lies, records that fit no symbol, in any order: bounded, and what it tells is no longer than
/// a symbol may be.
TEST_F(RudpCodeTest, hostile_symbols_stay_within_bounds) {
    const std::size_t memory = mallinfo2().uordblks;
    std::uint64_t number = 0, base = 0, told = 0;
    Bytes bytes(1300), out;
    out.reserve(1200);
    for (int i = 0; i < 50'000; ++i) {
        switch (random.below(8)) {
            case 0:
                bytes.resize(1 + random.below(1300));
                random.fill(bytes);
                number = base + random.below(40);
                decoder.known(number, bytes);
                receiver.has[number] = bytes;
                break;
            case 1:
                base += random.below(3);
                receiver.least = base;
                decoder.forget_below(base);
                receiver.has.erase(receiver.has.begin(), receiver.has.lower_bound(base));
                break;
            default:
                bytes.resize(random.below(1300));
                random.fill(bytes);
                decoder.repair(random.next(), static_cast<unsigned>(random.below(9)), base + random.below(32),
                               static_cast<unsigned>(1 + random.below(8)), bytes, receiver);
        }
        while (decoder.recovered(number, out)) {
            ASSERT_LE(out.size(), max_symbol_bytes);
            ASSERT_GE(number, base);
            receiver.has[number] = out;
            ++told;
        }
        if (i % 1000 == 999) {
            receiver.has.clear();
            ASSERT_LE(mallinfo2().uordblks, memory + 16 * 1200 + 256 * 1024) << "with what the allocator keeps by size";
        }
    }
    EXPECT_GT(told, 1000u);
}

}  // namespace
}  // namespace gyre::net::rudp

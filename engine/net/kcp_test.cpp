#include <gtest/gtest.h>
#include <gyre/net/kcp.hpp>
#include <gyre/sim/link.hpp>

#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

namespace gyre::net {
namespace {

/// Two ends and a link of each direction, in virtual milliseconds.
struct Pair {
    struct End : KcpOutput {
        End(Pair& p, const KcpConfig& config, const sim::LinkConfig& link, std::uint64_t seed)
            : pair(p), kcp(77, config, p.pool, *this), model(link, seed) {}
        void output(BytesView datagram) override {
            const auto fate = model.pass(pair.now, datagram.size());
            for (unsigned i = 0; i < fate.copies; ++i)
                pair.wire.emplace(fate.at[i], std::pair(other, Bytes(datagram.begin(), datagram.end())));
        }
        Pair& pair;
        Kcp kcp;
        sim::LinkModel model;
        End* other = nullptr;
        TimePoint wake = TimePoint::max();
        std::vector<Bytes> heard;
    };
    explicit Pair(KcpConfig config, std::string_view link = "rtt=60ms", std::uint64_t seed = 1)
        : settings(config),
          a(*this, settings, sim::parse_link(link).value(), seed),
          b(*this, settings, sim::parse_link(link).value(), seed + 1000) {
        a.other = &b, b.other = &a;
    }
    void touch(End& end) {
        for (Bytes message; end.kcp.receive(message);) end.heard.push_back(message);
        end.wake = end.kcp.update(now);
    }
    void run_until(TimePoint end) {
        while (true) {
            const TimePoint next = std::min({wire.empty() ? TimePoint::max() : wire.begin()->first, a.wake, b.wake});
            if (next > end) break;
            now = std::max(now, next);
            while (!wire.empty() && wire.begin()->first <= now) {
                auto [to, datagram] = std::move(wire.begin()->second);
                wire.erase(wire.begin());
                EXPECT_TRUE(to->kcp.input(datagram, now));
                touch(*to);
            }
            for (End* one : {&a, &b})
                if (one->wake <= now) touch(*one);
        }
        now = end;
    }
    void send(End& from, BytesView message) {
        ASSERT_TRUE(from.kcp.send(message));
        touch(from);
    }
    KcpConfig settings;
    KcpPool pool;
    TimePoint now{1000s};
    std::multimap<TimePoint, std::pair<End*, Bytes>> wire;
    End a, b;
};

Bytes message(std::uint32_t number, std::size_t size) {
    Bytes bytes(size, static_cast<std::uint8_t>(number * 7));
    for (std::size_t i = 0; i < std::min<std::size_t>(4, size); ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
    return bytes;
}

TEST(Kcp, delivers_every_message_in_order_despite_loss) {
    for (const KcpConfig& config : {kcp_fast(), kcp_normal()}) {
        Pair pair(config, "rtt=40ms,jitter=5ms,loss=20%,reorder=5%,duplicate=5%");
        std::vector<Bytes> sent;
        for (std::uint32_t i = 0; i < 500; ++i) {
            sent.push_back(message(i, i % 10 ? 10 + i : 20'000));
            while (!pair.a.kcp.send(sent.back())) pair.run_until(pair.now + 10ms);
            pair.touch(pair.a);
            pair.run_until(pair.now + 5ms);
        }
        pair.run_until(pair.now + 300s);
        ASSERT_EQ(pair.b.heard.size(), sent.size());
        EXPECT_EQ(pair.b.heard, sent);
        EXPECT_TRUE(pair.a.kcp.idle());
        EXPECT_EQ(pair.a.kcp.queued_bytes(), 0u);
        EXPECT_EQ(pair.a.wake, TimePoint::max()) << "an idle link has no timer";
        EXPECT_EQ(pair.b.wake, TimePoint::max());
    }
}

TEST(Kcp, speaks_the_golden_bytes) {
    std::ifstream file("protocol/golden/kcp.hex");
    std::map<std::string, Bytes> golden;
    for (std::string line; std::getline(file, line);) {
        std::istringstream parts(line);
        std::string name, hex;
        parts >> name >> hex;
        if (name == "#" || name.empty()) continue;
        for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
            golden[name].push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    ASSERT_EQ(golden.size(), 5u);
    struct Out : KcpOutput {
        void output(BytesView datagram) override { sent.emplace_back(datagram.begin(), datagram.end()); }
        std::vector<Bytes> sent;
    } out;
    KcpConfig config = kcp_fast();
    config.receive_window = 128;
    KcpPool pool;
    Kcp kcp(0x11223344, config, pool, out);
    const TimePoint now{0x0a0b0c0dll * 1ms};
    ASSERT_TRUE(kcp.send(as_bytes("hello")));
    kcp.flush(now);
    EXPECT_EQ(out.sent, std::vector<Bytes>{golden["push"]});
    ASSERT_TRUE(kcp.input(golden["peer_push"], now));
    kcp.flush(now);
    EXPECT_EQ(out.sent.back(), golden["ack"]);
    Bytes message;
    ASSERT_TRUE(kcp.receive(message));
    EXPECT_EQ(as_text(message), "hi");
    ASSERT_TRUE(kcp.input(golden["ask"], now));
    kcp.flush(now);
    EXPECT_EQ(out.sent.back(), golden["tell"]);
}

TEST(Kcp, fragments_and_joins_them) {
    Pair pair(kcp_fast());
    const std::size_t most = pair.a.kcp.max_message_bytes();
    for (const std::size_t size : {std::size_t{1}, std::size_t{1375}, std::size_t{1376}, std::size_t{1377}, most})
        pair.send(pair.a, message(1, size));
    EXPECT_EQ(pair.a.kcp.send(Bytes(most + 1)).error().code(), errc::too_large);
    pair.run_until(pair.now + 20s);
    ASSERT_EQ(pair.b.heard.size(), 5u);
    EXPECT_EQ(pair.b.heard[1].size(), 1375u);
    EXPECT_EQ(pair.b.heard[4], message(1, most));
}

TEST(Kcp, a_stream_joins_small_writes_into_full_segments) {
    KcpConfig config = kcp_fast();
    config.stream = true;
    Pair pair(config, "rtt=20ms,loss=10%");
    Bytes sent, heard;
    for (std::uint32_t i = 0; i < 1000; ++i) {
        const Bytes part = message(i, 1 + i % 50);
        ASSERT_TRUE(pair.a.kcp.send(part));
        append(sent, part);
    }
    pair.touch(pair.a);
    pair.run_until(pair.now + 10s);
    for (const Bytes& part : pair.b.heard) append(heard, part);
    EXPECT_EQ(heard, sent);
    EXPECT_LE(pair.a.kcp.stats().segments_sent, sent.size() / 1376 + 2);
}

TEST(Kcp, resends_grow_as_nodelay_says) {
    for (const auto& [nodelay, times] : {std::pair{0u, std::vector<int>{225, 675, 1500}}, {1u, {200, 500, 950}}, {2u, {200, 500, 900}}}) {
        KcpConfig config = kcp_fast();
        config.nodelay = nodelay;
        Pair pair(config, "rtt=20ms,loss=100%");
        const TimePoint began = pair.now;
        pair.send(pair.a, message(1, 10));
        std::vector<int> resent;
        for (std::uint64_t seen = 1; resent.size() < times.size();) {
            pair.run_until(pair.now + 1ms);
            if (const auto sent = pair.a.kcp.stats().datagrams_sent; sent != seen)
                seen = sent, resent.push_back(static_cast<int>((pair.now - began) / 1ms));
        }
        // 200 is the time-out before anything was measured; without nodelay an eighth more at first.
        EXPECT_NEAR(resent[0], times[0], 2) << nodelay;
        EXPECT_GT(resent[1] - resent[0], resent[0]) << "it grows";
        EXPECT_GT(resent[2] - resent[1], resent[1] - resent[0]) << nodelay;
    }
}

TEST(Kcp, a_lost_one_is_resent_as_soon_as_enough_later_ones_arrived) {
    Pair pair(kcp_fast(), "rtt=100ms");
    pair.send(pair.a, message(0, 10));
    pair.run_until(pair.now + 1s);
    // One vanishes, three behind it arrive.
    const auto before = pair.wire.size();
    pair.send(pair.a, message(1, 10));
    ASSERT_EQ(pair.wire.size(), before + 1);
    pair.wire.clear();
    const TimePoint lost = pair.now;
    for (std::uint32_t i = 2; i < 5; ++i) {
        pair.run_until(pair.now + 10ms);
        pair.send(pair.a, message(i, 10));
    }
    while (pair.b.heard.size() < 5 && pair.now < lost + 1s) pair.run_until(pair.now + 1ms);
    EXPECT_EQ(pair.b.heard.size(), 5u);
    EXPECT_LT(pair.now - lost, 200ms) << "two skips, a round trip after the second of them, not a time-out";
    EXPECT_EQ(pair.a.kcp.stats().resent_early, 1u);
    EXPECT_EQ(pair.a.kcp.stats().resent_late, 0u);
}

TEST(Kcp, without_nc_losses_shrink_the_window) {
    KcpConfig config = kcp_normal();
    const auto sent_in = [&](std::string_view link) {
        Pair pair(config, link);
        for (std::uint32_t i = 0; i < 200; ++i) (void)pair.a.kcp.send(message(i, 1000));
        pair.touch(pair.a);
        pair.run_until(pair.now + 3s);
        return pair.b.heard.size();
    };
    EXPECT_EQ(sent_in("rtt=50ms"), 200u);
    EXPECT_LT(sent_in("rtt=50ms,loss=20%"), 100u);
}

TEST(Kcp, a_closed_window_is_asked_about_and_opens_again) {
    KcpConfig config = kcp_fast();
    config.receive_window = config.send_window = 16;
    Pair pair(config, "rtt=20ms,loss=20%");
    pair.b.kcp.hold(true);
    for (std::uint32_t i = 0; i < 100; ++i) (void)pair.a.kcp.send(message(i, 100));
    pair.touch(pair.a);
    pair.run_until(pair.now + 30s);
    EXPECT_TRUE(pair.b.heard.empty());
    EXPECT_GT(pair.a.kcp.queued_bytes(), 5'000u);
    const auto idle_rate = pair.a.kcp.stats().datagrams_sent;
    pair.run_until(pair.now + 60s);
    EXPECT_LT(pair.a.kcp.stats().datagrams_sent - idle_rate, 10u) << "it asks ever more seldom";
    pair.b.kcp.hold(false);
    pair.touch(pair.b);
    pair.run_until(pair.now + 200s);
    EXPECT_EQ(pair.b.heard.size(), 100u);
}

TEST(Kcp, a_peer_that_is_gone_makes_the_link_dead) {
    Pair pair(kcp_fast(), "rtt=20ms,loss=100%");
    pair.send(pair.a, message(1, 10));
    pair.run_until(pair.now + 1s);
    EXPECT_FALSE(pair.a.kcp.dead());
    pair.run_until(pair.now + 30min);
    EXPECT_TRUE(pair.a.kcp.dead());
}

TEST(Kcp, a_queue_has_an_end) {
    KcpConfig config = kcp_fast();
    config.max_queued_bytes = 10'000;
    Pair pair(config, "rtt=20ms,loss=100%");
    int taken = 0;
    while (pair.a.kcp.send(message(1, 1000))) ASSERT_LE(++taken, 10);
    EXPECT_EQ(taken, 10);
    EXPECT_EQ(pair.a.kcp.send(message(1, 1)).error().code(), errc::overloaded);
}

/// One segment as a forger writes it.
Bytes segment(std::uint8_t command, std::uint32_t number, std::uint32_t stamp, std::uint32_t next, BytesView data = {},
              std::uint8_t fragment = 0, std::uint32_t conv = 77, std::uint16_t window = 128) {
    Bytes bytes;
    const auto u32 = [&](std::uint32_t v) {
        for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
    };
    u32(conv);
    bytes.push_back(command), bytes.push_back(fragment);
    bytes.push_back(static_cast<std::uint8_t>(window)), bytes.push_back(static_cast<std::uint8_t>(window >> 8));
    u32(stamp), u32(number), u32(next), u32(static_cast<std::uint32_t>(data.size()));
    append(bytes, data);
    return bytes;
}

// What unchanged KCP does with forged segments was measured: it loses what is in flight, waits a minute for
// each resend, never receives again, and keeps an ack for each of a million.
TEST(Kcp, what_was_never_sent_cannot_be_acknowledged) {
    Pair pair(kcp_fast());
    for (std::uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(pair.a.kcp.send(message(i, 10)));
    pair.a.kcp.flush(pair.now);
    EXPECT_FALSE(pair.a.kcp.input(segment(84, 0, 0, 11), pair.now));
    EXPECT_FALSE(pair.a.kcp.input(segment(84, 0, 0, 0x7fffffff), pair.now));
    EXPECT_FALSE(pair.a.kcp.input(segment(82, 10, 0, 0), pair.now));
    EXPECT_EQ(pair.a.kcp.stats().in_flight, 10u);
    EXPECT_TRUE(pair.a.kcp.input(segment(84, 0, 0, 0xfffffffb), pair.now)) << "an old one";
    EXPECT_EQ(pair.a.kcp.stats().in_flight, 10u);
}

TEST(Kcp, a_made_up_stamp_does_not_change_the_time_out) {
    Pair pair(kcp_fast());
    ASSERT_TRUE(pair.a.kcp.send(message(1, 10)));
    pair.a.kcp.flush(pair.now);
    const Duration before = pair.a.kcp.stats().rto;
    ASSERT_TRUE(pair.a.kcp.input(segment(82, 0, 12345, 0), pair.now + 1s));
    EXPECT_EQ(pair.a.kcp.stats().rto, before);
    EXPECT_EQ(pair.a.kcp.stats().srtt, Duration::zero());
}

TEST(Kcp, a_message_of_more_fragments_than_the_window_is_refused) {
    KcpConfig config = kcp_fast();
    config.receive_window = 128;
    Pair pair(config);
    EXPECT_FALSE(pair.a.kcp.input(segment(81, 0, 0, 0, Bytes(10), 200), pair.now));
    ASSERT_TRUE(pair.a.kcp.input(segment(81, 0, 0, 0, Bytes(10), 0), pair.now));
    Bytes out;
    EXPECT_TRUE(pair.a.kcp.receive(out));
}

TEST(Kcp, a_datagram_counts_as_a_whole_or_not_at_all) {
    Pair pair(kcp_fast());
    Bytes datagram = segment(81, 0, 0, 0, Bytes(10, 1));
    append(datagram, segment(99, 0, 0, 0));
    EXPECT_FALSE(pair.a.kcp.input(datagram, pair.now));
    Bytes out;
    EXPECT_FALSE(pair.a.kcp.receive(out));
    Bytes cut = segment(81, 0, 0, 0, Bytes(10, 1));
    cut.pop_back();
    EXPECT_FALSE(pair.a.kcp.input(cut, pair.now));
    EXPECT_FALSE(pair.a.kcp.input(segment(81, 0, 0, 0, {}, 0, 78), pair.now)) << "another conv";
    EXPECT_EQ(pair.a.kcp.stats().refused, 3u);
}

TEST(Kcp, a_million_forged_segments_keep_memory_bounded_and_honest_links_go_on) {
    Pair pair(kcp_fast(), "rtt=40ms");
    sim::Random random(9);
    std::size_t honest = 0;
    for (int i = 0; i < 1'000'000; ++i) {
        // Of another window: what a forger can do without knowing where the link is.
        const auto far = static_cast<std::uint32_t>(1'000'000 + random.below(2'000'000'000));
        const Bytes forged = segment(static_cast<std::uint8_t>(80 + random.below(6)), far, static_cast<std::uint32_t>(random.below(1ull << 32)),
                                     random.chance(0.5) ? far : 0, Bytes(random.below(40)), static_cast<std::uint8_t>(random.below(256)));
        (void)pair.a.kcp.input(forged, pair.now);
        if (i % 1000 == 0) {
            pair.send(pair.b, message(static_cast<std::uint32_t>(honest++), 50));
            pair.run_until(pair.now + 5ms);
        }
    }
    pair.run_until(pair.now + 5s);
    EXPECT_EQ(pair.a.heard.size(), honest);
    EXPECT_LT(pair.a.kcp.stats().datagrams_sent, 10'000u) << "no ack for what was never near the window";
}

TEST(Kcp, numbers_and_clocks_wrap) {
    // The clock of the wire wraps amid it: 2^32 ms.
    KcpConfig config = kcp_fast();
    Pair pair(config, "rtt=40ms,loss=5%");
    pair.now = TimePoint(std::chrono::milliseconds((1ll << 32) - 2000));
    for (std::uint32_t i = 0; i < 1000; ++i) {
        pair.send(pair.a, message(i, 40));
        pair.run_until(pair.now + 5ms);
    }
    pair.run_until(pair.now + 5s);
    ASSERT_EQ(pair.b.heard.size(), 1000u);
    EXPECT_LT(pair.a.kcp.stats().srtt, 100ms);
}

TEST(Kcp, an_idle_link_keeps_next_to_nothing) {
    Pair pair(kcp_fast(), "rtt=20ms,loss=10%");
    for (int round = 0; round < 3; ++round) {
        for (std::uint32_t i = 0; i < 100; ++i) pair.send(pair.a, message(i, 1000));
        pair.run_until(pair.now + 10s);
        EXPECT_TRUE(pair.a.kcp.idle() && pair.b.kcp.idle());
        EXPECT_EQ(pair.a.wake, TimePoint::max());
    }
    EXPECT_LE(sizeof(Kcp), 640u);
}

}  // namespace
}  // namespace gyre::net

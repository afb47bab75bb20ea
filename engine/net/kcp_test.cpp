#include <gtest/gtest.h>
#include <gyre/net/kcp.hpp>
#include <gyre/sim/link.hpp>

#include <map>

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

}  // namespace
}  // namespace gyre::net

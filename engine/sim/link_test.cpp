#include <gtest/gtest.h>

#include <cmath>
#include <gyre/sim/link.hpp>
#include <gyre/sim/world.hpp>

namespace gyre::sim {
namespace {

/// What became of `count` datagrams, one each `every`.
struct Sent {
    Sent(const LinkConfig& link, std::size_t count, Duration every = 10ms, std::size_t bytes = 100,
        std::uint64_t seed = test_seed())
        : model(link, seed) {
        for (std::size_t i = 0; i < count; ++i) {
            sent.push_back(TimePoint(1h) + static_cast<std::int64_t>(i) * every);
            fates.push_back(model.pass(sent.back(), bytes));
        }
    }
    double share(LinkReason reason) const {
        return static_cast<double>(model.counters()[reason]) / static_cast<double>(fates.size());
    }
    Duration mean_delay() const {
        Duration sum{};
        std::int64_t passed = 0;
        for (std::size_t i = 0; i < fates.size(); ++i)
            if (fates[i].copies) sum += fates[i].at[0] - sent[i], ++passed;
        return sum / std::max<std::int64_t>(passed, 1);
    }
    LinkModel model;
    std::vector<TimePoint> sent;
    std::vector<LinkModel::Fate> fates;
};

bool same(const Sent& one, const Sent& other) {
    for (std::size_t i = 0; i < one.fates.size(); ++i)
        if (one.fates[i].copies != other.fates[i].copies || one.fates[i].at != other.fates[i].at)
            return false;
    return true;
}

TEST(LinkModelTest, passes_everything_at_once_when_nothing_is_set) {
    Sent run({}, 1000);
    EXPECT_EQ(run.model.counters()[LinkReason::passed], 1000u);
    EXPECT_EQ(run.mean_delay(), Duration::zero());
}

TEST(LinkModelTest, loses_its_share_each_on_its_own) {
    Sent run({.loss = 0.05}, 100'000);
    EXPECT_NEAR(run.share(LinkReason::loss), 0.05, 0.004);
    std::size_t runs = 0, lost = 0;
    for (std::size_t i = 0; i < run.fates.size(); ++i) {
        if (run.fates[i].copies) continue;
        ++lost;
        runs += i == 0 || run.fates[i - 1].copies;
    }
    EXPECT_NEAR(static_cast<double>(lost) / static_cast<double>(runs), 1 / 0.95, 0.03);
}

TEST(LinkModelTest, loses_in_bursts_of_a_mean_length) {
    for (const double length : {2.0, 3.0, 8.0}) {
        Sent run({.burst_loss = 0.05, .burst_length = length}, 400'000);
        EXPECT_NEAR(run.share(LinkReason::burst), 0.05, 0.005) << length;
        std::size_t runs = 0;
        for (std::size_t i = 0; i < run.fates.size(); ++i)
            runs += !run.fates[i].copies && (i == 0 || run.fates[i - 1].copies);
        const double lost = static_cast<double>(run.model.counters().lost());
        EXPECT_NEAR(lost / static_cast<double>(runs), length, length * 0.08) << length;
    }
}

TEST(LinkModelTest, jitter_is_exponential_and_keeps_order) {
    Sent spread({.delay = 30ms, .jitter = 5ms}, 50'000, 200ms);
    EXPECT_NEAR(to_ms(spread.mean_delay()), 35, 0.2);
    std::size_t over = 0;  // exponential: e^-2 are beyond twice the mean
    for (std::size_t i = 0; i < spread.fates.size(); ++i)
        over += spread.fates[i].at[0] - spread.sent[i] > 40ms;
    EXPECT_NEAR(static_cast<double>(over) / 50'000, std::exp(-2), 0.01);
    Sent dense({.delay = 30ms, .jitter = 20ms}, 10'000, 1ms);
    for (std::size_t i = 1; i < dense.fates.size(); ++i)
        ASSERT_LE(dense.fates[i - 1].at[0], dense.fates[i].at[0]);
}

TEST(LinkModelTest, reorders_its_share) {
    Sent run({.delay = 30ms, .reorder = 0.05, .reorder_by = 25ms}, 50'000);
    std::size_t overtaken = 0;
    for (std::size_t i = 0; i + 1 < run.fates.size(); ++i)
        overtaken += run.fates[i].at[0] > run.fates[i + 1].at[0];
    EXPECT_NEAR(static_cast<double>(run.model.counters().reordered) / 50'000, 0.05, 0.005);
    EXPECT_NEAR(static_cast<double>(overtaken) / 50'000, 0.05 * 0.95, 0.005);
}

TEST(LinkModelTest, duplicates_its_share) {
    Sent run({.duplicate = 0.05}, 50'000);
    std::size_t twice = 0;
    for (const auto& fate : run.fates) {
        twice += fate.copies == 2;
        if (fate.copies == 2) {
            ASSERT_GE(fate.at[1], fate.at[0]);
        }
    }
    EXPECT_EQ(twice, run.model.counters().duplicated);
    EXPECT_NEAR(static_cast<double>(twice) / 50'000, 0.05, 0.005);
}

TEST(LinkModelTest, a_rate_delays_and_then_drops) {
    // 100 and 28 bytes each 1 ms are 128 kB/s: twice what the link carries.
    const LinkConfig link{.delay = 10ms, .bytes_per_second = 64'000, .queue = 200ms};
    Sent run(link, 10'000, 1ms);
    EXPECT_NEAR(run.share(LinkReason::queue_full), 0.5, 0.02);
    Duration longest{};
    for (std::size_t i = 0; i < run.fates.size(); ++i)
        if (run.fates[i].copies) longest = std::max(longest, run.fates[i].at[0] - run.sent[i]);
    EXPECT_GE(longest, 200ms);
    EXPECT_LE(longest, 215ms);
    const auto last = std::find_if(run.fates.rbegin(), run.fates.rend(),
                                   [](const auto& fate) { return fate.copies; });
    const double bytes = static_cast<double>(run.model.counters()[LinkReason::passed] * 128);
    EXPECT_NEAR(bytes / (to_ms(last->at[0] - run.sent[0]) / 1000), 64'000, 1000);
    Sent below(link, 1000, 4ms);
    EXPECT_EQ(below.model.counters().lost(), 0u);
    EXPECT_NEAR(to_ms(below.mean_delay()), 12, 0.01);
}

TEST(LinkModelTest, an_outage_comes_once_a_period) {
    Sent run({.outage_every = 5s, .outage_length = 100ms}, 500'000, 1ms);
    EXPECT_NEAR(run.share(LinkReason::outage), 0.02, 0.0005);
    std::size_t begins = 0;
    for (std::size_t i = 1; i < run.fates.size(); ++i)
        begins += !run.fates[i].copies && run.fates[i - 1].copies;
    EXPECT_NEAR(static_cast<double>(begins), 100, 2);
}

TEST(LinkModelTest, what_is_larger_than_the_mtu_vanishes) {
    LinkModel model({.mtu_bytes = 1200}, 1);
    EXPECT_EQ(model.pass(TimePoint(1h), 1200).copies, 1u);
    EXPECT_EQ(model.pass(TimePoint(1h), 1201).reason, LinkReason::too_large);
}

TEST(LinkModelTest, the_binding_changes_each_period) {
    LinkModel model({.rebind_every = 10s}, 1);
    EXPECT_EQ(model.binding(TimePoint(1h)), 0u);
    EXPECT_EQ(model.binding(TimePoint(1h) + 9'999ms), 0u);
    EXPECT_EQ(model.binding(TimePoint(1h) + 25s), 2u);
    LinkModel stable({}, 1);
    EXPECT_EQ(stable.binding(TimePoint(1h)), stable.binding(TimePoint(100h)));
}

TEST(LinkModelTest, equal_seeds_give_equal_fates) {
    const LinkConfig link{.delay = 30ms, .jitter = 5ms, .loss = 0.05, .reorder = 0.01,
                          .duplicate = 0.01};
    EXPECT_TRUE(same(Sent(link, 5000, 10ms, 100, 7), Sent(link, 5000, 10ms, 100, 7)));
    EXPECT_FALSE(same(Sent(link, 5000, 10ms, 100, 7), Sent(link, 5000, 10ms, 100, 8)));
}

TEST(LinkModelTest, a_knob_shifts_no_draw_of_another) {
    Sent plain({.loss = 0.05}, 5000), more({.jitter = 5ms, .loss = 0.05, .duplicate = 0.5}, 5000);
    for (std::size_t i = 0; i < 5000; ++i)
        ASSERT_EQ(plain.fates[i].copies == 0, more.fates[i].copies == 0) << i;
}

TEST(ParseLinkTest, reads_every_knob) {
    const auto parsed = parse_link(
        "rtt=60ms,jitter=5ms,loss=5%,burst=3,rate=64kB/s,queue=100ms,mtu=1200,reorder=1%/20ms,"
        "duplicate=2%,outage=100ms/5s,rebind=10s");
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    const LinkConfig& link = *parsed;
    EXPECT_EQ(link.delay, 30ms);
    EXPECT_EQ(link.jitter, 5ms);
    EXPECT_EQ(link.loss, 0);
    EXPECT_DOUBLE_EQ(link.burst_loss, 0.05);
    EXPECT_EQ(link.burst_length, 3);
    EXPECT_EQ(link.bytes_per_second, 64'000);
    EXPECT_EQ(link.queue, 100ms);
    EXPECT_EQ(link.mtu_bytes, 1200u);
    EXPECT_DOUBLE_EQ(link.reorder, 0.01);
    EXPECT_EQ(link.reorder_by, 20ms);
    EXPECT_DOUBLE_EQ(link.duplicate, 0.02);
    EXPECT_EQ(link.outage_length, 100ms);
    EXPECT_EQ(link.outage_every, 5s);
    EXPECT_EQ(link.rebind_every, 10s);
    EXPECT_EQ((*parse_link("rate=512kbit/s")).bytes_per_second, 64'000);
    EXPECT_EQ((*parse_link("loss=0.5%,delay=0.25ms")).delay, 250us);
    EXPECT_TRUE(parse_link("").ok());
}

TEST(ParseLinkTest, says_what_is_wrong) {
    const struct {
        std::string_view text, told;
    } cases[] = {
        {"los=5%", "no knob \"los\""},
        {"loss=150%", "loss=150%: expected a share as 5%, 0% to 100%"},
        {"loss=0.05", "loss=0.05"},
        {"loss=nan%", "loss=nan%"},
        {"loss", "loss="},
        {"rtt=60", "rtt=60: expected a time"},
        {"rtt=-1ms", "rtt=-1ms"},
        {"rtt=1e300s", "rtt=1e300s"},
        {"burst=3", "expected a loss with it"},
        {"loss=90%,burst=1", "up to 50%"},
        {"outage=5s/100ms", "length below period"},
        {"outage=100ms", "LENGTH/PERIOD"},
        {"rebind=1ms", "10ms to 24h"},
        {"mtu=0", "mtu=0"},
        {"rtt=1ms,rtt=2ms", "each knob once"},
        {",", "no knob \"\""},
    };
    for (const auto& [text, told] : cases) {
        const auto parsed = parse_link(text);
        ASSERT_FALSE(parsed.ok()) << text;
        EXPECT_EQ(parsed.error().code(), errc::bad_arguments);
        EXPECT_NE(parsed.error().message().find(told), std::string::npos)
            << parsed.error().message();
    }
}

}  // namespace
}  // namespace gyre::sim

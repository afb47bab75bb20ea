#include <gtest/gtest.h>
#include <gyre/net/detail/scripted_rudp.hpp>
#include <gyre/sim/link.hpp>
#include <gyre/sim/random.hpp>
#include <gyre/sim/world.hpp>

#include <algorithm>
#include <map>

namespace gyre::net {
namespace {

using detail::RudpEnd;
using detail::RudpLedger;

/// Two ends with a link between them, in steps of a millisecond.
struct RudpTest : testing::Test {
    struct Heard {
        TimePoint at;
        Bytes message;
    };
    void open(const char* text, RudpConfig with = {}) {
        config = with;
        ASSERT_TRUE(check(config));
        const auto link = sim::parse_link(text).value();
        a = std::make_unique<RudpEnd>(config, pool), b = std::make_unique<RudpEnd>(config, pool);
        up.emplace(link, 2 * sim::test_seed()), down.emplace(link, 2 * sim::test_seed() + 1);
    }
    void step() {
        now += 1ms;
        while (!wire.empty() && wire.begin()->first <= now) {
            auto [to, packet] = std::move(wire.extract(wire.begin()).mapped());
            ASSERT_TRUE(to->rudp.input(packet.number, packet.plain, now));
        }
        for (RudpEnd* end : {a.get(), b.get()}) {
            auto& into = end == a.get() ? at_a : at_b;
            for (Bytes message; end->rudp.receive(message);) {
                into.push_back({now, message});
                if (end == b.get()) ASSERT_EQ(ledger.take(message), "");
            }
            (void)end->rudp.update(now);
            pass(*end);
        }
    }
    void pass(RudpEnd& from) {
        auto& link = &from == a.get() ? *up : *down;
        for (; !from.sent.empty(); from.sent.pop_front()) {
            const auto fate = link.pass(now, from.sent.front().plain.size() + 22);
            if (lost && lost(from.sent.front())) continue;
            for (unsigned i = 0; i < fate.copies; ++i)
                wire.emplace(fate.at[i], std::pair(&from == a.get() ? b.get() : a.get(), from.sent.front()));
        }
    }
    void run(Duration span) {
        for (const TimePoint end = now + span; now < end;) step();
    }
    bool run_until(const std::function<bool()>& done, Duration limit = 30s) {
        for (const TimePoint end = now + limit; now < end && !done();) step();
        return done();
    }
    /// From a to b.
    void send(std::size_t bytes, Delivery how = {}) {
        ASSERT_TRUE(a->rudp.send(ledger.make(bytes, how), how, now));
        (void)a->rudp.update(now);
        pass(*a);
    }
    /// Both ends say 64 bytes so many times, one each 33 ms; what a says counts in the ledger.
    void talk(int times, Delivery how = {}) {
        for (int i = 0; i < times; ++i) {
            send(64, how);
            ASSERT_TRUE(b->rudp.send(Bytes(64, 7), how, now));
            run(33ms);
        }
    }
    static std::uint32_t id(const Heard& one) { return one.message[0] | std::uint32_t{one.message[1]} << 8; }

    RudpConfig config;
    BlockPool pool;
    TimePoint now{1000s};
    std::unique_ptr<RudpEnd> a, b;
    std::optional<sim::LinkModel> up, down;
    std::multimap<TimePoint, std::pair<RudpEnd*, RudpEnd::Sent>> wire;
    std::function<bool(const RudpEnd::Sent&)> lost;  // of both directions
    RudpLedger ledger;
    std::vector<Heard> at_a, at_b;
};

TEST_F(RudpTest, every_order_keeps_its_promise_over_a_bad_link) {
    for (const AckForm acks : {AckForm::bitmap, AckForm::list})
        for (const Redundancy redundancy : {Redundancy::off, Redundancy::copies, Redundancy::coded}) {
            ledger = {}, wire.clear(), at_b.clear();
            RudpConfig with;
            with.acks = acks, with.redundancy = redundancy;
            open("rtt=60ms,jitter=5ms,loss=15%,reorder=5%/30ms,duplicate=5%", with);
            sim::Random random(sim::test_seed());
            for (int i = 0; i < 600; ++i) {
                const Delivery how{static_cast<Order>(random.below(4)), static_cast<std::uint8_t>(random.below(16)), static_cast<Care>(random.below(3))};
                send(8 + random.below(random.below(2) ? 600 : 5000), how);
                run(10ms);
            }
            // The ledger told of anything out of order, changed or twice as it came.
            EXPECT_TRUE(run_until([&] { return ledger.owed() == 0 && a->rudp.idle(); }, 60s)) << ledger.owed();
        }
}

TEST_F(RudpTest, a_lane_does_not_wait_for_another) {
    open("rtt=60ms", {.redundancy = Redundancy::off});
    talk(5);
    lost = [&, n = 0](const RudpEnd::Sent&) mutable { return n++ == 0; };
    send(64, {.lane = 1});
    run(5ms);
    at_b.clear();
    send(64, {.lane = 2});
    send(64, {.order = Order::unordered});
    send(64, {.lane = 1});
    run(31ms);
    ASSERT_EQ(at_b.size(), 2u);
    EXPECT_EQ(id(at_b[0]), 6u);
    EXPECT_EQ(id(at_b[1]), 7u);
    ASSERT_TRUE(run_until([&] { return at_b.size() == 4; }));
    EXPECT_EQ(id(at_b[2]), 5u);
    EXPECT_EQ(id(at_b[3]), 8u);
}

TEST_F(RudpTest, of_long_sequenced_messages_the_newest_wins) {
    open("rtt=60ms");
    constexpr Delivery newest{.order = Order::sequenced, .lane = 1};
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(a->rudp.send(ledger.make(5000, newest), newest, now));
    EXPECT_EQ(a->rudp.queued_bytes(), 5000u) << "what waits and is not the newest need not go";
    send(5000, {.order = Order::sequenced, .lane = 2});
    ASSERT_TRUE(run_until([&] { return at_b.size() == 2; }));
    EXPECT_EQ(id(at_b[0]), 49u);
    EXPECT_EQ(id(at_b[1]), 50u);
    run(200ms);

    b->rudp.hold(true);
    send(5000, newest);
    send(64, newest);
    run(200ms);
    b->rudp.hold(false);
    run(200ms);
    ASSERT_EQ(at_b.size(), 3u);
    EXPECT_EQ(id(at_b[2]), 52u);

    lost = [](const RudpEnd::Sent& packet) { return packet.plain.size() > 1000; };
    send(5000, newest);
    lost = nullptr;
    send(64, newest);
    run(500ms);
    ASSERT_EQ(at_b.size(), 4u);
    EXPECT_EQ(id(at_b[3]), 54u) << "the long one came whole, and late";
    EXPECT_TRUE(a->rudp.idle());
    send(5000, newest);
    ASSERT_TRUE(run_until([&] { return at_b.size() == 5; }));
}

TEST_F(RudpTest, what_is_urgent_passes_what_is_large) {
    open("rtt=60ms,rate=100kB/s,queue=2s");
    send(200'000, {.lane = 1, .care = Care::economy});
    run(200ms);
    const TimePoint asked = now;
    send(64, {.care = Care::urgent});
    ASSERT_TRUE(run_until([&] { return !at_b.empty(); }));
    EXPECT_EQ(at_b[0].message.size(), 64u);
    EXPECT_LT(now - asked, 400ms);
    EXPECT_TRUE(run_until([&] { return at_b.size() == 2; }));
}

TEST_F(RudpTest, nothing_is_repeated_where_nothing_is_lost) {
    open("rtt=60ms");
    talk(2000, {.care = Care::urgent});
    const auto before = a->rudp.stats();
    talk(500, {.care = Care::urgent});
    const auto after = a->rudp.stats();
    EXPECT_EQ(after.repairs_sent, before.repairs_sent);
    EXPECT_EQ(after.resent_late + after.resent_early, before.resent_late + before.resent_early);
    EXPECT_EQ(after.datagrams_sent - before.datagrams_sent, 500u) << "acknowledgements ride with data";
}

TEST_F(RudpTest, repairs_bring_what_is_lost_before_a_resend_could) {
    open("rtt=60ms,loss=5%");
    talk(3000, {.care = Care::urgent});
    run(1s);
    ASSERT_EQ(at_b.size(), 3000u);
    std::vector<double> gaps;
    for (std::size_t i = 1; i < at_b.size(); ++i) gaps.push_back(to_ms(at_b[i].at - at_b[i - 1].at));
    std::sort(gaps.begin(), gaps.end());
    EXPECT_LE(gaps[gaps.size() * 99 / 100], 42);
    const auto stats = b->rudp.stats();
    EXPECT_NEAR(static_cast<double>(stats.recovered), 150, 60);
    EXPECT_NEAR(a->rudp.stats().loss(), 0.05, 0.03);
}

TEST_F(RudpTest, a_link_follows_what_it_measures_of_loss) {
    open("rtt=60ms");
    double share = 0;
    sim::Random random(sim::test_seed());
    lost = [&](const RudpEnd::Sent&) { return random.chance(share); };
    const auto repairs = [&](double loss, int times) {
        share = loss;
        talk(1000);
        const auto before = a->rudp.stats().repairs_sent;
        talk(times);
        return static_cast<double>(a->rudp.stats().repairs_sent - before) / times;
    };
    EXPECT_LT(repairs(0, 200), 0.05);
    const double some = repairs(0.01, 1000), more = repairs(0.1, 1000);
    EXPECT_GT(some, 0.25);
    EXPECT_LT(some, 0.9);
    EXPECT_GT(more, 1.0);
    EXPECT_LT(more, 1.7);
    talk(1500);
    share = 0;
    talk(2000);
    EXPECT_LT(repairs(0, 200), 0.05) << "off again";
}

TEST_F(RudpTest, a_budget_of_none_repairs_nothing) {
    RudpConfig with;
    with.extra_bytes_max = 0;
    open("rtt=60ms,loss=5%", with);
    talk(500, {.care = Care::urgent});
    EXPECT_EQ(a->rudp.stats().repairs_sent, 0u);
    EXPECT_TRUE(run_until([&] { return ledger.owed() == 0; }));
}

TEST_F(RudpTest, an_outage_ends_with_all_of_it_at_once) {
    open("rtt=60ms");
    talk(100);
    bool out = true;
    lost = [&](const RudpEnd::Sent&) { return out; };
    talk(30);
    out = false;
    const TimePoint back = now;
    ASSERT_TRUE(run_until([&] { return ledger.owed() == 0; }));
    EXPECT_LT(now - back, 1'500ms);
}

TEST_F(RudpTest, an_idle_link_asks_for_no_timer_and_answers_when_asked) {
    open("rtt=60ms");
    talk(10);
    run(2s);
    EXPECT_EQ(a->rudp.update(now), TimePoint::max());
    EXPECT_EQ(b->rudp.update(now), TimePoint::max());
    const auto sent = b->count;
    a->rudp.ask();
    (void)a->rudp.update(now);
    pass(*a);
    run(40ms);
    EXPECT_EQ(b->count, sent + 1) << "an answer at once";
    run(2s);
    a->rudp.trim(), b->rudp.trim();
    talk(10);
    EXPECT_TRUE(run_until([&] { return ledger.owed() == 0; }));
}

TEST_F(RudpTest, a_held_reader_stops_its_peer_and_loses_nothing) {
    open("rtt=20ms");
    b->rudp.hold(true);
    for (int i = 0; i < 60; ++i) send(10'000);
    run(5s);
    EXPECT_TRUE(at_b.empty());
    EXPECT_GT(a->rudp.queued_bytes(), 200'000u);
    b->rudp.hold(false);
    const std::size_t before = a->rudp.queued_bytes();
    run(60ms);
    EXPECT_LT(a->rudp.queued_bytes(), before) << "said at once";
    EXPECT_TRUE(run_until([&] { return at_b.size() == 60; }, 20s));
}

TEST_F(RudpTest, what_is_asked_wrongly_is_refused_by_name) {
    open("rtt=20ms", {.max_message_bytes = 1000, .max_queued_bytes = 3000});
    const auto code = [&](std::size_t bytes, Delivery how) {
        const auto sent = a->rudp.send(Bytes(bytes, 1), how, now);
        return sent ? std::string() : std::string(sent.error().code());
    };
    EXPECT_EQ(code(1001, {}), errc::too_large);
    EXPECT_EQ(code(0, {}), errc::too_large);
    EXPECT_EQ(code(1001, {.order = Order::sequenced}), errc::too_large);
    EXPECT_EQ(code(10, {.lane = 16}), errc::bad_arguments);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(code(1000, {}), "");
    EXPECT_EQ(code(1, {}), errc::overloaded);
    for (const auto& [name, wrong] : std::vector<std::pair<std::string, RudpConfig>>{
             {"copies_max", {.copies_max = 5}}, {"extra_bytes_max", {.extra_bytes_max = -1}},
             {"repair_bytes_max", {.repair_bytes_max = 1101}}, {"duplicate_after", {.duplicate_after = 101ms}},
             {"max_message_bytes", {.max_message_bytes = (1 << 20) + 1}}, {"max_received_bytes", {.max_received_bytes = 1000}}}) {
        const auto checked = check(wrong);
        ASSERT_FALSE(checked) << name;
        EXPECT_TRUE(checked.error().is(errc::bad_config));
        EXPECT_NE(std::string(checked.error().message()).find(name), std::string::npos) << checked.error().message();
    }
}

}  // namespace
}  // namespace gyre::net

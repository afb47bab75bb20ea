#include <gtest/gtest.h>
#include <gyre/net/detail/rudp_pace.hpp>
#include <gyre/sim/link.hpp>

#include <cmath>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>

namespace gyre::net::rudp {
namespace {

/// What a window says to a sender: a Pace, or what TCP did before delay counted.
struct Control {
    virtual ~Control() = default;
    virtual void sent(std::size_t, TimePoint) {}
    virtual void acked(std::size_t bytes, Duration rtt, std::size_t flight, bool limited,
                       TimePoint now) = 0;
    virtual void lost(std::size_t bytes, TimePoint now) = 0;
    virtual void stalled(TimePoint now) = 0;
    virtual std::size_t window() const = 0;
    virtual TimePoint next_send(std::size_t, TimePoint now) const { return now; }
};
struct Paced : Control {
    Pace pace;
    void sent(std::size_t bytes, TimePoint now) override { pace.sent(bytes, now); }
    void acked(std::size_t bytes, Duration rtt, std::size_t flight, bool limited,
               TimePoint now) override {
        pace.acked(bytes, rtt, flight, limited, now);
    }
    void lost(std::size_t bytes, TimePoint now) override { pace.lost(bytes, now); }
    void stalled(TimePoint now) override { pace.stalled(now); }
    std::size_t window() const override { return pace.window(); }
    TimePoint next_send(std::size_t bytes, TimePoint now) const override {
        return pace.next_send(bytes, now);
    }
};
/// Reno: halves once a round trip in which something was lost, else grows by a packet.
struct Reno : Control {
    double window_ = 14'000, threshold = 1e9;
    TimePoint halved{};
    Duration rtt_ = 100ms;
    void acked(std::size_t bytes, Duration rtt, std::size_t, bool limited, TimePoint) override {
        if (rtt > 0ns) rtt_ = rtt;
        if (limited)
            window_ += window_ < threshold ? double(bytes) : 1228.0 * double(bytes) / window_;
    }
    void lost(std::size_t, TimePoint now) override {
        if (now - halved < rtt_) return;
        threshold = window_ = std::max(window_ / 2, 2456.0);
        halved = now;
    }
    void stalled(TimePoint) override { threshold = window_ / 2, window_ = 2456; }
    std::size_t window() const override { return std::size_t(window_); }
};

/// Senders of packets over one link, in virtual time; every packet is acknowledged on its own.
struct Path {
    struct Flow {
        std::unique_ptr<Control> control;
        std::size_t size;  ///< Of a packet, with heads.
        double offered;    ///< Bytes a second; 0: always more to send.
        TimePoint from, until;
        double owed = 0;
        TimePoint fed{}, woken{};
        struct Sent {
            TimePoint at;
        };
        std::map<std::uint64_t, Sent> flight, given_up;
        std::set<std::uint64_t> arrived;
        std::uint64_t next = 0, in_flight = 0;
        Duration srtt{}, var{};
        bool limited = false;
        TimePoint heard{};
        // held: sends that waited.
        std::uint64_t delivered = 0, sent = 0, lost = 0, counted = 0, held = 0;
        double wait = 0, wait_max = 0, backlog_max = 0;
    };
    explicit Path(sim::LinkConfig there, std::uint64_t seed = 1)
        : config(there),
          forth(there, seed),
          back({.delay = there.delay, .jitter = there.jitter, .loss = there.loss}, seed + 99) {}
    Flow& add(std::size_t size, double offered = 0, std::unique_ptr<Control> control = nullptr,
              Duration from = 0s, Duration until = 1h) {
        auto flow = std::make_unique<Flow>();
        flow->control = control ? std::move(control) : std::make_unique<Paced>();
        flow->size = size, flow->offered = offered, flow->from = now + from,
        flow->until = now + until;
        flow->fed = flow->from, flow->heard = flow->from;
        flows.push_back(std::move(flow));
        return *flows.back();
    }
    void at(TimePoint when, std::function<void()> what) {
        events.emplace(std::max(when, now), std::move(what));
    }
    void feed(Flow& f) {
        if (now < f.from || now > f.until) return;
        if (f.offered > 0) f.owed += f.offered * 1e-9 * double((now - f.fed).count());
        f.fed = now;
    }
    /// Sends what may go; true: something waits for the control.
    void pump(Flow& f) {
        feed(f);
        if (now < f.from || now >= f.until) return;
        while (f.offered <= 0 || f.owed >= double(f.size)) {
            const TimePoint may = f.control->next_send(f.size, now);
            if (f.in_flight + f.size > f.control->window() || may > now) {
                f.limited = true, ++f.held;
                if (may > now && (f.woken <= now || may < f.woken))
                    f.woken = may, at(may, [this, &f] { pump(f); });
                break;
            }
            if (f.offered > 0) f.owed -= double(f.size);
            send(f);
        }
        f.backlog_max = std::max(f.backlog_max, f.owed);
    }
    void send(Flow& f) {
        const std::uint64_t n = f.next++;
        f.flight[n] = {now};
        f.in_flight += f.size, f.sent += f.size;
        f.control->sent(f.size, now);
        const auto before = busy;
        const auto fate = forth.pass(now, f.size - 28);
        if (fate.reason == sim::LinkReason::passed || fate.reason == sim::LinkReason::loss)
            busy = std::max(busy, now) +
                   (config.bytes_per_second > 0
                        ? Duration(std::int64_t(double(f.size) / config.bytes_per_second * 1e9))
                        : 0ns);
        const double wait = std::max(0.0, to_ms(before - now));
        if (now >= count_from) f.wait += wait, ++f.counted, f.wait_max = std::max(f.wait_max, wait);
        if (fate.copies == 0 || broken) return;
        at(fate.at[0] + longer, [this, &f, n] {
            if (now >= count_from) f.delivered += f.size;
            f.arrived.insert(n);
            const auto ack = back.pass(now, 20);
            if (ack.copies)
                at(ack.at[0], [this, &f, n,
                               all = std::vector(f.arrived.lower_bound(n < 64 ? 0 : n - 64),
                                                 f.arrived.end())] { acknowledge(f, n, all); });
        });
    }
    /// An acknowledgement tells of the last 64 packets, so a lost one is made good by the next.
    void acknowledge(Flow& f, std::uint64_t n, const std::vector<std::uint64_t>& all) {
        const auto flight = f.in_flight;
        std::size_t bytes = 0, told = 0;  // told: of what was held for lost.
        Duration rtt{};
        for (const std::uint64_t one : all) {
            if (const auto late = f.given_up.find(one); late != f.given_up.end()) {
                if (one == n) rtt = now - late->second.at;
                told += f.size;
                f.given_up.erase(late);
            }
            const auto found = f.flight.find(one);
            if (found == f.flight.end()) continue;
            if (one == n) rtt = now - found->second.at;
            bytes += f.size;
            f.flight.erase(found);
        }
        if (rtt > 0ns) {
            f.var = f.srtt > 0ns ? (3 * f.var + std::chrono::abs(rtt - f.srtt)) / 4 : rtt / 2;
            f.srtt = f.srtt > 0ns ? (7 * f.srtt + rtt) / 8 : rtt;
        }
        if (bytes + told == 0) return;
        f.in_flight -= bytes;
        f.heard = now;
        f.control->acked(bytes + told, rtt, flight, std::exchange(f.limited, false), now);
        while (!f.flight.empty() && f.flight.begin()->first + 8 < n) lose(f);
        pump(f);
    }
    void lose(Flow& f) {
        f.given_up.insert(f.flight.extract(f.flight.begin()));
        f.in_flight -= f.size, f.lost += f.size;
        f.control->lost(f.size, now);
    }
    void tick(Flow& f) {
        const Duration patience =
            f.srtt > 0ns ? f.srtt * 3 / 2 + std::max<Duration>(4 * f.var, 20ms) : 500ms;
        while (!f.flight.empty() && f.flight.begin()->second.at + patience < now) lose(f);
        if (f.in_flight > 0 && now - f.heard > 2 * patience) f.control->stalled(now), f.heard = now;
        if (f.in_flight == 0) f.heard = now;
        pump(f);
    }
    void run(Duration d) {
        const TimePoint end = now + d;
        while (true) {
            const TimePoint next =
                std::min(events.empty() ? TimePoint::max() : events.begin()->first, ticked + 1ms);
            if (next > end) break;
            now = std::max(now, next);
            if (now >= ticked + 1ms) {
                ticked = now;
                for (auto& f : flows) tick(*f);
                if (watch) watch();
            }
            while (!events.empty() && events.begin()->first <= now) {
                auto what = std::move(events.begin()->second);
                events.erase(events.begin());
                what();
            }
        }
        now = end;
    }
    void count() {
        count_from = now;
        for (auto& f : flows)
            f->delivered = f->sent = f->lost = f->counted = f->held = 0, f->wait = f->wait_max = 0;
    }
    sim::LinkConfig config;
    sim::LinkModel forth, back;
    TimePoint now{1000s}, ticked{1000s}, busy{}, count_from{1000s};
    std::multimap<TimePoint, std::function<void()>> events;
    std::vector<std::unique_ptr<Flow>> flows;
    std::function<void()> watch;
    bool broken = false;  ///< Nothing passes.
    Duration longer{};    ///< The way there takes so much more.
};
Pace& pace_of(Path::Flow& f) { return static_cast<Paced&>(*f.control).pace; }

double used(Path& p, Path::Flow& f, Duration d) {
    return double(f.delivered) / (p.config.bytes_per_second * 1e-9 * double(d.count()));
}

/// Of a link's rate, in a table of links: what is used, and what its packets wait.
void expect_full_and_short(double rate, Duration rtt, Duration queue, std::size_t size,
                           double offered) {
    Path path({.delay = rtt / 2, .bytes_per_second = rate, .queue = queue});
    auto& flow = path.add(size, offered * rate);
    path.run(5s), path.count(), path.run(30s);
    const double packet_ms = double(size) / rate * 1e3;
    SCOPED_TRACE(testing::Message()
                 << rate << " bytes/s, rtt " << to_ms(rtt) << " ms, queue " << to_ms(queue)
                 << " ms, packets of " << size << ", offered " << offered);
    EXPECT_GE(used(path, flow, 30s), 0.85);
    EXPECT_LE(flow.wait / double(flow.counted), std::max(25.0, to_ms(rtt) / 4) + 1.5 * packet_ms);
}

TEST(RudpPace, fills_a_link_and_keeps_its_queue_short) {
    for (const Duration rtt : {20ms, 60ms, 250ms})
        for (const Duration queue : {50ms, 200ms})
            for (const double offered : {0.0, 2.0}) {  // 0: as much as may go.
                expect_full_and_short(8e3, rtt, queue, 150, offered);
                expect_full_and_short(32e3, rtt, queue, 150, offered);
                expect_full_and_short(125e3, rtt, queue, 600, offered);
                expect_full_and_short(1.25e6, rtt, queue, 1228, offered);
                if (queue == 200ms) {
                    expect_full_and_short(8e3, rtt, queue, 1228, offered);
                    expect_full_and_short(32e3, rtt, queue, 1228, offered);
                }
            }
}

TEST(RudpPace, random_loss_costs_what_is_lost) {
    for (const double loss : {0.01, 0.05, 0.10, 0.20})
        for (const double rate : {32e3, 125e3, 1.25e6}) {
            Path path({.delay = 30ms, .loss = loss, .bytes_per_second = rate});
            auto& flow = path.add(rate < 1e5 ? 300 : 1228);
            path.run(5s), path.count(), path.run(30s);
            EXPECT_GE(used(path, flow, 30s), 0.88 * (1 - loss)) << rate << " " << loss;
        }
}

TEST(RudpPace, does_not_hold_a_game_on_a_path_that_jitters_or_loses) {
    for (const Duration jitter : {0ms, 5ms, 20ms})
        for (const double loss : {0.0, 0.05, 0.20})
            for (const std::size_t size : {120, 600}) {
                Path path({.delay = 30ms, .jitter = jitter, .loss = loss});
                auto& flow = path.add(size, 60.0 * double(size));
                unsigned crowded = 0;
                path.watch = [&] { crowded += pace_of(flow).crowded(); };
                path.run(60s);
                EXPECT_LE(flow.held, 40U) << to_ms(jitter) << " ms " << loss;  // Of 3600.
                EXPECT_LE(flow.backlog_max, 4.0 * double(size));
                EXPECT_LE(crowded, jitter == 20ms ? 60'000U / 20 : 0U);
            }
}

TEST(RudpPace, two_flows_share_a_link) {
    for (const double rate : {32e3, 125e3, 1.25e6})
        for (const std::size_t size : {300, 1228}) {
            Path path({.delay = 30ms, .bytes_per_second = rate, .queue = 200ms});
            auto& first = path.add(size);
            auto& second = path.add(size, 0, nullptr, 7s);
            path.run(20s), path.count(), path.run(60s);
            const double a = double(first.delivered), b = double(second.delivered);
            EXPECT_GE((a + b) * (a + b) / 2 / (a * a + b * b), 0.85) << rate << " " << size;
            EXPECT_LE(first.wait / double(first.counted), 30 + 1.5 * double(size) / rate * 1e3);
        }
}

TEST(RudpPace, shares_with_one_that_counts_only_loss) {
    for (const double rate : {125e3, 1.25e6})
        for (const Duration queue : {50ms, 200ms}) {
            Path path({.delay = 30ms, .bytes_per_second = rate, .queue = queue});
            auto& ours = path.add(1228);
            auto& reno = path.add(1228, 0, std::make_unique<Reno>(), 7s);
            path.run(20s), path.count(), path.run(60s);
            EXPECT_GE(used(path, reno, 60s), 0.40) << rate << " " << to_ms(queue);
            EXPECT_GE(used(path, ours, 60s), 0.08) << rate << " " << to_ms(queue);
        }
}

TEST(RudpPace, a_game_gets_through_beside_a_download) {
    for (const double rate : {125e3, 1.25e6})
        for (const std::size_t size : {120, 600}) {
            Path path({.delay = 30ms, .bytes_per_second = rate, .queue = 200ms});
            auto& game = path.add(size, 60.0 * double(size));
            path.add(1228, 0, std::make_unique<Reno>(), 7s);
            path.run(10s), path.count(), path.run(60s);
            EXPECT_GE(double(game.delivered), 0.93 * 60 * 60 * double(size)) << rate << " " << size;
        }
}

TEST(RudpPace, recovers_after_an_outage) {
    for (const Duration outage : {300ms, 1000ms, 3000ms}) {
        Path path({.delay = 30ms, .bytes_per_second = 125e3});
        auto& flow = path.add(600);
        path.run(10s);
        path.broken = true, path.run(outage), path.broken = false;
        path.run(2s), path.count(), path.run(3s);
        EXPECT_GE(used(path, flow, 3s), 0.85) << to_ms(outage);
    }
}

TEST(RudpPace, takes_a_longer_way_for_what_it_is) {
    Path path({.delay = 20ms, .bytes_per_second = 125e3});
    auto& flow = path.add(600);
    path.run(10s);
    path.longer = 80ms;
    path.run(15s), path.count(), path.run(20s);
    EXPECT_GE(used(path, flow, 20s), 0.85);
    EXPECT_LE(flow.wait / double(flow.counted), 40);
    path.longer = 0ms;
    path.run(5s), path.count(), path.run(20s);
    EXPECT_GE(used(path, flow, 20s), 0.85);
    EXPECT_LE(flow.wait / double(flow.counted), 40);
}

TEST(RudpPace, lets_ten_packets_go_at_once_after_a_pause) {
    Pace pace;
    TimePoint now{1000s};
    for (int i = 0; i < 600; ++i, now += 16ms) {
        EXPECT_EQ(pace.next_send(120, now), now);
        pace.sent(120, now);
        pace.acked(120, 60ms, 480, false, now);
    }
    now += 30s;
    std::size_t sent = 0;
    for (; sent < 100 && pace.next_send(1228, now) == now; ++sent) pace.sent(1228, now);
    EXPECT_GE(sent, 6U);
    EXPECT_LE(sent, 16U);
    EXPECT_LE(pace.next_send(1228, now), now + 60ms);
}

TEST(RudpPace, tells_when_a_queue_grows) {
    Path path({.delay = 30ms, .bytes_per_second = 32e3});
    auto& flow = path.add(300, 8e3);
    path.run(5s);
    EXPECT_FALSE(pace_of(flow).crowded());
    EXPECT_LT(pace_of(flow).queue_delay(), 10ms);
    EXPECT_NEAR(pace_of(flow).bytes_per_second(), 8e3, 2e3);
    flow.offered = 64e3;
    unsigned crowded = 0;
    path.watch = [&] { crowded += pace_of(flow).crowded(); };
    path.run(2s);
    EXPECT_GT(crowded, 100U);
    flow.offered = 8e3, flow.owed = 0;
    path.run(2s);
    EXPECT_FALSE(pace_of(flow).crowded());
    EXPECT_LT(pace_of(flow).queue_delay(), 10ms);
}

TEST(RudpPace, keeps_a_floor_and_a_ceiling) {
    Pace pace;
    TimePoint now{1000s};
    EXPECT_EQ(pace.window(), Pace::window_start);
    for (int i = 0; i < 100; ++i, now += 100ms) pace.stalled(now);
    EXPECT_GE(pace.window(), 2 * Pace::packet_bytes_max);
    EXPECT_LE(pace.next_send(1228, now), now + 1s);
    for (int i = 0; i < 100'000; ++i, now += 100us) {
        pace.sent(1228, now);
        pace.acked(1228, 60ms, pace.window(), true, now);
    }
    EXPECT_GE(pace.window(), std::size_t{300'000});  // 12 MB/s at 60 ms.
    EXPECT_LE(pace.window(), Pace::window_max);
    static_assert(sizeof(Pace) <= 176);
}
}  // namespace
}  // namespace gyre::net::rudp

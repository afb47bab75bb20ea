#include <gtest/gtest.h>
#include <gyre/net/detail/rudp_pace.hpp>
#include <gyre/sim/link.hpp>

#include <cmath>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>

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
        std::map<std::uint64_t, Sent> flight;
        std::uint64_t next = 0, in_flight = 0;
        Duration srtt{}, var{};
        bool limited = false;
        TimePoint heard{};
        std::uint64_t delivered = 0, sent = 0, lost = 0, counted = 0,
                      held = 0;  ///< held: sends that waited.
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
        if (fate.copies == 0) return;
        at(fate.at[0], [this, &f, n] {
            if (now >= count_from) f.delivered += f.size;
            const auto ack = back.pass(now, 20);
            if (ack.copies) at(ack.at[0], [this, &f, n] { acknowledge(f, n); });
        });
    }
    void acknowledge(Flow& f, std::uint64_t n) {
        // Like acknowledgements with a long bitmap: a lost one is made good by the next.
        const auto found = f.flight.find(n);
        if (found == f.flight.end()) return;
        const Duration rtt = now - found->second.at;
        f.var = f.srtt > 0ns ? (3 * f.var + std::chrono::abs(rtt - f.srtt)) / 4 : rtt / 2;
        f.srtt = f.srtt > 0ns ? (7 * f.srtt + rtt) / 8 : rtt;
        const auto flight = f.in_flight;
        f.in_flight -= f.size;
        f.flight.erase(found);
        f.heard = now;
        f.control->acked(f.size, rtt, flight, std::exchange(f.limited, false), now);
        while (!f.flight.empty() && f.flight.begin()->first + 8 < n) lose(f);
        pump(f);
    }
    void lose(Flow& f) {
        f.flight.erase(f.flight.begin());
        f.in_flight -= f.size, f.lost += f.size;
        f.control->lost(f.size, now);
    }
    void tick(Flow& f) {
        const Duration patience =
            f.srtt > 0ns ? f.srtt + std::max<Duration>(4 * f.var, 10ms) : 500ms;
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
};
Pace& pace_of(Path::Flow& f) { return static_cast<Paced&>(*f.control).pace; }

double used(Path& p, Path::Flow& f, Duration d) {
    return double(f.delivered) / (p.config.bytes_per_second * 1e-9 * double(d.count()));
}

TEST(RudpPace, fills_a_link_and_keeps_its_queue_short) {
    for (const double rate : {32e3, 125e3})
        for (const auto rtt : {60ms, 250ms})
            for (const auto queue : {50ms, 200ms})
                for (const double offered : {0.0, 2.0}) {
                    Path path({.delay = rtt / 2, .bytes_per_second = rate, .queue = queue});
                    auto& flow = path.add(150, offered * rate);
                    path.run(5s), path.count(), path.run(30s);
                    EXPECT_GE(used(path, flow, 30s), 0.85) << rate;
                    EXPECT_LE(flow.wait / double(flow.counted), std::max(25.0, to_ms(rtt) / 4))
                        << rate;
                }
}

TEST(RudpPace, two_flows_share_a_link) {
    for (const double rate : {32e3, 125e3, 1.25e6}) {
        Path path({.delay = 30ms, .bytes_per_second = rate, .queue = 200ms});
        auto& first = path.add(600);
        auto& second = path.add(600, 0, nullptr, 7s);
        path.run(20s), path.count(), path.run(30s);
        const double a = double(first.delivered), b = double(second.delivered);
        EXPECT_GE((a + b) * (a + b) / 2 / (a * a + b * b), 0.85) << rate;
    }
}

TEST(RudpPace, does_not_hold_a_sender_that_has_room) {
    Path path({.delay = 30ms, .jitter = 5ms, .loss = 0.05});
    auto& flow = path.add(120, 60 * 120);
    path.run(60s);
    EXPECT_EQ(flow.held, 0U);
    EXPECT_FALSE(pace_of(flow).crowded());
}
}  // namespace
}  // namespace gyre::net::rudp

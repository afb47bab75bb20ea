// Standard KCP over the simulated link, in virtual time: equal on every machine. A message of 64 bytes each way
// 30 times a second; prints rows with quantiles of the one-way latency: of KCP as it is set by default, and as the
// first KCP behaves (eager off).
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <gyre/net/kcp.hpp>
#include <gyre/sim/link.hpp>
#include <map>

namespace gyre {
namespace {

constexpr unsigned messages = 20'000;  // each way
constexpr Duration message_every = 33ms;

class Cell {
public:
    Cell(const sim::LinkConfig& link, bool eager) : config_(net::kcp_fast()), a_(*this, link, 1), b_(*this, link, 1001) {
        config_.eager = eager;
        a_.other = &b_, b_.other = &a_;
    }
    std::vector<double> run() {
        const TimePoint begin = now_, end = now_ + message_every * messages + 10s;
        for (unsigned sent = 0; now_ <= end; now_ += 1ms) {
            if (sent < messages && now_ >= begin + message_every * sent) {
                for (End* one : {&a_, &b_}) one->say();
                ++sent;
            }
            while (!wire_.empty() && wire_.begin()->first <= now_) {
                const auto [to, datagram] = std::move(wire_.extract(wire_.begin()).mapped());
                (void)to->kcp.input(datagram, now_);
                to->touch();
            }
            for (End* one : {&a_, &b_})
                if (one->wake <= now_) one->touch();
        }
        std::sort(latencies_ms_.begin(), latencies_ms_.end());
        return std::move(latencies_ms_);
    }

private:
    struct End final : net::KcpOutput {
        End(Cell& c, const sim::LinkConfig& link, std::uint64_t seed) : cell(c), kcp(77, c.config_, c.pool_, *this), model(link, seed) {}
        void output(BytesView datagram) override {
            const auto fate = model.pass(cell.now_, datagram.size());
            for (unsigned i = 0; i < fate.copies; ++i)
                cell.wire_.emplace(fate.at[i], std::pair(other, Bytes(datagram.begin(), datagram.end())));
        }
        void say() {
            Bytes message(64);
            const std::int64_t at = cell.now_.time_since_epoch().count();
            std::memcpy(message.data(), &at, sizeof at);
            (void)kcp.send(message);
            touch();
        }
        void touch() {
            for (Bytes message; kcp.receive(message);) {
                std::int64_t at = 0;
                std::memcpy(&at, message.data(), sizeof at);
                cell.latencies_ms_.push_back(static_cast<double>((cell.now_.time_since_epoch() - Duration(at)) / 1us) / 1000);
            }
            wake = kcp.update(cell.now_);
        }
        Cell& cell;
        net::Kcp kcp;
        sim::LinkModel model;
        End* other = nullptr;
        TimePoint wake = TimePoint::max();
    };
    net::KcpConfig config_;
    net::KcpPool pool_;
    TimePoint now_{1000s};
    std::multimap<TimePoint, std::pair<End*, Bytes>> wire_;
    std::vector<double> latencies_ms_;
    End a_, b_;
};

}  // namespace
}  // namespace gyre

int main() {
    using namespace gyre;
    for (const auto& [name, link] : {std::pair("rtt60_loss1", "rtt=60ms,loss=1%"), {"rtt60_loss5", "rtt=60ms,loss=5%"},
                                     {"rtt60_loss10", "rtt=60ms,loss=10%"}, {"rtt60_j5_loss5_burst3", "rtt=60ms,jitter=5ms,loss=5%,burst=3"},
                                     {"rtt120_loss10", "rtt=120ms,loss=10%"}}) {
        for (const bool eager : {true, false}) {
            const auto latencies = Cell(sim::parse_link(link).value(), eager).run();
            if (latencies.size() != 2 * messages) return std::fprintf(stderr, "%s: %zu arrived\n", link, latencies.size()), 1;
            for (const auto& [figure, share] : {std::pair("p99", 0.99), {"p999", 0.999}})
                std::printf("{\"name\": \"cell_%s%s_%s\", \"value\": %.1f, \"unit\": \"ms\"}\n", name, eager ? "" : "_not_eager",
                            figure, latencies[static_cast<std::size_t>(static_cast<double>(latencies.size()) * share)]);
        }
    }
}

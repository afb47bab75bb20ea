// One cell of `./dev bench rudp`: two ends speak over a simulated link in virtual time, equal on every machine.
//     rudp_cells CONTENDER TRAFFIC MESSAGES SEED LINK [LINK_DOWN]
// prints a line of JSON. CONTENDER: contender.hpp. TRAFFIC: RATExBYTES, messages a second of each end, with `down`
// behind it those of the server only; `idle`: a minute of silence. LINK: docs/link.md. Latencies are one-way, of
// both directions together; bytes are those of datagrams with 28 each of IP and UDP.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <gyre/base/hash.hpp>
#include <gyre/sim/link.hpp>
#include <map>
#include <vector>

#include "contender.hpp"

namespace gyre::bench {
namespace {

constexpr std::size_t head_bytes = 28;  // IPv4 and UDP

struct Traffic {
    Duration every{};
    std::size_t bytes = 0;
    bool up = true;
};

double ms(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double quantile(std::vector<double>& ordered, double share) {
    if (ordered.empty()) return 0;
    return ordered[std::min(static_cast<std::size_t>(static_cast<double>(ordered.size()) * share), ordered.size() - 1)];
}

class Cell final : Surroundings {
public:
    Cell(const std::string& contender, const Traffic& traffic, unsigned messages, std::uint64_t seed,
         const sim::LinkConfig& up, const sim::LinkConfig& down)
        : traffic_(traffic), messages_(messages), seed_(seed), clean_{up.delay, down.delay},
          models_{{up, 2 * seed + 1}, {down, 2 * seed + 2}}, contender_(make_contender(contender, *this, seed)) {}
    bool exists() const { return contender_ != nullptr; }

    void run() {
        while (!contender_->ready() && now_ < TimePoint(1060s)) advance(TimePoint::max());
        run_to(now_ + 500ms);  // what the handshake left behind
        measured_ = true;
        begin_ = now_;
        // The ends are not in step, and drift past each other.
        next_[0] = begin_, next_[1] = begin_ + Duration(static_cast<std::int64_t>(mix(seed_) % static_cast<std::uint64_t>(traffic_.every.count())));
        end_ = begin_ + traffic_.every * messages_;
        const double cpu = cpu_seconds();
        while (now_ < end_) {
            advance(std::min({next_[0], next_[1], end_}));
            for (const End from : {End::client, End::server}) {
                const std::size_t i = index(from);
                if (now_ < next_[i] || said_[i] == messages_) continue;
                say(from);
                next_[i] = said_[i] == messages_ ? TimePoint::max() : next_[i] + traffic_.every + (i ? traffic_.every / 1000 : Duration::zero());
            }
        }
        delivered_in_time_bytes_ = delivered_bytes_;
        for (unsigned i = 0; i < 100 && heard() < said() && contender_->failure().empty(); ++i) run_to(now_ + 300ms);
        cpu_ = cpu_seconds() - cpu;
    }

    void print() {
        std::sort(latencies_ms_.begin(), latencies_ms_.end());
        std::sort(queue_ms_.begin(), queue_ms_.end());
        double sum = 0;
        for (const double one : latencies_ms_) sum += one;
        std::printf("{\"sent\": %zu, \"delivered\": %zu, \"wrong\": %llu, \"failure\": \"%s\"", said(), heard(),
                    static_cast<unsigned long long>(wrong_), contender_->failure().c_str());
        for (const auto& [name, share] : {std::pair("p50", 0.5), {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}})
            std::printf(", \"%s\": %.3f", name, quantile(latencies_ms_, share));
        const auto payload = static_cast<double>(said() * traffic_.bytes);
        std::printf(", \"mean\": %.3f, \"wire_bytes\": %llu, \"bytes\": %.4f, \"datagrams\": %llu", sum / static_cast<double>(std::max<std::size_t>(latencies_ms_.size(), 1)),
                    static_cast<unsigned long long>(wire_bytes_), payload > 0 ? static_cast<double>(wire_bytes_) / payload : 0, static_cast<unsigned long long>(datagrams_));
        // A resend is spurious when what it repeats had arrived; link duplicates count with them.
        std::uint64_t segments = 0, resent = 0, again = 0;
        for (const End end : {End::client, End::server})
            if (const auto told = contender_->stats(end); told && contender_->failure().empty()) {
                segments += told->segments_sent, resent += told->resent_late + told->resent_early, again += told->duplicates;
            }
        if (segments > 0)
            std::printf(", \"resent\": %.5f, \"spurious\": %.5f", static_cast<double>(resent) / static_cast<double>(segments),
                        static_cast<double>(std::min(resent, again)) / static_cast<double>(segments));
        if (!queue_ms_.empty()) {
            const double seconds = ms(end_ - begin_) / 1000;
            std::printf(", \"queue_p50\": %.1f, \"queue_p99\": %.1f, \"queue_drops\": %llu, \"goodput\": %.4f", quantile(queue_ms_, 0.5),
                        quantile(queue_ms_, 0.99), static_cast<unsigned long long>(queue_drops_),
                        static_cast<double>(delivered_in_time_bytes_) / seconds / models_[1].config().bytes_per_second);
        }
        std::printf(", \"cpu_s\": %.3f}\n", cpu_);
    }

private:
    static std::size_t index(End end) { return static_cast<std::size_t>(end); }
    std::size_t said() const { return said_[0] * (traffic_.up ? 1 : 0) + said_[1]; }
    std::size_t heard() const { return latencies_ms_.size(); }

    /// To the next event, at the latest to `limit`.
    void advance(TimePoint limit) {
        TimePoint at = std::min(limit, wake_);
        if (!wire_.empty()) at = std::min(at, wire_.begin()->first);
        now_ = std::max(now_, at);
        contender_->clock(now_);
        const std::uint64_t binding = measured_ ? models_[0].binding(now_) : 0;
        if (binding != binding_) binding_ = binding, contender_->rebind();
        while (!wire_.empty() && wire_.begin()->first <= now_) {
            const auto [to, datagram] = std::move(wire_.extract(wire_.begin()).mapped());
            contender_->arrive(to, datagram);
        }
        step();
    }
    void step() {
        const TimePoint due = contender_->step();
        wake_ = std::max(due, now_ + 50us);  // Timers may be due at once, again and again.
    }
    void run_to(TimePoint time) {
        while (now_ < time) advance(time);
    }

    void say(End from) {
        const std::size_t i = index(from);
        const auto number = static_cast<std::uint32_t>(said_[i]++);
        if (from == End::client && !traffic_.up) return;
        if (!contender_->failure().empty()) return;
        Bytes message(traffic_.bytes);
        const std::int64_t at = now_.time_since_epoch().count();
        std::memcpy(message.data(), &at, sizeof at);
        std::memcpy(message.data() + sizeof at, &number, sizeof number);
        contender_->send(from, message);
        step();
    }
    void transmit(End from, BytesView datagram) override {
        sim::LinkModel& model = models_[index(from)];
        if (!measured_) {
            wire_.emplace(now_ + clean_[index(from)], std::pair(other(from), Bytes(datagram.begin(), datagram.end())));
            return;
        }
        const auto fate = model.pass(now_, datagram.size());
        ++datagrams_, wire_bytes_ += datagram.size() + head_bytes;
        for (unsigned i = 0; i < fate.copies; ++i)
            wire_.emplace(fate.at[i], std::pair(other(from), Bytes(datagram.begin(), datagram.end())));
        if (model.config().bytes_per_second > 0) {
            if (fate.copies > 0) queue_ms_.push_back(ms(fate.at[0] - now_ - model.config().delay));
            queue_drops_ += fate.reason == sim::LinkReason::queue_full;
        }
    }
    void deliver(End at, BytesView message) override {
        if (!measured_) return;
        std::int64_t sent = 0;
        std::uint32_t number = 0;
        if (message.size() != traffic_.bytes) return void(++wrong_);
        std::memcpy(&sent, message.data(), sizeof sent);
        std::memcpy(&number, message.data() + sizeof sent, sizeof number);
        auto& seen = seen_[index(at)];
        if (seen.size() <= number) seen.resize(number + 1);
        if (seen[number]) ++wrong_;
        seen[number] = true;
        latencies_ms_.push_back(ms(now_.time_since_epoch() - Duration(sent)));
        delivered_bytes_ += message.size();
    }

    const Traffic traffic_;
    const std::size_t messages_;
    const std::uint64_t seed_;
    const Duration clean_[2];
    sim::LinkModel models_[2];
    TimePoint now_{1000s}, wake_{1000s}, begin_{}, end_{};
    TimePoint next_[2] = {};
    std::size_t said_[2] = {};
    std::vector<bool> seen_[2];
    bool measured_ = false;
    std::uint64_t binding_ = 0;
    std::multimap<TimePoint, std::pair<End, Bytes>> wire_;
    std::vector<double> latencies_ms_, queue_ms_;
    std::uint64_t wire_bytes_ = 0, datagrams_ = 0, queue_drops_ = 0, wrong_ = 0, delivered_bytes_ = 0, delivered_in_time_bytes_ = 0;
    double cpu_ = 0;
    std::unique_ptr<Contender> contender_;
};

bool parse_number(std::string_view text, unsigned& number) {
    return std::from_chars(text.data(), text.data() + text.size(), number).ptr == text.data() + text.size() && !text.empty();
}

std::optional<Traffic> parse_traffic(std::string_view text) {
    if (text == "idle") return Traffic{60s, 16};
    Traffic traffic;
    if (text.ends_with("down")) traffic.up = false, text.remove_suffix(4);
    const std::size_t sign = text.find('x');
    unsigned rate = 0, bytes = 0;
    if (sign == text.npos || !parse_number(text.substr(0, sign), rate) || !parse_number(text.substr(sign + 1), bytes)) return {};
    if (rate == 0 || rate > 1000 || bytes < 12 || bytes > 64 * 1024) return {};
    traffic.every = Duration(1s) / rate, traffic.bytes = bytes;
    return traffic;
}

}  // namespace

std::unique_ptr<Contender> make_contender(const std::string& name, Surroundings& around, std::uint64_t seed) {
    if (name == "replay") return make_replay_contender(around);
#ifdef GYRE_WITH_ENET
    if (name == "enet") return make_enet_contender(around);
#endif
    return make_port_contender(name, around, seed);
}

}  // namespace gyre::bench

int main(int count, char** words) {
    using namespace gyre;
    unsigned messages = 0, seed = 0;
    if (count < 6 || count > 7 || !bench::parse_number(words[3], messages) || messages == 0 || !bench::parse_number(words[4], seed))
        return std::fprintf(stderr, "usage: rudp_cells CONTENDER TRAFFIC MESSAGES SEED LINK [LINK_DOWN]\n"), 2;
    const auto traffic = bench::parse_traffic(words[2]);
    auto up = sim::parse_link(words[5]), down = sim::parse_link(words[count - 1]);
    if (!traffic || !up || !down) return std::fprintf(stderr, "rudp_cells: no such traffic or link: %s %s\n", words[2], words[5]), 2;
    bench::Cell cell(words[1], *traffic, messages, seed, up.value(), down.value());
    if (!cell.exists()) return std::fprintf(stderr, "rudp_cells: no contender %s in this build\n", words[1]), 2;
    cell.run();
    cell.print();
}

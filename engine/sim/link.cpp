#include <gyre/sim/link.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace gyre::sim {
namespace {
constexpr std::size_t head_bytes = 28;  // IPv4 and UDP

double seconds(Duration d) { return static_cast<double>(d.count()) / 1e9; }
Duration of_seconds(double s) { return Duration(static_cast<std::int64_t>(s * 1e9)); }

struct Unit {
    std::string_view name;
    double factor;
};
constexpr Unit times[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}};
constexpr Unit shares[] = {{"%", 0.01}};
constexpr Unit rates[] = {{"B/s", 1},           {"kB/s", 1e3},        {"MB/s", 1e6},
                          {"bit/s", 1.0 / 8},   {"kbit/s", 1e3 / 8},  {"Mbit/s", 1e6 / 8}};
constexpr Unit plain[] = {{"", 1}};

/// Of one knob: a number with a unit, within a range.
class Reader {
public:
    Reader(std::string_view knob, std::string_view value) : knob_(knob), value_(value) {}
    double read(std::string_view text, std::span<const Unit> units, double from, double to,
                std::string_view expected) {
        double number = 0;
        const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
        const std::string_view unit(end.ptr, text.data() + text.size());
        const auto found = std::ranges::find(units, unit, &Unit::name);
        const double result = found == units.end() ? 0 : number * found->factor;
        if (end.ec == std::errc{} && found != units.end() && result >= from && result <= to)
            return result;
        fail(expected);
        return from;
    }
    Duration time(std::string_view text, Duration to, std::string_view expected) {
        return of_seconds(read(text, times, 0, seconds(to), expected));
    }
    double share(std::string_view text) {
        return read(text, shares, 0, 1, "a share as 5%, 0% to 100%");
    }
    void fail(std::string_view expected) {
        if (!error_)
            error_ = Error(errc::bad_arguments, "link: " + std::string(knob_) + "=" +
                                                    std::string(value_) + ": expected " +
                                                    std::string(expected));
    }
    const std::optional<Error>& error() const { return error_; }
    std::string_view value() const { return value_; }
    std::pair<std::string_view, std::string_view> halves() const {
        const std::size_t slash = value_.find('/');
        if (slash == std::string_view::npos) return {value_, {}};
        return {value_.substr(0, slash), value_.substr(slash + 1)};
    }

private:
    std::string_view knob_, value_;
    std::optional<Error> error_;
};

void read_outage(Reader& in, LinkConfig& link) {
    const auto [length, every] = in.halves();
    constexpr std::string_view expected =
        "LENGTH/PERIOD as 100ms/5s, length below period, period up to 1h";
    link.outage_length = in.time(length, 1h, expected);
    link.outage_every = in.time(every, 1h, expected);
    if (link.outage_length >= link.outage_every) in.fail(expected);
}

void read_reorder(Reader& in, LinkConfig& link) {
    const auto [share, by] = in.halves();
    link.reorder = in.share(share);
    if (by.data()) link.reorder_by = in.time(by, 10s, "SHARE or SHARE/TIME as 1%/20ms, up to 10s");
}

struct Knob {
    std::string_view name;
    void (*read)(Reader& in, LinkConfig& link);
};
constexpr Knob knobs[] = {
    {"rtt",
     [](Reader& in, LinkConfig& link) {
         link.delay = in.time(in.value(), 120s, "a time as 60ms, 0ms to 120s") / 2;
     }},
    {"delay",
     [](Reader& in, LinkConfig& link) {
         link.delay = in.time(in.value(), 60s, "a time as 30ms, 0ms to 60s");
     }},
    {"jitter",
     [](Reader& in, LinkConfig& link) {
         link.jitter = in.time(in.value(), 10s, "a time as 5ms, 0ms to 10s");
     }},
    {"loss", [](Reader& in, LinkConfig& link) { link.loss = in.share(in.value()); }},
    {"burst",
     [](Reader& in, LinkConfig& link) {
         link.burst_length = in.read(in.value(), plain, 1, 1000, "a mean length, 1 to 1000");
     }},
    {"rate",
     [](Reader& in, LinkConfig& link) {
         link.bytes_per_second = in.read(
             in.value(), rates, 1, 1e10,
             "a rate as 64kB/s or 512kbit/s (B/s, kB/s, MB/s, bit/s, kbit/s, Mbit/s), 1B/s to 10GB/s");
     }},
    {"queue",
     [](Reader& in, LinkConfig& link) {
         link.queue = in.time(in.value(), 60s, "a time as 200ms, 0ms to 60s");
     }},
    {"mtu",
     [](Reader& in, LinkConfig& link) {
         link.mtu_bytes = static_cast<std::size_t>(
             in.read(in.value(), plain, 1, 65'507, "bytes of a datagram, 1 to 65507"));
     }},
    {"reorder", &read_reorder},
    {"duplicate", [](Reader& in, LinkConfig& link) { link.duplicate = in.share(in.value()); }},
    {"outage", &read_outage},
    {"rebind",
     [](Reader& in, LinkConfig& link) {
         constexpr std::string_view expected = "a time as 10s, 10ms to 24h";
         link.rebind_every = in.time(in.value(), 24h, expected);
         if (link.rebind_every < 10ms) in.fail(expected);
     }},
};
}  // namespace

Result<LinkConfig> parse_link(std::string_view text) {
    LinkConfig link;
    std::uint32_t given = 0;
    bool burst = false;
    while (!text.empty()) {
        const std::string_view item = text.substr(0, text.find(','));
        text.remove_prefix(std::min(item.size() + 1, text.size()));
        const std::size_t sign = std::min(item.find('='), item.size());
        const std::string_view name = item.substr(0, sign);
        const auto knob = std::ranges::find(knobs, name, &Knob::name);
        if (knob == std::end(knobs)) {
            std::string known;
            for (const Knob& one : knobs) (known += known.empty() ? "" : ", ") += one.name;
            return Error(errc::bad_arguments,
                         "link: no knob \"" + std::string(name) + "\"; there are " + known);
        }
        Reader in(name, item.substr(std::min(sign + 1, item.size())));
        const std::uint32_t bit = 1u << (knob - std::begin(knobs));
        if (std::exchange(given, given | bit) & bit) in.fail("each knob once");
        knob->read(in, link);
        if (in.error()) return *in.error();
        burst |= name == "burst";
    }
    if (burst) {
        link.burst_loss = std::exchange(link.loss, 0);
        const double most = link.burst_length / (link.burst_length + 1);
        if (link.burst_loss == 0 || link.burst_loss > most)
            return Error(errc::bad_arguments,
                         "link: burst: expected a loss with it, above 0% and up to " +
                             std::to_string(static_cast<int>(most * 100)) +
                             "% at that mean length");
    }
    return link;
}

LinkCounters& LinkCounters::operator+=(const LinkCounters& other) {
    datagrams += other.datagrams;
    bytes += other.bytes;
    duplicated += other.duplicated;
    reordered += other.reordered;
    for (std::size_t i = 0; i < by_reason.size(); ++i) by_reason[i] += other.by_reason[i];
    return *this;
}

LinkModel::LinkModel(const LinkConfig& config, std::uint64_t seed)
    : config_(config),
      losses_(Random(seed).fork("loss")),
      bursts_(Random(seed).fork("burst")),
      outages_(Random(seed).fork("outage")),
      delays_(Random(seed).fork("delay")),
      orders_(Random(seed).fork("order")),
      copies_(Random(seed).fork("copy")) {
    GYRE_ASSERT(config.outage_length <= config.outage_every, "an outage fits into its period");
    GYRE_ASSERT(config.burst_length >= 1, "a burst has at least one loss");
    bad_ = bursts_.chance(config.burst_loss);
}

bool LinkModel::in_outage(TimePoint now) {
    if (config_.outage_length <= Duration::zero()) return false;
    const auto period = static_cast<std::uint64_t>((now - start_) / config_.outage_every);
    const Duration within = (now - start_) % config_.outage_every;
    const Duration begin = outages_.fork("period", period)
                               .between({}, config_.outage_every - config_.outage_length);
    return within >= begin && within < begin + config_.outage_length;
}

LinkReason LinkModel::judge(TimePoint now, std::size_t bytes) {
    // What decides by chance draws for every datagram, so that fates stay comparable.
    const bool lost = losses_.chance(config_.loss);
    bool burst = false;
    if (config_.burst_loss > 0) {
        burst = bad_;
        const double out = 1 / config_.burst_length;
        const double in = config_.burst_loss / (config_.burst_length * (1 - config_.burst_loss));
        bad_ = bad_ ? !bursts_.chance(out) : bursts_.chance(in);
    }
    if (config_.mtu_bytes > 0 && bytes > config_.mtu_bytes) return LinkReason::too_large;
    if (in_outage(now)) return LinkReason::outage;
    if (config_.bytes_per_second > 0) {
        if (busy_until_ - now > config_.queue) return LinkReason::queue_full;
        busy_until_ = std::max(busy_until_, now) +
                      of_seconds(static_cast<double>(bytes + head_bytes) / config_.bytes_per_second);
    }
    return lost ? LinkReason::loss : burst ? LinkReason::burst : LinkReason::passed;
}

Duration LinkModel::exponential(Random& random, Duration mean) {
    const double share = static_cast<double>(random.next() >> 11) * 0x1p-53;
    return of_seconds(-std::log1p(-share) * seconds(mean));
}

LinkModel::Fate LinkModel::pass(TimePoint now, std::size_t bytes) {
    if (!std::exchange(started_, true)) start_ = now;
    Fate fate;
    fate.reason = judge(now, bytes);
    const Duration jitter = exponential(delays_, config_.jitter);
    const bool held_back = orders_.chance(config_.reorder);
    const bool twice = copies_.chance(config_.duplicate);
    ++counters_.datagrams;
    counters_.bytes += bytes;
    ++counters_.by_reason[static_cast<std::size_t>(fate.reason)];
    if (fate.reason != LinkReason::passed) return fate;
    fate.copies = 1;
    fate.at[0] = std::max(last_, std::max(now, busy_until_) + config_.delay + jitter);
    if (held_back) {
        ++counters_.reordered;
        fate.at[0] += config_.reorder_by;
    } else {
        last_ = fate.at[0];
    }
    if (twice) {
        ++counters_.duplicated;
        fate.copies = 2;
        fate.at[1] = fate.at[0] + exponential(copies_, std::max<Duration>(config_.jitter, 1ms));
    }
    return fate;
}

std::uint64_t LinkModel::binding(TimePoint now) {
    if (!std::exchange(started_, true)) start_ = now;
    if (config_.rebind_every <= Duration::zero()) return 0;
    return static_cast<std::uint64_t>((now - start_) / config_.rebind_every);
}

}  // namespace gyre::sim

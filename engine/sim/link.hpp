#pragma once
#include <array>
#include <gyre/base/result.hpp>
#include <gyre/sim/random.hpp>
#include <string_view>

namespace gyre::sim {

/// How one direction of a link treats datagrams. Shares are [0, 1]; a knob at 0 is off.
struct LinkConfig {
    Duration delay{};              ///< One way, [0, 60 s].
    Duration jitter{};             ///< Added: exponential with this mean; order is kept.
    double loss = 0;               ///< Each on its own.
    double burst_loss = 0;         ///< Share lost in runs (Gilbert-Elliott).
    double burst_length = 3;       ///< Mean datagrams in such a run, [1, 1000].
    Duration outage_every{};       ///< Once in each such period, at a random place of it,
    Duration outage_length{};      ///< nothing passes for this long.
    double reorder = 0;            ///< Share that is held back while others overtake,
    Duration reorder_by = 10ms;    ///< for this long.
    double duplicate = 0;          ///< Share that arrives twice, the second within some jitter.
    double bytes_per_second = 0;   ///< 28 bytes of IP and UDP head included; 0: no limit.
    Duration queue = 200ms;        ///< Of waiting behind that limit; beyond: dropped.
    std::size_t mtu_bytes = 0;     ///< Larger datagrams vanish; 0: no limit.
    Duration rebind_every{};       ///< A NAT on the way gives the sender another port.
};

/// "rtt=60ms,jitter=5ms,loss=5%,burst=3,rate=64kB/s,queue=200ms,mtu=1200,reorder=1%/20ms,
/// duplicate=1%,outage=100ms/5s,rebind=10s" (docs/link.md). rtt is twice the delay; with burst the
/// loss comes in runs of that mean length. Error: bad_arguments names knob, value and range.
Result<LinkConfig> parse_link(std::string_view text);

enum class LinkReason : std::uint8_t { passed, loss, burst, outage, queue_full, too_large };

struct LinkCounters {
    std::uint64_t datagrams = 0, bytes = 0;  ///< Given to it.
    std::array<std::uint64_t, 6> by_reason{};
    std::uint64_t duplicated = 0, reordered = 0;
    std::uint64_t operator[](LinkReason reason) const {
        return by_reason[static_cast<std::size_t>(reason)];
    }
    std::uint64_t lost() const { return datagrams - (*this)[LinkReason::passed]; }
    LinkCounters& operator+=(const LinkCounters& other);
};

/// One direction of a link: says of each datagram whether and when it arrives. Equal seeds and
/// equal calls give equal fates, and a knob shifts no draw of another.
/// Cost: no allocation, under 100 ns.
class LinkModel {
public:
    struct Fate {
        unsigned copies = 0;  ///< 0: lost, by `reason`. 2: arrives twice.
        std::array<TimePoint, 2> at{};
        LinkReason reason = LinkReason::passed;
    };
    LinkModel(const LinkConfig& config, std::uint64_t seed);
    /// `now` never goes back. `bytes`: of the datagram, heads not counted.
    Fate pass(TimePoint now, std::size_t bytes);
    /// Which binding the NAT on the way gives its sender now: counts up every rebind_every.
    std::uint64_t binding(TimePoint now);
    const LinkConfig& config() const { return config_; }
    const LinkCounters& counters() const { return counters_; }

private:
    LinkReason judge(TimePoint now, std::size_t bytes);
    bool in_outage(TimePoint now);
    Duration exponential(Random& random, Duration mean);

    LinkConfig config_;
    LinkCounters counters_;
    Random losses_, bursts_, outages_, delays_, orders_, copies_;
    bool started_ = false, bad_ = false;
    TimePoint start_{}, busy_until_{}, last_{};
};

}  // namespace gyre::sim

#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <gyre/base/time.hpp>

namespace gyre::net::rudp {

/// When the packets of a link may leave, and how many bytes of them may be on the way.
/// It holds the queue it makes at the narrowest place of the path near a target of 10 to 30 ms: the
/// window grows while the smallest round trip of late stays near the smallest of 10 s, and shrinks
/// to what empties the queue when it does not. Four cuts that change nothing mean that others hold
/// the queue: then the window grows like theirs for a while. Loss does not shrink it below what
/// arrives, and a sender that gets through what it has to send never waits. Sizes are bytes with 28
/// of IP and UDP. Cost: no allocation, 176 bytes. Reads no clock.
class Pace {
public:
    static constexpr std::size_t packet_bytes_max = 1228;
    static constexpr std::size_t window_start = 16 * 1024;
    static constexpr std::size_t window_max = 2 * 1024 * 1024;

    /// A packet left.
    void sent(std::size_t bytes, TimePoint now);
    /// So many bytes are newly acknowledged. rtt: a round trip measured by this, the peer's delay
    /// taken off; zero: none. in_flight: before this acknowledgement. limited: since the last one
    /// the sender had more to send than window() or next_send() let through.
    void acked(std::size_t bytes, Duration rtt, std::size_t in_flight, bool limited, TimePoint now);
    /// So many bytes were declared lost.
    void lost(std::size_t bytes, TimePoint now);
    /// Deadlines passed with nothing acknowledged for some round trips.
    void stalled(TimePoint now);

    /// Bytes that may be in flight: at least two full packets and four of the usual size.
    std::size_t window() const;
    /// `now`, or when a packet of so many bytes may leave. After a pause ten packets pass at once.
    TimePoint next_send(std::size_t bytes, TimePoint now) const;
    /// Of the standing queue: the smallest round trip of late less the smallest of about 10 s.
    Duration queue_delay() const;
    /// A queue grows: bytes that need not be sent, should not be. With hysteresis.
    bool crowded() const { return crowded_; }
    /// Acknowledged of late.
    double bytes_per_second() const { return static_cast<double>(rate_); }

private:
    float base() const { return low_[0] < low_[1] ? low_[0] : low_[1]; }
    float target() const;
    float floor() const;  ///< Of the window where no round trip tells of a queue.
    float used() const;
    float pace() const;  ///< Bytes a second.
    float burst() const;
    void sample(float rtt, std::size_t bytes, TimePoint now);
    void measure_rate(std::size_t bytes, TimePoint now);
    void judge(TimePoint now);
    void judge_loss();
    void grow(std::size_t bytes);
    void shrink(float delay, TimePoint now);
    void compete(TimePoint now);
    void begin_cycle(TimePoint now);
    void bound_window();

    // Seconds and bytes. Before the first sample, round trips are 0.
    std::array<float, 2> low_{never, never};  ///< Smallest round trips of the last and this 5 s.
    float smooth_ = 0;                        ///< Mean round trip.
    float latest_ = 0;                        ///< Round trip.
    float jump_ = 0;      ///< Of round trips from one to the next by no queue of ours, fading.
    float standing_ = 0;  ///< Smallest round trip of the last cycle.
    float cycle_low_ = never;
    float standing_at_cut_ = 0;  ///< When the present row of cuts began.
    float window_at_cut_ = 0;
    float window_ = window_start;
    float unit_ = packet_bytes_max;  ///< Usual packet.
    float rate_ = 0, peak_ = 0;      ///< Delivered a second, lately; the most of it, fading.
    float loss_ = 0;                 ///< Share that is lost when too little is sent for a queue.
    float step_ = 1;                 ///< Packets the window grows by in a round trip.
    std::uint32_t rate_bytes_ = 0, rate_sent_ = 0, rate_lost_ = 0, cycle_acked_ = 0,
                  cycle_lost_ = 0;
    TimePoint low_at_{}, cycle_at_{}, rate_at_{};
    TimePoint valid_from_{};  ///< Round trips of packets sent before tell of an older window.
    TimePoint due_{};         ///< When what was sent would have left at the pace.
    TimePoint compete_until_{};
    std::uint16_t cycle_samples_ = 0;
    std::uint8_t rises_ = 0, cuts_ = 0;
    bool starting_ = true, rising_ = true, was_cut_ = false, limited_ = false, overload_ = false,
         competing_ = false, crowded_ = false;

    static constexpr float never = 1e9F;
};

}  // namespace gyre::net::rudp

#include <gyre/net/detail/rudp_pace.hpp>

#include <algorithm>
#include <utility>

namespace gyre::net::rudp {
namespace {
constexpr float target_min = 0.008F,
                target_max = 0.020F;  // Of the queue, beside one packet's time.
constexpr Duration low_window = 5s;
constexpr unsigned cycle_samples_min = 8;
constexpr float full_packet = Pace::packet_bytes_max;
constexpr float unmeasured_rtt = 0.1F;
/// Loss and silence alone, without a queue that can be seen, do not hold back what a game sends.
constexpr float floor_of_loss = 6 * full_packet;

float seconds(Duration d) { return static_cast<float>(d.count()) * 1e-9F; }
Duration of_seconds(float s) { return Duration(static_cast<std::int64_t>(s * 1e9F)); }
float bytes_of(std::size_t bytes) { return static_cast<float>(bytes); }
}  // namespace

void Pace::sent(std::size_t bytes, TimePoint now) {
    unit_ += (bytes_of(bytes) - unit_) / 16;
    rate_sent_ += static_cast<std::uint32_t>(bytes);
    due_ = std::max(due_, now) + of_seconds(bytes_of(bytes) / pace());
}

void Pace::acked(std::size_t bytes, Duration rtt, std::size_t in_flight, bool limited,
                 TimePoint now) {
    cycle_acked_ += static_cast<std::uint32_t>(bytes);
    limited_ |= limited;
    measure_rate(bytes, now);
    if (rtt > Duration::zero()) sample(seconds(rtt), bytes, now);
    if (limited && rising_ && bytes_of(in_flight) * 4 > window_) grow(bytes);
    const Duration cycle = of_seconds(std::max(smooth_, 0.001F) / (starting_ ? 4 : 2));
    if (now - cycle_at_ < cycle) return;
    if (cycle_samples_ >= cycle_samples_min ||
        (cycle_samples_ >= 2 && now - cycle_at_ > 3 * cycle + 200ms))
        judge(now);
}

void Pace::lost(std::size_t bytes, TimePoint now) {
    cycle_lost_ += static_cast<std::uint32_t>(bytes);
    rate_lost_ += static_cast<std::uint32_t>(bytes);
    // A queue that drops most of what comes lets few samples through: this is not left to a cycle.
    const float all = static_cast<float>(cycle_lost_) + static_cast<float>(cycle_acked_);
    if (all < 20 * unit_ || static_cast<float>(cycle_lost_) * 2 < all) return;
    cycle_acked_ = cycle_lost_ = 0;
    shrink(0, now);
}

void Pace::stalled(TimePoint now) {
    window_ = std::min(window_, std::max({window_ / 2, (limited_ ? 0.7F : 2) * used(), floor()}));
    bound_window();
    starting_ = starting_ && standing_ <= 0;
    step_ = 1;
    rises_ = 0;
    valid_from_ = now;
    begin_cycle(now);
}

std::size_t Pace::window() const {
    return static_cast<std::size_t>(std::max(window_, full_packet + unit_));
}

TimePoint Pace::next_send(std::size_t, TimePoint now) const {
    if (due_ <= now) return now;
    return std::max(now, due_ - of_seconds(burst() / pace()));
}

Duration Pace::queue_delay() const {
    return standing_ > 0 ? std::max(Duration::zero(), of_seconds(standing_ - base()))
                         : Duration::zero();
}

float Pace::pace() const {
    const float rtt = standing_ > 0 ? standing_ : smooth_ > 0 ? smooth_ : unmeasured_rtt;
    if (starting_) return 2 * window_ / rtt;
    // So few packets are not held by the window: the pace alone must hold them.
    const bool few = window_ < 3 * full_packet;
    return std::max(1.1F * window_ / (few ? std::max(rtt, base() + target()) : rtt), 500.0F);
}

float Pace::burst() const { return std::clamp(window_ / 2, unit_, 10 * full_packet); }

/// Of the standing queue, in seconds. A packet waits for one before it even when there is no queue,
/// and jitter looks like a little of one.
float Pace::target() const {
    const float packet = peak_ > 0 ? std::min(unit_ / peak_, 0.025F) : 0;
    return std::clamp(base() / 8, target_min, target_max) + packet +
           std::min(jump_ * 0.75F, 0.040F);
}

/// Bytes in flight that the most of late needs, lost ones too.
float Pace::used() const {
    return peak_ / (1 - loss_) * ((competing_ ? smooth_ : base() + target()) + jump_);
}

float Pace::floor() const {
    return limited_ || smooth_ > base() + target() ? unit_ : floor_of_loss;
}

void Pace::sample(float rtt, std::size_t bytes, TimePoint now) {
    // A queue of ours grows by the time of what we send; what jumps is the path.
    if (latest_ > 0 && peak_ > 0) {
        const float ours = std::max(unit_, bytes_of(bytes)) / peak_;
        jump_ = std::max(rtt - latest_ - ours, jump_ * 0.97F);
    }
    latest_ = rtt;
    smooth_ = smooth_ > 0 ? smooth_ + (rtt - smooth_) / 8 : rtt;
    if (now - low_at_ > low_window) {
        low_[0] = std::exchange(low_[1], rtt);
        low_at_ = now;
    }
    low_[1] = std::min(low_[1], rtt);
    if (standing_ <= 0) standing_ = rtt;
    if (now - of_seconds(rtt) < valid_from_) return;
    cycle_low_ = std::min(cycle_low_, rtt);
    ++cycle_samples_;
}

void Pace::measure_rate(std::size_t bytes, TimePoint now) {
    if (rate_at_ == TimePoint{}) rate_at_ = now;
    rate_bytes_ += static_cast<std::uint32_t>(bytes);
    const Duration span = now - rate_at_;
    if (span < of_seconds(smooth_) || (static_cast<float>(rate_bytes_) < 8 * unit_ && span < 1s))
        return;
    const float found = static_cast<float>(rate_bytes_) / seconds(span);
    rate_ = span > 5s ? found : rate_ + (found - rate_) / 2;
    peak_ = std::max(found, peak_ * 0.95F);
    overload_ = static_cast<float>(rate_sent_) > 1.15F * static_cast<float>(rate_bytes_) +
                                                     static_cast<float>(rate_lost_) + 2 * unit_;
    rate_bytes_ = rate_sent_ = rate_lost_ = 0;
    rate_at_ = now;
}

/// At the end of a cycle: half a round trip or more, of packets sent since the last cut.
void Pace::judge(TimePoint now) {
    standing_ = cycle_low_;
    const float delay = std::max(standing_ - base(), 0.0F), aim = target();
    judge_loss();
    crowded_ = delay > aim * (crowded_ ? 0.6F : 1.3F);
    if (competing_ && (delay < aim || now > compete_until_)) competing_ = false;
    if (competing_) return begin_cycle(now);
    // Who waits for nothing and gets through what it sends makes no queue.
    if (delay > aim && (limited_ || overload_)) return shrink(delay, now);
    cuts_ = 0;
    rising_ = true;
    if (delay > aim / 2) {
        rises_ = 0;
        step_ = std::max(1.0F, step_ / 2);
    } else if (limited_ && ++rises_ > 2) {
        // Fast up to what the path is known to carry, with care beyond.
        const float share = window_ < peak_ * base() ? 0.5F : 0.0625F;
        step_ = std::min(step_ * 2, std::max(1.0F, window_ / unit_ * share));
        rises_ = 2;
    }
    begin_cycle(now);
}

/// A queue too short to be seen shows by its loss: more is lost than when less was sent.
void Pace::judge_loss() {
    const auto lost = static_cast<float>(cycle_lost_),
               all = lost + static_cast<float>(cycle_acked_);
    if (all < std::max(48 * unit_, window_)) return;
    const float share = lost / all;
    cycle_acked_ = cycle_lost_ = 0;
    if (was_cut_ && limited_) {
        loss_ = std::min(loss_ + (share - loss_) / 2, 0.3F);
        was_cut_ = false;
    }
    loss_ = std::min(loss_ * 0.98F, share + 0.05F);
    if (share < (limited_ ? std::max(loss_ + 0.12F, 0.25F) : 0.40F)) return;
    const float carried = 0.95F * peak_ / (1 - loss_) * std::max(base(), smooth_ - target());
    window_ = std::min(window_, std::max({carried, window_ / 2, floor()}));
    starting_ = false;
    was_cut_ = true;
    step_ = 1;
    rises_ = 0;
    bound_window();
}

void Pace::grow(std::size_t bytes) {
    // On a thin path a packet more is a long queue.
    if (!starting_ && peak_ > 0 && window_ > 1.15F * used() + unit_ / 2) return;
    const float room = peak_ > 0 ? std::max(peak_ * target() / 2, unit_ / 8) : unit_;
    window_ += starting_ ? bytes_of(bytes)
                         : (competing_ ? full_packet : step_ * std::min(unit_, room)) *
                               bytes_of(bytes) / window_;
    bound_window();
}

/// To what leaves the queue empty. delay: of the queue, in seconds; 0: most packets are lost.
void Pace::shrink(float delay, TimePoint now) {
    float to = window_ / 2;
    if (delay > 0) {
        // Where a packet takes long, the next look at the queue comes late: there it is emptied slowly.
        const float packet = peak_ > 0 ? std::min(unit_ / peak_, 0.1F) : 0;
        to = std::max({to, window_ * 0.95F * base() / (base() + delay), (0.6F + packet) * peak_ * standing_});
        if (cuts_ == 0) standing_at_cut_ = standing_, window_at_cut_ = window_;
        // What cuts do not move is no queue of ours.
        if (++cuts_ > 8 || (cuts_ > 4 && standing_ > 0.85F * standing_at_cut_)) return compete(now);
    } else {
        to = std::max(to, floor());
    }
    // A sender that waits for nothing needs no less than it uses.
    if (!limited_) to = std::max(to, 2 * used());
    window_ = std::min(window_, to);
    bound_window();
    starting_ = rising_ = false;
    was_cut_ = true;
    step_ = 1;
    rises_ = 0;
    valid_from_ = now + of_seconds(delay);
    begin_cycle(now);
}

/// Others hold the queue: to yield further is to starve. For some seconds the window grows like
/// theirs, by a packet in a round trip, then tries again whether the queue yields to it.
void Pace::compete(TimePoint now) {
    window_ = std::max(window_, window_at_cut_);
    competing_ = rising_ = true;
    compete_until_ = now + low_window;
    cuts_ = 0;
    begin_cycle(now);
}

void Pace::begin_cycle(TimePoint now) {
    cycle_at_ = now;
    cycle_low_ = never;
    cycle_samples_ = 0;
    limited_ = false;
}

void Pace::bound_window() {
    window_ = std::clamp(window_, unit_ / 2, static_cast<float>(window_max));
}

}  // namespace gyre::net::rudp

#pragma once
#include <algorithm>
#include <gyre/base/time.hpp>

namespace gyre::net::rudp {

/// What an end measures of its way out: round trips, and how datagrams get lost.
class Path {
public:
    /// rtt: of the newest packet, the peer's delay taken off; delay: that delay.
    void measured(Duration rtt, Duration delay) {
        rtt = std::max<Duration>(rtt, 1us);
        latest_ = rtt;
        if (srtt_ == Duration::zero()) {
            srtt_ = rtt;
            variance_ = rtt / 4;
        } else {
            variance_ += (std::chrono::abs(rtt - srtt_) - variance_) / 4;
            srtt_ += (rtt - srtt_) / 8;
        }
        delay_ = delay > delay_ ? delay : delay_ - (delay_ - delay) / 32;
        slack_ -= slack_ / 64;
        backoff_ = 1;
    }
    /// Until a packet counts as lost that nothing was heard of. Source: RFC 9002 section 6.2, but per packet.
    /// patience: what it was when the packet left, or one silence would stretch the next.
    Duration deadline(float patience) const {
        const Duration known = srtt_ == Duration::zero() ? Duration(200ms) : std::max(srtt_, latest_) + std::max<Duration>(4 * variance_, 6ms);
        const Duration wait = known + delay_ + slack_;
        return std::min<Duration>(Duration(static_cast<std::int64_t>(static_cast<double>(wait.count()) * static_cast<double>(patience))), 3s);
    }
    /// What a round trip hardly ever exceeds, the peer's delay left out.
    Duration round_trip_max() const {
        return srtt_ == Duration::zero() ? Duration(200ms) : std::max(srtt_, latest_) + std::max<Duration>(4 * variance_, 2ms) + reorder_ + slack_;
    }
    Duration deadline() const { return deadline(backoff_); }
    float patience() const { return backoff_; }
    void expired() { backoff_ = std::min(backoff_ * 1.5f, 2.25f); }
    void heard() { backoff_ = 1; }

    /// A packet that counted as lost arrived: late by so much; overtaken by packets so much younger.
    void spurious(Duration late, Duration overtaken) {
        slack_ = std::min<Duration>(std::max(slack_, slack_ + late), 500ms);
        reorder_ = std::min(std::max(reorder_, overtaken + overtaken / 4), std::max<Duration>(srtt_ / 2, 2ms));
    }
    /// A packet counts as lost once one was acknowledged that is younger by so much.
    Duration reorder() const { return reorder_; }

    /// Packets in order of their numbers.
    void counted(bool lost) {
        const float value = lost ? 1.f : 0.f;
        // Fast to believe in loss, slow to forget it.
        loss_ += (value - loss_) / static_cast<float>(counted_);
        if (counted_ < 256) ++counted_;
        if (lost_before_) after_loss_ += (value - after_loss_) / 32;
        lost_before_ = lost;
    }
    double loss() const { return static_cast<double>(loss_); }
    /// Mean packets in a run of losses.
    double burst() const {
        const double again = std::max(static_cast<double>(after_loss_ - loss_), 0.0);
        return 1 / (1 - std::min(again, 0.9));
    }

    Duration srtt() const { return srtt_; }
    Duration latest() const { return latest_; }
    Duration variance() const { return variance_; }
    Duration peer_delay() const { return delay_; }

private:
    Duration srtt_{}, variance_{}, latest_{}, delay_ = 25ms, slack_{}, reorder_ = 1ms;
    float backoff_ = 1, loss_ = 0.01f, after_loss_ = 0;
    std::uint16_t counted_ = 48;  // packets that loss_ is of: few at first, so that a new link learns quickly
    bool lost_before_ = false;
};

}  // namespace gyre::net::rudp

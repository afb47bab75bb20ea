#pragma once
#include <cstdint>
#include <gyre/base/time.hpp>
#include <string_view>

namespace gyre::net {

/// One link as this end sees it. What a transport does not know stays 0.
struct LinkStats {
    std::string_view transport;  ///< "tcp", "rudp" or "kcp".
    Duration srtt{}, rtt_jitter{}, rto{};  ///< Smoothed round trip, its mean deviation, time until a resend.
    std::uint64_t datagrams_sent = 0, datagrams_received = 0;
    std::uint64_t bytes_sent = 0, bytes_received = 0;  ///< Of datagrams with 28 bytes each of IP and UDP; of a stream its own.
    std::uint64_t messages_sent = 0, messages_received = 0;
    std::uint64_t segments_sent = 0;                    ///< First transmissions.
    std::uint64_t resent_late = 0, resent_early = 0;  ///< After a time-out; after later ones were acknowledged.
    std::uint64_t duplicates = 0;                       ///< Received again.
    std::uint64_t refused = 0;                          ///< Datagrams that made no sense.
    std::uint64_t repairs_sent = 0, recovered = 0;    ///< Of RUDP: sent ahead of losses; segments that only those brought.
    std::uint64_t spurious = 0;                         ///< Of RUDP: packets that counted as lost and had arrived.
    std::uint64_t datagrams_lost = 0;                   ///< Of RUDP: that counted as lost.
    double measured_loss = 0;                           ///< Of RUDP: share of packets lately.
    std::size_t queued_bytes = 0;                       ///< Not acknowledged or not sent yet.
    std::size_t in_flight = 0;                          ///< Segments.
    /// Share of transmissions that were repeated: what this end knows of the loss on its way out.
    double loss() const {
        if (measured_loss > 0) return measured_loss;
        const auto resent = static_cast<double>(resent_late + resent_early);
        return resent == 0 ? 0 : resent / (static_cast<double>(segments_sent) + resent);
    }
};

}  // namespace gyre::net

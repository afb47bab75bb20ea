#pragma once
#include <gyre/base/bytes.hpp>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <gyre/net/link_stats.hpp>
#include <memory>
#include <vector>

namespace gyre::net {

/// Names and meaning as KCP has them (skywind3000/kcp), so that settings can be carried over.
struct KcpConfig {
    unsigned nodelay = 0;       ///< 0: as TCP; 1: resends grow 1.5 times, minrto 30 ms; 2: they grow linearly.
    Duration interval = 100ms;  ///< [1 ms, 5 s]. Flushes that nothing urges are so far apart; resends come when due.
    unsigned resend = 0;        ///< Resent once so many later ones were acknowledged; 0: after the time-out only.
    bool nc = false;            ///< No congestion window.
    std::uint32_t send_window = 256, receive_window = 256;  ///< Segments, [2, 32768].
    std::size_t mtu_bytes = 1400;                           ///< [50, 1472], of a datagram.
    bool stream = false;             ///< Bytes without borders: small messages share segments.
    Duration min_rto{};              ///< 0: 100 ms, with nodelay 30 ms.
    std::uint32_t dead_link = 20;    ///< Transmissions of one segment after which the link counts as dead.
    /// What is new leaves at once, so do acknowledgements while the peer's arrive, and with nothing new to send one
    /// later acknowledgement is enough to resend (where resend is on): as kcp-go. False: as the first KCP.
    bool eager = true;
    std::size_t max_queued_bytes = 1 << 20;  ///< Of what is not acknowledged: beyond, send() is `overloaded`.
};
/// nodelay(1, 10 ms, 2, 1): what games use.
inline KcpConfig kcp_fast() {
    KcpConfig config;
    config.nodelay = 1, config.interval = 10ms, config.resend = 2, config.nc = true;
    return config;
}
/// nodelay(0, 40 ms, 0, 0).
inline KcpConfig kcp_normal() {
    KcpConfig config;
    config.interval = 40ms;
    return config;
}
/// Error: bad_config, names the field and its range.
Result<> check(const KcpConfig& config);

/// Where segments live, for all links of a loop: links that have nothing to say hold none.
class KcpPool {
public:
    struct Segment;
    explicit KcpPool(std::size_t kept_bytes_max = 4 << 20) : kept_bytes_max_(kept_bytes_max) {}
    ~KcpPool();
    KcpPool(const KcpPool&) = delete;
    Segment* take(std::size_t bytes);
    void give_back(Segment* segment) noexcept;

private:
    Segment* free_[3] = {};
    std::size_t kept_bytes_ = 0;
    const std::size_t kept_bytes_max_;
};

/// Where datagrams go.
class KcpOutput {
public:
    virtual void output(BytesView datagram) = 0;  ///< At most mtu_bytes; valid during the call.

protected:
    ~KcpOutput() = default;
};

/// One end of a KCP link, as on the wire between unchanged KCPs: bytes in, bytes out, and a clock that is
/// handed in. Does not authenticate: who can send datagrams with its conv can close its window or feed it
/// data, but not make it grow. For trusted networks, or within sealed packets.
class Kcp {
public:
    static constexpr std::size_t head_bytes = 24;

    /// config has been checked; it, pool and output outlive this.
    Kcp(std::uint32_t conv, const KcpConfig& config, KcpPool& pool, KcpOutput& output);
    ~Kcp();
    Kcp(const Kcp&) = delete;

    /// The conv of a datagram, and whether it begins a link as a new peer's does: with data, number 0.
    static bool peek(BytesView datagram, std::uint32_t& conv, bool& begins);

    /// A datagram of the peer. Error: bad_data; then nothing of it counts.
    Result<> input(BytesView datagram, TimePoint now);
    /// Errors: too_large (above max_message_bytes()), overloaded (max_queued_bytes).
    Result<> send(BytesView message);
    std::size_t max_message_bytes() const;
    /// The next whole message; as a stream, the bytes that are there. False: none.
    bool receive(Bytes& message);
    /// While true, what arrives in order waits and the peer's window closes.
    void hold(bool held) {
        tell_ |= held_ && !held;
        held_ = held;
    }
    bool held() const { return held_; }

    /// Sends what is due. Returns when to call again, at the latest after the next input or send: max() when
    /// there is nothing to do, so an idle link needs no timer.
    TimePoint update(TimePoint now);
    /// The next flush asks the peer for its window, which shows whether it is there.
    void ask() { ask_ = true; }
    /// Gives back the memory that only a link with something to do needs.
    void trim();
    void flush(TimePoint now);  ///< Sends all that the windows admit, now.

    bool dead() const { return dead_; }  ///< A segment was sent dead_link times.
    bool idle() const { return in_flight() == 0 && queued_ == 0 && acks_.empty(); }
    std::size_t queued_bytes() const { return queued_bytes_; }
    LinkStats stats() const;

private:
    using Segment = KcpPool::Segment;
    struct Ack {
        std::uint32_t number, stamp;
    };
    struct Head;
    struct Packer;
    /// Segments by number: a power of two of slots, none while it is empty.
    class Ring {
    public:
        Segment*& operator[](std::uint32_t number) { return slots_[number & mask_]; }
        /// Makes room for numbers [begin, end).
        void reserve(std::uint32_t begin, std::uint32_t end);
        std::size_t size() const { return slots_ ? mask_ + 1u : 0; }
        void shrink();   ///< It is empty: keeps little.
        void release();  ///< It is empty: keeps nothing.

    private:
        std::unique_ptr<Segment*[]> slots_;
        std::uint32_t mask_ = 0;
    };
    struct List {
        Segment* first = nullptr;
        Segment* last = nullptr;
        void append(Segment* segment);
        Segment* pop();
    };

    std::uint32_t in_flight() const { return next_ - unacknowledged_; }
    std::uint32_t window() const;
    bool sensible(BytesView datagram) const;
    void acknowledge_to(std::uint32_t number);
    bool acknowledge(std::uint32_t number, std::uint32_t stamp, std::int64_t now);
    void measured(std::int64_t rtt);
    void skip(std::uint32_t newest, std::uint32_t stamp);
    void take_data(const Head& head, BytesView data);
    void deliver();
    void open_window(std::uint32_t acknowledged);
    void probe(std::int64_t now);
    std::int64_t due(std::int64_t now) const;
    std::uint32_t free_window() const;
    void settle();

    const std::uint32_t conv_;
    const KcpConfig& config_;
    KcpPool& pool_;
    KcpOutput& output_;

    // Sending: queued segments wait for a number, those of the ring have one and wait to be acknowledged.
    List queue_;
    std::uint32_t queued_ = 0;
    std::uint32_t unacknowledged_ = 0, next_ = 0;
    Ring sent_;
    std::size_t queued_bytes_ = 0;
    std::uint32_t remote_window_;
    std::uint32_t congestion_window_ = 1, threshold_ = 2, increment_ = 0;
    std::int64_t srtt_ = 0, variance_ = 0, rto_ = 200;
    std::int64_t next_resend_ = 0;  // not later than any resend of the ring
    bool resend_now_ = false, flush_now_ = false;
    std::uint32_t probe_wait_ = 0;
    std::int64_t probe_at_ = 0;
    bool ask_ = false, tell_ = false;

    // Receiving.
    std::uint32_t expected_ = 0;
    Ring early_;            // numbers above expected_
    std::uint32_t early_end_ = 0;  // one above the highest of them
    List arrived_;
    std::uint32_t arrived_count_ = 0;
    std::vector<Ack> acks_;
    bool held_ = false;

    std::int64_t last_flush_ = INT64_MIN / 2;
    bool dead_ = false;
    LinkStats stats_;
};

}  // namespace gyre::net

#pragma once
#include <gyre/net/channel.hpp>

namespace gyre::net {

class BlockPool;

/// How a receiver says what arrived.
enum class AckForm : std::uint8_t {
    bitmap,  ///< The newest packet and a bitmap of those before it, in every packet.
    list,    ///< Numbers: up to three in the head; more of them in the body, with those told before.
};
/// What is sent ahead of any loss, while datagrams get lost.
enum class Redundancy : std::uint8_t {
    off,
    copies,  ///< Messages again.
    coded,   ///< Sums of messages (GF(256)): one of them stands for whichever is missing.
};

struct RudpConfig {
    AckForm acks = AckForm::bitmap;
    Redundancy redundancy = Redundancy::coded;
    unsigned copies_max = 4;               ///< [1, 4], of one message, the first included.
    double extra_bytes_max = 1.3;          ///< [0, 4]. Share of first transmissions that may be sent ahead.
    std::size_t repair_bytes_max = 512;    ///< [0, 1100]. Longer messages wait until they are known to be lost.
    Duration duplicate_after = 5ms;        ///< [0, 100 ms], of urgent messages.
    bool cap = true;                       ///< Paces, and yields when a queue grows on the way.
    std::size_t max_message_bytes = 1 << 20;
    std::size_t max_queued_bytes = 1 << 20;    ///< Of what is not acknowledged: beyond, send() is `overloaded`.
    std::size_t max_received_bytes = 2 << 20;  ///< Of what was not taken or is not whole: beyond, packets count as lost.
};
/// Error: bad_config, names the field and its range.
Result<> check(const RudpConfig& config);

/// Seals and sends packets.
class RudpOutput {
public:
    virtual std::uint64_t next_number() const = 0;  ///< Of the packet that is sent next.
    /// At most Rudp::plain_bytes; valid during the call. Returns the size of the datagram, 28 bytes of IP and UDP included.
    virtual std::size_t output(BytesView plain, unsigned number_bytes) = 0;

protected:
    ~RudpOutput() = default;
};

/// One end of a link of the dialect (protocol/rudp.md) within sealed packets: bytes in, bytes out, and a clock
/// that is handed in. The other end holds the link's key, and is still not trusted: it can stop its own
/// link, but neither make this end grow beyond the limits nor change what it does not own.
class Rudp {
public:
    static constexpr std::size_t plain_bytes = 1175;
    static constexpr std::size_t loose_bytes_max = 1100;

    /// config has been checked; it, pool and output outlive this.
    Rudp(const RudpConfig& config, BlockPool& pool, RudpOutput& output);
    ~Rudp();
    Rudp(const Rudp&) = delete;

    /// The plain bytes of data packet `number`; of another packet of the link: nothing. Error: bad_data; then
    /// nothing of it counts, and unless broken() the link goes on.
    Result<> input(std::uint64_t number, BytesView plain, TimePoint now);
    /// The peer's fragments make no message, or one above max_message_bytes: nothing more will arrive.
    bool broken() const;
    /// What may be lost is not, above loose_bytes_max. Errors: too_large (max_message_bytes), overloaded
    /// (max_queued_bytes), bad_arguments (lane).
    Result<> send(BytesView message, Delivery how, TimePoint now);
    bool receive(Bytes& message);  ///< The next message. False: none.

    /// While true, what arrives waits, and the peer is asked to send nothing new.
    void hold(bool held);
    bool held() const;

    /// Sends what is due. Returns when to call again, at the latest after the next input or send: max() when
    /// there is nothing to do, so an idle link needs no timer.
    TimePoint update(TimePoint now);
    void ask();   ///< The next update asks the peer for an answer, which shows whether it is there.
    void trim();  ///< Gives back the memory that only a link with something to do needs.

    bool idle() const;  ///< Nothing to send, to acknowledge or to wait for.
    std::size_t queued_bytes() const;
    LinkStats stats() const;

    struct Impl;

private:
    friend struct RudpAccess;  // of tests
    std::unique_ptr<Impl> impl_;
};

}  // namespace gyre::net

#pragma once
#include <gyre/io/io.hpp>

namespace gyre::io {

/// A numeric address and port, cheap to copy, compare and hash.
struct SocketAddress {
    std::uint32_t ip = 0;  ///< 10.0.0.7 is 0x0a000007.
    std::uint16_t port = 0;
    /// Error: bad_arguments.
    static Result<SocketAddress> of(const Endpoint& endpoint);
    Endpoint endpoint() const;
    std::uint64_t as_integer() const { return std::uint64_t{ip} << 16 | port; }
    friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
};

/// What arrives at a datagram socket, told on the loop, outside of tasks.
class DatagramHandler {
public:
    virtual ~DatagramHandler() = default;
    /// One datagram. `bytes` are valid during the call and may be changed in place. The socket
    /// may be destroyed in it.
    virtual void on_datagram(const SocketAddress& from, std::span<std::uint8_t> bytes) = 0;
    /// After the datagrams that one turn read.
    virtual void on_batch_end() {}
};

/// Since the socket's bind.
struct DatagramCounters {
    std::uint64_t received = 0, received_bytes = 0;
    std::uint64_t reads = 0;  ///< System calls that returned datagrams.
    std::uint64_t sent = 0, sent_bytes = 0;
    std::uint64_t sends = 0;             ///< System calls, also those the kernel refused.
    std::uint64_t dropped_too_large = 0;  ///< Arrived with more than datagram_in_bytes_max.
    std::uint64_t dropped_full = 0;       ///< Not sent: too much waited for the kernel.
    std::uint64_t dropped_refused = 0;    ///< Not sent: the kernel refused it.
    std::uint64_t dropped_unread = 0;     ///< Arrived while the kernel's buffer was full.
};

inline constexpr std::size_t datagram_out_bytes_max = 1500;
inline constexpr std::size_t datagram_in_bytes_max = 2048;

/// Unordered, unreliable datagrams to and from anybody. Use on its loop only. Destroying it sends
/// what was gathered, as far as the kernel takes it at once.
class DatagramSocket {
public:
    virtual ~DatagramSocket() = default;
    /// Begins to read; what arrived since the bind comes first. `handler` outlives the socket.
    /// Call once.
    virtual void start(DatagramHandler& handler) = 0;
    /// Copies into the output, which leaves at the turn's end or each time 64 datagrams are
    /// together, in few system calls: runs of equal size to one peer are the cheapest.
    /// Up to datagram_out_bytes_max. What cannot be sent is dropped and counted, as a network does.
    virtual void send(const SocketAddress& to, BytesView bytes) = 0;
    virtual Endpoint local() const = 0;
    virtual const DatagramCounters& counters() const = 0;
};

}  // namespace gyre::io

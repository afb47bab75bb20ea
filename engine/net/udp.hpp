#pragma once
#include <gyre/io/datagram.hpp>
#include <gyre/net/channel.hpp>
#include <gyre/net/kcp.hpp>
#include <gyre/net/rudp.hpp>
#include <gyre/net/sealed_stream.hpp>

namespace gyre::net {

struct UdpConfig {
    io::Endpoint at{"127.0.0.1", 0};
    /// Plain KCP as its other implementations speak it, and nothing else on this port: no handshake, nothing
    /// sealed. For trusted networks: who can send datagrams here can end, delay and read every link.
    bool standard_kcp = false;
    KcpConfig kcp = kcp_fast();                       ///< Of standard KCP.
    RudpConfig rudp;                                  ///< Of sealed links. Limits of bytes are set by what is below.
    std::size_t max_message_bytes = 64 * 1024;        ///< As both ends agree.
    std::size_t max_unsent_bytes = 4 << 20;           ///< Of a link; beyond, it ends `overloaded`.
    std::size_t max_links = 10'000;                   ///< Beyond: `overloaded`; so for the next.
    std::size_t max_links_per_address = 1024;
    std::size_t max_half_open = 1024;                 ///< Answered, and not heard of since; beyond, the oldest go.
    double handshakes_per_address_per_second = 100;  ///< 0: no limit. Saved up for 2 s.
    Duration handshake_limit = 5s;
    Duration idle_limit = 10s;                  ///< Nothing heard: a link ends `timed_out`. Above 100 ms.
    std::optional<secure::Identity> identity;  ///< What clients pin; none: this port only dials out.
    std::string name;                          ///< Of the server, other than those of its identity have.
    Greet greet;                                ///< Of a server; none: all are welcome. Says at most 496 bytes.
};

struct UdpCounters {
    std::uint64_t hellos = 0, cookies = 0;  ///< Cookies: sent to addresses that had none.
    std::uint64_t handshakes = 0;           ///< Whose arithmetic was done.
    std::uint64_t refused = 0;
    std::uint64_t strangers = 0;            ///< Datagrams of no link and no kind.
    std::uint64_t unopened = 0;             ///< Of a link, but forged, repeated or too old.
    std::uint64_t moved = 0;                ///< Links that followed their peer to another address.
    std::uint64_t resets = 0;               ///< Sent: to who speaks of a link that is none here.
};

struct UdpLink {
    std::unique_ptr<Channel> channel;
    Bytes payload;  ///< The server's.
};

/// One UDP socket and the links over it (protocol/udp.md). Links are sealed, unless the port speaks standard
/// KCP: a server keeps nothing of an address that has not shown that it receives, and answers it with less than
/// it sent. A link follows its peer to another address once that answers from there. Use on its loop only.
///
///     auto port = UdpPort::open(io, {.at = {"0.0.0.0", 7000}, .identity = identity}, accepted).value();
///     auto link = co_await port->connect(server, server_key, greeting, 5s);
///     link.channel->send(message);
class UdpPort {
public:
    using Accepted = std::function<void(std::unique_ptr<Channel>, io::Endpoint peer, Bytes client_payload)>;

    /// Errors: in_use, refused, bad_arguments; bad_config names the field. io outlives the port; accepted is
    /// called outside of tasks.
    static Result<std::unique_ptr<UdpPort>> open(io::Io& io, UdpConfig config, Accepted accepted = {});
    ~UdpPort();  ///< Links that are left end without a word to their handlers.

    /// Errors: timed_out (also of a server that does not hold `server`), cancelled, bad_arguments; update_required,
    /// overloaded and what greet refused with.
    Task<UdpLink> connect(io::Endpoint to, secure::PublicKey server, Bytes payload, Duration limit);
    /// A link of standard KCP; its peer hears of it with the first message. Error: bad_arguments.
    Result<std::unique_ptr<Channel>> connect_kcp(const io::Endpoint& to, std::uint32_t conv);

    /// Waits until no link is left: those that were closed send their last first, for at most a second.
    Task<> drained();

    io::Endpoint local() const;
    std::size_t links() const;      ///< Those that linger included.
    std::size_t half_open() const;
    const UdpCounters& counters() const;
    const io::DatagramCounters& datagrams() const;

    class Impl;

private:
    explicit UdpPort(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace gyre::net

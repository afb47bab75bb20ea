#pragma once
#include <array>
#include <cstring>
#include <deque>
#include <gyre/base/hash.hpp>
#include <gyre/base/id_map.hpp>
#include <gyre/base/token_bucket.hpp>
#include <gyre/net/detail/udp_arq.hpp>
#include <gyre/net/udp.hpp>
#include <gyre/secure/cookie.hpp>
#include <gyre/secure/mac.hpp>
#include <gyre/secure/packets.hpp>
#include <unordered_map>

/// What a port over UDP and its links know of each other.
namespace gyre::net {
namespace udp {

// protocol/udp.md
enum class Kind : std::uint8_t { hello = 1, cookie = 2, answer = 3, data = 4, close = 5, challenge = 6, response = 7, reset = 8 };
inline constexpr std::size_t sealed_bytes = 1200;  // of a datagram
inline constexpr std::size_t hello_head = 1 + 4 + sizeof(secure::Cookie) + 2;
inline constexpr std::size_t answer_head = 1 + 4 + 4;
inline constexpr std::size_t packet_head = 1 + 4;  // of those that are sealed at most; with a short id 1 + 1
inline constexpr unsigned number_bytes_max = 4;
inline constexpr std::uint32_t short_ids = 256;    // ids below take one byte
inline constexpr std::uint8_t short_id_bit = 4;
static_assert(secure::PacketSealer::size(packet_head, number_bytes_max, Rudp::plain_bytes) == sealed_bytes);
inline constexpr std::size_t challenge_bytes = 8;
using ResetToken = std::array<std::uint8_t, 16>;  // shows that a reset is the server's
inline constexpr double resets_per_second = 5'000;
inline constexpr std::size_t bound_bytes = 8 + 32;  // of message 1: its head and key, which a cookie is for

inline constexpr Duration first_retry = 200ms, last_retry = 2s, linger_limit = 1s, challenge_gap = 200ms;
inline constexpr int close_repeats = 3;
inline constexpr std::size_t drained_after_bytes = 64 * 1024;
inline constexpr Duration confirm_gap = 250ms;      // until a client shows again that it is there
inline constexpr std::size_t max_addresses = 4096;  // whose handshakes are counted at a time
inline constexpr Duration sweep_gap = 100ms;

inline std::uint8_t first_byte(Kind kind) { return static_cast<std::uint8_t>(static_cast<unsigned>(kind) << 4); }

inline std::uint32_t read_u32(const std::uint8_t* p) {
    return p[0] | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
}
inline void write_u32(std::uint8_t* p, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) p[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// Of a sealed packet. Returns its size.
inline std::size_t write_head(std::uint8_t* p, Kind kind, std::uint32_t receiver, unsigned number_bytes) {
    p[0] = static_cast<std::uint8_t>(first_byte(kind) | (number_bytes - 1));
    if (receiver >= short_ids) {
        write_u32(p + 1, receiver);
        return packet_head;
    }
    p[0] |= short_id_bit;
    p[1] = static_cast<std::uint8_t>(receiver);
    return 2;
}

inline Bytes reason_bytes(const Error& reason) {
    Bytes bytes;
    append(bytes, as_bytes(reason.code()));
    bytes.push_back(0);
    append(bytes, as_bytes(std::string_view(reason.message()).substr(0, 200)));
    return bytes;
}

class UdpChannel;

/// One end of a link. The port owns it: it outlives its channel while it lingers.
struct Peer final : KcpOutput, RudpOutput {
    enum class State : std::uint8_t { dialling, half_open, open, closing, ended };

    Peer(UdpPort::Impl& port, std::uint32_t own_id, std::uint32_t conv, io::SocketAddress peer);
    ~Peer();
    void output(BytesView datagram) override;
    std::uint64_t next_number() const override;
    std::size_t output(BytesView plain, unsigned number_bytes) override;
    std::size_t send_packet(Kind kind, BytesView plain, const io::SocketAddress& to, unsigned number_bytes = number_bytes_max);
    void seal(const secure::Secrets& secrets) {
        sealer.emplace(secrets.send);
        opener.emplace(secrets.receive);
    }
    /// When the peer must hear something, and when this end asks whether the peer is there: often, as
    /// what it says now and then may be lost.
    TimePoint lives_at() const { return sent + idle_limit() / 3; }
    TimePoint asks_at() const { return std::max(heard + idle_limit() / 2, sent + idle_limit() / 20); }
    Duration idle_limit() const;
    void touch();      ///< At the end of the turn: sends what is due.
    void flush();
    void wake();       ///< Its timer.
    void arm(TimePoint at);
    void deliver();
    void close(const Error& reason) noexcept;
    void end(const Error& reason);     ///< Tells the handler and goes.
    void ended_by_peer(const Error& reason);  ///< So, when it has heard what came before.
    void finish(const Error& reason);  ///< The same, without waiting for a handler.

    struct Flush : Ready {
        explicit Flush(Peer& l) : Ready([](Ready& r) { static_cast<Flush&>(r).link.flush(); }), link(l) {}
        Peer& link;
    };
    struct Wake : Timer {
        Wake(Executor& executor, Peer& l)
            : Timer(executor, [](Timer& t) { static_cast<Wake&>(t).link.wake(); }), link(l) {}
        Peer& link;
    };

    UdpPort::Impl& port;
    const std::uint32_t id;      // by which the peer calls it; of a standard link its conv
    std::uint32_t peer_id = 0;   // by which it calls the peer; of a standard link the stamp it began with
    std::uint64_t hello_key = 0;
    io::SocketAddress peer;
    std::unique_ptr<Arq> arq;
    std::optional<secure::PacketSealer> sealer;
    std::optional<secure::PacketOpener> opener;
    UdpChannel* channel = nullptr;
    ChannelHandler* handler = nullptr;
    Flush flushing{*this};
    Wake timer;
    TimePoint wake_at = TimePoint::max();
    TimePoint heard, sent, began;
    State state = State::open;
    bool server = false, was_full = false, said_close = false;
    bool confirmed = false;  // something sealed came: the peer is there
    ResetToken reset_token{};  // of a link that this end dialled
    bool* gone = nullptr;  // set while its handler runs

    /// Of the beginning, the end and moves only.
    struct Rare {
        std::optional<secure::ClientHandshake> handshake;
        Bytes first, answer, payload;  // message 1; the whole answer; what the other end said
        secure::Cookie cookie{};
        Duration retry = first_retry;
        TimePoint retry_at{};
        Event settled;
        std::optional<Error> failure;
        std::optional<Error> reason;  // to close with; of an ended link why
        std::optional<Error> broken;  // found while its user calls: it ends at the end of the turn
        int closes_left = 0;
        io::SocketAddress challenged{};
        std::array<std::uint8_t, challenge_bytes> challenge{};
        TimePoint challenged_at{};       // not yet: 0
        std::size_t challenge_room = 0;  // what came from there and was not answered
    };
    std::unique_ptr<Rare> rare;
    Rare& rarely() {
        if (!rare) rare = std::make_unique<Rare>();
        return *rare;
    }
};

/// The end of the link that its user holds.
std::unique_ptr<Channel> make_channel(Peer& link, std::size_t max_message_bytes);

}  // namespace udp

class UdpPort::Impl final : public io::DatagramHandler {
public:
    Impl(io::Io& i, UdpConfig c, Accepted a)
        : io(i), executor(i.executor()), config(std::move(c)), accepted(std::move(a)), cookies(fresh_seed(i)) {
        if (config.identity) reset_key = config.identity->secret().derive("resets of links over UDP");
    }
    ~Impl() override {
        if (destroyed) *destroyed = true;
        const Bytes reason = udp::reason_bytes(Error(errc::closed, "the other end went"));
        links.each([&](std::uint64_t, udp::Peer* const& link) {
            if (link->sealer && (link->state == udp::Peer::State::open || link->state == udp::Peer::State::closing))
                link->send_packet(udp::Kind::close, reason, link->peer);
            delete link;
        });
        for (udp::Peer* link : ended) delete link;
    }

    void on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) override;
    void send(const io::SocketAddress& to, BytesView bytes) { socket->send(to, bytes); }

    udp::Peer* find(std::uint32_t id) {
        udp::Peer** found = links.find(id);
        return found ? *found : nullptr;
    }
    udp::Peer& add(std::uint64_t key, std::uint32_t id, std::uint32_t conv, const io::SocketAddress& peer) {
        auto* link = new udp::Peer(*this, id, conv, peer);
        links.insert(key, link);
        count_address(peer.ip, 1);
        link->heard = link->sent = link->began = executor.now();
        return *link;
    }
    static std::uint64_t address_key(std::uint32_t ip) { return std::uint64_t{1} << 32 | ip; }
    /// One that nobody can guess.
    std::uint32_t fresh_id() {
        std::uint32_t id = 0;
        while (id < udp::short_ids || links.contains(id)) id = static_cast<std::uint32_t>(io.random_u64());
        return id;
    }
    /// Of a link that this end dials: what it costs the server's packets counts more.
    std::uint32_t short_id() {
        for (unsigned tried = 1; tried < udp::short_ids; ++tried) {
            next_short = next_short % (udp::short_ids - 1) + 1;
            if (!links.contains(next_short)) return next_short;
        }
        return fresh_id();
    }
    std::uint32_t next_short = 0;
    /// Of (address, number), not 0.
    std::uint64_t key_of(const io::SocketAddress& address, std::uint32_t number) const {
        return mix(mix(address.as_integer() ^ secret) + number) | 1;
    }
    std::uint64_t key_of_link(const udp::Peer& link) const {
        return config.standard_kcp ? key_of(link.peer, link.id) : link.id;
    }
    void remove(udp::Peer& link);
    void make_room();
    void count_address(std::uint32_t ip, int change);
    bool too_often(std::uint32_t ip);
    std::optional<Error> refusal(std::uint32_t ip);

    void on_standard(const io::SocketAddress& from, std::span<std::uint8_t> bytes);
    void on_hello(const io::SocketAddress& from, std::span<std::uint8_t> bytes);
    void answer_with(const io::SocketAddress& to, std::uint32_t client_id, std::uint32_t own_id, BytesView message, Bytes* kept);
    void on_cookie(udp::Peer& link, BytesView bytes);
    void on_answer(udp::Peer& link, BytesView bytes);
    void on_sealed(udp::Peer& link, const io::SocketAddress& from, std::span<std::uint8_t> bytes, udp::Kind kind);
    udp::ResetToken reset_token(std::uint32_t id, const io::SocketAddress& client) const;
    void say_reset(std::uint32_t id, const io::SocketAddress& to);
    void on_reset(const io::SocketAddress& from, BytesView bytes);
    void follow(udp::Peer& link, const io::SocketAddress& from, std::size_t size);
    void say_hello(udp::Peer& link);
    void proven(udp::Peer& link);
    std::unique_ptr<Channel> channel_of(udp::Peer& link);

    io::Io& io;
    Executor& executor;
    UdpConfig config;
    Accepted accepted;
    secure::CookieJar cookies;
    std::optional<secure::Key> reset_key;  // the same when a server starts again
    TokenBucket resets{udp::resets_per_second, executor.now()};
    std::size_t dialled = 0;               // links that this end began
    KcpPool pool;
    BlockPool blocks;
    std::unique_ptr<io::DatagramSocket> socket;
    IdMap<udp::Peer*> links;     // by id; of standard KCP by address and conv
    IdMap<udp::Peer*> by_hello;  // half open ones, by address and the client's id
    std::vector<udp::Peer*> ended;
    Signal empty;
    std::unordered_map<std::uint32_t, TokenBucket> addresses;
    std::size_t half_open = 0;
    UdpCounters counters;
    Bytes message;  // being delivered
    bool* destroyed = nullptr;  // set while who waits for clients is told of one
    const std::uint64_t secret = io.random_u64();  // so that nobody chooses where in a table he stands
    IdMap<std::uint32_t> links_of_address;         // by ip
    std::deque<std::uint32_t> waiting;             // ids of half-open links, oldest first; some are none any more
    TimePoint swept_at = TimePoint::min();

    /// Links do not end amid their own work.
    struct Bury : Ready {
        explicit Bury(Impl& i) : Ready([](Ready& r) { static_cast<Bury&>(r).impl.bury(); }), impl(i) {}
        Impl& impl;
    };
    void bury() {
        for (udp::Peer* link : std::exchange(ended, {})) delete link;
    }
    Bury burying{*this};
};

}  // namespace gyre::net

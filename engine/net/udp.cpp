#include <gyre/net/udp.hpp>

#include <array>
#include <cstring>
#include <deque>
#include <gyre/base/hash.hpp>
#include <gyre/base/id_map.hpp>
#include <gyre/base/token_bucket.hpp>
#include <gyre/secure/cookie.hpp>
#include <gyre/secure/packets.hpp>
#include <unordered_map>

namespace gyre::net {
namespace {

// protocol/udp.md
enum class Kind : std::uint8_t { hello = 1, cookie = 2, answer = 3, data = 4, close = 5, challenge = 6, response = 7 };
constexpr std::size_t sealed_bytes = 1200;  // of a datagram
constexpr std::size_t hello_head = 1 + 4 + sizeof(secure::Cookie) + 2;
constexpr std::size_t answer_head = 1 + 4 + 4;
constexpr std::size_t packet_head = 1 + 4;
constexpr unsigned number_bytes = 4;
constexpr std::size_t seal_overhead = secure::PacketSealer::size(packet_head, number_bytes, 0);
constexpr std::size_t challenge_bytes = 8;
constexpr std::size_t bound_bytes = 8 + 32;  // of message 1: its head and key, which a cookie is for

constexpr Duration first_retry = 200ms, last_retry = 2s, linger_limit = 1s, challenge_gap = 200ms;
constexpr int close_repeats = 3;
constexpr std::size_t drained_after_bytes = 64 * 1024;
constexpr Duration confirm_gap = 250ms;      // until a client shows again that it is there
constexpr std::size_t max_addresses = 4096;  // whose handshakes are counted at a time
constexpr Duration sweep_gap = 100ms;

std::uint8_t first_byte(Kind kind) { return static_cast<std::uint8_t>(static_cast<unsigned>(kind) << 4); }

std::uint32_t read_u32(const std::uint8_t* p) {
    return p[0] | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
}
void write_u32(std::uint8_t* p, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) p[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

Bytes reason_bytes(const Error& reason) {
    Bytes bytes;
    append(bytes, as_bytes(reason.code()));
    bytes.push_back(0);
    append(bytes, as_bytes(std::string_view(reason.message()).substr(0, 200)));
    return bytes;
}

class UdpChannel;

}  // namespace

/// One end of a link. The port owns it: it outlives its channel while it lingers.
struct Peer final : KcpOutput {
    enum class State : std::uint8_t { dialling, half_open, open, closing, ended };

    Peer(UdpPort::Impl& port, std::uint32_t own_id, std::uint32_t conv, io::SocketAddress peer);
    ~Peer();
    void output(BytesView datagram) override;
    void send_packet(Kind kind, BytesView plain, const io::SocketAddress& to);
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
    Kcp kcp;
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
        TimePoint challenged_at{};
    };
    std::unique_ptr<Rare> rare;
    Rare& rarely() {
        if (!rare) rare = std::make_unique<Rare>();
        return *rare;
    }
};

class UdpPort::Impl final : public io::DatagramHandler {
public:
    Impl(io::Io& i, UdpConfig c, Accepted a)
        : io(i), executor(i.executor()), config(std::move(c)), accepted(std::move(a)), cookies(fresh_seed(i)) {}
    ~Impl() override {
        if (destroyed) *destroyed = true;
        const Bytes reason = reason_bytes(Error(errc::closed, "the other end went"));
        links.each([&](std::uint64_t, Peer* const& link) {
            if (link->sealer && (link->state == Peer::State::open || link->state == Peer::State::closing))
                link->send_packet(Kind::close, reason, link->peer);
            delete link;
        });
        for (Peer* link : ended) delete link;
    }

    void on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) override;
    void send(const io::SocketAddress& to, BytesView bytes) { socket->send(to, bytes); }

    Peer* find(std::uint32_t id) {
        Peer** found = links.find(id);
        return found ? *found : nullptr;
    }
    Peer& add(std::uint64_t key, std::uint32_t id, std::uint32_t conv, const io::SocketAddress& peer) {
        auto* link = new Peer(*this, id, conv, peer);
        links.insert(key, link);
        count_address(peer.ip, 1);
        link->heard = link->sent = link->began = executor.now();
        return *link;
    }
    static std::uint64_t address_key(std::uint32_t ip) { return std::uint64_t{1} << 32 | ip; }
    std::uint32_t fresh_id() {
        std::uint32_t id = 0;
        while (id == 0 || links.contains(id)) id = static_cast<std::uint32_t>(io.random_u64());
        return id;
    }
    /// Of (address, number), not 0.
    std::uint64_t key_of(const io::SocketAddress& address, std::uint32_t number) const {
        return mix(mix(address.as_integer() ^ secret) + number) | 1;
    }
    std::uint64_t key_of_link(const Peer& link) const {
        return config.standard_kcp ? key_of(link.peer, link.id) : link.id;
    }
    void remove(Peer& link);
    void make_room();
    void count_address(std::uint32_t ip, int change);
    bool too_often(std::uint32_t ip);
    std::optional<Error> refusal(std::uint32_t ip);

    void on_standard(const io::SocketAddress& from, std::span<std::uint8_t> bytes);
    void on_hello(const io::SocketAddress& from, std::span<std::uint8_t> bytes);
    void answer_with(const io::SocketAddress& to, std::uint32_t client_id, std::uint32_t own_id, BytesView message, Bytes* kept);
    void on_cookie(Peer& link, BytesView bytes);
    void on_answer(Peer& link, BytesView bytes);
    void on_sealed(Peer& link, const io::SocketAddress& from, std::span<std::uint8_t> bytes, Kind kind);
    void follow(Peer& link, const io::SocketAddress& from, std::size_t size);
    void say_hello(Peer& link);
    void proven(Peer& link);
    std::unique_ptr<Channel> channel_of(Peer& link);

    io::Io& io;
    Executor& executor;
    UdpConfig config;
    Accepted accepted;
    secure::CookieJar cookies;
    KcpPool pool;
    std::unique_ptr<io::DatagramSocket> socket;
    IdMap<Peer*> links;     // by id; of standard KCP by address and conv
    IdMap<Peer*> by_hello;  // half open ones, by address and the client's id
    std::vector<Peer*> ended;
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
        for (Peer* link : std::exchange(ended, {})) delete link;
    }
    Bury burying{*this};
};

namespace {

class UdpChannel final : public Channel {
public:
    UdpChannel(Peer& link, std::size_t limit) : link_(&link), peer_(link.peer), limit_(limit) {
        link.channel = this;
    }
    ~UdpChannel() override { close(); }
    void start(ChannelHandler& handler) override {
        if (!link_) return;
        link_->handler = &handler;
        link_->touch();
    }
    void send(BytesView message) override {
        GYRE_ASSERT(!message.empty() && message.size() <= limit_, "message within the limit");
        if (!link_ || link_->state != Peer::State::open) return;
        if (auto sent = link_->kcp.send(message); !sent) {
            auto& broken = link_->rarely().broken;
            if (!broken) broken = sent.error();
        }
        if (link_->kcp.queued_bytes() > drained_after_bytes) link_->was_full = true;
        link_->touch();
    }
    std::size_t unsent_bytes() const override { return link_ ? link_->kcp.queued_bytes() : 0; }
    void pause(bool paused) override {
        if (!link_ || link_->kcp.held() == paused) return;
        link_->kcp.hold(paused);
        if (!paused) link_->touch();
    }
    void close() noexcept override {
        if (link_) std::exchange(link_, nullptr)->close(Error(errc::closed, "the other end closed"));
    }
    std::string peer() const override { return (link_ ? link_->peer : peer_).endpoint().to_string(); }
    std::size_t max_message_bytes() const override { return limit_; }
    LinkStats stats() const override {
        if (!link_) return {};
        LinkStats stats = link_->kcp.stats();
        stats.transport = link_->sealer ? "udp" : "kcp";
        if (link_->sealer) {
            stats.bytes_sent += stats.datagrams_sent * seal_overhead;
            stats.bytes_received += stats.datagrams_received * seal_overhead;
        }
        return stats;
    }

    Peer* link_;  // null: closed

private:
    io::SocketAddress peer_;  // as it began
    std::size_t limit_;
};

}  // namespace

Peer::Peer(UdpPort::Impl& p, std::uint32_t own_id, std::uint32_t conv, io::SocketAddress at)
    : port(p), id(own_id), peer(at), kcp(conv, p.config.kcp, p.pool, *this), timer(p.executor, *this) {}

Peer::~Peer() {
    if (gone) *gone = true;
    flushing.unlink();
    if (channel) channel->link_ = nullptr;
}

void Peer::output(BytesView datagram) {
    if (!sealer) {
        sent = port.executor.now();
        return port.send(peer, datagram);
    }
    send_packet(Kind::data, datagram, peer);
}

void Peer::send_packet(Kind kind, BytesView plain, const io::SocketAddress& to) {
    std::array<std::uint8_t, sealed_bytes> packet;
    packet[0] = static_cast<std::uint8_t>(first_byte(kind) | (number_bytes - 1));
    write_u32(packet.data() + 1, peer_id);
    const std::size_t size = sealer->seal(packet, packet_head, number_bytes, plain);
    sent = port.executor.now();
    port.send(to, BytesView(packet).first(size));
}

Duration Peer::idle_limit() const { return port.config.idle_limit; }

void Peer::touch() { port.executor.at_turn_end(flushing); }

void Peer::flush() {
    if (state == State::dialling || state == State::half_open) return;
    if (state == State::open && rare && rare->broken) return end(*std::exchange(rare->broken, {}));
    bool is_gone = false;
    gone = &is_gone;
    deliver();
    if (is_gone) return;
    if (state == State::ended) {
        gone = nullptr;
        if (handler && !kcp.held()) finish(Error(*rare->reason));
        return;
    }
    if (was_full && handler && kcp.queued_bytes() <= drained_after_bytes / 2) {
        was_full = false;
        handler->on_drained();
        if (is_gone) return;
    }
    gone = nullptr;
    const TimePoint now = port.executor.now();
    TimePoint next = kcp.update(now);
    if (kcp.dead() && state == State::open)
        return end(Error(errc::timed_out, "peer=" + peer.endpoint().to_string() + ": does not acknowledge"));
    if (state == State::closing && (kcp.idle() || now >= began + linger_limit) && !said_close) {
        said_close = true;
        if (!sealer) return port.remove(*this);
        rarely().closes_left = close_repeats;
        rare->retry_at = now;
        next = now;
    }
    // Silence: a peer that hears nothing must learn that this end lives, and the other way round.
    if (state == State::closing) next = std::min(next, said_close ? rare->retry_at : began + linger_limit);
    else if (sealer) next = std::min({next, heard + port.config.idle_limit, lives_at(), asks_at()});
    else next = std::min(next, heard + port.config.idle_limit);
    if (state == State::open && sealer && !server && !confirmed) next = std::min(next, sent + confirm_gap);
    arm(next);
}

void Peer::arm(TimePoint at) {
    // One that is armed too early finds nothing to do and is armed again: cheaper than moving it each time.
    if (timer.armed() && wake_at <= at) return;
    wake_at = at;
    timer.arm(at);
}

void Peer::wake() {
    const TimePoint now = port.executor.now();
    wake_at = TimePoint::max();
    switch (state) {
        case State::dialling:
            if (now >= rare->retry_at) port.say_hello(*this);
            arm(rare->retry_at);
            return;
        case State::half_open:
            if (now >= began + port.config.handshake_limit) return port.remove(*this);
            arm(began + port.config.handshake_limit);
            return;
        case State::ended: return;
        case State::closing:
            if (said_close && now >= rare->retry_at) {
                if (rare->closes_left-- == 0) return port.remove(*this);
                send_packet(Kind::close, reason_bytes(*rare->reason), peer);
                rare->retry_at = now + 100ms;
            }
            break;
        case State::open:
            if (now >= heard + port.config.idle_limit)
                return end(Error(errc::timed_out, "peer=" + peer.endpoint().to_string() + ": nothing heard"));
            if (!sealer) break;
            if (now >= asks_at()) {
                kcp.ask();
                kcp.flush(now);
            } else if (now >= lives_at() || (!server && !confirmed && now >= sent + confirm_gap)) {
                if (kcp.idle()) kcp.trim();
                send_packet(Kind::data, {}, peer);
            }
            break;
    }
    flush();
}

void Peer::deliver() {
    bool* const is_gone = gone;
    while (handler && kcp.receive(port.message)) {
        if (port.message.size() > port.config.max_message_bytes)
            return end(Error(errc::too_large, "message of " + std::to_string(port.message.size()) + " bytes, limit " +
                                                  std::to_string(port.config.max_message_bytes)));
        if (port.message.empty()) continue;  // KCP may carry nothing; a channel does not
        handler->on_message(port.message);
        if (*is_gone) return;
    }
}

void Peer::close(const Error& reason) noexcept {
    channel = nullptr;
    handler = nullptr;
    if (gone) *std::exchange(gone, nullptr) = true;
    if (state == State::dialling || state == State::ended) return port.remove(*this);
    if (state != State::open) return;
    state = State::closing;
    rarely().reason = reason;
    began = port.executor.now();
    kcp.hold(false);
    touch();
}

void Peer::end(const Error& reason) {
    if (state == State::ended) return;
    // Whoever is given the channel, or goes on reading, hears what came before and then how it ended.
    if (channel && (!handler || (kcp.held() && reason.is(errc::disconnected)))) {
        state = State::ended;
        rarely().reason = reason;
        timer.disarm();
        return;
    }
    finish(reason);
}

void Peer::finish(const Error& reason) {
    ChannelHandler* const told = std::exchange(handler, nullptr);
    if (channel) std::exchange(channel, nullptr)->link_ = nullptr;
    if (gone) *std::exchange(gone, nullptr) = true;
    const Error kept = reason;
    port.remove(*this);
    if (told) told->on_closed(kept);
}

void UdpPort::Impl::remove(Peer& link) {
    Peer** const found = links.find(key_of_link(link));
    if (!found || *found != &link) return;
    links.erase(key_of_link(link));
    if (link.hello_key != 0) by_hello.erase(link.hello_key);
    if (link.state == Peer::State::half_open) --half_open;
    count_address(link.peer.ip, -1);
    link.flushing.unlink();
    link.timer.disarm();
    link.state = Peer::State::closing;
    ended.push_back(&link);
    executor.at_turn_end(burying);
    if (links.size() == 0) empty.notify_all();
}

void UdpPort::Impl::count_address(std::uint32_t ip, int change) {
    std::uint32_t& count = links_of_address.insert(address_key(ip), 0).first;
    count += static_cast<std::uint32_t>(change);
    if (count == 0) links_of_address.erase(address_key(ip));
}

/// Who waits the longest for a sign of its client goes first: honest ones need a round trip.
void UdpPort::Impl::make_room() {
    while (!waiting.empty()) {
        Peer* const oldest = find(waiting.front());
        const bool waits = oldest && oldest->state == Peer::State::half_open;
        if (waits && half_open < config.max_half_open) return;
        waiting.pop_front();
        if (waits) remove(*oldest);
    }
}

bool UdpPort::Impl::too_often(std::uint32_t ip) {
    const double rate = config.handshakes_per_address_per_second;
    if (rate <= 0) return false;
    const TimePoint now = executor.now();
    if (addresses.size() >= max_addresses && now >= swept_at) {
        swept_at = now + sweep_gap;
        std::erase_if(addresses, [now](auto& one) { return one.second.full(now); });
    }
    if (addresses.size() >= max_addresses && !addresses.contains(ip)) return true;
    return !addresses.try_emplace(ip, rate, now).first->second.take(now);
}

std::optional<Error> UdpPort::Impl::refusal(std::uint32_t ip) {
    if (too_often(ip)) return Error(errc::overloaded, "too many connections of this address");
    const std::uint32_t* const count = links_of_address.find(address_key(ip));
    if (count && *count >= config.max_links_per_address)
        return Error(errc::overloaded, "too many connections of this address");
    if (links.size() >= config.max_links) return Error(errc::overloaded, "the server is full");
    return {};
}

void UdpPort::Impl::on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) {
    if (config.standard_kcp) return on_standard(from, bytes);
    if (bytes.size() < packet_head) return void(++counters.strangers);
    const auto kind = static_cast<Kind>(bytes[0] >> 4);
    if (kind == Kind::hello) return on_hello(from, bytes);
    Peer* const link = find(read_u32(bytes.data() + 1));
    if (!link) return void(++counters.strangers);
    switch (kind) {
        case Kind::cookie:
            if (from == link->peer) return on_cookie(*link, bytes);
            break;
        case Kind::answer:
            if (from == link->peer) return on_answer(*link, bytes);
            break;
        case Kind::data:
        case Kind::close:
        case Kind::challenge:
        case Kind::response: return on_sealed(*link, from, bytes, kind);
        default: break;
    }
    ++counters.strangers;
}

void UdpPort::Impl::on_standard(const io::SocketAddress& from, std::span<std::uint8_t> bytes) {
    std::uint32_t conv = 0;
    bool begins = false;
    if (!Kcp::peek(bytes, conv, begins)) return void(++counters.strangers);
    Peer** const found = links.find(key_of(from, conv));
    Peer* link = found ? *found : nullptr;
    if (link && (link->peer != from || link->id != conv)) return void(++counters.strangers);
    if (link && begins && link->server) {
        // Its first segment is repeated for a while, with stamps near the first. One with another stamp is of a
        // peer that began anew, and whom this link would take for the old one.
        const auto apart = static_cast<std::int32_t>(read_u32(bytes.data() + 8) - link->peer_id);
        if (std::abs(std::int64_t{apart}) > config.idle_limit / 1ms) {
            bool is_destroyed = false;
            destroyed = &is_destroyed;
            link->finish(Error(errc::disconnected, "peer=" + from.endpoint().to_string() + ": began anew"));
            if (is_destroyed) return;
            destroyed = nullptr;
            link = nullptr;
        }
    }
    if (!link) {
        if (!begins || !accepted) return void(++counters.strangers);
        if (refusal(from.ip)) return void(++counters.refused);
        link = &add(key_of(from, conv), conv, conv, from);
        link->server = true;
        link->peer_id = read_u32(bytes.data() + 8);
        if (!link->kcp.input(bytes, executor.now())) {
            remove(*link);
            return void(++counters.strangers);
        }
        link->touch();
        return accepted(channel_of(*link), from.endpoint(), {});
    }
    if (!link->kcp.input(bytes, executor.now())) return void(++counters.strangers);
    link->heard = executor.now();
    link->touch();
}

void UdpPort::Impl::answer_with(const io::SocketAddress& to, std::uint32_t client_id, std::uint32_t own_id,
                                BytesView noise, Bytes* kept) {
    Bytes answer(answer_head);
    answer[0] = first_byte(Kind::answer);
    write_u32(answer.data() + 1, client_id);
    write_u32(answer.data() + 5, own_id);
    append(answer, noise);
    send(to, answer);
    if (kept) *kept = std::move(answer);
}

void UdpPort::Impl::on_hello(const io::SocketAddress& from, std::span<std::uint8_t> bytes) {
    if (!config.identity || bytes.size() < sealed_bytes) return void(++counters.strangers);
    ++counters.hellos;
    const std::uint32_t client_id = read_u32(bytes.data() + 1);
    secure::Cookie cookie;
    std::memcpy(cookie.data(), bytes.data() + 5, cookie.size());
    const std::size_t size = bytes[25] | std::size_t{bytes[26]} << 8;
    if (client_id == 0 || size < bound_bytes || size > secure::max_handshake_message || hello_head + size > bytes.size())
        return void(++counters.strangers);
    const BytesView noise = BytesView(bytes).subspan(hello_head, size);
    std::array<std::uint8_t, 4 + bound_bytes> bound;
    std::memcpy(bound.data(), bytes.data() + 1, 4);
    std::memcpy(bound.data() + 4, noise.data(), bound_bytes);
    const TimePoint now = executor.now();
    if (!cookies.check(cookie, from.as_integer(), bound, now)) {
        std::array<std::uint8_t, packet_head + sizeof(secure::Cookie)> reply;
        reply[0] = first_byte(Kind::cookie);
        write_u32(reply.data() + 1, client_id);
        const auto fresh = cookies.make(from.as_integer(), bound, now);
        std::memcpy(reply.data() + packet_head, fresh.data(), fresh.size());
        ++counters.cookies;
        return send(from, reply);
    }
    const std::uint64_t key = key_of(from, client_id);
    if (Peer** const before = by_hello.find(key)) {  // its answer was lost, or the hello came twice
        if ((*before)->state == Peer::State::half_open) send(from, (*before)->rare->answer);
        return;
    }
    if (const auto reason = refusal(from.ip)) {
        ++counters.refused;
        return answer_with(from, client_id, 0, secure::clear_refusal(*reason), nullptr);
    }
    secure::ServerHandshake handshake(*config.identity, fresh_seed(io));
    ++counters.handshakes;
    auto said = handshake.first(noise);
    const Result<Bytes> greeting = !said ? said.error() : config.greet ? config.greet(*said) : Result<Bytes>(Bytes{});
    if (!greeting) {
        ++counters.refused;
        const Bytes refusal = handshake.refuse(greeting.error());
        if (!refusal.empty()) answer_with(from, client_id, 0, refusal, nullptr);
        return;
    }
    const Bytes noise_answer = handshake.second(*greeting);
    if (noise_answer.empty()) return void(++counters.refused);
    make_room();
    const std::uint32_t id = fresh_id();
    Peer& link = add(id, id, client_id, from);
    waiting.push_back(id);
    link.server = true;
    link.peer_id = client_id;
    link.state = Peer::State::half_open;
    ++half_open;
    link.hello_key = key;
    by_hello.insert(key, &link);
    answer_with(from, client_id, id, noise_answer, &link.rarely().answer);
    link.seal(handshake.secrets());
    link.rare->payload = *std::move(said);
    link.arm(now + config.handshake_limit);
}

void UdpPort::Impl::on_cookie(Peer& link, BytesView bytes) {
    if (link.state != Peer::State::dialling || bytes.size() < packet_head + sizeof(secure::Cookie))
        return void(++counters.strangers);
    auto& cookie = link.rare->cookie;
    if (std::memcmp(cookie.data(), bytes.data() + packet_head, cookie.size()) == 0) return;
    const bool first = cookie == secure::Cookie{};
    std::memcpy(cookie.data(), bytes.data() + packet_head, cookie.size());
    if (first) say_hello(link);  // later ones, of an old cookie or a forger, wait for the next try
}

void UdpPort::Impl::say_hello(Peer& link) {
    std::array<std::uint8_t, sealed_bytes> hello{};
    hello[0] = first_byte(Kind::hello);
    write_u32(hello.data() + 1, link.id);
    std::memcpy(hello.data() + 5, link.rare->cookie.data(), link.rare->cookie.size());
    hello[25] = static_cast<std::uint8_t>(link.rare->first.size());
    hello[26] = static_cast<std::uint8_t>(link.rare->first.size() >> 8);
    std::memcpy(hello.data() + hello_head, link.rare->first.data(), link.rare->first.size());
    send(link.peer, hello);
    link.rare->retry_at = executor.now() + link.rare->retry;
    link.rare->retry = std::min(link.rare->retry * 3 / 2, last_retry);
    link.arm(link.rare->retry_at);
}

void UdpPort::Impl::on_answer(Peer& link, BytesView bytes) {
    if (bytes.size() < answer_head) return void(++counters.strangers);
    if (link.state != Peer::State::dialling || link.rare->failure) return void(++counters.strangers);
    auto said = link.rare->handshake->second(bytes.subspan(answer_head));
    if (!said) {
        // A forger's answer is passed over: the right one may follow.
        if (said.error().is(errc::unauthorized) || said.error().is(errc::bad_data)) return void(++counters.strangers);
        link.rare->failure = Error(said.error().code(), link.peer.endpoint().to_string() + ": " + said.error().message());
    } else {
        link.peer_id = read_u32(bytes.data() + 5);
        link.seal(link.rare->handshake->secrets());
        link.rare->payload = *std::move(said);
        link.state = Peer::State::open;
        link.heard = executor.now();
        link.send_packet(Kind::data, {}, link.peer);
        link.touch();
    }
    link.rare->settled.set();
}

void UdpPort::Impl::on_sealed(Peer& link, const io::SocketAddress& from, std::span<std::uint8_t> bytes, Kind kind) {
    if (!link.opener) return void(++counters.strangers);
    const std::size_t size = bytes.size();
    const auto packet = link.opener->open(bytes, packet_head, (bytes[0] & 3u) + 1);
    if (!packet) return void(++counters.unopened);
    if (link.state == Peer::State::half_open) {
        if (from != link.peer) return;
        link.heard = executor.now();
        bool is_destroyed = false;
        destroyed = &is_destroyed;
        proven(link);
        if (is_destroyed) return;
        destroyed = nullptr;
    }
    if (link.state == Peer::State::dialling || link.state == Peer::State::ended) return;
    link.heard = executor.now();
    link.confirmed = true;
    if (from != link.peer && kind != Kind::response && packet->newest) follow(link, from, size);
    switch (kind) {
        case Kind::data: {
            if (packet->plain.empty()) break;
            if (auto taken = link.kcp.input(packet->plain, executor.now()); !taken) return link.end(taken.error());
            link.touch();
            break;
        }
        case Kind::close: {
            const std::string_view text = as_text(packet->plain);
            const std::size_t code = std::min(text.find('\0'), text.size());
            const Error reason(errc::disconnected, "peer=" + link.peer.endpoint().to_string() + ": " +
                                                       std::string(text.substr(0, std::min<std::size_t>(code, 64))) +
                                                       (code < text.size() ? ": " + std::string(text.substr(code + 1, 200)) : ""));
            if (link.state == Peer::State::open) {
                bool gone = false;  // what came before the close is heard first
                link.gone = &gone;
                link.deliver();
                if (gone) return;
                link.gone = nullptr;
            }
            return link.end(reason);
        }
        case Kind::challenge:
            // Always to where the server is known to be: who passes a challenge on gets nothing for it.
            if (packet->plain.size() == challenge_bytes && !link.server) link.send_packet(Kind::response, packet->plain, link.peer);
            break;
        case Kind::response:
            if (link.rare && link.server && from == link.rare->challenged && from != link.peer &&
                std::ranges::equal(packet->plain, link.rare->challenge)) {
                count_address(link.peer.ip, -1);
                count_address(from.ip, 1);
                link.peer = from;
                if (link.state == Peer::State::open && !link.rare->broken) link.rare.reset();
                else link.rare->challenged = {};
                ++counters.moved;
                link.touch();
            }
            break;
        default: break;
    }
}

/// Asks a new address whether it is the peer's: the packet from there may be one that somebody held up.
void UdpPort::Impl::follow(Peer& link, const io::SocketAddress& from, std::size_t size) {
    if (!link.server || size < secure::PacketSealer::size(packet_head, number_bytes, challenge_bytes)) return;
    auto& rare = link.rarely();
    const TimePoint now = executor.now();
    if (rare.challenged == from && now - rare.challenged_at < challenge_gap) return;
    rare.challenged = from;
    rare.challenged_at = now;
    io.random(rare.challenge);
    link.send_packet(Kind::challenge, rare.challenge, from);
}

void UdpPort::Impl::proven(Peer& link) {
    --half_open;
    link.state = Peer::State::open;
    Bytes payload = std::move(link.rare->payload);
    link.rare.reset();
    link.send_packet(Kind::data, {}, link.peer);
    link.touch();
    if (accepted) accepted(channel_of(link), link.peer.endpoint(), std::move(payload));
    else link.close(Error(errc::closed, "nobody waits for clients here"));
}

std::unique_ptr<Channel> UdpPort::Impl::channel_of(Peer& link) {
    return std::make_unique<UdpChannel>(link, config.max_message_bytes);
}

UdpPort::UdpPort(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UdpPort::~UdpPort() = default;

Result<std::unique_ptr<UdpPort>> UdpPort::open(io::Io& io, UdpConfig config, Accepted accepted) {
    if (!config.standard_kcp) config.kcp.mtu_bytes = std::min(config.kcp.mtu_bytes, sealed_bytes - seal_overhead);
    config.kcp.max_queued_bytes = config.max_unsent_bytes;
    if (auto checked = check(config.kcp); !checked) return checked.error();
    if (config.kcp.stream) return Error(errc::bad_config, "kcp.stream: a channel carries messages");
    if (config.idle_limit <= 100ms) return Error(errc::bad_config, "idle_limit: expected above 100 ms");
    auto impl = std::make_unique<Impl>(io, std::move(config), std::move(accepted));
    auto socket = io.bind(impl->config.at);
    if (!socket) return socket.error();
    impl->socket = *std::move(socket);
    impl->socket->start(*impl);
    return std::unique_ptr<UdpPort>(new UdpPort(std::move(impl)));
}

Task<UdpLink> UdpPort::connect(io::Endpoint to, secure::PublicKey server, Bytes payload, Duration limit) {
    Impl& impl = *impl_;
    GYRE_ASSERT(!impl.config.standard_kcp, "a port of standard KCP has no handshake");
    const auto address = io::SocketAddress::of(to).value();
    const std::uint32_t id = impl.fresh_id();
    Peer& link = impl.add(id, id, id, address);
    link.state = Peer::State::dialling;
    link.rarely().handshake.emplace(server, fresh_seed(impl.io));
    link.rare->first = link.rare->handshake->first(payload);
    auto channel = impl.channel_of(link);  // its end is the link's
    impl.say_hello(link);
    const auto settled = [](Event* event) -> Task<> { co_await event->wait(); };
    auto waited = co_await as_result(with_timeout(limit, settled(&link.rare->settled)));
    if (!waited)
        throw Error(waited.error().code(), to.to_string() + ": no answer, or none with its key");
    if (link.rare->failure) throw Error(*link.rare->failure);
    UdpLink made{std::move(channel), std::move(link.rare->payload)};
    if (link.state == Peer::State::open && !link.rare->broken) link.rare.reset();
    co_return made;
}

Result<std::unique_ptr<Channel>> UdpPort::connect_kcp(const io::Endpoint& to, std::uint32_t conv) {
    GYRE_ASSERT(impl_->config.standard_kcp, "a port of sealed links");
    const auto address = io::SocketAddress::of(to);
    if (!address) return address.error();
    const std::uint64_t key = impl_->key_of(*address, conv);
    if (impl_->links.contains(key)) return Error(errc::in_use, "conv " + std::to_string(conv) + " to " + to.to_string());
    return impl_->channel_of(impl_->add(key, conv, conv, *address));
}

Task<> UdpPort::drained() {
    while (impl_->links.size() > 0) co_await impl_->empty.wait();
}

io::Endpoint UdpPort::local() const { return impl_->socket->local(); }
std::size_t UdpPort::links() const { return impl_->links.size(); }
std::size_t UdpPort::half_open() const { return impl_->half_open; }
const UdpCounters& UdpPort::counters() const { return impl_->counters; }
const io::DatagramCounters& UdpPort::datagrams() const { return impl_->socket->counters(); }

}  // namespace gyre::net

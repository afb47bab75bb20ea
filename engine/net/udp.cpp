#include <gyre/net/detail/udp_port.hpp>

namespace gyre::net {

using namespace udp;

void UdpPort::Impl::remove(Peer& link) {
    Peer** const found = links.find(key_of_link(link));
    if (!found || *found != &link) return;
    links.erase(key_of_link(link));
    if (link.hello_key != 0) by_hello.erase(link.hello_key);
    if (link.state == Peer::State::half_open) --half_open;
    if (!link.server) --dialled;
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
    if (kind == Kind::reset) return on_reset(from, bytes);
    const bool is_short = kind >= Kind::data && (bytes[0] & short_id_bit);
    const std::uint32_t id = is_short ? bytes[1] : read_u32(bytes.data() + 1);
    Peer* const link = find(id);
    if (!link) {
        ++counters.strangers;
        const bool sealed = kind >= Kind::data && kind <= Kind::response && bytes.size() > packet_head + sizeof(ResetToken);
        if (sealed && !is_short && id >= short_ids) say_reset(id, from);
        return;
    }
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
        if (!link->arq->input(0, bytes, executor.now())) {
            remove(*link);
            return void(++counters.strangers);
        }
        link->touch();
        return accepted(channel_of(*link), from.endpoint(), {});
    }
    if (!link->arq->input(0, bytes, executor.now())) return void(++counters.strangers);
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
    const std::uint32_t id = fresh_id();
    const ResetToken token = reset_token(id, from);
    Bytes payload(token.begin(), token.end());
    append(payload, *greeting);
    const Bytes noise_answer = handshake.second(payload);
    if (noise_answer.empty()) return void(++counters.refused);
    make_room();
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
    } else if (said->size() < sizeof(ResetToken)) {
        link.rare->failure = Error(errc::bad_data, link.peer.endpoint().to_string() + ": an answer that was cut");
    } else {
        link.peer_id = read_u32(bytes.data() + 5);
        link.seal(link.rare->handshake->secrets());
        std::memcpy(link.reset_token.data(), said->data(), sizeof(ResetToken));
        link.rare->payload.assign(said->begin() + sizeof(ResetToken), said->end());
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
    const std::size_t head = bytes[0] & short_id_bit ? 2 : packet_head;
    const auto packet = link.opener->open(bytes, head, (bytes[0] & 3u) + 1);
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
    if (kind != Kind::data) (void)link.arq->input(packet->number, {}, executor.now());
    if (from != link.peer && kind != Kind::response && packet->newest) follow(link, from, size);
    switch (kind) {
        case Kind::data: {
            if (auto taken = link.arq->input(packet->number, packet->plain, executor.now()); !taken && link.arq->dead())
                return link.end(taken.error());
            if (!packet->plain.empty()) link.touch();
            break;
        }
        case Kind::close: {
            const std::string_view text = as_text(packet->plain);
            const std::size_t code = std::min(text.find('\0'), text.size());
            const Error reason(errc::disconnected, "peer=" + link.peer.endpoint().to_string() + ": " +
                                                       std::string(text.substr(0, std::min<std::size_t>(code, 64))) +
                                                       (code < text.size() ? ": " + std::string(text.substr(code + 1, 200)) : ""));
            return link.ended_by_peer(reason);
        }
        case Kind::challenge:
            // Always to where the server is known to be: who passes a challenge on gets nothing for it.
            if (packet->plain.size() == challenge_bytes && !link.server) link.send_packet(Kind::response, packet->plain, link.peer);
            break;
        case Kind::response:
            if (link.rare && link.server && from == link.rare->challenged && link.rare->challenged_at != TimePoint{} && from != link.peer &&
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

/// Of the server's lasting key, so that it knows it still when it has forgotten the link, and of the client's address:
/// nobody elsewhere can ask for it.
ResetToken UdpPort::Impl::reset_token(std::uint32_t id, const io::SocketAddress& client) const {
    Bytes about(12);
    write_u32(about.data(), id);
    const std::uint64_t address = client.as_integer();
    for (std::size_t i = 0; i < 8; ++i) about[4 + i] = static_cast<std::uint8_t>(address >> (8 * i));
    append(about, as_bytes(config.name));
    const secure::Mac mac = secure::mac(reset_key->bytes(), about);
    ResetToken token;
    std::copy_n(mac.begin(), token.size(), token.begin());
    return token;
}

void UdpPort::Impl::say_reset(std::uint32_t id, const io::SocketAddress& to) {
    if (!reset_key || !accepted || !resets.take(executor.now())) return;
    std::array<std::uint8_t, packet_head + sizeof(ResetToken)> reset;
    reset[0] = first_byte(Kind::reset);
    write_u32(reset.data() + 1, id);
    const ResetToken token = reset_token(id, to);
    std::copy(token.begin(), token.end(), reset.begin() + packet_head);
    ++counters.resets;
    send(to, reset);
}

/// The id is the one by which this end calls its peer.
void UdpPort::Impl::on_reset(const io::SocketAddress& from, BytesView bytes) {
    Peer* meant = nullptr;
    if (dialled > 0 && bytes.size() == packet_head + sizeof(ResetToken) && bytes[0] == first_byte(Kind::reset))
        links.each([&](std::uint64_t, Peer* const& link) {
            unsigned differs = link->server || link->peer_id != read_u32(bytes.data() + 1) || link->peer != from;
            if (differs || link->reset_token == ResetToken{}) return;
            for (std::size_t i = 0; i < sizeof(ResetToken); ++i) differs |= unsigned{bytes[packet_head + i]} ^ link->reset_token[i];
            if (!differs) meant = link;
        });
    if (!meant || (meant->state != Peer::State::open && meant->state != Peer::State::closing)) return void(++counters.strangers);
    const Error reason(errc::disconnected, "peer=" + from.endpoint().to_string() + ": it does not know this link any more");
    if (meant->state == Peer::State::closing) return remove(*meant);
    meant->ended_by_peer(reason);
}

/// Asks a new address whether it is the peer's: the packet from there may be one that somebody held up.
void UdpPort::Impl::follow(Peer& link, const io::SocketAddress& from, std::size_t size) {
    if (!link.server) return;
    auto& rare = link.rarely();
    const TimePoint now = executor.now();
    if (rare.challenged != from) {
        rare.challenged = from;
        rare.challenged_at = {};
        rare.challenge_room = 0;
    }
    rare.challenge_room += size;
    constexpr std::size_t needed = secure::PacketSealer::size(packet_head, number_bytes_max, challenge_bytes);
    if (rare.challenge_room < needed || now - rare.challenged_at < challenge_gap) return;
    rare.challenge_room = 0;
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
    return udp::make_channel(link, config.max_message_bytes);
}

UdpPort::UdpPort(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UdpPort::~UdpPort() = default;

Result<std::unique_ptr<UdpPort>> UdpPort::open(io::Io& io, UdpConfig config, Accepted accepted) {
    config.kcp.max_queued_bytes = config.rudp.max_queued_bytes = config.max_unsent_bytes;
    config.rudp.max_message_bytes = config.max_message_bytes;
    config.rudp.max_received_bytes = 2 * config.max_message_bytes + (256 << 10);
    if (auto checked = check(config.kcp); !checked) return checked.error();
    if (auto checked = check(config.rudp); !checked) return checked.error();
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
    const std::uint32_t id = impl.short_id();
    Peer& link = impl.add(id, id, id, address);
    ++impl.dialled;
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
    ++impl_->dialled;
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

#include <gyre/net/detail/udp_port.hpp>

namespace gyre::net::udp {

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
    void send(BytesView message, Delivery how) override {
        GYRE_ASSERT(!message.empty() && message.size() <= limit_, "message within the limit");
        if (!link_ || link_->state != Peer::State::open) return;
        if (auto sent = link_->arq->send(message, how, link_->port.executor.now()); !sent)
            if (auto& broken = link_->rarely().broken; !broken) broken = sent.error();
        if (link_->arq->queued_bytes() > drained_after_bytes) link_->was_full = true;
        link_->touch();
    }
    std::size_t unsent_bytes() const override { return link_ ? link_->arq->queued_bytes() : 0; }
    void pause(bool paused) override {
        if (!link_ || link_->arq->held() == paused) return;
        link_->arq->hold(paused);
        if (!paused) link_->touch();
    }
    void close() noexcept override {
        if (link_) std::exchange(link_, nullptr)->close(Error(errc::closed, "the other end closed"));
    }
    std::string peer() const override { return (link_ ? link_->peer : peer_).endpoint().to_string(); }
    std::size_t max_message_bytes() const override { return limit_; }
    bool keeps_order() const override { return !link_ || link_->port.config.standard_kcp; }
    LinkStats stats() const override {
        if (!link_) return {};
        return link_->arq->stats();
    }

    Peer* link_;  // null: closed

private:
    io::SocketAddress peer_;  // as it began
    std::size_t limit_;
};

std::unique_ptr<Channel> make_channel(Peer& link, std::size_t max_message_bytes) {
    return std::make_unique<UdpChannel>(link, max_message_bytes);
}

Peer::Peer(UdpPort::Impl& p, std::uint32_t own_id, std::uint32_t conv, io::SocketAddress at)
    : port(p), id(own_id), peer(at), timer(p.executor, *this) {
    if (p.config.standard_kcp) arq = std::make_unique<KcpArq>(conv, p.config.kcp, p.pool, *this);
    else arq = std::make_unique<RudpArq>(p.config.rudp, p.blocks, *this);
}

Peer::~Peer() {
    if (gone) *gone = true;
    flushing.unlink();
    if (channel) channel->link_ = nullptr;
}

void Peer::output(BytesView datagram) {
    sent = port.executor.now();
    port.send(peer, datagram);
}

std::uint64_t Peer::next_number() const { return sealer ? sealer->next_number() : 0; }

std::size_t Peer::output(BytesView plain, unsigned number_bytes) {
    return 28 + send_packet(Kind::data, plain, peer, number_bytes);
}

std::size_t Peer::send_packet(Kind kind, BytesView plain, const io::SocketAddress& to, unsigned number_bytes) {
    std::array<std::uint8_t, sealed_bytes> packet;
    const std::size_t head = write_head(packet.data(), kind, peer_id, number_bytes);
    const std::size_t size = sealer->seal(packet, head, number_bytes, plain);
    sent = port.executor.now();
    port.send(to, BytesView(packet).first(size));
    return size;
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
        if (handler && !arq->held()) finish(Error(*rare->reason));
        return;
    }
    if (was_full && handler && arq->queued_bytes() <= drained_after_bytes / 2) {
        was_full = false;
        handler->on_drained();
        if (is_gone) return;
    }
    gone = nullptr;
    const TimePoint now = port.executor.now();
    TimePoint next = arq->update(now);
    if (arq->dead() && state == State::open)
        return end(Error(errc::timed_out, "peer=" + peer.endpoint().to_string() + ": does not acknowledge"));
    if (state == State::closing && (arq->idle() || now >= began + linger_limit) && !said_close) {
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
                arq->ask(now);
            } else if (now >= lives_at() || (!server && !confirmed && now >= sent + confirm_gap)) {
                send_packet(Kind::data, {}, peer);
                if (arq->idle()) {
                    arq->trim();
                    sealer->rest();
                    opener->rest();
                }
            }
            break;
    }
    flush();
}

void Peer::deliver() {
    bool* const is_gone = gone;
    while (handler && arq->receive(port.message)) {
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
    arq->hold(false);
    touch();
}

void Peer::end(const Error& reason) {
    if (state == State::ended) return;
    // Whoever is given the channel, or goes on reading, hears what came before and then how it ended.
    if (channel && (!handler || (arq->held() && reason.is(errc::disconnected)))) {
        state = State::ended;
        rarely().reason = reason;
        timer.disarm();
        return;
    }
    finish(reason);
}

void Peer::ended_by_peer(const Error& reason) {
    if (state == State::open) {
        bool is_gone = false;
        gone = &is_gone;
        deliver();
        if (is_gone) return;
        gone = nullptr;
    }
    end(reason);
}

void Peer::finish(const Error& reason) {
    ChannelHandler* const told = std::exchange(handler, nullptr);
    if (channel) std::exchange(channel, nullptr)->link_ = nullptr;
    if (gone) *std::exchange(gone, nullptr) = true;
    const Error kept = reason;
    port.remove(*this);
    if (told) told->on_closed(kept);
}

}  // namespace gyre::net::udp

#include <algorithm>
#include <gyre/log/log.hpp>
#include <gyre/net/sealed_stream.hpp>
#include <gyre/net/udp.hpp>
#include <gyre/session/detail/home.hpp>
#include <gyre/session/handshake.hpp>
#include <gyre/session/session.hpp>
#include <unordered_map>

namespace gyre::session {
namespace {
constexpr std::size_t max_addresses = 4096;  // whose handshakes are counted at a time

/// Labels come from a closed set, whatever codes a game throws.
std::string label(std::string_view code) {
    constexpr std::string_view known[] = {"ok", "replaced", errc::unauthorized, errc::update_required,
                                          errc::overloaded, errc::timed_out, errc::bad_data,
                                          errc::too_large, errc::disconnected, errc::closed,
                                          errc::forbidden, errc::cancelled, errc::unavailable};
    const bool found = std::find(std::begin(known), std::end(known), code) != std::end(known);
    return found ? std::string(code) : "other";
}
}  // namespace

namespace detail {
Metrics::Metrics(metric::Registry& r)
    : registry(r),
      sessions(r.gauge("gyre_session_open", {}, "Clients with a session.")),
      pending(r.gauge("gyre_session_pending_handshakes")),
      calls(r.counter("gyre_session_calls_total", {}, "Calls and notifies of clients.")),
      calls_limited(r.counter("gyre_session_calls_limited_total", {}, "Above a session's rate.")),
      pushes(r.counter("gyre_session_pushes_total")),
      pushes_dropped(r.counter("gyre_session_pushes_dropped_total")) {}
void Metrics::handshake(std::string_view result) {
    registry.counter("gyre_session_handshakes_total", {{"result", label(result)}}).add();
}
void Metrics::closed(std::string_view reason) {
    registry.counter("gyre_session_closed_total", {{"reason", label(reason)}}).add();
}
}  // namespace detail

class Server::Impl final : public detail::Home, public std::enable_shared_from_this<Impl> {
public:
    Impl(io::Io& io, Scope& scope, ServerConfig c, Authenticate authenticate, rpc::Target& t,
         std::unique_ptr<metric::Registry> own)
        : Home(io.executor(), t, c, own ? *own : *c.metrics),
          io_(io),
          scope_(scope),
          authenticate_(std::move(authenticate)),
          own_metrics_(std::move(own)) {}

    Result<> listen();
    Result<> listen_udp(std::unique_ptr<net::UdpPort>& made, bool standard_kcp);
    void accept(std::unique_ptr<io::Stream> stream);
    void accept(std::unique_ptr<net::Channel> channel, io::Endpoint peer);
    void end(std::uint64_t session, const Error& reason) override;
    void close();

    io::Io& io_;
    Scope& scope_;
    Authenticate authenticate_;
    std::unique_ptr<metric::Registry> own_metrics_;
    std::function<void(Session&)> on_opened_;
    std::function<void(Session&, const Error&)> on_closed_;
    std::unique_ptr<io::Listener> listener_;
    std::unique_ptr<net::UdpPort> rudp_, kcp_;  // outlive the sessions that came over them
    std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
    std::unordered_map<std::string, TokenBucket> addresses_;
    std::size_t pending_ = 0;
    bool closed_ = false;

private:
    struct Admitted {
        Admission admission;
        std::uint32_t client_version = 0;
        std::vector<Bytes> early;
    };
    std::optional<Error> refusal(const io::Endpoint& peer);
    bool too_often(const std::string& host);
    void refused(const io::Endpoint& peer, const Error& reason);
    void refuse(net::Channel& channel, const io::Endpoint& peer, const Error& reason);
    std::optional<Error> too_old(const Hello& hello) const;
    net::Greet greet();
    // Own the server: it may be destroyed while a handshake goes on.
    static Task<> welcome_stream(std::shared_ptr<Impl> self, std::unique_ptr<io::Stream> stream);
    static Task<> welcome(std::shared_ptr<Impl> self, std::unique_ptr<net::Channel> channel,
                          io::Endpoint peer, TimePoint until);
    static Task<Admitted> admit(std::shared_ptr<Impl> self, net::Channel* channel,
                                net::Mailbox* mailbox, io::Endpoint peer);
    void open(std::unique_ptr<net::Channel> channel, io::Endpoint peer, Admitted admitted);
    rpc::ConnectionConfig connection_config(EntityId entity, std::uint64_t session) const;
};

Result<> Server::Impl::listen() {
    const auto wrong = [](std::string text) { return Error(errc::bad_config, std::move(text)); };
    if (config.max_message_bytes < max_hello_bytes || config.max_message_bytes > (1 << 20))
        return wrong("max_message_bytes=" + std::to_string(config.max_message_bytes) +
                     ": expected [8192, 1048576]");
    if (config.heartbeat < 10ms || config.heartbeat >= config.dead_after)
        return wrong("heartbeat: expected [10 ms, dead_after)");
    if (config.handshake_limit <= Duration::zero()) return wrong("handshake_limit: expected > 0");
    if (!config.identity) return wrong("identity: none, so clients could not know this server");
    for (int left = config.endpoint.port == 0 ? 8 : 1;; --left) {
        auto listener = io_.listen(config.endpoint,
                                   [this](std::unique_ptr<io::Stream> stream) { accept(std::move(stream)); });
        if (!listener) return listener.error();
        listener_ = std::move(*listener);
        auto udp = config.rudp ? listen_udp(rudp_, false) : Result<>{};
        if (udp && config.standard_kcp) udp = listen_udp(kcp_, true);
        // A port that is free for TCP may be taken for UDP: then another one.
        if (udp || left == 1 || !udp.error().is(errc::in_use)) return udp;
        rudp_.reset();
    }
}

Result<> Server::Impl::listen_udp(std::unique_ptr<net::UdpPort>& made, bool standard_kcp) {
    net::UdpConfig udp;
    udp.at = listener_->local();
    udp.standard_kcp = standard_kcp;
    if (standard_kcp) udp.at.port = kcp_port(udp.at.port);
    udp.max_message_bytes = config.max_message_bytes;
    udp.max_unsent_bytes = 4 * config.max_unsent_bytes + config.max_message_bytes;
    udp.name = config.server_name;
    udp.max_links = config.max_sessions + config.max_pending_handshakes;
    udp.max_half_open = config.max_pending_handshakes;
    udp.handshakes_per_address_per_second = config.max_handshakes_per_ip_per_second;
    udp.handshake_limit = config.handshake_limit;
    udp.idle_limit = std::max<Duration>(config.dead_after, 200ms);
    udp.identity = config.identity;
    udp.greet = greet();
    auto port = net::UdpPort::open(io_, std::move(udp), [this](std::unique_ptr<net::Channel> channel, io::Endpoint peer, Bytes) {
        accept(std::move(channel), std::move(peer));
    });
    if (!port) return port.error();
    made = std::move(*port);
    return {};
}

bool Server::Impl::too_often(const std::string& host) {
    const double rate = config.max_handshakes_per_ip_per_second;
    if (rate <= 0) return false;
    const TimePoint now = executor.now();
    if (addresses_.size() >= max_addresses)
        std::erase_if(addresses_, [now](auto& one) { return one.second.full(now); });
    if (addresses_.size() >= max_addresses && !addresses_.contains(host)) return true;
    return !addresses_.try_emplace(host, rate, now).first->second.take(now);
}

std::optional<Error> Server::Impl::refusal(const io::Endpoint& peer) {
    if (closed_) return Error(errc::closed, "the server ends");
    if (too_often(peer.host)) return Error(errc::overloaded, "too many connections of this address");
    if (pending_ >= config.max_pending_handshakes)
        return Error(errc::overloaded, "too many handshakes at a time");
    if (sessions_.size() + pending_ >= config.max_sessions)
        return Error(errc::overloaded, "the server is full");
    return {};
}

void Server::Impl::refused(const io::Endpoint& peer, const Error& reason) {
    metrics.handshake(reason.code());
    log::info("session.refused", {{"peer", peer.to_string()}, {"reason", reason.what()}});
}

void Server::Impl::refuse(net::Channel& channel, const io::Endpoint& peer, const Error& reason) {
    refused(peer, reason);
    channel.send(rpc::bye_message(reason));
    channel.close();
}

void Server::Impl::accept(std::unique_ptr<io::Stream> stream) {
    if (const auto reason = refusal(stream->peer())) {
        refused(stream->peer(), *reason);
        return net::refuse_stream(*stream, *reason);
    }
    metrics.pending.set(static_cast<double>(++pending_));
    (void)go(scope_, welcome_stream(shared_from_this(), std::move(stream)));
}

void Server::Impl::accept(std::unique_ptr<net::Channel> channel, io::Endpoint peer) {
    if (const auto reason = refusal(peer)) return refuse(*channel, peer, *reason);
    metrics.pending.set(static_cast<double>(++pending_));
    (void)go(scope_, welcome(shared_from_this(), std::move(channel), std::move(peer),
                             executor.after(config.handshake_limit)));
}

std::optional<Error> Server::Impl::too_old(const Hello& hello) const {
    if (hello.client_version >= config.min_client_version) return {};
    return Error(errc::update_required, config.update_text + " (client_version=" +
                                            std::to_string(hello.client_version) + ", expected at least " +
                                            std::to_string(config.min_client_version) + ")");
}

net::Greet Server::Impl::greet() {
    return [this](BytesView payload) -> Result<Bytes> {
        const auto hello = read_hello(payload);
        if (!hello) return hello.error();
        if (auto reason = too_old(*hello)) return *std::move(reason);
        return Bytes{};
    };
}

Task<> Server::Impl::welcome_stream(std::shared_ptr<Impl> self, std::unique_ptr<io::Stream> stream) {
    const TimePoint until = self->executor.after(self->config.handshake_limit);
    io::Endpoint peer = stream->peer();
    auto sealed = co_await as_result(with_timeout(
        self->config.handshake_limit,
        net::seal_server(self->io_, std::move(stream),
                         secure::ServerHandshake(*self->config.identity, net::fresh_seed(self->io_)),
                         self->greet())));
    if (sealed) {
        auto channel = net::stream_channel(std::move(sealed->stream), {self->config.max_message_bytes});
        co_return co_await welcome(self, std::move(channel), std::move(peer), until);
    }
    self->metrics.pending.set(static_cast<double>(--self->pending_));
    self->refused(peer, sealed.error());
}

Task<Server::Impl::Admitted> Server::Impl::admit(std::shared_ptr<Impl> self,
                                                 net::Channel* channel, net::Mailbox* mailbox,
                                                 io::Endpoint peer) {
    const Bytes first = co_await mailbox->receive();
    channel->pause(true);  // a stranger's bytes are not kept
    Hello hello = read_hello(first).value();
    if (auto reason = self->too_old(hello)) throw *std::move(reason);
    Admitted admitted;
    admitted.client_version = hello.client_version;
    admitted.admission = co_await self->authenticate_(
        Credential{std::move(hello.credential), hello.client_version, std::move(peer)});
    if (mailbox->closed()) throw Error(errc::disconnected, "left before the answer");
    GYRE_ASSERT(admitted.admission.entity != 0, "an admitted client has an entity");
    co_return admitted;
}

Task<> Server::Impl::welcome(std::shared_ptr<Impl> self, std::unique_ptr<net::Channel> channel,
                             io::Endpoint peer, TimePoint until) {
    net::Mailbox mailbox(*channel);
    auto admitted = co_await as_result(
        with_timeout(until - self->executor.now(), admit(self, channel.get(), &mailbox, peer)));
    self->metrics.pending.set(static_cast<double>(--self->pending_));
    if (admitted && !self->closed_ && self->sessions_.size() < self->config.max_sessions) {
        ContextGuard outside(nullptr);
        admitted->early = mailbox.take_rest();
        channel->pause(false);
        self->open(std::move(channel), std::move(peer), std::move(*admitted));
    } else if (self->closed_ || (!admitted && admitted.error().is(errc::cancelled))) {
        self->refuse(*channel, peer, Error(errc::closed, "the server ends"));
    } else if (admitted) {
        self->refuse(*channel, peer, Error(errc::overloaded, "the server is full"));
    } else {
        self->refuse(*channel, peer, admitted.error());
    }
}

rpc::ConnectionConfig Server::Impl::connection_config(EntityId entity, std::uint64_t id) const {
    rpc::ConnectionConfig c;
    c.heartbeat = config.heartbeat;
    c.dead_after = config.dead_after;
    c.max_incoming = config.max_calls_in_progress;
    c.cut_unsent_bytes = config.max_unsent_bytes;
    c.max_unsent_bytes = 4 * config.max_unsent_bytes;
    c.max_names = max_names;
    c.stamp = {entity, id};
    return c;
}

void Server::Impl::open(std::unique_ptr<net::Channel> channel, io::Endpoint peer,
                        Admitted admitted) {
    std::uint64_t id = 0;
    while (id == 0 || sessions_.contains(id)) id = io_.random_u64();
    const EntityId entity = admitted.admission.entity;
    auto made = std::make_unique<Session>(*this, id, entity, std::move(peer),
                                          admitted.client_version);
    Session& session = *made;
    session.user_data = admitted.admission.user_data;
    session.user_text = std::move(admitted.admission.user_text);
    channel->send(write_welcome({id, entity, config.server_name, config.heartbeat}));
    const auto connection =
        rpc::Connection::open(executor, std::move(channel), connection_config(entity, id),
                              *made, [this, id](const Error& reason) { end(id, reason); });
    session.connection_ = connection;
    sessions_.emplace(id, std::move(made));
    metrics.handshake("ok");
    metrics.sessions.set(static_cast<double>(sessions_.size()));
    log::debug("session.opened", {{"session", id}, {"entity", entity}, {"peer", session.peer_.to_string()}});
    if (on_opened_) on_opened_(session);
    for (const Bytes& message : admitted.early)
        if (connection->open()) connection->on_message(message);
}

void Server::Impl::end(std::uint64_t id, const Error& reason) {
    const auto keep = shared_from_this();
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    const auto session = std::move(found->second);
    sessions_.erase(found);
    metrics.closed(reason.code());
    metrics.sessions.set(static_cast<double>(sessions_.size()));
    log::debug("session.closed", {{"session", id}, {"reason", reason.what()}});
    if (on_closed_) on_closed_(*session, reason);
}

void Server::Impl::close() {
    if (std::exchange(closed_, true)) return;
    listener_.reset();
    std::vector<std::uint64_t> ids;
    for (const auto& [id, session] : sessions_) ids.push_back(id);
    std::sort(ids.begin(), ids.end());  // so that a simulation repeats itself
    const Error reason(errc::closed, config.server_name + " ends");
    for (const std::uint64_t id : ids)
        if (const auto found = sessions_.find(id); found != sessions_.end())
            found->second->close(reason);
}

Server::Server(io::Io& io, Scope& scope, ServerConfig config, Authenticate authenticate,
               rpc::Target& target) {
    auto own = config.metrics ? nullptr : std::make_unique<metric::Registry>();
    impl_ = std::make_shared<Impl>(io, scope, std::move(config), std::move(authenticate), target,
                                   std::move(own));
}
Server::~Server() {
    impl_->on_closed_ = nullptr;
    impl_->close();
}
void Server::on_opened(std::function<void(Session&)> told) { impl_->on_opened_ = std::move(told); }
void Server::on_closed(std::function<void(Session&, const Error&)> told) {
    impl_->on_closed_ = std::move(told);
}
Result<> Server::listen() { return impl_->listen(); }
io::Endpoint Server::local() const {
    return impl_->listener_ ? impl_->listener_->local() : impl_->config.endpoint;
}
void Server::accept(std::unique_ptr<net::Channel> channel, io::Endpoint peer) {
    impl_->accept(std::move(channel), std::move(peer));
}
void Server::set_limits(const ServerLimits& limits) {
    ServerConfig& config = impl_->config;
    config.max_sessions = limits.max_sessions;
    config.min_client_version = limits.min_client_version;
    if (config.calls_per_second == limits.calls_per_second) return;
    config.calls_per_second = limits.calls_per_second;
    for (auto& [id, session] : impl_->sessions_)
        session->calls_ = TokenBucket(limits.calls_per_second, impl_->executor.now());
}
Session* Server::find(std::uint64_t session) const {
    const auto found = impl_->sessions_.find(session);
    return found == impl_->sessions_.end() ? nullptr : found->second.get();
}
std::size_t Server::sessions() const { return impl_->sessions_.size(); }
std::size_t Server::pending_handshakes() const { return impl_->pending_; }
void Server::close() { impl_->close(); }

}  // namespace gyre::session

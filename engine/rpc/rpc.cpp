#include <gyre/codec/codec.hpp>
#include <gyre/log/log.hpp>
#include <gyre/rpc/rpc.hpp>
#include <gyre/secure/link_proof.hpp>

namespace gyre::rpc {
namespace {
constexpr std::string_view magic = "gyre-node";
constexpr std::uint32_t version = 1;
using secure::LinkRole;
using secure::LinkTranscript;

struct Hello {
    std::string magic;
    std::uint32_t version = 0;
    std::string name;
    std::uint64_t incarnation = 0;
    secure::LinkNonce nonce{};
    static consteval auto describe() {
        return type<Hello>("Hello", field<&Hello::magic>(), field<&Hello::version>(),
                           field<&Hello::name>(), field<&Hello::incarnation>(),
                           field<&Hello::nonce>());
    }
};
struct Challenge {
    std::string name;
    std::uint64_t incarnation = 0;
    secure::LinkNonce nonce{};
    secure::Mac proof{};
    static consteval auto describe() {
        return type<Challenge>("Challenge", field<&Challenge::name>(),
                               field<&Challenge::incarnation>(), field<&Challenge::nonce>(),
                               field<&Challenge::proof>());
    }
};
struct Proof {
    secure::Mac proof{};
    static consteval auto describe() { return type<Proof>("Proof", field<&Proof::proof>()); }
};

void say_bye(net::Channel& channel, const Error& reason) {
    channel.send(bye_message(reason));
    channel.close();
}
}  // namespace

struct Rpc::Link {
    std::shared_ptr<Connection> connection;
    bool dialling = false;
    Signal settled;
    std::optional<Error> failure;
    TimePoint retry_at{};
    Duration back_off = Duration::zero();
};

/// Calls of this node to itself: same bytes, no channel.
class Rpc::LocalSink : public Responder::Sink {
public:
    LocalSink() : pending_(nullptr) {}
    void answer(std::uint64_t call, const Result<Bytes>& result) override {
        pending_.complete(call, result);
    }
    detail::PendingTable pending_;
    std::uint64_t next_ = 1;
};

Rpc::Rpc(io::Io& io, Scope& scope, RpcConfig config, Target& local)
    : io_(io),
      scope_(scope),
      config_(std::move(config)),
      local_(local),
      local_calls_(std::make_shared<LocalSink>()) {}

Rpc::~Rpc() { close(); }

ConnectionConfig Rpc::link_config() const {
    ConnectionConfig config;
    config.heartbeat = config_.heartbeat;
    config.dead_after = config_.dead_after;
    config.trusted = true;
    return config;
}

Result<> Rpc::listen(const io::Endpoint& at) {
    auto listener = io_.listen(at, [this](std::unique_ptr<io::Stream> stream) {
        auto channel = net::stream_channel(std::move(stream), {config_.max_message_bytes});
        (void)go(scope_, welcome(std::move(channel)));
    });
    if (!listener) return listener.error();
    listener_ = std::move(*listener);
    address_ = listener_->local();
    return {};
}

Task<> Rpc::welcome(std::unique_ptr<net::Channel> channel) {
    const std::string from = channel->peer();
    net::Mailbox mailbox(*channel);
    auto handshake = [](Rpc* self, net::Channel* to, net::Mailbox* in) -> Task<> {
        auto hello = decode<Hello>(co_await in->receive());
        if (!hello || hello->magic != magic) throw Error(errc::unauthorized, "not a node");
        if (hello->version != version)
            throw Error(errc::update_required,
                        "link version " + std::to_string(hello->version) + ", expected 1");
        Challenge challenge{self->config_.name, self->config_.incarnation, {}, {}};
        self->io_.random(challenge.nonce);
        const LinkTranscript link{hello->nonce, challenge.nonce, hello->name, self->config_.name};
        challenge.proof = secure::link_proof(self->config_.key, LinkRole::server, link);
        to->send(encode(challenge));
        const auto proof = decode<Proof>(co_await in->receive());
        if (!proof ||
            !secure::verify_link_proof(self->config_.key, LinkRole::client, link, proof->proof))
            throw Error(errc::unauthorized, "the cluster key was not proven");
        if (in->closed()) throw Error(errc::disconnected, "it left amid the handshake");
    };
    const auto proven = co_await as_result(
        with_timeout(config_.handshake_limit, handshake(this, channel.get(), &mailbox)));
    if (!proven || closed_) {
        const Error reason = proven ? Error(errc::closed, "the node ends") : proven.error();
        log::warn("rpc.stranger", {{"peer", from}, {"reason", reason.what()}});
        say_bye(*channel, reason.is(errc::update_required)
                              ? reason
                              : Error(errc::unauthorized, "this is a node port: prove the cluster key"));
        co_return;
    }
    const std::uint64_t id = next_accepted_++;
    auto early = mailbox.take_rest();
    auto connection = Connection::open(
        io_.executor(), std::move(channel), link_config(), local_,
        [this, id](const Error&) { accepted_.erase(id); }, std::move(early));
    if (connection->open()) accepted_.emplace(id, std::move(connection));
}

Task<std::shared_ptr<Connection>> Rpc::open_link(io::Endpoint to) {
    auto channel = net::stream_channel(co_await io_.connect(to, config_.handshake_limit),
                                       {config_.max_message_bytes});
    net::Mailbox mailbox(*channel);
    Hello hello{std::string(magic), version, config_.name, config_.incarnation, {}};
    io_.random(hello.nonce);
    channel->send(encode(hello));
    const Bytes answer = co_await mailbox.receive();
    const auto challenge = decode<Challenge>(answer);
    if (!challenge) {
        if (auto reason = read_bye(answer)) throw *std::move(reason);
        throw Error(errc::unauthorized, to.to_string() + " does not speak as a node");
    }
    const LinkTranscript link{hello.nonce, challenge->nonce, config_.name, challenge->name};
    if (!secure::verify_link_proof(config_.key, LinkRole::server, link, challenge->proof))
        throw Error(errc::unauthorized, to.to_string() + " did not prove the cluster key");
    if (mailbox.closed()) throw Error(errc::disconnected, to.to_string() + " left amid the handshake");
    channel->send(encode(Proof{secure::link_proof(config_.key, LinkRole::client, link)}));
    auto early = mailbox.take_rest();
    co_return Connection::open(
        io_.executor(), std::move(channel), link_config(), local_,
        [this, to](const Error& reason) {
            const auto found = links_.find(to);
            if (found != links_.end()) found->second->connection = nullptr;
            if (on_link_lost && !closed_) on_link_lost(to, reason);
        },
        std::move(early));
}

Task<> Rpc::dial(io::Endpoint to) {
    auto opened = co_await as_result(with_timeout(config_.handshake_limit, open_link(to)));
    const auto found = links_.find(to);
    if (found == links_.end()) co_return;
    Link& link = *found->second;
    link.dialling = false;
    if (opened && !closed_ && (*opened)->open()) {
        link.connection = std::move(*opened);
        link.failure.reset();
        link.back_off = Duration::zero();
        if (on_link_opened) on_link_opened(to);
    } else {
        const Error reason = opened ? Error(errc::closed, "at once") : opened.error();
        link.failure.emplace(errc::disconnected, "no link to " + to.to_string() + ": " + reason.what());
        // Callers in this time get the failure at once; jitter keeps nodes from dialling together.
        link.back_off = std::clamp<Duration>(link.back_off * 2, 50ms, 2s);
        link.retry_at = io_.now() + link.back_off / 2 +
                        Duration(static_cast<std::int64_t>(io_.random_u64() % static_cast<std::uint64_t>(
                                     (link.back_off / 2).count())));
    }
    link.settled.notify_all();
}

std::shared_ptr<Connection> Rpc::open_link_to(const io::Endpoint& to) const {
    const auto found = links_.find(to);
    return found == links_.end() ? nullptr : found->second->connection;
}

Task<std::shared_ptr<Connection>> Rpc::link(io::Endpoint to) {
    if (closed_) throw Error(errc::closed, "this node ends");
    auto& slot = links_[to];
    if (!slot) slot = std::make_unique<Link>();
    Link& link = *slot;
    if (link.connection && link.connection->open()) co_return link.connection;
    if (!link.dialling) {
        if (link.failure && io_.now() < link.retry_at) throw *link.failure;
        link.dialling = true;
        (void)go(scope_, dial(to));
    }
    while (link.dialling) co_await link.settled.wait();
    if (!link.connection) throw link.failure ? *link.failure : Error(errc::disconnected, to.to_string());
    co_return link.connection;
}

Task<Bytes> Rpc::call_here(EntityId entity, MethodName method, Bytes arguments,
                           CallOptions options) {
    const TimePoint at =
        std::min(Chain::running().deadline, io_.executor().after(options.limit));
    if (at <= io_.now()) throw Error(errc::timed_out, "its deadline has passed");
    const std::uint64_t id = local_calls_->next_++;
    detail::PendingReply reply(local_calls_->pending_, io_.executor(), id, at);
    IncomingCall call{.entity = entity,
                      .method = method,
                      .arguments = arguments,
                      .caller = options.caller,
                      .deadline = at,
                      .trace = current->trace,
                      .form = options.form};
    reply.before_wait = [&] { local_.dispatch(call, Responder(local_calls_, id)); };
    co_return co_await reply;
}

Task<Bytes> Rpc::call(io::Endpoint to, EntityId entity, MethodName method, Bytes arguments,
                      CallOptions options) {
    if (to == address_) co_return co_await call_here(entity, method, std::move(arguments), options);
    auto connection = open_link_to(to);
    if (!connection) {
        const TimePoint at = io_.executor().after(options.limit);
        connection = co_await with_timeout(options.limit, link(to));
        options.limit = at - io_.now();
    }
    co_return co_await connection->call(entity, method, std::move(arguments), options);
}

Task<Bytes> Rpc::call_entity(EntityId entity, std::string_view type, MethodName method,
                             Bytes arguments, CallOptions options) {
    if (local_.owns(entity))
        co_return co_await call_here(entity, method, std::move(arguments), options);
    if (!resolver_) throw Error(errc::entity_gone, std::string(method.text));
    const io::Endpoint to = co_await resolver_->locate(entity, type);
    co_return co_await call(to, entity, method, std::move(arguments), options);
}

void Rpc::notify(std::optional<io::Endpoint> to, EntityId entity, std::string_view type,
                 MethodName method, Bytes arguments) {
    if (to == address_ || (!to && local_.owns(entity))) {
        IncomingCall call;
        call.entity = entity;
        call.method = method;
        call.arguments = arguments;
        local_.dispatch(call, Responder());
        return;
    }
    if (const auto connection = to ? open_link_to(*to) : nullptr) {
        if (!connection->notify(entity, method, arguments))
            log::warn("rpc.notify_dropped", {{"to", to->to_string()}, {"method", method.text}});
        return;
    }
    (void)go(scope_, notify_later(std::move(to), entity, std::string(type), method.id,
                                  std::string(method.text), std::move(arguments)));
}

Task<> Rpc::notify_later(std::optional<io::Endpoint> to, EntityId entity, std::string type,
                         std::uint64_t method, std::string text, Bytes arguments) {
    try {
        if (!to) {
            if (!resolver_) throw Error(errc::entity_gone, text);
            to = co_await resolver_->locate(entity, type);
        }
        const auto connection = co_await with_timeout(config_.call_limit, link(*to));
        (void)connection->notify(entity, {method, text}, arguments);
    } catch (const Error& error) {
        if (!error.is(errc::cancelled))
            log::warn("rpc.notify_dropped", {{"method", text}, {"reason", error.what()}});
    }
}

void Rpc::drop_link(const io::Endpoint& to, const Error& reason) {
    const auto found = links_.find(to);
    if (found == links_.end() || !found->second->connection) return;
    const auto connection = std::exchange(found->second->connection, nullptr);
    connection->close(reason);
    if (on_link_lost) on_link_lost(to, reason);
}

std::size_t Rpc::links() const {
    std::size_t open = accepted_.size();
    for (const auto& [to, link] : links_) open += link->connection != nullptr;
    return open;
}

void Rpc::close() {
    closed_ = true;
    listener_.reset();
    const Error reason(errc::disconnected, "node " + config_.name + " ends");
    for (auto& [to, link] : links_)
        if (auto connection = std::exchange(link->connection, nullptr)) connection->close(reason);
    for (auto& [id, connection] : std::exchange(accepted_, {})) connection->close(reason);
    local_calls_->pending_.fail_all(reason);
}

}  // namespace gyre::rpc

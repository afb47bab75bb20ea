#include <cstring>
#include <gyre/codec/codec.hpp>
#include <gyre/log/log.hpp>
#include <gyre/rpc/moved.hpp>
#include <gyre/rpc/outgoing.hpp>
#include <gyre/base/hash.hpp>
#include <gyre/net/sealed_stream.hpp>

namespace gyre::rpc {
namespace {
constexpr std::uint32_t version = 2;

/// What both ends say of themselves in the handshake, which proves the cluster key.
struct NodeHello {
    std::uint32_t version = 0;
    std::string name;
    std::uint64_t incarnation = 0;
    static consteval auto describe() {
        return type<NodeHello>("NodeHello", field<&NodeHello::version>(), field<&NodeHello::name>(),
                               field<&NodeHello::incarnation>());
    }
};

/// The other end's, or why there will be no link.
Result<NodeHello> read_hello(BytesView payload) {
    auto hello = decode<NodeHello>(payload);
    if (!hello) return Error(errc::bad_data, "hello of a node: " + hello.error().message());
    if (hello->version != version)
        return Error(errc::update_required, "link version " + std::to_string(hello->version) + " of node " +
                                                hello->name + ", expected " + std::to_string(version));
    return hello;
}
}  // namespace

struct Rpc::Link {
    explicit Link(const io::Endpoint& where) : to(where) {}
    const io::Endpoint to;
    std::shared_ptr<Connection> connection;
    bool dialling = false;
    Signal settled;
    std::optional<Error> failure;
    TimePoint retry_at{};
    Duration back_off = Duration::zero();
};

/// Calls of this node to itself: the same bytes without a channel.
class Rpc::LocalCalls final : public Responder::Sink {
public:
    static constexpr std::size_t deepest = 32;  ///< Calls that run within each other on the stack.
    static constexpr std::size_t kept_buffers = 64, kept_bytes = 4096;

    void fail(std::uint64_t call, const Error& error) override {
        if (auto* reply = pending.take(call)) reply->fail(error);
    }
    Writer& begin_result(std::uint64_t) override {
        if (reader_) std::exchange(reader_, nullptr)->keep_value(spare());
        result_.clear();
        return result_;
    }
    void end_result(std::uint64_t call) override {
        auto* reply = pending.take(call);
        if (!reply) return;
        if (reply->complete_at_once(result_.view())) {
            reader_ = reply;  // as a rule its caller reads it before anything else is written
            return;
        }
        Bytes bytes = spare();
        bytes.assign(result_.view().begin(), result_.view().end());
        reply->complete(std::move(bytes));
    }
    void ended(detail::PendingReply& reply) {
        if (reader_ == &reply) reader_ = nullptr;
        give_back(reply.take_kept());
    }
    void give_back(Bytes bytes) {
        if (bytes.capacity() > 0 && bytes.capacity() <= kept_bytes && spare_.size() < kept_buffers)
            spare_.push_back(std::move(bytes));
    }
    detail::PendingTable pending{nullptr};
    Writer arguments;  // of the call that begins; its callee reads them before anything else runs
    std::size_t depth = 0;

private:
    Bytes spare() {
        Bytes bytes;
        if (!spare_.empty()) bytes.swap(spare_.back()), spare_.pop_back();
        return bytes;
    }
    Writer result_;
    detail::PendingReply* reader_ = nullptr;  // of result_
    std::vector<Bytes> spare_;
};

Rpc::Rpc(io::Io& io, Scope& scope, RpcConfig config, Target& local)
    : io_(io),
      scope_(scope),
      config_(std::move(config)),
      local_(local),
      here_(std::make_unique<LocalCalls>()) {}

Rpc::~Rpc() { close(); }

ConnectionConfig Rpc::link_config() const {
    ConnectionConfig config;
    config.heartbeat = config_.heartbeat;
    config.dead_after = config_.dead_after;
    config.trusted = true;
    return config;
}

secure::Key Rpc::link_key() const { return config_.key.derive("node link 2"); }

Bytes Rpc::hello() const { return encode(NodeHello{version, config_.name, config_.incarnation}); }

Result<> Rpc::listen(const io::Endpoint& at) {
    auto listener = io_.listen(at, [this](std::unique_ptr<io::Stream> stream) {
        (void)go(scope_, welcome(std::move(stream)));
    });
    if (!listener) return listener.error();
    listener_ = std::move(*listener);
    address_ = listener_->local();
    return {};
}

Task<> Rpc::welcome(std::unique_ptr<io::Stream> stream) {
    const std::string from = stream->peer().to_string();
    auto greet = [answer = hello()](BytesView payload) -> Result<Bytes> {
        const auto hello = read_hello(payload);
        if (!hello) return hello.error();
        return answer;
    };
    auto sealed = co_await as_result(with_timeout(
        config_.handshake_limit,
        net::seal_server(io_, std::move(stream), secure::ServerHandshake(link_key(), net::fresh_seed(io_)),
                         std::move(greet))));
    if (!sealed || closed_) {
        const Error reason = sealed ? Error(errc::closed, "the node ends") : sealed.error();
        log::warn("rpc.stranger", {{"peer", from}, {"reason", reason.what()}});
        co_return;
    }
    const std::uint64_t id = next_accepted_++;
    auto connection = Connection::open(
        io_.executor(), net::stream_channel(std::move(sealed->stream), {config_.max_message_bytes}),
        link_config(), local_, [this, id](const Error&) { accepted_.erase(id); });
    if (connection->open()) accepted_.emplace(id, std::move(connection));
}

Task<std::shared_ptr<Connection>> Rpc::open_link(io::Endpoint to) {
    auto stream = co_await io_.connect(to, config_.handshake_limit);
    auto made = co_await as_result(net::seal_client(
        io_, std::move(stream), secure::ClientHandshake(link_key(), net::fresh_seed(io_)), hello()));
    if (!made && (made.error().is(errc::disconnected) || made.error().is(errc::unauthorized)))
        throw Error(made.error().code(), to.to_string() + " ended the handshake: it holds another cluster key, or is no node");
    net::SealedStream sealed = std::move(made).value();
    if (const auto other = read_hello(sealed.payload); !other) throw other.error();
    co_return Connection::open(
        io_.executor(), net::stream_channel(std::move(sealed.stream), {config_.max_message_bytes}),
        link_config(), local_,
        [this, to](const Error& reason) {
            const auto found = links_.find(to);
            if (found != links_.end()) found->second->connection = nullptr;
            ContextGuard guard(&scope_.context());
            log::debug("rpc.link_closed", {{"to", to.to_string()}, {"reason", reason.what()}});
            if (on_link_lost && !closed_) on_link_lost(to, reason);
        });
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
        log::debug("rpc.link_opened", {{"to", to.to_string()}});
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
    if (link.failure && on_link_lost && !closed_) on_link_lost(to, *link.failure);
}

namespace {
/// Not the whole host: a few loads that tell the nodes of a cluster apart.
std::uint64_t hash_of(const io::Endpoint& at) {
    std::uint32_t first = 0, last = 0;
    if (at.host.size() >= 4) {
        std::memcpy(&first, at.host.data() + 2, 2);
        std::memcpy(&last, at.host.data() + at.host.size() - 4, 4);
    }
    return mix((std::uint64_t{last} << 32 | std::uint64_t{at.port} << 16 | first) ^ at.host.size()) | 1;
}
bool same(const io::Endpoint& a, const io::Endpoint& b) { return a.port == b.port && a.host == b.host; }
}  // namespace

Connection* Rpc::open_link_to(const io::Endpoint& to) const {
    Link* const* found = by_address_.find(hash_of(to));
    if (found && same((*found)->to, to)) return (*found)->connection.get();
    const auto other = links_.find(to);  // two addresses of one hash
    return other == links_.end() ? nullptr : other->second->connection.get();
}

bool Rpc::is_here(const Destination& to) const {
    return to.at ? same(*to.at, address_) : local_.owns(to.entity);
}

Rpc::Link& Rpc::slot(const io::Endpoint& to) {
    auto& link = links_[to];
    if (!link) {
        link = std::make_unique<Link>(to);
        by_address_.insert(hash_of(to), link.get());
    }
    return *link;
}

Task<std::shared_ptr<Connection>> Rpc::link(io::Endpoint to) {
    if (closed_) throw Error(errc::closed, "this node ends");
    Link& link = slot(to);
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

Outgoing::Outgoing(Rpc& rpc, const Destination& to, const MethodName& method,
                   const CallOptions& options)
    : PendingReply(rpc.io_.executor()),
      rpc_(rpc),
      to_(to),
      method_(method),
      options_(options),
      at_(std::min(Chain::running().deadline, rpc.io_.executor().after(options.limit))) {
    throw_if_cancelled();  // a cancelled task sends nothing
}

Outgoing::~Outgoing() {
    // One that failed may outlive the node's Rpc, which failed it.
    if (has_local_value()) rpc_.here_->ended(*this);
}

bool Outgoing::at_hand() {
    if (rpc_.is_here(to_)) return rpc_.here_->depth < Rpc::LocalCalls::deepest;
    const io::Endpoint* address =
        to_.at ? &*to_.at : rpc_.resolver_ ? rpc_.resolver_->known(to_.entity, to_.type) : nullptr;
    link_ = address ? rpc_.open_link_to(*address) : nullptr;
    return link_ && link_->has_room();
}

Task<> Outgoing::reach() {
    link_ = nullptr;
    if (rpc_.is_here(to_)) {
        co_await yield();  // so that calls within calls do not grow the stack without end
        if (rpc_.is_here(to_)) co_return;
    }
    const auto left = [this] { return at_ - rpc_.io_.now(); };
    io::Endpoint address;
    if (to_.at) {
        address = *to_.at;
    } else {
        if (!rpc_.resolver_) throw Error(errc::entity_gone, std::string(method_.text));
        const io::Endpoint* known = rpc_.resolver_->known(to_.entity, to_.type);
        if (!known) throw rpc_.resolver_->why_unknown(to_.entity, to_.type);
        address = *known;
        if (same(address, rpc_.address_)) co_return;
    }
    link_ = rpc_.open_link_to(address);
    if (!link_) {
        (void)co_await with_timeout(left(), rpc_.link(address));
        link_ = rpc_.open_link_to(address);  // its slot keeps it; it may have ended meanwhile
        if (!link_) throw Error(errc::disconnected, address.to_string());
    }
    while (link_->open() && !link_->has_room()) {
        const auto keep = link_->shared_from_this();
        co_await keep->wait_for_room(at_);
        link_ = rpc_.open_link_to(address);
        if (!link_) throw Error(errc::disconnected, address.to_string());
    }
}

Writer& Outgoing::arguments() {
    if (link_) return link_->begin_call(*this, to_.entity, method_, options_, at_);
    if (at_ <= rpc_.io_.now()) throw Error(errc::timed_out, "its deadline has passed");
    rpc_.here_->pending.add(*this, at_);
    rpc_.here_->arguments.clear();
    return rpc_.here_->arguments;
}

bool Outgoing::await_ready() {
    if (link_) {
        link_->end_call(*this, method_);
        link_ = nullptr;
        return false;
    }
    auto& here = *rpc_.here_;
    ++here.depth;
    rpc_.local_.dispatch({.entity = to_.entity,
                          .method = method_,
                          .arguments = here.arguments.view(),
                          .caller = options_.caller,
                          .deadline = at_,
                          .trace = current->trace,
                          .form = options_.form},
                         Responder(here, id()));
    --here.depth;
    return PendingReply::await_ready();
}

bool Outgoing::follow(const Error& error, Destination& to, CallOptions& options, bool& followed) {
    Resolver* resolver = rpc_.resolver_;
    if (to.entity == 0 || !resolver || (to.at && !followed)) return false;
    const auto next = read_moved(error, to.entity);  // only this says that it has not run
    if (next && !followed) {
        resolver->moved(to.entity, *next);
        to.at = *next;
        options.limit = at_ - rpc_.io_.now();
        return followed = true;
    }
    if (next || says_gone(error, to.entity)) resolver->forget(to.entity);
    if (next)
        throw Error(errc::entity_gone, std::string(to.type) + " " + std::to_string(to.entity) +
                                           " is not at " + to.at->to_string() + " either");
    return false;
}

Task<Bytes> Rpc::call(Destination to, MethodName method, Bytes arguments, CallOptions options) {
    for (bool followed = false;;) {
        Outgoing call(*this, to, method, options);
        if (!call.at_hand()) co_await call.reach();
        call.arguments().encoded(arguments);
        try {
            const BytesView value = co_await call;
            co_return Bytes(value.begin(), value.end());
        } catch (const Error& error) {
            if (!call.follow(error, to, options, followed)) throw;
        }
    }
}

void Rpc::notify(const Destination& to, MethodName method, BytesView arguments) {
    const io::Endpoint* address = to.at                    ? &*to.at
                                  : resolver_ && !is_here(to) ? resolver_->known(to.entity, to.type)
                                                           : nullptr;
    if (is_here(to) || (address && same(*address, address_))) {
        IncomingCall call;
        call.entity = to.entity;
        call.method = method;
        call.arguments = arguments;
        local_.dispatch(call, Responder());
        return;
    }
    if (Connection* connection = address ? open_link_to(*address) : nullptr) {
        if (!connection->notify(to.entity, method, arguments))
            log::warn("rpc.notify_dropped", {{"to", address->to_string()}, {"method", method.text}});
        return;
    }
    (void)go(scope_, notify_later(to, std::string(to.type), method.id, std::string(method.text),
                                  Bytes(arguments.begin(), arguments.end())));
}

Task<> Rpc::notify_later(Destination to, std::string type, std::uint64_t method, std::string text,
                         Bytes arguments) {
    try {
        if (!to.at) {
            if (!resolver_) throw Error(errc::entity_gone, text);
            const io::Endpoint* known = resolver_->known(to.entity, type);
            if (!known) throw resolver_->why_unknown(to.entity, type);
            to.at = *known;
        }
        const auto connection = co_await with_timeout(config_.call_limit, link(*to.at));
        (void)connection->notify(to.entity, {method, text}, arguments);
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
    here_->pending.fail_all(reason);
}

}  // namespace gyre::rpc

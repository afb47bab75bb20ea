#include <gyre/log/log.hpp>
#include <gyre/net/sealed_stream.hpp>
#include <gyre/net/udp.hpp>
#include <gyre/session/handshake.hpp>
#include <gyre/session/server.hpp>
#include <gyre_sdk/client.hpp>

namespace gyre::sdk {
namespace {

struct Handler {
    explicit Handler(void* o) : object(o) {}
    void* object;
    Mutex serial;
};

/// A handler may be replaced while it runs.
Task<> keep(std::shared_ptr<Handler> handler, Task<> running) {
    (void)handler;
    co_await std::move(running);
}

}  // namespace

namespace detail {

/// The last words of a link over UDP, which need its port.
Task<> linger(std::unique_ptr<net::UdpPort> port) { co_await with_timeout(2s, port->drained()); }

class Link final : public rpc::Target, public std::enable_shared_from_this<Link> {
public:
    Link(io::Io& i, Scope& s, Duration limit)
        : io(i), scope(s), call_limit(limit), begin(i.executor(), [this] { start(); }) {}
    ~Link() override { close(Error(errc::closed, "the client was destroyed")); }

    void open(std::unique_ptr<net::Channel> channel, std::vector<Bytes> behind, Duration dead_after) {
        rpc::ConnectionConfig config;
        config.heartbeat = welcome.heartbeat;
        config.dead_after = std::max(dead_after, 2 * welcome.heartbeat);
        config.max_names = session::max_names;
        config.max_unsent_bytes = 256 * 1024;
        early = std::move(behind);
        // Nothing is told before the caller had a chance to set its handlers.
        raw = channel.get();
        raw->pause(true);
        connection = rpc::Connection::open(io.executor(), std::move(channel), config, *this,
                                           [this](const Error& why) { end(why); });
        begin.in(Duration::zero());
    }
    void start() {
        const auto keep = shared_from_this();
        const auto link = connection;
        if (!link || !link->open()) return;
        raw->pause(false);
        for (const Bytes& message : std::exchange(early, {}))
            if (link->open()) link->on_message(message);
    }
    void end(const Error& why) {
        if (reason) return;
        reason = why;
        begin.cancel();
        connection = nullptr;
        if (udp) (void)go(scope, linger(std::move(udp)));
        ended.set();
        if (auto told = std::exchange(on_closed, nullptr)) told(*reason);
    }
    void close(const Error& why) {
        if (connection) connection->close(why);
        end(why);
    }

    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override {
        const auto found = methods.find(call.method.id);
        if (found == methods.end()) {
            respond(Error(errc::unknown_method, std::string(call.method.text)));
            if (on_unhandled) on_unhandled(call.method.text, call.arguments);
            return;
        }
        const Route& route = found->second;
        (void)go(scope, keep(route.handler, route.method->serve(
                                                 route.handler->object, call.arguments,
                                                 {&route.handler->serial, std::move(respond),
                                                  call.form})));
    }

    struct Route {
        std::shared_ptr<Handler> handler;
        const rpc::MethodEntry* method;
    };
    io::Io& io;
    Scope& scope;
    const Duration call_limit;
    session::Welcome welcome;
    std::shared_ptr<rpc::Connection> connection;
    std::unique_ptr<net::UdpPort> udp;  // outlives the connection
    net::Channel* raw = nullptr;  // the connection's, while it is open
    std::vector<Bytes> early;
    std::unordered_map<std::uint64_t, Route> methods;
    std::function<void(std::string_view, BytesView)> on_unhandled;
    std::function<void(const Error&)> on_closed;
    std::optional<Error> reason;
    Event ended;
    Alarm begin;
};

Task<Bytes> call(std::shared_ptr<Link> link, EntityId entity, rpc::MethodName method,
                 Bytes arguments, Duration limit) {
    const auto connection = link->connection;
    if (!connection) throw Error(errc::closed, link->reason ? link->reason->what() : "no session");
    rpc::CallOptions options;
    options.limit = limit > Duration::zero() ? limit : link->call_limit;
    co_return co_await connection->call(entity, method, std::move(arguments), options);
}
bool notify(Link& link, EntityId entity, rpc::MethodName method, BytesView arguments) {
    return link.connection && link.connection->notify(entity, method, arguments);
}

namespace {
Task<Bytes> call_text(std::shared_ptr<Link> link, EntityId entity, std::string method,
                      Bytes arguments) {
    if (method.empty() || method.size() > 128)
        throw Error(errc::bad_arguments, "method: expected 1 to 128 bytes, such as Avatar.find_match");
    co_return co_await call(link, entity, {fnv1a(method), method}, std::move(arguments), {});
}
Task<> wait_closed(std::shared_ptr<Link> link) { co_await link->ended.wait(); }
/// A channel to the server, which has proven its key, but for plain KCP.
Task<std::unique_ptr<net::Channel>> open_channel(Link* link, ConnectOptions* options) {
    auto& io = link->io;
    Bytes greeting = session::write_greeting(options->client_version);
    if (options->transport == Transport::tcp) {
        auto stream = co_await io.connect(options->endpoint, options->connect_limit);
        auto sealed = co_await net::seal_client(
            io, std::move(stream), secure::ClientHandshake(options->server_key, net::fresh_seed(io)), std::move(greeting));
        co_return net::stream_channel(std::move(sealed.stream), {options->max_message_bytes});
    }
    net::UdpConfig config;
    config.at = {options->endpoint.is_loopback() ? "127.0.0.1" : "0.0.0.0", 0};
    config.standard_kcp = options->transport == Transport::kcp;
    config.max_message_bytes = options->max_message_bytes;
    config.idle_limit = options->dead_after;
    link->udp = net::UdpPort::open(io, std::move(config)).value();
    if (options->transport == Transport::kcp) {
        io::Endpoint to = options->endpoint;
        to.port = session::kcp_port(to.port);
        co_return link->udp->connect_kcp(to, static_cast<std::uint32_t>(io.random_u64())).value();
    }
    auto made = co_await link->udp->connect(options->endpoint, options->server_key, std::move(greeting), options->connect_limit);
    co_return std::move(made.channel);
}
Task<> shake_hands(std::shared_ptr<Link> link, ConnectOptions options) {
    auto channel = co_await open_channel(link.get(), &options);
    std::optional<net::Mailbox> mailbox(std::in_place, *channel);
    const session::Hello hello{options.client_version, std::move(options.credential)};
    channel->send(session::write_hello(hello));
    // Calls that wait for nothing may overtake the welcome.
    std::vector<Bytes> early;
    Bytes answer = co_await mailbox->receive();
    while (session::is_early_call(answer) && early.size() < session::max_early_calls) {
        early.push_back(std::move(answer));
        answer = co_await mailbox->receive();
    }
    link->welcome = session::read_welcome(answer).value();
    for (Bytes& message : mailbox->take_rest()) early.push_back(std::move(message));
    mailbox.reset();
    link->open(std::move(channel), std::move(early), options.dead_after);
}
}  // namespace
}  // namespace detail

Task<Client> Client::connect(io::Io& io, Scope& scope, ConnectOptions options) {
    if (options.credential.size() > session::max_hello_bytes - 128)
        throw Error(errc::too_large, "credential of " + std::to_string(options.credential.size()) + " bytes");
    Client client(std::make_shared<detail::Link>(io, scope, options.call_limit));
    const Duration limit = options.connect_limit;
    co_await with_timeout(limit, detail::shake_hands(client.link_, std::move(options)));
    co_return client;
}

Client& Client::operator=(Client&& other) noexcept {
    if (this != &other) {
        close();
        link_ = std::move(other.link_);
    }
    return *this;
}
Client::~Client() { close(); }

EntityId Client::entity() const { return link_->welcome.entity; }
std::uint64_t Client::session() const { return link_->welcome.session; }
const std::string& Client::server_name() const { return link_->welcome.server_name; }
bool Client::open() const { return link_ && link_->connection; }

Task<Bytes> Client::send(rpc::MethodName method, Bytes arguments) const {
    return detail::call(link_, 0, method, std::move(arguments), {});
}
void Client::post(rpc::MethodName method, BytesView arguments) const {
    (void)detail::notify(*link_, 0, method, arguments);
}
Task<Bytes> Client::call_raw(std::string method, Bytes arguments, EntityId entity) const {
    return detail::call_text(link_, entity, std::move(method), std::move(arguments));
}
bool Client::notify_raw(std::string_view method, BytesView arguments, EntityId entity) const {
    GYRE_ASSERT(!method.empty() && method.size() <= 128, "a method's name is short");
    return detail::notify(*link_, entity, {fnv1a(method), method}, arguments);
}

void Client::add_handler(void* object, std::span<const rpc::MethodEntry> methods) {
    const auto handler = std::make_shared<Handler>(object);
    for (const auto& method : methods) link_->methods.insert_or_assign(method.id, detail::Link::Route{handler, &method});
}
void Client::remove_handler(const void* object) {
    std::erase_if(link_->methods, [object](const auto& one) { return one.second.handler->object == object; });
}
void Client::on_unhandled(std::function<void(std::string_view, BytesView)> told) {
    link_->on_unhandled = std::move(told);
}
void Client::on_closed(std::function<void(const Error&)> told) {
    if (link_->reason) told(*link_->reason);
    else link_->on_closed = std::move(told);
}
Task<> Client::closed() const { return detail::wait_closed(link_); }
const std::optional<Error>& Client::close_reason() const { return link_->reason; }
void Client::close() {
    if (link_) link_->close(Error(errc::closed, "the client closed the session"));
}

}  // namespace gyre::sdk

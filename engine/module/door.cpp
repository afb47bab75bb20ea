#include <algorithm>
#include <gyre/base/id_map.hpp>
#include <gyre/log/log.hpp>
#include <gyre/module/door.hpp>
#include <gyre/rpc/moved.hpp>
#include <gyre/rpc/outgoing.hpp>

namespace gyre::module {
namespace {

/// For what a service is asked: longer than any of its own calls takes.
constexpr Duration patience = 1min;
constexpr Duration ask_again = 500ms;
constexpr int asked_at_most = 30;
constexpr Duration reload_rest = 50ms;
/// Whoever took an entity over has it for a moment.
constexpr Duration moved_rest = 200ms;

bool passes_by(const Error& error) {
    return error.is(errc::unavailable) || error.is(errc::disconnected) ||
           error.is(errc::timed_out) || error.is(errc::overloaded);
}

}  // namespace

class Door::Impl final : public rpc::Target,
                         public ClientSink,
                         public std::enable_shared_from_this<Impl> {
public:
    explicit Impl(Node& node) : node_(node), traces_(node.io.random_u64()) {}

    void open(Methods methods, session::ServerConfig config);
    static Task<> close(std::shared_ptr<Impl> self);
    void shut() noexcept;

    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override;
    bool push(std::uint64_t session, rpc::MethodName method, BytesView arguments) override;
    void kick(std::uint64_t session, const Error& reason) override;
    void moved(std::uint64_t session) override;
    std::vector<ClientLink> links() const override;

    void route(std::uint64_t session, EntityId entity, std::optional<io::Endpoint> at);
    void unroute(std::uint64_t session);
    void find_again(std::uint64_t session);
    bool routed(std::uint64_t session) const;
    void set_limits(const session::ServerLimits& limits) {
        if (server_) server_->set_limits(limits);
    }
    std::size_t size() const { return clients_.size(); }
    std::vector<std::uint64_t> sessions() const;
    DoorStats stats() const;

private:
    struct Client {
        explicit Client(const session::Session& session)
            : info{session.id(), session.entity(), session.user_data, session.user_text} {}
        const SessionInfo info;
        rpc::Destination to;      // no address: this node
        std::uint64_t turn = 0;   // of its routes
        bool routed = false;
        bool gone = false;
        bool entering = false;    // the service is asked for a route
        bool stale = false;       // and what it answers is of no use by now
        bool looking = false;     // and will be, until there is one
        bool opening = false;     // the service is told of the session
        int asked = 0;
        std::optional<Error> failure;  // of the last entering
        Signal changed;
        void drop() {
            routed = false;
            stale = entering;
        }
    };
    using ClientPtr = std::shared_ptr<Client>;

    Task<session::Admission> admit(session::Credential credential);
    void opened(session::Session& session);
    void closed(session::Session& session);
    Task<> say_opened(ClientPtr client);
    Task<> say_closed(ClientPtr client);
    Task<Bytes> ask(const OwnedMethod& method, Bytes arguments, Duration limit);
    Task<> ask_about(const OwnedMethod& method, const Client& client);
    Task<> enter(ClientPtr client);
    Task<> reach(ClientPtr client);
    void look(const ClientPtr& client);
    Task<> keep_looking(ClientPtr client);
    Task<> look_later(ClientPtr client);
    Task<> forward(ClientPtr client, std::uint64_t method, std::string text, Bytes arguments,
                   TimePoint deadline, Form form, std::uint64_t trace, rpc::Responder respond);
    ClientPtr find(std::uint64_t session) const {
        const auto* found = clients_.find(session);
        return found ? *found : nullptr;
    }
    /// A task of the door, from outside of tasks too.
    void start(Task<> task) {
        ContextGuard guard(&scope_->context());
        (void)go(*scope_, std::move(task));
    }

    Node& node_;
    std::unique_ptr<Scope> scope_;
    std::unique_ptr<session::Server> server_;  // null: the door is closed
    Methods methods_;
    std::string service_;
    IdMap<ClientPtr> clients_;
    std::uint64_t forwarded_ = 0, failed_ = 0;
    std::uint64_t traces_;  // the last one
    bool closing_ = false;
};

void Door::Impl::open(Methods methods, session::ServerConfig config) {
    world::Record& record = record_with(methods.admit, "door");
    for (const auto* method : {&methods.opened, &methods.closed, &methods.enter})
        (void)record_with(*method, "door");
    if (server_) throw Error(errc::in_use, "the door of " + node_.info.name + " was opened by " + service_);
    config.endpoint = node_.info.client_address;
    config.server_name = node_.info.name;
    config.metrics = &node_.metrics;
    config.identity = secure::Identity(node_.keys.server);
    methods_ = std::move(methods);
    service_ = record.type.name;
    closing_ = false;
    scope_ = std::make_unique<Scope>(node_.io.executor(), node_.info.name + " door", node_.scope.context());
    auto server = std::make_unique<session::Server>(
        node_.io, *scope_, std::move(config),
        [this](session::Credential credential) { return admit(std::move(credential)); }, *this);
    server->on_opened([this](session::Session& session) { opened(session); });
    server->on_closed([this](session::Session& session, const Error&) { closed(session); });
    server->listen().value();
    server_ = std::move(server);
    node_.info.client_address = server_->local();
    node_.clients = this;

    /// Shuts the door when the service ends without having closed it.
    class Opening final : public world::Attachment {
    public:
        Opening(std::weak_ptr<Impl> door, const session::Server* server)
            : door_(std::move(door)), server_(server) {}
        ~Opening() override {
            const auto door = door_.lock();
            if (door && door->server_.get() == server_) door->shut();
        }

    private:
        std::weak_ptr<Impl> door_;
        const session::Server* server_;
    };
    record.attachments.push_back(std::make_unique<Opening>(weak_from_this(), server_.get()));
}

void Door::Impl::shut() noexcept {
    closing_ = true;
    if (node_.clients == this) node_.clients = nullptr;
    scope_->cancel();
    server_->close();
}

Task<> Door::Impl::close(std::shared_ptr<Impl> self) {
    if (!self->server_) co_return;
    self->closing_ = true;
    if (self->node_.clients == self.get()) self->node_.clients = nullptr;
    co_await self->scope_->close();  // clients hear of their calls before their sessions end
    if (!self->server_) co_return;
    self->server_->close();
    self->server_.reset();
    self->clients_ = {};
    self->node_.info.sessions = 0;
}

Task<Bytes> Door::Impl::ask(const OwnedMethod& method, Bytes arguments, Duration limit) {
    rpc::CallOptions options;
    options.limit = limit;
    for (;;) {
        auto answer = co_await as_result(
            node_.rpc.call({.at = node_.rpc.address()}, method.name(), arguments, options));
        if (answer) co_return *std::move(answer);
        const auto* service = node_.host.find_service(service_);
        if (!service || service->stopping) throw Error(errc::cancelled, service_ + " ends");
        if (!answer.error().is(errc::reloading)) throw answer.error();
        co_await sleep(reload_rest);
    }
}
Task<> Door::Impl::ask_about(const OwnedMethod& method, const Client& client) {
    (void)co_await ask(method, encode(std::tuple(client.info)), patience);
}

Task<session::Admission> Door::Impl::admit(session::Credential credential) {
    const Bytes answer = co_await ask(methods_.admit, encode(std::tuple(std::move(credential))), patience);
    auto admission = decode<session::Admission>(answer).value();
    if (admission.entity == 0) throw Error(errc::unauthorized, "the client has no entity");
    co_return admission;
}

void Door::Impl::opened(session::Session& session) {
    const auto client = std::make_shared<Client>(session);
    clients_.insert(session.id(), client);
    node_.info.sessions = clients_.size();
    client->opening = true;
    start(say_opened(client));
    look(client);
}

Task<> Door::Impl::say_opened(ClientPtr client) {
    const auto told = co_await as_result(ask_about(methods_.opened, *client));
    client->opening = false;
    client->changed.notify_all();
    if (!told && !closing_) kick(client->info.session, told.error());
}

void Door::Impl::closed(session::Session& session) {
    const auto client = find(session.id());
    if (!client) return;
    clients_.erase(session.id());
    client->gone = true;
    client->routed = false;
    node_.info.sessions = clients_.size();
    if (!closing_) start(say_closed(client));
}

Task<> Door::Impl::say_closed(ClientPtr client) {
    while (client->opening || client->entering) co_await client->changed.wait();
    for (;;) {
        const auto told = co_await as_result(ask_about(methods_.closed, *client));
        if (told || told.error().is(errc::cancelled)) co_return;
        const bool again = passes_by(told.error());
        log::write(again ? log::Level::debug : log::Level::warn, "door.closed_failed",
                   {{"entity", client->info.entity}, {"error", told.error().what()}});
        if (!again) co_return;
        co_await sleep(1s);
    }
}

Task<> Door::Impl::enter(ClientPtr client) {
    auto entered = co_await as_result(ask_about(methods_.enter, *client));
    while (std::exchange(client->stale, false) && !client->gone) {
        client->routed = false;
        entered = co_await as_result(ask_about(methods_.enter, *client));
    }
    client->entering = false;
    if (!entered) client->failure = entered.error();
    client->changed.notify_all();
}

/// Until it has a route. The task that asks is not the caller's: it ends with no deadline of his.
Task<> Door::Impl::reach(ClientPtr client) {
    if (!client->gone && !client->entering) {
        client->entering = true;
        client->failure.reset();
        start(enter(client));
    }
    while (client->entering) co_await client->changed.wait();
    if (client->gone) throw Error(errc::closed, "the session has ended");
    if (client->routed) co_return;
    if (client->failure) throw *client->failure;
    throw Error(errc::unavailable, "the way to entity " + std::to_string(client->info.entity) + " was lost");
}

void Door::Impl::look(const ClientPtr& client) {
    client->asked = 0;
    if (!std::exchange(client->looking, true)) start(keep_looking(client));
}
Task<> Door::Impl::keep_looking(ClientPtr client) {
    while (!client->gone && !client->routed && client->asked < asked_at_most) {
        const int asked = ++client->asked;
        const auto reached = co_await as_result(reach(client));
        if (reached || client->gone) break;
        log::write(asked == 5 ? log::Level::warn : log::Level::debug,  // not at once
                   "door.enter_failed",
                   {{"entity", client->info.entity}, {"error", reached.error().what()}});
        co_await sleep(ask_again);
    }
    client->looking = false;
}

void Door::Impl::moved(std::uint64_t session) {
    if (const auto client = find(session); client && !closing_) start(look_later(client));
}
Task<> Door::Impl::look_later(ClientPtr client) {
    co_await sleep(moved_rest);
    client->drop();
    look(client);
}

bool Door::Impl::push(std::uint64_t session, rpc::MethodName method, BytesView arguments) {
    auto* found = server_ ? server_->find(session) : nullptr;
    return found && found->push(method, arguments);
}
void Door::Impl::kick(std::uint64_t session, const Error& reason) {
    if (auto* found = server_ ? server_->find(session) : nullptr) found->close(reason);
}

void Door::Impl::route(std::uint64_t session, EntityId entity, std::optional<io::Endpoint> at) {
    const auto client = find(session);
    if (!client) return;
    client->to = {.entity = entity, .type = {}, .at = std::move(at)};
    client->routed = true;
    ++client->turn;
}
void Door::Impl::unroute(std::uint64_t session) {
    if (const auto client = find(session)) client->drop();
}
void Door::Impl::find_again(std::uint64_t session) {
    const auto client = find(session);
    if (!client || closing_) return;
    client->drop();
    look(client);
}
bool Door::Impl::routed(std::uint64_t session) const {
    const auto client = find(session);
    return client && client->routed;
}
std::vector<std::uint64_t> Door::Impl::sessions() const {
    std::vector<std::uint64_t> all;
    clients_.each([&](std::uint64_t session, const ClientPtr&) { all.push_back(session); });
    std::sort(all.begin(), all.end());
    return all;
}
std::vector<ClientLink> Door::Impl::links() const {
    std::vector<ClientLink> all;
    const auto ms = [](Duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
    for (const std::uint64_t id : sessions()) {
        auto* session = server_ ? server_->find(id) : nullptr;
        if (!session) continue;
        const net::LinkStats s = session->connection().stats();
        all.push_back({id, session->entity(), session->peer().to_string(), std::string(s.transport), ms(s.srtt),
                       ms(s.rtt_jitter), s.loss(), s.resent_late + s.resent_early, s.bytes_sent, s.bytes_received,
                       s.messages_sent, s.messages_received, s.queued_bytes});
    }
    return all;
}
DoorStats Door::Impl::stats() const {
    DoorStats stats{clients_.size(), 0, forwarded_, failed_};
    clients_.each([&](std::uint64_t, const ClientPtr& client) { stats.routed += client->routed; });
    return stats;
}

void Door::Impl::dispatch(const rpc::IncomingCall& call, rpc::Responder respond) {
    const ClientPtr* found = clients_.find(call.caller.session);
    if (!found) {
        respond(Error(errc::closed, "the session has ended"));
        return;
    }
    const Client& client = **found;
    // Each call of a client begins a trace of its own: what a client says of it is not believed.
    const std::uint64_t trace = traces_ += 0x9e37'79b9'7f4a'7c15;
    if (call.entity != 0 && call.entity != client.info.entity) {
        respond(Error(errc::forbidden, "a client calls its own entity only"));
        return;
    }
    if (client.routed && !client.to.at) {
        ++forwarded_;
        rpc::IncomingCall inside = call;
        inside.entity = client.to.entity;
        inside.trace = trace;
        node_.host.dispatch(inside, std::move(respond));
        return;
    }
    start(forward(*found, call.method.id, std::string(call.method.text),
                  Bytes(call.arguments.begin(), call.arguments.end()), call.deadline, call.form,
                  trace, std::move(respond)));
}

Task<> Door::Impl::forward(ClientPtr client, std::uint64_t method, std::string text, Bytes arguments,
                           TimePoint deadline, Form form, std::uint64_t trace, rpc::Responder respond) {
    const rpc::MethodName name{method, text};
    const bool wanted = respond.wanted();
    ++forwarded_;
    std::uint64_t turn = 0;
    try {
        Chain::running().deadline = deadline;
        Chain::running().trace = trace;
        rpc::CallOptions options = node_.rpc.default_options();
        options.caller = {client->info.entity, client->info.session};
        options.form = form;
        for (int tries = 0; tries < 2; ++tries) {
            if (!client->routed) co_await reach(client);
            turn = client->turn;
            const rpc::Destination to = client->to;
            if (!to.at) {
                node_.host.dispatch({.entity = to.entity,
                                     .method = name,
                                     .arguments = arguments,
                                     .caller = options.caller,
                                     .deadline = deadline,
                                     .trace = current->trace,
                                     .form = form},
                                    std::move(respond));
                co_return;
            }
            try {
                rpc::Outgoing call(node_.rpc, to, name, options);
                if (!call.at_hand()) co_await call.reach();
                call.arguments().encoded(arguments);
                respond(co_await call);
                co_return;
            } catch (const Error& error) {
                // Not run: it is another node's by now.
                if (!rpc::read_moved(error, to.entity)) throw;
            }
            if (client->turn == turn) client->routed = false;
        }
        throw Error(errc::unavailable, "entity " + std::to_string(client->info.entity) + " is moving");
    } catch (const Error& error) {
        // The node may have lost the session with its memory: it is told again.
        if ((error.is(errc::disconnected) || error.is(errc::timed_out)) && client->turn == turn)
            client->routed = false;
        ++failed_;
        if (wanted) respond(error);
    }
}

Door::Door(Node& node) : impl_(std::make_shared<Impl>(node)) {}
Door::~Door() = default;
void Door::open(Methods methods, session::ServerConfig config) {
    impl_->open(std::move(methods), std::move(config));
}
void Door::set_limits(const session::ServerLimits& limits) {
    impl_->set_limits(limits);
}
Task<> Door::close() { return Impl::close(impl_); }
void Door::route(std::uint64_t session, EntityId entity, std::optional<io::Endpoint> at) {
    impl_->route(session, entity, std::move(at));
}
void Door::unroute(std::uint64_t session) { impl_->unroute(session); }
void Door::find_again(std::uint64_t session) { impl_->find_again(session); }
bool Door::routed(std::uint64_t session) const { return impl_->routed(session); }
std::size_t Door::size() const { return impl_->size(); }
std::vector<std::uint64_t> Door::sessions() const { return impl_->sessions(); }
DoorStats Door::stats() const { return impl_->stats(); }

}  // namespace gyre::module

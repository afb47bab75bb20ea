#include <gyre/rpc/moved.hpp>
#include <gyre/session/server.hpp>
#include <gyre/session/session.hpp>
#include <gyre/web/jwt.hpp>

#include <charconv>
#include <map>

#include "services/lobby/lobby.hpp"

namespace gyre::gate {
namespace {

/// The section "gate" of gyre.json.
struct GateConfig {
    std::uint32_t max_sessions = 10'000;
    std::uint32_t calls_per_second = 100;  ///< Of one client; 0: no limit.
    std::uint32_t min_client_version = 0;
    std::string entity = "Avatar";         ///< Type of what clients play; its role hosts it.
    std::string home_role = "lobby";
    bool unsealed_beyond_loopback = false;  ///< What passes can be read and changed on the way.
    static consteval auto describe() {
        return type<GateConfig>("GateConfig", field<&GateConfig::max_sessions>(),
                                field<&GateConfig::calls_per_second>(),
                                field<&GateConfig::min_client_version>(), field<&GateConfig::entity>(),
                                field<&GateConfig::home_role>(),
                                field<&GateConfig::unsealed_beyond_loopback>());
    }
};

struct GateStatus {
    std::uint64_t sessions = 0, entered = 0, forwarded = 0, failed = 0;
    static consteval auto describe() {
        return type<GateStatus>("GateStatus", field<&GateStatus::sessions>(),
                                field<&GateStatus::entered>(), field<&GateStatus::forwarded>(),
                                field<&GateStatus::failed>());
    }
};

}  // namespace

/// Faces the internet: authenticates clients and passes their calls to the entity they play.
/// A client stays connected while the lobby behind it changes.
struct Gate : Service<Gate> {
    static constexpr std::string_view role = "gate";
    Task<> on_start();
    Task<> on_stop();
    GateStatus status();
    static consteval auto describe() {
        return type<Gate>("Gate", method<&Gate::status>());
    }

private:
    class Front;
    std::shared_ptr<Front> front_;
};

class Gate::Front : public rpc::Target, public module::ClientSink {
public:
    Front(module::Node& node, Scope& scope, GateConfig config)
        : node_(node), scope_(scope), config_(std::move(config)) {
        session::ServerConfig server;
        server.endpoint = node.info.client_address;
        server.server_name = node.info.name;
        server.unsealed_beyond_loopback = config_.unsealed_beyond_loopback;
        server.max_sessions = config_.max_sessions;
        server.calls_per_second = config_.calls_per_second;
        server.min_client_version = config_.min_client_version;
        server.max_handshakes_per_ip_per_second = 0;
        server.metrics = &node.metrics;
        server_ = std::make_unique<session::Server>(
            node.io, scope, server, [this](session::Credential c) { return admit(std::move(c)); }, *this);
        server_->on_opened([this](session::Session& session) { opened(session); });
        server_->on_closed([this](session::Session& session, const Error&) { closed(session); });
        left_ = node.directory.on_left([this](const cluster::NodeInfo& gone) {
            // Registered anew ourselves: the lobbies took us for dead, and our sessions with us.
            if (gone.name == node_.info.name)
                for (const auto& [id, player] : players_) player->known = false;
            if (gone.role == config_.home_role || gone.name == node_.info.name) enter_all();
        });
        joined_ = node.directory.on_joined([this](const cluster::NodeInfo& came) {
            if (came.role == config_.home_role) enter_all();
        });
    }

    Result<> listen() {
        auto listening = server_->listen();
        if (listening) node_.info.client_address = server_->local();
        return listening;
    }
    void close() { server_->close(); }
    GateStatus status() const {
        GateStatus s{server_->sessions(), 0, forwarded_, failed_};
        for (const auto& [id, player] : players_) s.entered += player->known;
        return s;
    }

    bool push(std::uint64_t session, rpc::MethodName method, BytesView arguments) override {
        auto* found = server_->find(session);
        return found && found->push(method, arguments);
    }
    void kick(std::uint64_t session, const Error& reason) override {
        if (auto* found = server_->find(session)) found->close(reason);
    }

    void moved(std::uint64_t session) override {
        const auto found = players_.find(session);
        if (found == players_.end()) return;
        ContextGuard guard(&scope_.context());
        (void)go(scope_, enter_again(found->second));
    }

    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override {
        const auto found = players_.find(call.caller.session);
        if (found == players_.end()) {
            respond(Error(errc::closed, "the session has ended"));
            return;
        }
        if (call.entity != 0 && call.entity != call.caller.entity) {
            respond(Error(errc::forbidden, "a client calls its own entity only"));
            return;
        }
        ContextGuard guard(&scope_.context());
        (void)go(scope_, forward(found->second, call.method.id, std::string(call.method.text),
                                 Bytes(call.arguments.begin(), call.arguments.end()), call.deadline,
                                 call.form, std::move(respond)));
    }

private:
    struct Player {
        std::uint64_t session = 0;
        EntityId entity = 0;
        std::string name;
        io::Endpoint home{"", 0};       // the lobby that was last told of this session
        std::uint64_t incarnation = 0;  // of it
        bool known = false;             // it has said so, and nothing speaks against it
        Mutex entering;
        bool gone = false;
    };

    Task<session::Admission> admit(session::Credential credential) {
        const auto now_s = node_.io.wall_now().time_since_epoch() / 1s;
        const auto claims = web::jwt_verify(credential.text, node_.keys.login.bytes(),
                                            {.now_s = now_s, .issuer = "gyre", .audience = "gate"});
        if (!claims) throw claims.error();
        session::Admission admission;
        const auto& id = claims->subject;
        const auto [end, failure] = std::from_chars(id.data(), id.data() + id.size(), admission.entity);
        if (failure != std::errc{} || end != id.data() + id.size() || admission.entity == 0)
            throw Error(errc::unauthorized, "the token names no entity");
        const auto name = claims->extra.find("name");
        if (name != claims->extra.end()) names_[admission.entity] = name->second;
        co_return admission;
    }

    void opened(session::Session& session) {
        auto player = std::make_shared<Player>();
        player->session = session.id();
        player->entity = session.entity();
        if (const auto name = names_.extract(player->entity)) player->name = name.mapped();
        players_.emplace(session.id(), player);
        node_.info.sessions = players_.size();
        node_.info.load = players_.size();
        ContextGuard guard(&scope_.context());
        (void)go(scope_, enter_quietly(player));
    }
    void closed(session::Session& session) {
        const auto found = players_.find(session.id());
        if (found == players_.end()) return;
        const auto player = found->second;
        players_.erase(found);
        player->gone = true;
        node_.info.sessions = players_.size();
        node_.info.load = players_.size();
        if (player->home.port == 0 || scope_.closing()) return;
        ContextGuard guard(&scope_.context());
        (void)go(scope_, leave(player));
    }
    /// Until the lobby has heard it, or is no more: else the avatar would wait for its client.
    Task<> leave(std::shared_ptr<Player> player) {
        const auto permit = co_await player->entering.lock();
        for (;;) {
            const auto left = co_await as_result(
                at(player->home).service<lobby::Lobby>().call<&lobby::Lobby::leave>(player->entity, player->session));
            if (left) co_return;
            log::debug("gate.leave_failed", {{"error", left.error().what()}});
            const auto home = node_.directory.by_address(player->home);
            if (!home || home->incarnation != player->incarnation) co_return;
            co_await sleep(1s);
        }
    }

    /// The lobby of this player, after it knows the session.
    Task<io::Endpoint> enter(std::shared_ptr<Player> player) {
        const auto permit = co_await player->entering.lock();
        if (player->gone) throw Error(errc::closed, "the session has ended");
        const auto home = node_.directory.home(config_.home_role, player->entity);
        if (!home) throw Error(errc::unavailable, "no " + config_.home_role + " is up");
        if (player->known && player->home == home->address && player->incarnation == home->incarnation)
            co_return player->home;
        player->known = false;
        player->home = home->address;
        player->incarnation = home->incarnation;
        co_await at(home->address)
            .service<lobby::Lobby>()
            .call<&lobby::Lobby::enter>(
                {player->entity, player->name, {player->session, node_.rpc.address()}});
        player->known = true;
        co_return player->home;
    }
    Task<> enter_quietly(std::shared_ptr<Player> player) {
        for (int attempt = 0; attempt < 30 && !player->gone; ++attempt) {
            const auto entered = co_await as_result(enter(player));
            if (entered) co_return;
            const auto level = attempt == 4 ? log::Level::warn : log::Level::debug;  // not at once
            log::write(level, "gate.enter_failed",
                       {{"entity", player->entity}, {"error", entered.error().what()}});
            co_await sleep(500ms);
        }
    }
    /// Not at once: whoever took the entity has it for a moment.
    Task<> enter_again(std::shared_ptr<Player> player) {
        co_await sleep(200ms);
        player->known = false;
        co_await enter_quietly(player);
    }
    void enter_all() {
        ContextGuard guard(&scope_.context());
        if (!players_.empty()) log::info("gate.homes_changed", {{"sessions", players_.size()}});
        for (const auto& [id, player] : players_) (void)go(scope_, enter_quietly(player));
    }

    Task<> forward(std::shared_ptr<Player> player, std::uint64_t method, std::string text,
                   Bytes arguments, TimePoint deadline, Form form, rpc::Responder respond) {
        const bool wanted = respond.wanted();
        try {
            Chain::running().deadline = deadline;
            rpc::CallOptions options = node_.rpc.default_options();
            options.caller = {player->entity, player->session};
            options.form = form;
            ++forwarded_;
            for (int tries = 0; tries < 2; ++tries) {
                const io::Endpoint home = co_await enter(player);
                const auto reply = co_await as_result(node_.rpc.call(
                    {.entity = player->entity, .at = home}, {method, text}, arguments, options));
                if (!reply && rpc::read_moved(reply.error(), player->entity)) {
                    player->known = false;  // not run: its home is another by now
                    continue;
                }
                if (!reply) throw reply.error();
                respond(reply);
                co_return;
            }
            throw Error(errc::unavailable, "the avatar is moving");
        } catch (const Error& error) {
            // The lobby may have lost the session with its memory: it is told again.
            if (error.is(errc::disconnected) || error.is(errc::timed_out)) player->known = false;
            ++failed_;
            if (wanted) respond(error);
        }
    }

    module::Node& node_;
    Scope& scope_;
    GateConfig config_;
    std::unique_ptr<session::Server> server_;
    std::map<std::uint64_t, std::shared_ptr<Player>> players_;
    std::map<EntityId, std::string> names_;  // of accounts, between admission and session
    cluster::Subscription left_, joined_;
    std::uint64_t forwarded_ = 0, failed_ = 0;
};

Task<> Gate::on_start() {
    front_ = std::make_shared<Front>(this_node(), scope(), this_node().config.as<GateConfig>("gate").value());
    front_->listen().value();
    this_node().clients = front_.get();
    co_return;
}
Task<> Gate::on_stop() {
    this_node().clients = nullptr;
    front_->close();
    front_.reset();
    co_return;
}
GateStatus Gate::status() { return front_->status(); }

}  // namespace gyre::gate

GYRE_MODULE("gate", gyre::gate::Gate)

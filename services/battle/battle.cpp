#include <gyre/codec/codec.hpp>
#include <gyre/secure/token.hpp>
#include <gyre/session/server.hpp>
#include <gyre/session/session.hpp>

#include <map>

#include "services/match/matchmaking.hpp"

namespace gyre::match {
namespace {
/// The section "battle" of gyre.json.
struct BattleConfig {
    std::string entity = "Match";  ///< The type that runs a match; answers what MatchEntity does.
    std::uint32_t max_matches = 1000;
    std::uint32_t min_client_version = 0;
    bool unsealed_beyond_loopback = false;  ///< What passes can be read and changed on the way.
    static consteval auto describe() {
        return type<BattleConfig>("BattleConfig", field<&BattleConfig::entity>(),
                                  field<&BattleConfig::max_matches>(),
                                  field<&BattleConfig::min_client_version>(),
                                  field<&BattleConfig::unsealed_beyond_loopback>());
    }
};
}  // namespace

/// Clients of this battle node: a ticket opens a session in one match.
class Battle::Sessions : public rpc::Target, public module::ClientSink {
public:
    Sessions(module::Node& node, Scope& scope, BattleConfig config)
        : node_(node), scope_(scope), config_(std::move(config)) {
        session::ServerConfig server;
        server.endpoint = node.info.client_address;
        server.server_name = node.info.name;
        server.unsealed_beyond_loopback = config_.unsealed_beyond_loopback;
        server.calls_per_second = 120;
        server.min_client_version = config_.min_client_version;
        server.max_handshakes_per_ip_per_second = 0;
        server.metrics = &node.metrics;
        server_ = std::make_unique<session::Server>(
            node.io, scope, server, [this](session::Credential c) { return admit(std::move(c)); }, *this);
        server_->on_opened([this](session::Session& session) { opened(session); });
        server_->on_closed([this](session::Session& session, const Error&) { closed(session); });
    }
    Result<> listen() {
        auto listening = server_->listen();
        if (listening) node_.info.client_address = server_->local();
        return listening;
    }
    void close() { server_->close(); }
    const BattleConfig& config() const { return config_; }
    std::size_t players() const { return server_->sessions(); }

    bool push(std::uint64_t session, rpc::MethodName method, BytesView arguments) override {
        auto* found = server_->find(session);
        return found && found->push(method, arguments, session::Delivery::sequenced);
    }
    void kick(std::uint64_t session, const Error& reason) override {
        if (auto* found = server_->find(session)) found->close(reason);
    }
    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override {
        auto* session = server_->find(call.caller.session);
        if (!session) {
            respond(Error(errc::closed, "the session has ended"));
            return;
        }
        rpc::IncomingCall to_match = call;
        to_match.entity = session->user_data;
        node_.host.dispatch(to_match, std::move(respond));
    }

private:
    Task<session::Admission> admit(session::Credential credential) {
        const secure::SignedToken tokens(node_.keys.ticket, ticket_purpose);
        const auto bytes = tokens.open(credential.text);
        if (!bytes) throw bytes.error();
        const auto claims = decode<TicketClaims>(*bytes);
        if (!claims) throw Error(errc::unauthorized, "the ticket makes no sense");
        const auto now_ms = node_.io.wall_now().time_since_epoch() / 1ms;
        if (claims->node != node_.info.name || claims->incarnation != node_.info.incarnation)
            throw Error(errc::unauthorized, "the ticket is for " + claims->node + ", or for a former start of it");
        if (now_ms >= claims->expires_ms) throw Error(errc::unauthorized, "the ticket has expired");
        // A ticket is for this start of this node, so memory is enough to use it once.
        std::erase_if(used_, [&](const auto& one) { return one.second < now_ms; });
        if (!used_.emplace(claims->number, claims->expires_ms).second)
            throw Error(errc::unauthorized, "the ticket was used before");
        if (!node_.host.find(claims->match)) throw Error("match_over", "that match has ended");
        co_return session::Admission{claims->player, claims->match};
    }
    void opened(session::Session& session) {
        ContextGuard guard(&scope_.context());
        (void)go(scope_, join(session.id(), session.entity(), session.user_data));
        node_.info.sessions = server_->sessions();
    }
    Task<> join(std::uint64_t session, EntityId player, EntityId match) {
        const auto joined = co_await as_result(at(node_.rpc.address())
                                                   .entity(Id<MatchEntity>{match})
                                                   .call<&MatchEntity::join>(player, {session, node_.rpc.address()}));
        if (!joined) kick(session, joined.error());
    }
    void closed(session::Session& session) {
        node_.info.sessions = server_->sessions();
        if (scope_.closing()) return;
        ContextGuard guard(&scope_.context());
        at(node_.rpc.address())
            .entity(Id<MatchEntity>{session.user_data})
            .notify<&MatchEntity::leave>(session.entity(), session.id());
    }

    module::Node& node_;
    Scope& scope_;
    BattleConfig config_;
    std::unique_ptr<session::Server> server_;
    std::map<std::uint64_t, std::int64_t> used_;  // ticket number -> when it expires anyway
};

Task<> Battle::on_start() {
    auto config = this_node().config.as<BattleConfig>("battle").value();
    const auto* type = this_node().host.find_type(config.entity);
    if (!type) throw Error(errc::bad_config, "battle.entity: no module has a type \"" + config.entity + "\"");
    sessions_ = std::make_shared<Sessions>(this_node(), scope(), std::move(config));
    sessions_->listen().value();
    this_node().clients = sessions_.get();
    timers().every<&Battle::report>(100ms, "report");
    co_return;
}

Task<> Battle::on_stop() {
    this_node().clients = nullptr;
    sessions_->close();
    sessions_.reset();
    co_return;
}

void Battle::report() { this_node().info.load = this_node().host.ids(sessions_->config().entity).size() * 10; }

Task<Reservation> Battle::reserve(Plan plan) {
    const auto& config = sessions_->config();
    auto& here = this_node();
    if (here.info.draining) throw Error(errc::unavailable, here.info.name + " is draining");
    if (here.host.ids(config.entity).size() >= config.max_matches)
        throw Error(errc::overloaded, here.info.name + " runs " + std::to_string(config.max_matches) + " matches");
    const EntityId match = here.host.create(*here.host.find_type(config.entity)).id;
    const auto opened = co_await as_result(
        at(here.rpc.address()).entity(Id<MatchEntity>{match}).call<&MatchEntity::open>(std::move(plan)));
    if (!opened) {
        here.host.retire(match);
        throw opened.error();
    }
    report();
    co_return Reservation{match, here.info.name, here.info.incarnation, here.rpc.address(), here.info.client_address};
}

Task<> Battle::wait_end(EntityId match, std::uint64_t incarnation) {
    auto& here = this_node();
    if (!here.host.find(match) && incarnation != here.info.incarnation)
        throw Error(errc::entity_gone, "match " + std::to_string(match) + " ended with a former start of " + here.info.name);
    // No longer than its caller waits.
    co_await with_deadline(current->deadline, here.host.gone(match));
}

BattleStatus Battle::status() {
    return {this_node().host.ids(sessions_->config().entity).size(), sessions_->players()};
}

}  // namespace gyre::match

GYRE_MODULE("battle", gyre::match::Battle)

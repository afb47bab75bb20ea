#include <gyre/module/door.hpp>
#include <gyre/module/nodes.hpp>
#include <gyre/web/jwt.hpp>

#include <charconv>
#include <map>

#include "services/lobby/lobby.hpp"

namespace gyre::gate {
namespace {

struct GateConfig {
    static constexpr std::string_view config_section = "gate";
    std::uint32_t max_sessions = 10'000;
    std::uint32_t calls_per_second = 100;
    std::uint32_t min_client_version = 0;
    bool rudp = true;
    bool standard_kcp = false;
    std::string home_role = "lobby";
    static consteval auto describe() {
        return type<GateConfig>("GateConfig",
            field<&GateConfig::max_sessions>(live, about("clients at a time; beyond it: `overloaded`")),
            field<&GateConfig::calls_per_second>(live, about("of one client; excess calls end `overloaded`; 0: no limit")),
            field<&GateConfig::min_client_version>(live, about("older clients end `update_required`")),
            field<&GateConfig::rudp>(about("reliable UDP at the port number of TCP, sealed as TCP is")),
            field<&GateConfig::standard_kcp>(about("plain KCP besides, at the port number of TCP plus 1000: nothing is sealed or authenticated; for trusted networks only")),
            field<&GateConfig::home_role>(about("role of the nodes that host what clients play")));
    }
};
GateConfig config() { return this_node().config.as<GateConfig>().value(); }

struct GateStatus {
    std::uint64_t sessions = 0, entered = 0, forwarded = 0, failed = 0;
    static consteval auto describe() {
        return type<GateStatus>("GateStatus", field<&GateStatus::sessions>(),
                                field<&GateStatus::entered>(), field<&GateStatus::forwarded>(),
                                field<&GateStatus::failed>());
    }
};

}  // namespace

/// The lobby that was last told of a session.
struct Told {
    EntityId entity = 0;
    io::Endpoint address;
    std::uint64_t incarnation = 0;
    static consteval auto describe() {
        return type<Told>("Told", field<&Told::entity>(), field<&Told::address>(),
                          field<&Told::incarnation>());
    }
};

/// Faces the internet: authenticates clients and says where the entity is that each plays; the
/// node's door passes their calls on. A client stays connected while the lobby behind it changes.
struct Gate : Service<Gate> {
    static constexpr std::string_view role = "gate";
    Task<> on_start();
    Task<> on_stop();
    void on_config_changed();
    GateStatus status();

    // Of the door.
    Task<session::Admission> admit(session::Credential credential);
    void opened(module::SessionInfo client);
    /// Routes the session to its lobby, after it knows the session.
    Task<> enter(module::SessionInfo client);
    Task<> closed(module::SessionInfo client);

    void node_left(cluster::NodeInfo gone);
    void node_joined(cluster::NodeInfo came);
    void homes_changed(std::string of_role);

    static consteval auto describe() {
        return type<Gate>("Gate", field<&Gate::told_>(), field<&Gate::home_role_>(),
                          method<&Gate::status>(), method<&Gate::admit>(), method<&Gate::opened>(),
                          method<&Gate::enter>(), method<&Gate::closed>(),
                          method<&Gate::node_left>(), method<&Gate::node_joined>(),
                          method<&Gate::homes_changed>());
    }

private:
    bool is_home(std::uint64_t session) const;
    void find_homes(bool all);
    std::map<std::uint64_t, Told> told_;  // by session
    std::string home_role_;
};

Task<> Gate::on_start() {
    const auto settings = config();
    home_role_ = settings.home_role;
    session::ServerConfig server;
    server.max_sessions = settings.max_sessions;
    server.calls_per_second = settings.calls_per_second;
    server.min_client_version = settings.min_client_version;
    server.rudp = settings.rudp;
    server.standard_kcp = settings.standard_kcp;
    server.max_handshakes_per_ip_per_second = 0;
    door().open<&Gate::admit, &Gate::opened, &Gate::closed, &Gate::enter>(std::move(server));
    nodes().on_left<&Gate::node_left>();
    nodes().on_joined<&Gate::node_joined>();
    nodes().on_homes_changed<&Gate::homes_changed>();
    co_return;
}
Task<> Gate::on_stop() { co_await door().close(); }
void Gate::on_config_changed() {
    const auto settings = config();
    door().set_limits({settings.max_sessions, static_cast<double>(settings.calls_per_second), settings.min_client_version});
}

GateStatus Gate::status() {
    const auto stats = door().stats();
    return {stats.sessions, stats.routed, stats.forwarded, stats.failed};
}

Task<session::Admission> Gate::admit(session::Credential credential) {
    auto& here = this_node();
    const auto now_s = here.io.wall_now().time_since_epoch() / 1s;
    const auto claims = web::jwt_verify(credential.text, here.keys.login.bytes(),
                                        {.now_s = now_s, .issuer = "gyre", .audience = "gate"});
    if (!claims) throw claims.error();
    session::Admission admission;
    const auto& id = claims->subject;
    const auto [end, failure] = std::from_chars(id.data(), id.data() + id.size(), admission.entity);
    if (failure != std::errc{} || end != id.data() + id.size() || admission.entity == 0)
        throw Error(errc::unauthorized, "the token names no entity");
    const auto name = claims->extra.find("name");
    if (name != claims->extra.end()) admission.user_text = name->second;
    co_return admission;
}

void Gate::opened(module::SessionInfo) { this_node().info.load = door().size(); }

Task<> Gate::enter(module::SessionInfo client) {
    const auto home = this_node().directory.home(home_role_, client.entity);
    if (!home) throw Error(errc::unavailable, "no " + home_role_ + " is up");
    told_[client.session] = {client.entity, home->address, home->incarnation};
    co_await at(home->address)
        .service<lobby::Lobby>()
        .call<&lobby::Lobby::enter>(
            {client.entity, client.user_text, {client.session, this_node().rpc.address()}});
    door().route(client.session, client.entity, home->address);
}

/// Until the lobby has heard it, or is no more: else the avatar would wait for its client.
Task<> Gate::closed(module::SessionInfo client) {
    this_node().info.load = door().size();
    const auto found = told_.find(client.session);
    if (found == told_.end()) co_return;
    const Told home = found->second;
    const auto left = co_await as_result(
        at(home.address).service<lobby::Lobby>().call<&lobby::Lobby::leave>(client.entity, client.session));
    if (!left) {
        const auto there = this_node().directory.by_address(home.address);
        if (there && there->incarnation == home.incarnation)
            throw Error(errc::unavailable, left.error().what());
    }
    told_.erase(client.session);
}

void Gate::node_left(cluster::NodeInfo gone) {
    // Registered anew ourselves: the lobbies took us for dead, and our sessions with us.
    const bool anew = gone.name == this_node().info.name;
    if (anew || gone.role == home_role_) find_homes(anew);
}
void Gate::node_joined(cluster::NodeInfo came) {
    if (came.role == home_role_) find_homes(false);
}
/// One that drains keeps its avatars until their clients call again.
void Gate::homes_changed(std::string of_role) {
    if (of_role != home_role_) return;
    for (const std::uint64_t session : door().sessions())
        if (!is_home(session)) door().unroute(session);
}

bool Gate::is_home(std::uint64_t session) const {
    const auto found = told_.find(session);
    if (found == told_.end() || !door().routed(session)) return false;
    const Told& told = found->second;
    const auto home = this_node().directory.home(home_role_, told.entity);
    return home && home->address == told.address && home->incarnation == told.incarnation;
}

void Gate::find_homes(bool all) {
    const auto sessions = door().sessions();
    if (!sessions.empty()) log::info("gate.homes_changed", {{"sessions", sessions.size()}});
    for (const std::uint64_t session : sessions)
        if (all || !is_home(session)) door().find_again(session);
}

}  // namespace gyre::gate

GYRE_MODULE("gate", gyre::gate::Gate, gyre::gate::GateConfig)

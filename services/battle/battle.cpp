#include <gyre/codec/codec.hpp>
#include <gyre/module/door.hpp>
#include <gyre/secure/token.hpp>

#include "services/match/matchmaking.hpp"

namespace gyre::match {
namespace {
struct BattleConfig {
    static constexpr std::string_view config_section = "battle";
    std::string entity = "Match";
    std::uint32_t max_matches = 1000;
    std::uint32_t min_client_version = 0;
    bool rudp = true;
    bool standard_kcp = false;
    static consteval auto describe() {
        return type<BattleConfig>("BattleConfig",
            field<&BattleConfig::entity>(about("described name of the type that runs a match; it is called by the name `Match`, so keep it")),
            field<&BattleConfig::max_matches>(live, about("at a time; beyond it the node refuses and the dispatcher asks another")),
            field<&BattleConfig::min_client_version>(live, about("older clients end `update_required`")),
            field<&BattleConfig::rudp>(about("reliable UDP at the port number of TCP, sealed as TCP is")),
            field<&BattleConfig::standard_kcp>(about("plain KCP besides, at the port number of TCP plus 1000: nothing is sealed or authenticated; for trusted networks only")));
    }
};
constexpr double calls_per_second = 120;
BattleConfig config() { return this_node().config.as<BattleConfig>().value(); }
}  // namespace

Task<> Battle::on_start() {
    const auto settings = config();
    if (!this_node().host.find_type(settings.entity))
        throw Error(errc::bad_config, "battle.entity: no module has a type \"" + settings.entity + "\"");
    entity_ = settings.entity;
    session::ServerConfig server;
    server.calls_per_second = calls_per_second;
    server.min_client_version = settings.min_client_version;
    server.rudp = settings.rudp;
    server.standard_kcp = settings.standard_kcp;
    server.max_handshakes_per_ip_per_second = 0;
    door().open<&Battle::admit, &Battle::joined, &Battle::left, &Battle::enter>(std::move(server));
    timers().every<&Battle::report>(100ms, "report");
    co_return;
}

Task<> Battle::on_stop() { co_await door().close(); }
void Battle::on_config_changed() {
    door().set_limits({session::ServerConfig{}.max_sessions, calls_per_second, config().min_client_version});
}

void Battle::report() { this_node().info.load = this_node().host.ids(entity_).size() * 10; }

Task<session::Admission> Battle::admit(session::Credential credential) {
    auto& here = this_node();
    const secure::SignedToken tokens(here.keys.ticket, ticket_purpose);
    const auto bytes = tokens.open(credential.text);
    if (!bytes) throw bytes.error();
    const auto claims = decode<TicketClaims>(*bytes);
    if (!claims) throw Error(errc::unauthorized, "the ticket makes no sense");
    const auto now_ms = here.io.wall_now().time_since_epoch() / 1ms;
    if (claims->node != here.info.name || claims->incarnation != here.info.incarnation)
        throw Error(errc::unauthorized, "the ticket is for " + claims->node + ", or for a former start of it");
    if (now_ms >= claims->expires_ms) throw Error(errc::unauthorized, "the ticket has expired");
    // A ticket is for this start of this node, so memory is enough to use it once.
    std::erase_if(used_, [&](const auto& one) { return one.second < now_ms; });
    if (!used_.emplace(claims->number, claims->expires_ms).second)
        throw Error(errc::unauthorized, "the ticket was used before");
    if (!here.host.find(claims->match)) throw Error("match_over", "that match has ended");
    co_return session::Admission{claims->player, claims->match};
}

void Battle::enter(module::SessionInfo client) { door().route(client.session, client.user_data); }

Task<> Battle::joined(module::SessionInfo client) {
    const io::Endpoint here = this_node().rpc.address();
    co_await at(here)
        .entity(Id<MatchEntity>{client.user_data})
        .call<&MatchEntity::join>(client.entity, {client.session, here});
}

void Battle::left(module::SessionInfo client) {
    at(this_node().rpc.address())
        .entity(Id<MatchEntity>{client.user_data})
        .notify<&MatchEntity::leave>(client.entity, client.session);
}

Task<Reservation> Battle::reserve(Plan plan) {
    const auto settings = config();
    auto& here = this_node();
    if (here.info.draining) throw Error(errc::unavailable, here.info.name + " is draining");
    if (here.host.ids(entity_).size() >= settings.max_matches)
        throw Error(errc::overloaded, here.info.name + " runs " + std::to_string(settings.max_matches) + " matches");
    const EntityId match = here.host.create(*here.host.find_type(entity_)).id;
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
    return {this_node().host.ids(entity_).size(), door().size()};
}

}  // namespace gyre::match

GYRE_MODULE("battle", gyre::match::Battle, gyre::match::BattleConfig)

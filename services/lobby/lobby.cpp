#include "services/lobby/lobby.hpp"

namespace gyre::lobby {
namespace {
/// The section "lobby" of gyre.json.
struct LobbyConfig {
    std::string entity = "Avatar";               ///< The type clients play; has Online.
    std::chrono::milliseconds unload_after{30'000};  ///< Without a client.
    static consteval auto describe() {
        return type<LobbyConfig>("LobbyConfig", field<&LobbyConfig::entity>(),
                                 field<&LobbyConfig::unload_after>());
    }
};
LobbyConfig config() { return this_node().config.as<LobbyConfig>("lobby").value(); }

/// Ends an entity that stays without a client.
Task<> unload_later(EntityId entity, Duration delay) {
    co_await sleep(delay);
    auto* record = this_node().host.find(entity);
    if (!record || record->stopping) co_return;
    const auto online = co_await as_result(at(this_node().rpc.address())
                                               .entity(Id<Online>{entity})
                                               .call<&Online::is_online>());
    if (online && !*online) this_node().host.retire(entity);
}
}  // namespace

Task<> Lobby::on_start() {
    const std::string name = config().entity;
    const auto* type = this_node().host.find_type(name);
    if (!type || !type->stored)
        throw Error(errc::bad_config, "lobby.entity: no module has a stored entity \"" + name + "\"");
    co_return;
}

Task<> Lobby::enter(EnterRequest request) {
    const auto* type = this_node().host.find_type(config().entity);
    co_await this_node().persist.load_or_create(request.entity, *type, {});
    auto self = at(this_node().rpc.address()).entity(Id<Online>{request.entity});
    co_await self.call<&Online::attach>(request.client);
}

Task<> Lobby::leave(EntityId entity, std::uint64_t session) {
    auto* record = this_node().host.find(entity);
    if (!record || record->stopping) co_return;
    const bool alone = co_await at(this_node().rpc.address())
                           .entity(Id<Online>{entity})
                           .call<&Online::detach>(session);
    if (alone) (void)go(node_scope(), unload_later(entity, config().unload_after));
}

LobbyLoad LobbyStats::current() {
    auto& here = this_node();
    return {here.host.entities(), here.persist.saves(), here.persist.fenced()};
}

}  // namespace gyre::lobby

GYRE_MODULE("lobby", gyre::lobby::Lobby, gyre::lobby::LobbyStats)

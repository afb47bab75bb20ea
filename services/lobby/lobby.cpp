#include <gyre/module/nodes.hpp>

#include "services/lobby/lobby.hpp"

namespace gyre::lobby {
namespace {
struct LobbyConfig {
    static constexpr std::string_view config_section = "lobby";
    std::string entity = "Avatar";
    std::chrono::milliseconds unload_after{30'000};
    static consteval auto describe() {
        return type<LobbyConfig>("LobbyConfig",
            field<&LobbyConfig::entity>(about("type that clients play: a stored entity with `Online`")),
            field<&LobbyConfig::unload_after>(live, range_min(0ms), about("an entity without a client is saved and unloaded after it")));
    }
};
LobbyConfig config() { return this_node().config.as<LobbyConfig>().value(); }

Online* online_of(const world::TypeTable& type, void* entity) {
    for (const auto& component : type.components)
        if (component.type->name == description<Online>.name)
            return static_cast<Online*>(component.access(entity));
    return nullptr;
}
Online* online_of(const world::Record& record) { return online_of(record.type, record.object); }
}  // namespace

Task<> Lobby::on_start() {
    const std::string name = config().entity;
    const auto* type = this_node().host.find_type(name);
    if (!type || !type->stored)
        throw Error(errc::bad_config, "lobby.entity: no module has a stored entity \"" + name + "\"");
    entity_ = name;
    nodes().on_left<&Lobby::node_left>();
    timers().every<&Lobby::sweep>(1s, "sweep");
    co_return;
}

void Lobby::node_left(cluster::NodeInfo gone) {
    for (const EntityId id : this_node().host.ids(entity_)) {
        const auto* record = this_node().host.find(id);
        const auto* online = record->stopping ? nullptr : online_of(*record);
        if (!online || online->client.at != gone.address) continue;
        at(this_node().rpc.address()).entity(Id<Online>{id}).notify<&Online::detach>(online->client.session);
    }
}

void Lobby::sweep() {
    const auto settings = config();
    std::map<EntityId, TimePoint> alone;
    for (const EntityId id : this_node().host.ids(entity_)) {
        const auto* record = this_node().host.find(id);
        const auto* online = record->stopping ? nullptr : online_of(*record);
        if (!online || online->is_online()) continue;
        const auto before = alone_since_.find(id);
        const TimePoint since = before == alone_since_.end() ? now() : before->second;
        if (now() - since >= settings.unload_after) this_node().host.retire(id);
        else alone.emplace(id, since);
    }
    alone_since_ = std::move(alone);
}

Task<> Lobby::enter(EnterRequest request) {
    const auto* type = this_node().host.find_type(entity_);
    const auto born = [type, name = request.name](void* entity) {
        if (auto* online = online_of(*type, entity)) online->account = name;
    };
    co_await this_node().persist.load_or_create(request.entity, *type, born);
    auto self = at(this_node().rpc.address()).entity(Id<Online>{request.entity});
    co_await self.call<&Online::attach>(request.client);
}

Task<> Lobby::leave(EntityId entity, std::uint64_t session) {
    auto* record = this_node().host.find(entity);
    if (!record || record->stopping) co_return;
    (void)co_await at(this_node().rpc.address()).entity(Id<Online>{entity}).call<&Online::detach>(session);
}

LobbyLoad LobbyStats::current() {
    auto& here = this_node();
    return {here.host.entities(), here.persist.saves(), here.persist.fenced()};
}

}  // namespace gyre::lobby

GYRE_MODULE("lobby", gyre::lobby::Lobby, gyre::lobby::LobbyStats, gyre::lobby::LobbyConfig)

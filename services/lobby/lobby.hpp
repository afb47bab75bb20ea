#pragma once
#include <gyre/module/gyre.hpp>
#include <map>

namespace gyre::lobby {

/// A gate brings a client: who it is, and where its session is.
struct EnterRequest {
    EntityId entity = 0;
    std::string name;  ///< Of the account.
    ClientRef client;
    static consteval auto describe() {
        return type<EnterRequest>("EnterRequest", field<&EnterRequest::entity>(),
                                  field<&EnterRequest::name>(), field<&EnterRequest::client>());
    }
};

/// Loads the entities that clients play. Which type: section "lobby" of gyre.json.
struct Lobby : Service<Lobby> {
    static constexpr std::string_view role = "lobby";
    Task<> on_start();
    /// Loads the entity, or creates it, and attaches the session. Again: changes nothing.
    Task<> enter(EnterRequest request);
    /// The session ended. An entity is saved and unloaded after a while without a client.
    Task<> leave(EntityId entity, std::uint64_t session);
    void sweep();
    /// Of a gate: it is gone, or lives anew and brings its clients again.
    void node_left(cluster::NodeInfo gone);
    static consteval auto describe() {
        return type<Lobby>("Lobby", field<&Lobby::alone_since_>(), field<&Lobby::entity_>(), method<&Lobby::enter>(),
                           method<&Lobby::leave>(), method<&Lobby::sweep>(),
                           method<&Lobby::node_left>());
    }

private:
    std::map<EntityId, TimePoint> alone_since_;  // has no client
    std::string entity_;                         // type that clients play
};

struct LobbyLoad {
    std::uint64_t entities = 0, saves = 0, fenced = 0;
    static consteval auto describe() {
        return type<LobbyLoad>("LobbyLoad", field<&LobbyLoad::entities>(),
                               field<&LobbyLoad::saves>(), field<&LobbyLoad::fenced>());
    }
};
struct LobbyStats : Service<LobbyStats> {
    static constexpr std::string_view role = "lobby";
    LobbyLoad current();
    static consteval auto describe() {
        return type<LobbyStats>("LobbyStats", method<&LobbyStats::current>());
    }
};

}  // namespace gyre::lobby

#pragma once
#include <gyre/world/entity.hpp>

namespace gyre::world {

/// An entity that was not found.
struct Missing {
    EntityId entity = 0;
    std::string at;  ///< Link address of the node that has it or knows more; empty: nowhere.
    static consteval auto describe() {
        return type<Missing>("Missing", field<&Missing::entity>(), field<&Missing::at>());
    }
};

/// A service of every node: hands one call, encoded once, to many entities there, one way.
struct Fanout : Service<Fanout> {
    /// To those of `entities` that are here; loads none. Returns the others.
    std::vector<Missing> deliver(std::string method, Bytes arguments, std::vector<EntityId> entities);
    /// To every entity here whose type has the method, by id.
    void announce(std::string method, Bytes arguments);
    /// A call that looked for its entity in vain; it is not passed on again.
    void pass_on(std::string method, Bytes arguments, EntityId entity);
    static consteval auto describe() {
        return type<Fanout>("Fanout", method<&Fanout::deliver>(), method<&Fanout::announce>(),
                            method<&Fanout::pass_on>());
    }
};

/// To every entity of this node whose type has the method; returns how many.
std::size_t announce_here(Host& host, rpc::MethodName method, BytesView arguments);

}  // namespace gyre::world

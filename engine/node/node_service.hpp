#pragma once
#include <gyre/module/gyre.hpp>

namespace gyre::node {

/// What every node answers: for tools and for other nodes' engines.
struct NodeService : Service<NodeService> {
    cluster::NodeInfo info();
    std::vector<cluster::NodeInfo> cluster();  ///< As this node sees it, by name.
    std::vector<std::string> methods();        ///< "Type.method" of its services, sorted.
    /// Gives a stored entity up for the node that asks. True: it is nobody's now.
    Task<bool> yield(EntityId id);
    static consteval auto describe() {
        return type<NodeService>("NodeService", method<&NodeService::info>(),
                                 method<&NodeService::cluster>(), method<&NodeService::methods>(),
                                 method<&NodeService::yield>());
    }
};

}  // namespace gyre::node

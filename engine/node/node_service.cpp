#include <algorithm>
#include <gyre/node/node_service.hpp>

namespace gyre::node {

cluster::NodeInfo NodeService::info() { return node().info; }

std::vector<cluster::NodeInfo> NodeService::cluster() { return gyre::node().directory.all(); }

std::vector<std::string> NodeService::methods() {
    std::vector<std::string> names;
    for (const auto* type : gyre::node().host.types())
        if (type->kind == world::TypeKind::service && gyre::node().host.find_service(type->name))
            for (const auto& method : type->methods) names.emplace_back(method.full_name);
    std::sort(names.begin(), names.end());
    return names;
}

Task<bool> NodeService::yield(EntityId id) { return gyre::node().persist.yield(id); }

}  // namespace gyre::node

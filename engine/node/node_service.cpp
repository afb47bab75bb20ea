#include <algorithm>
#include <gyre/node/node_service.hpp>

namespace gyre::node {

cluster::NodeInfo NodeService::info() { return gyre::this_node().info; }

std::vector<cluster::NodeInfo> NodeService::cluster() {
    std::vector<cluster::NodeInfo> all;
    for (const auto& [name, info] : gyre::this_node().directory.view().nodes()) all.push_back(info);
    return all;
}

std::vector<std::string> NodeService::methods() {
    std::vector<std::string> names;
    for (const auto* type : gyre::this_node().host.types())
        if (type->kind == world::TypeKind::service && gyre::this_node().host.find_service(type->name))
            for (const auto& method : type->methods) names.emplace_back(method.full_name);
    std::sort(names.begin(), names.end());
    return names;
}

Task<bool> NodeService::yield(EntityId id) { return gyre::this_node().persist.yield(id); }

}  // namespace gyre::node

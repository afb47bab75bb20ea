#include <algorithm>
#include <gyre/cluster/view.hpp>

namespace gyre::cluster {

const NodeInfo* View::find(std::string_view name) const {
    const auto found = nodes_.find(name);
    return found == nodes_.end() ? nullptr : &found->second;
}

const NodeInfo* View::by_address(const io::Endpoint& address) const {
    for (const auto& [name, node] : nodes_)
        if (node.address == address) return &node;
    return nullptr;
}

const std::vector<const NodeInfo*>& View::of_role(std::string_view role) const {
    static const std::vector<const NodeInfo*> none;
    const auto found = roles_.find(role);
    return found == roles_.end() ? none : found->second;
}

const NodeInfo& View::put(NodeInfo node) {
    const auto found = nodes_.find(node.name);
    if (found != nodes_.end() && found->second.role == node.role)
        return found->second = std::move(node);
    if (found != nodes_.end()) erase(std::string(node.name));
    std::string name = node.name;
    const NodeInfo& added = nodes_.emplace(std::move(name), std::move(node)).first->second;
    auto& peers = roles_[added.role];
    peers.insert(std::upper_bound(peers.begin(), peers.end(), &added,
                                  [](auto* a, auto* b) { return a->name < b->name; }),
                 &added);
    return added;
}

void View::erase(std::string_view name) {
    const auto found = nodes_.find(name);
    if (found == nodes_.end()) return;
    const auto role = roles_.find(found->second.role);
    std::erase(role->second, &found->second);
    if (role->second.empty()) roles_.erase(role);
    nodes_.erase(found);
}

}  // namespace gyre::cluster

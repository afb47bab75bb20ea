#pragma once
#include <gyre/cluster/node_info.hpp>
#include <map>
#include <vector>

namespace gyre::cluster {

/// The nodes that hold a lease, as last heard; ordered by name.
class View {
public:
    using Nodes = std::map<std::string, NodeInfo, std::less<>>;
    View() = default;
    View(const View&) = delete;
    View& operator=(const View&) = delete;

    /// Pointers are valid until the node changes.
    const NodeInfo* find(std::string_view name) const;
    const NodeInfo* by_address(const io::Endpoint& address) const;
    const std::vector<const NodeInfo*>& of_role(std::string_view role) const;
    const Nodes& nodes() const { return nodes_; }
    std::size_t size() const { return nodes_.size(); }

    const NodeInfo& put(NodeInfo node);  ///< Adds it or replaces the one of its name.
    void erase(std::string_view name);

private:
    Nodes nodes_;
    std::map<std::string, std::vector<const NodeInfo*>, std::less<>> roles_;
};

}  // namespace gyre::cluster

#pragma once
#include <gyre/cluster/registry.hpp>
#include <gyre/module/clients.hpp>
#include <gyre/module/loader.hpp>
#include <gyre/node/cluster_config.hpp>

namespace gyre::node {

/// What nodes of one process share, and what they are made of. Outlives them.
struct NodeParts {
    io::Io& io;
    store::Store& store;
    const config::Document& config;
    const ClusterConfig& cluster;
    const module::Keys& keys;
    std::span<const module::Loaded> modules;
    /// Makes the registry client of a node; its tasks run in `scope`.
    std::function<std::unique_ptr<cluster::Registry>(Scope& scope, const std::string& node)> registry;
    std::string build;
    std::uint64_t pid = 0;
};

/// One node from start to end.
class NodeRuntime {
public:
    NodeRuntime(NodeParts parts, NodeSpec spec);
    ~NodeRuntime();

    /// Listens, starts the services of its role, then registers.
    /// Errors: in_use, bad_config, what a service throws in on_start; each names the node.
    Task<> start();
    /// Unregisters, stops services, saves entities, ends links.
    Task<> stop();
    const cluster::NodeInfo& info() const;
    module::Node& node();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gyre::node

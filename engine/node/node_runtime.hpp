#pragma once
#include <gyre/cluster/registry.hpp>
#include <gyre/module/clients.hpp>
#include <gyre/module/loader.hpp>
#include <gyre/node/cluster_config.hpp>
#include <gyre/node/live_config.hpp>
#include <gyre/node/node_workshop.hpp>
#include <gyre/node/start_builds.hpp>
#include <gyre/node/watchdog.hpp>

namespace gyre::node {

/// What the nodes of a process replace their modules with.
struct ReloadParts {
    io::Lane& lane;  ///< One thread.
    const AuditLog& audit;
    Watchdog& watchdog;
    LiveConfig& config;
    PassedChecks& passed;
    std::multiset<std::string>& running;  ///< Builds, once for each node that runs them.
    std::vector<CodePtr>& last_code;  ///< Gets what nodes that ended ran: the loop may hold closures of it.
    std::string folder;   ///< <data>/modules
    std::string checker;  ///< The gyre executable.
};

/// What nodes of one process share, and what they are made of. Outlives them.
struct NodeParts {
    io::Io& io;
    store::Store& store;
    const config::Document& config;
    const ClusterConfig& cluster;
    const module::Keys& keys;
    std::span<const module::Loaded> modules;  ///< Linked in or never replaced; besides those of start().
    /// Makes the registry client of a node; its tasks run in `scope`.
    std::function<std::unique_ptr<cluster::Registry>(Scope& scope, const std::string& node)> registry;
    std::string build;
    std::uint64_t pid = 0;
    const ReloadParts* reload = nullptr;  ///< Null: nothing is replaced.
};

/// One node from start to end.
class NodeRuntime {
public:
    /// start: the builds of modules that can be replaced.
    NodeRuntime(NodeParts parts, NodeSpec spec, StartBuilds start = {});
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

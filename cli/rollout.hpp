#pragma once
#include <gyre/node/reload_service.hpp>

#include <functional>

#include "cluster_client.hpp"

namespace gyre::cli {

/// "ann@host1": who stands in the audit log.
std::string who_asks();

/// A module's file on this machine.
struct ModuleFile {
    std::string module, build, path;  ///< Absolute.
};
/// name_or_path: as in cluster.modules. Errors: not_found, bad_data (what is wrong with the file).
ModuleFile find_file(const std::string& name_or_path);

/// Brings builds to nodes, one after the other, and takes them back from all when one fails.
class Rollout {
public:
    Rollout(ClusterClient& client, std::vector<cluster::NodeInfo> nodes, std::function<void(const std::string&)> tell);

    struct Settings {
        node::ReloadMode mode = node::ReloadMode::automatic;
        std::chrono::milliseconds deadline{0};
        std::uint32_t canary = 0;            ///< Nodes of each role.
        std::chrono::milliseconds watch{0};  ///< After the canary.
    };
    /// True: all nodes run it. Else it has told why, and those that had it run the build before again.
    bool bring(const ModuleFile& file, const Settings& settings);
    /// What would change on a node. Errors: as reload.
    node::ReloadReport check(const cluster::NodeInfo& node, const ModuleFile& file, node::ReloadMode mode);
    /// What the nodes answered.
    const std::vector<node::ReloadReport>& reports() const { return reports_; }
    /// How the nodes are served: in the order of stop_rank(), then by name.
    const std::vector<cluster::NodeInfo>& nodes() const { return nodes_; }

private:
    struct Done {
        cluster::NodeInfo node;
        node::Vitals at_swap;
    };
    std::string place(const cluster::NodeInfo& node, const ModuleFile& file);
    bool bring_to(const cluster::NodeInfo& node, const ModuleFile& file, const Settings& settings);
    bool watch(const ModuleFile& file, std::chrono::milliseconds time);
    std::string what_is_wrong(const Done& done, const ModuleFile& file);
    void take_back(const ModuleFile& file);

    ClusterClient& client_;
    std::vector<cluster::NodeInfo> nodes_;
    std::function<void(const std::string&)> tell_;
    std::vector<Done> done_;
    std::vector<node::ReloadReport> reports_;
};

}  // namespace gyre::cli

#pragma once
#include <functional>
#include <gyre/node/data_folder.hpp>

namespace gyre::node {

struct ProcessOptions {
    std::string config_file;         ///< Empty: gyre.json of the working folder, if it is there.
    std::string profile = {};        ///< Of "$profiles" in the configuration; empty: none.
    std::vector<std::string> set;    ///< "cluster.host=127.0.0.1": stronger than file and environment.
    std::string log_format;          ///< "text" or "json": stronger than the configuration. Empty: as it says.
    std::string data = ".gyre";
    std::vector<std::string> nodes;  ///< Which nodes of the config; empty: all.
    std::optional<std::uint16_t> first_port;  ///< Instead of all configured ports; 0: free ones.
    std::vector<NodeSpec> pinned = {};  ///< Ports of these names, above all else: as they were before.
    bool supervised = false;  ///< Another process holds the folder, restarts this one and is told.
};

/// The configuration of a process, read and checked.
struct Setup {
    config::Document config;
    ClusterConfig cluster;
    std::vector<NodeSpec> nodes;  ///< Those of this process, in the order in which they start.
    bool whole() const { return nodes.size() == cluster.nodes.size(); }
};
/// File, profile, environment and command line. Errors: bad_config, it cannot be read.
Result<config::Document> read_document(const ProcessOptions& options);
/// Errors: bad_config, tells all that is wrong when the section `cluster` is; not_found, names a node that is not configured.
Result<Setup> read_setup(const ProcessOptions& options, const DataFolder& folder);

/// Of gyre.json, besides those of modules.
std::span<const config::Section* const> engine_sections();

/// Ends of a process. 2 is for people: trying again changes nothing. 3: a build on probation held the loop.
namespace exit_code {
inline constexpr int ok = 0, failed = 1, refused = 2, stuck = 3, interrupted = 130;
}

/// Roles end in ascending order: who has results to hand over before who takes them.
std::size_t stop_rank(std::string_view role);

/// Runs nodes until SIGINT or SIGTERM, then drains them in the order of stop_rank(); a second signal ends it at
/// once. Tells `ready` when all have started, and stderr why it fails. Returns an exit_code.
/// Call once, before any thread is started.
int run_process(const ProcessOptions& options, std::function<void(const ClusterFile&)> ready);

}  // namespace gyre::node

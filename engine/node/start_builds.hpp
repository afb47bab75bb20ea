#pragma once
#include <gyre/module/loader.hpp>
#include <gyre/node/audit.hpp>
#include <gyre/node/module_history.hpp>

namespace gyre::node {

/// What lib/gyre/modules has of one module.
struct Installed {
    std::string name;
    BuildFile file;                       ///< The copy in the data folder.
    std::shared_ptr<module::Build> code;  ///< Null: it cannot be loaded, and `problem` says why.
    std::optional<Error> problem = {};
};

/// The builds that are installed, in the order of config key cluster.modules, copied to `folder`.
std::vector<Installed> find_installed(const std::vector<std::string>& modules, const std::string& folder);

/// A build a node starts with.
struct StartBuild {
    std::shared_ptr<module::Build> code;
    BuildFile file;
};
struct StartBuilds {
    std::vector<StartBuild> builds;  ///< In the order of `installed`.
    NodeHistory history;
    std::vector<AuditEntry> told;  ///< What died in probation, and what could not be loaded.
};
/// Which builds a node of a process that starts takes: those it ran, but for one that died in probation.
/// The history is on the disk when it returns. Errors: what is wrong with a module that has no other build.
Result<StartBuilds> start_builds(const std::string& node, std::span<const Installed> installed,
                                 const std::string& modules_folder, const std::string& engine,
                                 const AuditLog& audit, std::int64_t now_ms);

}  // namespace gyre::node

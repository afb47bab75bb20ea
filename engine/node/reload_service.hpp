#pragma once
#include <gyre/module/gyre.hpp>
#include <gyre/node/audit.hpp>
#include <gyre/node/config_change.hpp>
#include <gyre/node/reload_types.hpp>

namespace gyre::node {

/// How operators change what a node runs: on every node, for who proves the cluster key.
/// Error of all: unavailable, when the process has no data folder.
struct ReloadService : Service<ReloadService> {
    /// A file that travels to a node is at most so long, and comes in pieces of so many bytes.
    static constexpr std::uint64_t upload_bytes_max = 256u << 20, chunk_bytes = 256u << 10;

    std::vector<ModuleState> builds();
    Task<ReloadReport> reload(ReloadRequest request);  ///< Errors: Reloader::reload().
    Task<ReloadReport> rollback(std::string module, std::uint32_t steps, std::string who);
    Vitals vitals(std::string module);
    Task<std::vector<AuditEntry>> audit(std::uint32_t limit);  ///< The last, oldest first; of the data folder.

    /// Whether the node's machine has these bytes at that path. hash: fnv1a of them.
    Task<bool> has_file(std::string path, std::uint64_t bytes, std::uint64_t hash);
    /// The next piece of a file; `key` (hex digits) names it. offset 0 begins anew. Its path on the node's
    /// machine. Errors: bad_arguments, too_large, conflict (offset is not where the last piece ended),
    /// disk_full (then it has to begin anew).
    Task<std::string> upload(std::string key, std::uint64_t offset, Bytes chunk);

    /// Reads the configuration of the process again; applies it unless check_only.
    /// Error: bad_config, names file, line and key; then nothing has changed.
    Task<std::vector<ConfigChange>> reload_config(bool check_only, std::string who);

    static consteval auto describe() {
        return type<ReloadService>(
            "ReloadService", method<&ReloadService::builds>(), method<&ReloadService::reload>(),
            method<&ReloadService::rollback>(), method<&ReloadService::vitals>(), method<&ReloadService::audit>(),
            method<&ReloadService::has_file>(), method<&ReloadService::upload>(),
            method<&ReloadService::reload_config>());
    }
};

}  // namespace gyre::node

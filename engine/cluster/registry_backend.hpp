#pragma once
#include <functional>
#include <gyre/base/time.hpp>
#include <gyre/task/task.hpp>
#include <optional>
#include <string>
#include <vector>

namespace gyre::cluster {

/// One entry as it stands in the registry.
struct RegistryEntry {
    std::string name, value;
    std::uint64_t revision = 0;  ///< Of the write that made it.
};
struct RegistryListing {
    std::vector<RegistryEntry> entries;
    std::uint64_t revision = 0;  ///< Of the last write to anything.
};
struct RegistryEvent {
    bool deleted = false;
    RegistryEntry entry;  ///< Without a value when deleted.
};

/// What keeps the entries: etcd, or its twin in memory. Revisions grow with each write; an entry
/// ends with its lease. Errors of all: timed_out, disconnected, refused (no answer, it may have
/// run), cancelled.
class RegistryBackend {
public:
    virtual ~RegistryBackend() = default;
    virtual Task<std::uint64_t> grant(Duration ttl) = 0;     ///< A new lease.
    virtual Task<bool> keep_alive(std::uint64_t lease) = 0;  ///< False: it has expired.
    virtual Task<> revoke(std::uint64_t lease) = 0;          ///< Deletes its entries, too.
    /// Writes when the entry still has `expected_revision` (0: does not exist). Its revision now;
    /// 0: refused, the entry is another. Error: not_found, the lease has expired.
    virtual Task<std::uint64_t> put_if(RegistryEntry entry, std::uint64_t lease,
                                       std::uint64_t expected_revision) = 0;
    virtual Task<std::optional<RegistryEntry>> get(std::string name) = 0;
    virtual Task<RegistryListing> list() = 0;
    /// Tells everything from `revision` on, in order, until it fails.
    /// Error: conflict, when the history from there on is forgotten: list again.
    virtual Task<> watch(std::uint64_t revision,
                         std::function<void(const RegistryEvent&)> handler) = 0;
};

}  // namespace gyre::cluster

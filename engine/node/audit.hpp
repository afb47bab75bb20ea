#pragma once
#include <cstdint>
#include <gyre/codec/codec.hpp>
#include <string>
#include <vector>

namespace gyre::node {

/// Who changed what of a running node, and what came of it.
struct AuditEntry {
    std::int64_t at_ms = 0;  ///< Since 1970 UTC.
    std::string who;         ///< "ann@host1"; "probation", "watchdog" or "start" when nobody asked.
    std::string node;
    std::string action;  ///< reload, rollback, confirm, stuck, config.
    std::string module;  ///< Empty: configuration.
    std::string from, to;  ///< Build ids.
    std::string mode;      ///< incremental, full; empty: came to no swap.
    std::string result;    ///< ok, refused, rolled_back, failed.
    std::string reason;
    double took_ms = 0;
    static consteval auto describe() {
        return type<AuditEntry>("AuditEntry", field<&AuditEntry::at_ms>(), field<&AuditEntry::who>(),
                                field<&AuditEntry::node>(), field<&AuditEntry::action>(),
                                field<&AuditEntry::module>(), field<&AuditEntry::from>(),
                                field<&AuditEntry::to>(), field<&AuditEntry::mode>(),
                                field<&AuditEntry::result>(), field<&AuditEntry::reason>(),
                                field<&AuditEntry::took_ms>());
    }
};

/// <data>/audit.log: a JSON object a line, appended by every process of the folder. Blocks on the
/// disk; use from any thread.
class AuditLog {
public:
    explicit AuditLog(std::string path) : path_(std::move(path)) {}
    const std::string& path() const { return path_; }
    /// On the disk when it returns. Error: refused, names file and reason.
    Result<> append(const AuditEntry& entry) const;
    /// The last `limit`, oldest first. Lines that cannot be read are left out.
    std::vector<AuditEntry> read(std::size_t limit) const;

private:
    std::string path_;
};

}  // namespace gyre::node

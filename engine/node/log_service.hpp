#pragma once
#include <gyre/module/gyre.hpp>

namespace gyre::node {

/// The log of the node's process: what it writes, and what became of it.
struct LogState {
    std::string level;                          ///< Of all modules that are not in `levels`.
    std::map<std::string, std::string> levels;  ///< By module: the name of an event up to its first dot.
    std::uint64_t written = 0, dropped = 0, errors_dropped = 0, sink_failures = 0;  ///< Since the process started.
    static consteval auto describe() {
        return type<LogState>("LogState", field<&LogState::level>(), field<&LogState::levels>(),
                              field<&LogState::written>(), field<&LogState::dropped>(),
                              field<&LogState::errors_dropped>(), field<&LogState::sink_failures>());
    }
};

/// How operators look at the log of a node and change it, on every node.
struct LogService : Service<LogService> {
    LogState state();
    /// module empty: all that have no level of their own. level empty: as all others. For the whole process,
    /// until it ends or its configuration is read again. Errors: bad_arguments, too_large (64 modules).
    Task<LogState> set_level(std::string module, std::string level, std::string who);
    static consteval auto describe() {
        return type<LogService>("LogService", method<&LogService::state>(), method<&LogService::set_level>());
    }
};

}  // namespace gyre::node

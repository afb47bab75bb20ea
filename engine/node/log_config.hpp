#pragma once
#include <gyre/config/config.hpp>
#include <gyre/log/backend.hpp>
#include <map>

namespace gyre::node {

/// All of it is live.
struct LogConfig {
    static constexpr std::string_view config_section = "log";
    std::string level = "info";                 ///< trace, debug, info, warn, error.
    std::map<std::string, std::string> levels;  ///< Of modules that differ: {"world": "debug"}.
    bool json = false;
    std::string console = "info";  ///< The same for stderr, or "off"; the file has all of `level`.
    std::string rotate = "midnight";
    bool local_time = false;
    std::uint32_t file_mib = 64;   ///< [1, 1'048'576]
    std::uint32_t files_kept = 10;  ///< [0, 1000]
    std::uint32_t kept_mib = 0;    ///< [0, 16'777'216] of old files; 0: no limit.
    bool gzip = true;
    std::uint32_t ring_kib = 8192;  ///< [64, 1'048'576], a power of two.
    static consteval auto describe() {
        return type<LogConfig>("LogConfig", field<&LogConfig::level>(live), field<&LogConfig::levels>(live),
                               field<&LogConfig::json>(live), field<&LogConfig::console>(live), field<&LogConfig::rotate>(live),
                               field<&LogConfig::local_time>(live), field<&LogConfig::file_mib>(live),
                               field<&LogConfig::files_kept>(live), field<&LogConfig::kept_mib>(live), field<&LogConfig::gzip>(live),
                               field<&LogConfig::ring_kib>(live));
    }
    Result<> validate() const;
};

/// Starts the log of a process, or makes a running one obey; nothing is lost in between.
/// Errors: bad_config, refused (the file).
Result<> start_log(const LogConfig& config, const std::string& file);

}  // namespace gyre::node

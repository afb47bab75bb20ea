#pragma once
#include <gyre/config/config.hpp>
#include <gyre/log/backend.hpp>
#include <map>

namespace gyre::node {

/// All of it is live.
struct LogConfig {
    static constexpr std::string_view config_section = "log";
    std::string level = "info";
    std::map<std::string, std::string> levels;
    bool json = false;
    std::string console = "info";
    std::string rotate = "midnight";
    bool local_time = false;
    std::uint32_t file_mib = 64;
    std::uint32_t files_kept = 10;
    std::uint32_t kept_mib = 0;
    bool gzip = true;
    std::uint32_t ring_kib = 8192;
    static consteval auto describe() {
        return type<LogConfig>("LogConfig",
            field<&LogConfig::level>(live, about("lines below it are left out: trace, debug, info, warn, error")),
            field<&LogConfig::levels>(live, about("of modules that differ: `{\"world\": \"debug\"}`")),
            field<&LogConfig::json>(live, about("one JSON object a line instead of text")),
            field<&LogConfig::console>(live, about("as `level`, or `off`, for stderr; under `gyre up` warn; the file in the data folder has all of `level`")),
            field<&LogConfig::rotate>(live, about("when a new file begins: `midnight`, `H`, `6H`, `D`, `W0` to `W6`, ...; empty: by size only")),
            field<&LogConfig::local_time>(live, about("times and rotation are local; else UTC")),
            field<&LogConfig::file_mib>(live, range(1, 1'048'576), unit("MiB"), about("a file that has grown so large ends")),
            field<&LogConfig::files_kept>(live, range(0, 1000), about("old files that are kept")),
            field<&LogConfig::kept_mib>(live, range(0, 16'777'216), unit("MiB"), about("of all old files; 0: no limit")),
            field<&LogConfig::gzip>(live, about("old files are compressed")),
            field<&LogConfig::ring_kib>(live, range(64, 1'048'576), unit("KiB"), about("lines that wait for the writer; a power of two")));
    }
    Result<> validate() const;
};

/// Starts the log of a process, or makes a running one obey; nothing is lost in between.
/// Errors: bad_config, refused (the file).
Result<> start_log(const LogConfig& config, const std::string& file);

}  // namespace gyre::node

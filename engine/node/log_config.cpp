#include <gyre/node/log_config.hpp>

namespace gyre::node {
namespace {
log::Config to_log(const LogConfig& from, const std::string& file) {
    log::Config config;
    config.level = *log::parse_level(from.level);
    config.json = from.json;
    config.console = from.console != "off";
    if (config.console) config.console_level = *log::parse_level(from.console);
    config.file = file;
    config.rotate = from.rotate;
    config.local_time = from.local_time;
    config.file_bytes_max = std::uint64_t{from.file_mib} << 20;
    config.files_kept = from.files_kept;
    config.kept_bytes_max = std::uint64_t{from.kept_mib} << 20;
    config.gzip = from.gzip;
    config.ring_bytes = std::size_t{from.ring_kib} << 10;
    return config;
}
}  // namespace

Result<> LogConfig::validate() const {
    const std::string names = " is none of trace, debug, info, warn, error";
    const auto known = [](const std::string& name) { return log::parse_level(name).has_value(); };
    config::Check check;
    check.that(known(level), "level", "\"" + level + "\"" + names)
        .that(console == "off" || known(console), "console", "\"" + console + "\"" + names + ", off")
        .that(levels.size() <= 64, "levels", "more than 64 modules");
    for (const auto& [module, name] : levels) check.that(known(name), "levels", module + ": \"" + name + "\"" + names);
    if (!Result<>(check).ok()) return check;
    return log::check(to_log(*this, {}));
}

Result<> start_log(const LogConfig& config, const std::string& file) {
    if (auto started = log::start(to_log(config, file)); !started) return started;
    for (const auto& [module, level] : log::module_levels())
        if (!config.levels.contains(module)) log::set_level(module, std::nullopt);
    for (const auto& [module, level] : config.levels) log::set_level(module, log::parse_level(level));
    return {};
}

}  // namespace gyre::node

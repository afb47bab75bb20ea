#include <gyre/log/backend.hpp>
#include <gyre/node/log_service.hpp>
#include <gyre/node/reloader.hpp>

namespace gyre::node {
namespace {

constexpr std::size_t modules_max = 64;

std::string level_of(const std::string& module) {
    for (const auto& [name, level] : log::module_levels())
        if (name == module) return std::string(log::name(level));
    return std::string(log::name(log::level()));
}

}  // namespace

LogState LogService::state() {
    LogState state;
    state.level = log::name(log::level());
    for (const auto& [module, level] : log::module_levels()) state.levels.emplace(module, log::name(level));
    const log::Stats stats = log::stats();
    state.written = stats.written;
    state.dropped = stats.dropped;
    state.errors_dropped = stats.errors_dropped;
    state.sink_failures = stats.sink_failures;
    return state;
}

Task<LogState> LogService::set_level(std::string module, std::string level, std::string who) {
    const auto parsed = log::parse_level(level);
    if (!parsed && !(level.empty() && !module.empty()))
        throw Error(errc::bad_arguments, "\"" + level + "\" is none of trace, debug, info, warn, error");
    if (module.size() > 64 || module.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != module.npos)
        throw Error(errc::bad_arguments, "a module is the name of an event up to its first dot, as in world=debug");
    if (parsed && !module.empty() && log::module_levels().size() >= modules_max)
        throw Error(errc::too_large, "more than 64 modules have levels of their own");
    AuditEntry entry;
    entry.at_ms = this_node().io.wall_now().time_since_epoch() / 1ms;
    entry.who = std::move(who);
    entry.node = this_node().info.name;
    entry.action = "log";
    entry.from = level_of(module);
    if (module.empty()) log::set_level(*parsed);
    else log::set_level(module, parsed);
    entry.to = level_of(module);
    entry.result = "ok";
    entry.reason = (module.empty() ? "all modules" : module) + ": " + entry.from + " -> " + entry.to;
    log::info("log.level_changed", {{"module", module.empty() ? "all" : module}, {"from", entry.from}, {"to", entry.to}, {"who", entry.who}});
    if (Reloader* reloader = this_node().reloader) {
        const auto written = co_await reloader->lane().run([audit = reloader->audit(), entry] { return audit.append(entry); });
        if (!written) log::error("audit.not_written", {{"error", written.error().what()}});
    }
    co_return state();
}

}  // namespace gyre::node

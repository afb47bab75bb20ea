#include <gyre/codec/json.hpp>
#include <gyre/node/reload_service.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>

#include "commands.hpp"
#include "duration.hpp"
#include "rollout.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

using node::ReloadService;

std::vector<cluster::NodeInfo> chosen(ClusterClient& client, const std::vector<std::string>& names) {
    auto nodes = client.nodes();
    for (const auto& name : names) {
        if (std::ranges::count(nodes, name, &cluster::NodeInfo::name)) continue;
        std::string known;
        for (const auto& node : nodes) known += (known.empty() ? "" : ", ") + node.name;
        throw Error(errc::not_found, "no node " + name + "; there are " + known);
    }
    if (!names.empty()) std::erase_if(nodes, [&names](const auto& n) { return !std::ranges::count(names, n.name); });
    return nodes;
}

/// Those asked for; else those whose installed file differs from what a node runs.
std::vector<ModuleFile> find_files(const ReloadOptions& options, const std::vector<cluster::NodeInfo>& nodes) {
    std::vector<ModuleFile> files;
    for (const auto& what : options.what) files.push_back(find_file(what));
    if (!options.what.empty()) return files;
    std::vector<std::string> names;
    for (const auto& node : nodes)
        for (const auto& module : node.modules)
            if (!std::ranges::count(names, module.module)) names.push_back(module.module);
    for (const auto& name : names) {
        const auto file = find_file(name);
        const bool differs = std::ranges::any_of(nodes, [&](const auto& node) {
            return std::ranges::any_of(node.modules, [&](const auto& module) {
                return module.module == file.module && !file.build.starts_with(module.build);
            });
        });
        if (differs) files.push_back(file);
    }
    return files;
}

const char* word(world::Change change) {
    constexpr const char* words[] = {"code only", "methods", "layout", "added", "removed"};
    return words[static_cast<std::size_t>(change)];
}

/// What would change on any node, by type.
void print_changes(const ModuleFile& file, const std::vector<node::ReloadReport>& reports) {
    struct Row {
        world::TypeChange change;
        std::uint64_t objects = 0;
    };
    std::map<std::string, Row> types;
    std::vector<std::string> warnings;
    std::string from;
    bool full = false;
    for (const auto& report : reports) {
        if (report.mode.empty()) continue;
        full |= report.mode == "full";
        from = report.from;
        for (const auto& change : report.changes.types) {
            Row& row = types[change.type];
            row.objects += change.objects;
            if (row.change.type.empty() || change.change > row.change.change) row.change = change;
        }
        for (const auto& warning : report.warnings)
            if (!std::ranges::count(warnings, warning)) warnings.push_back(warning);
    }
    if (from.empty()) {
        std::printf("%s: all nodes run %s already\n", file.module.c_str(), file.build.substr(0, 8).c_str());
        return;
    }
    std::printf("%s  %s -> %s  %s\n", styled(STDOUT_FILENO, Style::bold, file.module).c_str(), from.substr(0, 8).c_str(),
                file.build.substr(0, 8).c_str(),
                full ? "full: calls wait while objects are carried over" : "incremental: nothing waits");
    std::vector<std::vector<std::string>> rows = {{"TYPE", "CHANGE", "ALIVE", "DETAILS"}};
    for (const auto& [name, row] : types) {
        const auto& details = row.change.details;
        rows.push_back({name, word(row.change.change), std::to_string(row.objects), details.empty() ? "" : details.front()});
        for (std::size_t i = 1; i < details.size(); ++i) rows.push_back({"", "", "", details[i]});
    }
    std::fputs(table(STDOUT_FILENO, rows, {2}, 2).c_str(), stdout);
    for (const auto& warning : warnings)
        std::printf("  %s%s\n", styled(STDOUT_FILENO, Style::yellow, "warning: ").c_str(), warning.c_str());
}

int check(Rollout& rollout, const std::vector<ModuleFile>& files, const ReloadOptions& options) {
    const auto mode = options.full ? node::ReloadMode::full : options.incremental ? node::ReloadMode::incremental
                                                                                  : node::ReloadMode::automatic;
    int code = node::exit_code::ok;
    std::vector<node::ReloadReport> all;
    for (const auto& file : files) {
        std::vector<node::ReloadReport> reports;
        for (const auto& node : rollout.nodes()) {
            try {
                reports.push_back(rollout.check(node, file, mode));
            } catch (const Error& error) {
                say(file.module + " on " + node.name + ": " + styled(STDERR_FILENO, Style::red, "would be refused: ") + error.what());
                code = node::exit_code::failed;
            }
        }
        if (!options.json && !reports.empty()) print_changes(file, reports);
        all.insert(all.end(), reports.begin(), reports.end());
    }
    if (options.json) std::printf("%s\n", to_json(all, true).c_str());
    return code;
}

const char* word(node::TakesEffect effect) {
    constexpr const char* words[] = {"now", "when it is read first", "needs a restart"};
    return words[static_cast<std::size_t>(effect)];
}

int reload_config(ClusterClient& client, const std::vector<cluster::NodeInfo>& nodes, const ReloadOptions& options) {
    // One node of each process: they share a configuration. First all are asked, then all are changed.
    std::map<std::pair<std::string, std::uint64_t>, cluster::NodeInfo> processes;
    for (const auto& node : nodes) processes.emplace(std::pair(node.address.host, node.pid), node);
    std::map<std::string, std::pair<node::ConfigChange, std::size_t>> changes;
    for (const auto& [process, node] : processes) {
        try {
            for (const auto& change : client.ask<&ReloadService::reload_config>(node.address, 10s, true, who_asks())) {
                auto& [known, count] = changes[change.key];
                if (known.key.empty() || change.takes_effect < known.takes_effect) known = change;
                ++count;
            }
        } catch (const Error& error) {
            say(node.name + ": " + styled(STDERR_FILENO, Style::red, "refused: ") + error.what() + "; nothing was changed");
            return node::exit_code::failed;
        }
    }
    if (options.json) {
        std::vector<node::ConfigChange> all;
        for (const auto& [key, change] : changes) all.push_back(change.first);
        std::printf("%s\n", to_json(all, true).c_str());
    } else if (changes.empty()) {
        say("the configuration is as it was");
    } else {
        std::vector<std::vector<std::string>> rows = {{"KEY", "BEFORE", "AFTER", "TAKES EFFECT"}};
        for (const auto& [key, change] : changes)
            rows.push_back({key, change.first.before.empty() ? "-" : change.first.before,
                            change.first.after.empty() ? "-" : change.first.after, word(change.first.takes_effect)});
        std::fputs(table(STDOUT_FILENO, rows).c_str(), stdout);
    }
    if (options.check || changes.empty()) return node::exit_code::ok;
    for (const auto& [process, node] : processes) {
        try {
            (void)client.ask<&ReloadService::reload_config>(node.address, 10s, false, who_asks());
        } catch (const Error& error) {
            say(node.name + ": " + styled(STDERR_FILENO, Style::red, "kept the old one: ") + error.what());
            return node::exit_code::failed;
        }
    }
    say("applied by " + std::to_string(processes.size()) + (processes.size() == 1 ? " process" : " processes"));
    return node::exit_code::ok;
}

std::string local_time(std::int64_t at_ms) {
    const std::time_t at = at_ms / 1000;
    std::tm local{};
    ::localtime_r(&at, &local);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local)};
}

}  // namespace

int reload(const ReloadOptions& options) {
    Rollout::Settings settings;
    std::vector<ModuleFile> files;
    try {
        settings.watch = read_duration(options.watch, "--watch");
        if (!options.deadline.empty()) settings.deadline = read_duration(options.deadline, "--deadline");
        for (const auto& what : options.what) files.push_back(find_file(what));
    } catch (const Error& error) {
        say(error.message());
        return error.is(errc::bad_data) ? node::exit_code::failed : node::exit_code::refused;
    }
    settings.canary = options.canary;
    settings.mode = options.full ? node::ReloadMode::full : options.incremental ? node::ReloadMode::incremental
                                                                                : node::ReloadMode::automatic;
    ClusterClient client(options.data);
    const auto nodes = chosen(client, options.nodes);
    if (options.config) return reload_config(client, nodes, options);
    if (options.what.empty()) files = find_files(options, nodes);
    if (files.empty()) {
        say("all nodes run what is installed: nothing to do");
        return node::exit_code::ok;
    }
    Rollout rollout(client, nodes, [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); });
    if (options.check) return check(rollout, files, options);
    bool good = true;
    for (const auto& file : files) {
        std::fprintf(stderr, "%s  %s\n", styled(STDERR_FILENO, Style::bold, file.module).c_str(), file.path.c_str());
        good = good && rollout.bring(file, settings);
    }
    if (options.json) std::printf("%s\n", to_json(rollout.reports(), true).c_str());
    if (!good) {
        say(styled(STDERR_FILENO, Style::red, "not reloaded") + "; gyre audit tells more");
        return node::exit_code::failed;
    }
    const bool swapped = std::ranges::any_of(rollout.reports(), [](const auto& report) { return !report.mode.empty(); });
    say(swapped ? styled(STDERR_FILENO, Style::green, "reloaded") + "; on probation now, gyre ps --builds shows it"
                : "nothing to do");
    return node::exit_code::ok;
}

int roll_back(const RollbackOptions& options) {
    ClusterClient client(options.data);
    auto nodes = chosen(client, options.nodes);
    std::ranges::sort(nodes, {}, [](const auto& node) { return std::pair(node::stop_rank(node.role), node.name); });
    std::string module = options.module;
    std::int64_t newest = 0;
    if (module.empty())
        for (const auto& node : nodes)
            for (const auto& state : client.ask<&ReloadService::builds>(node.address, 5s))
                if (state.since_ms > newest) newest = state.since_ms, module = state.module;
    if (module.empty()) {
        say("nothing was reloaded here");
        return node::exit_code::refused;
    }
    bool good = true;
    std::vector<std::vector<std::string>> rows = {{"NODE", "BUILD OF " + module, "MODE", "PAUSE"}};
    for (const auto& node : nodes) {
        try {
            const auto report = client.ask<&ReloadService::rollback>(node.address, 5min, module, options.steps, who_asks());
            rows.push_back({node.name, report.from.substr(0, 8) + " -> " + report.to.substr(0, 8), report.mode,
                            readable_ms(report.swap_ms)});
        } catch (const Error& error) {
            // A node that never had another build has nothing to come back to.
            rows.push_back({node.name, "-", "-", "-", error.what()});
            good = good && error.is(errc::not_found);
        }
    }
    std::fputs(table(STDOUT_FILENO, rows, {3}).c_str(), stdout);
    return good ? node::exit_code::ok : node::exit_code::failed;
}

int audit(const std::string& data, std::uint32_t limit, bool json) {
    const auto folder = node::DataFolder::find(data).value();
    const auto entries = node::AuditLog(folder.file("audit.log")).read(limit);
    if (json) {
        std::printf("%s\n", to_json(entries, true).c_str());
        return node::exit_code::ok;
    }
    std::vector<std::vector<std::string>> rows = {{"WHEN", "WHO", "NODE", "ACTION", "MODULE", "FROM", "TO", "MODE", "TOOK", "RESULT", "REASON"}};
    for (const auto& entry : entries)
        rows.push_back({local_time(entry.at_ms), entry.who, entry.node, entry.action, entry.module.empty() ? "-" : entry.module,
                        entry.from.empty() ? "-" : entry.from.substr(0, 8), entry.to.empty() ? "-" : entry.to.substr(0, 8),
                        entry.mode.empty() ? "-" : entry.mode, entry.took_ms > 0 ? readable_ms(entry.took_ms) : "-", entry.result,
                        entry.reason});
    std::fputs(table(STDOUT_FILENO, rows, {8}).c_str(), stdout);
    return node::exit_code::ok;
}

}  // namespace gyre::cli

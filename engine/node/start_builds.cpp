#include <gyre/log/log.hpp>
#include <gyre/node/node_workshop.hpp>
#include <gyre/node/start_builds.hpp>

#include <filesystem>

namespace gyre::node {
namespace {

constexpr std::size_t looked_at = 200;

/// What the watchdog wrote before it ended the process, or that nobody knows.
std::string why_it_died(const AuditLog& audit, const std::string& node, const std::string& module) {
    const auto entries = audit.read(looked_at);
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
        if (entry->node != node || entry->module != module) continue;
        if (entry->action == "stuck") return entry->reason;
        break;
    }
    return "the process ended within the probation";
}

}  // namespace

std::vector<Installed> find_installed(const std::vector<std::string>& modules, const std::string& folder) {
    std::vector<Installed> all;
    for (const auto& name : modules) {
        Installed one;
        const auto path = module::find_module(name);
        one.name = std::filesystem::path(path ? *path : name).stem();
        const auto kept = path ? keep_build(*path, folder) : Result<Workshop::Kept>(path.error());
        if (!kept) {
            one.problem = kept.error();
        } else {
            one.name = kept->module;
            one.file = kept->file;
            auto loaded = module::load_build(kept->file.file, folder);
            if (loaded) one.code = *std::move(loaded);
            else one.problem = loaded.error();
        }
        all.push_back(std::move(one));
    }
    return all;
}

Result<StartBuilds> start_builds(const std::string& node, std::span<const Installed> installed,
                                 const std::string& modules_folder, const std::string& engine,
                                 const AuditLog& audit, std::int64_t now_ms) {
    std::string problem;
    StartBuilds start{{}, NodeHistory::load(modules_folder + "/" + node + ".json", &problem), {}};
    if (!problem.empty()) log::error("module.history_lost", {{"error", problem}});
    for (const auto& one : installed) {
        const ModuleHistory* known = start.history.find(one.name);
        if (one.problem && !known) return *one.problem;
        // What cannot be loaded is as if it had not changed.
        const BuildFile offered = one.problem ? known->current : one.file;
        const auto chosen = start.history.start(one.name, offered, engine);
        AuditEntry entry;
        entry.at_ms = now_ms;
        entry.who = "start";
        entry.node = node;
        entry.module = one.name;
        entry.to = chosen.use.build;
        if (chosen.died) {
            entry.action = "rollback";
            entry.from = chosen.died->build;
            entry.result = "rolled_back";
            entry.reason = "crash: " + why_it_died(audit, node, one.name);
            start.told.push_back(entry);
        }
        if (one.problem) {
            entry.action = "start";
            entry.from = "";
            entry.result = "refused";
            entry.reason = "the installed file: " + one.problem->message();
            start.told.push_back(entry);
        }
        StartBuild build{one.code, chosen.use};
        if (!one.code || chosen.use.build != one.code->id()) {
            auto loaded = module::load_build(chosen.use.file, modules_folder + "/builds");
            if (!loaded && !one.code) return loaded.error();
            if (loaded) {
                build.code = *std::move(loaded);
            } else {
                start.history.replace(one.name, one.file);
                build.file = one.file;
                entry.action = "start";
                entry.from = chosen.use.build;
                entry.to = one.file.build;
                entry.result = "refused";
                entry.reason = loaded.error().message();
                start.told.push_back(entry);
            }
        }
        start.builds.push_back(std::move(build));
    }
    if (auto saved = start.history.save(); !saved) return saved.error();
    return start;
}

}  // namespace gyre::node

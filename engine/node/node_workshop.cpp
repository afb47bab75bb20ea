#include <gyre/base/hash.hpp>
#include <gyre/codec/fields.hpp>
#include <gyre/module/check_process.hpp>
#include <gyre/node/node_workshop.hpp>
#include <gyre/task/dump.hpp>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace gyre::node {
namespace {

constexpr std::size_t samples_of_type = 8, holders_told = 5, passed_max = 256;

const module::Build& build_of(const Code& code) { return static_cast<const BuildCode&>(code).loaded(); }

module::Sample sample(const world::TypeTable& type, const void* object, std::string of) {
    Writer writer(Form::names);
    encode_fields(writer, object, type.fields, all_fields);
    return {std::string(type.name), std::move(of), writer.take()};
}

/// "engine/world/host.cpp:12" is "host.cpp:12": the rest is in the log.
std::string short_place(const std::string& place) { return place.substr(place.rfind('/') + 1); }

}  // namespace

void NodeWorkshop::declare(const Code& code) {
    sections_[code.module()] = config::Declaration(*parts_.document, build_of(code).sections());
}

Result<Workshop::Kept> keep_build(const std::string& file, const std::string& folder) {
    auto copy = module::copy_build(file, folder);
    if (!copy) return copy.error();
    const std::size_t dash = copy->rfind('-'), dot = copy->rfind('.');
    const std::size_t slash = copy->rfind('/');
    return Workshop::Kept{copy->substr(slash + 1, dash - slash - 1),
                          {copy->substr(dash + 1, dot - dash - 1), *copy, 0}};
}

Result<Workshop::Kept> NodeWorkshop::keep(std::string file) { return keep_build(file, parts_.folder); }

Result<CodePtr> NodeWorkshop::load(BuildFile kept) {
    auto build = module::load_build(kept.file, parts_.folder);
    if (!build) return build.error();
    return CodePtr(std::make_shared<BuildCode>(*std::move(build)));
}

std::string NodeWorkshop::installed(std::string module) {
    for (const auto& name : parts_.modules) {
        const auto path = module::find_module(name);
        if (!path) continue;
        if (auto kept = keep_build(*path, parts_.folder); kept && kept->module == module) return kept->file.build;
    }
    return {};
}

void NodeWorkshop::tidy(std::string module, std::vector<std::string> keep) {
    // Other nodes of the data folder come back to builds of their own.
    const std::string nodes = parts_.folder.substr(0, parts_.folder.rfind('/'));
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(nodes, failure)) {
        if (entry.path().extension() != ".json") continue;
        std::string problem;
        const auto history = NodeHistory::load(entry.path(), &problem);
        if (!problem.empty()) return;
        if (const auto* known = history.find(module)) {
            keep.push_back(known->current.build);
            keep.push_back(known->installed);
            for (const auto& file : known->previous) keep.push_back(file.build);
        }
    }
    (void)module::prune_copies(parts_.folder, module, keep);
    const auto old = std::filesystem::file_time_type::clock::now() - 10min;
    for (const auto& entry : std::filesystem::directory_iterator(parts_.uploads, failure))
        if (entry.last_write_time(failure) < old) std::filesystem::remove(entry.path(), failure);
}

Workshop::Check NodeWorkshop::prepare_check(const BuildFile& kept, const std::string& module, Duration limit) {
    module::Expectations expected;
    expected.name = module;
    std::vector<const world::TypeTable*> types;
    for (const auto* type : parts_.host.types()) {
        const std::string& owner = parts_.host.hosted(*type).module;
        if (owner != module) {
            expected.taken.push_back({std::string(type->name), owner.empty() ? "gyre" : owner});
            continue;
        }
        types.push_back(type);
        const auto add = [&](const world::Record& record, const std::string& of) {
            expected.samples.push_back(sample(*type, record.object, of));
            for (const auto& component : type->components)
                expected.samples.push_back(sample(*component.type, component.access(record.object), of));
        };
        if (type->kind == world::TypeKind::service) {
            if (const auto* record = parts_.host.find_service(type->name)) add(*record, "the service");
            continue;
        }
        std::size_t taken = 0;
        for (const EntityId id : parts_.host.ids(type->name))
            if (const auto* record = parts_.host.find(id); record && taken++ < samples_of_type)
                add(*record, std::string(type->name) + "/" + std::to_string(id));
    }
    if (!types.empty()) expected.types = module::report_types(types);
    return [checker = parts_.checker, file = kept.file, build = kept.build, expected, limit,
            passed = parts_.passed]() -> Result<std::vector<std::string>> {
        const Bytes asked = encode(expected);
        const std::uint64_t key =
            fnv1a(build + std::string(reinterpret_cast<const char*>(asked.data()), asked.size()));
        if (const auto known = passed->find(key); known != passed->end()) return known->second;
        const auto report = module::check_in_process(checker, file, expected, limit);
        if (!report) return report.error();
        if (passed->size() >= passed_max) passed->clear();
        if (report->ok) return passed->emplace(key, report->warnings).first->second;
        std::string reasons;
        for (const auto& error : report->errors) reasons += (reasons.empty() ? "" : "; ") + error;
        return Error(errc::bad_data, reasons);
    };
}

world::Changes NodeWorkshop::compare(const Code& code) const {
    auto changes = parts_.host.compare(code.module(), build_of(code).types());
    if (auto read = parts_.document->check(*parts_.document, build_of(code).sections()); !read)
        changes.refused.push_back(read.error().message());
    return changes;
}

Result<> NodeWorkshop::swap(const Code& code) {
    auto swapped = parts_.host.swap(code.module(), build_of(code).types());
    if (swapped) declare(code);
    return swapped;
}

Task<world::CarryReport> NodeWorkshop::carry_over(CodePtr code, Duration deadline) {
    auto carried = co_await parts_.host.carry_over(code->module(), build_of(*code).types(), deadline);
    declare(*code);
    co_return carried;
}

Vitals NodeWorkshop::vitals(const std::string& module) const {
    std::set<std::string_view> types;
    for (const auto* type : parts_.host.types()) {
        if (parts_.host.hosted(*type).module != module) continue;
        types.insert(type->name);
        for (const auto& component : type->components) types.insert(component.type->name);
    }
    Vitals vitals;
    vitals.pid = static_cast<std::uint64_t>(::getpid());
    for (const auto& [name, stats] : parts_.host.method_stats()) {
        if (!types.contains(std::string_view(name).substr(0, name.find('.')))) continue;
        if (stats.calls) vitals.methods.push_back({name, stats.calls, stats.failed});
    }
    for (const auto& sample : parts_.metrics.snapshot().samples) {
        if (sample.name == "gyre_world_tick_overruns_total") vitals.overruns += static_cast<std::uint64_t>(sample.value);
        if (sample.name != "gyre_world_tick_us") continue;
        vitals.ticks += sample.histogram.count();
        vitals.tick_ms += static_cast<double>(sample.histogram.sum()) / 1000;
    }
    return vitals;
}

std::vector<std::string> NodeWorkshop::holders(const Code& code) const {
    const auto range = build_of(code).address_range();
    std::vector<std::string> lines;
    std::size_t more = 0;
    const auto inside = [range](const void* where) { return range.contains(where); };
    for (const auto& task : suspended_tasks(parts_.host.executor(), 1'000'000, inside)) {
        if (task.node != &parts_.host.node()) continue;
        if (lines.size() == holders_told) {
            ++more;
            continue;
        }
        std::string line = task.scope;
        const auto* record = task.entity ? parts_.host.find(task.entity) : nullptr;
        if (record) line = std::string(record->type.name) + "/" + std::to_string(task.entity);
        line += ": task";
        // Where the game waits, not where the engine does it for the game.
        const auto of_game = std::ranges::find_if(task.awaits, [](const std::string& place) {
            return place.find("gyre/") == std::string::npos && place.find("engine/") == std::string::npos;
        });
        if (!task.awaits.empty()) line += " at " + short_place(of_game != task.awaits.end() ? *of_game : task.awaits.front());
        if (!task.waits_for.empty()) line += " waits for " + task.waits_for;
        if (task.cancelled) line += ", cancelled";
        lines.push_back(std::move(line));
    }
    if (more) lines.push_back("and " + std::to_string(more) + " more tasks");
    if (code.closures()) lines.push_back(std::to_string(code.closures()) + " closures of the engine");
    return lines;
}

}  // namespace gyre::node

#include <gyre/log/log.hpp>
#include <gyre/node/reloader.hpp>
#include <gyre/task/compose.hpp>
#include <gyre/task/sync.hpp>
#include <gyre/trace/failed.hpp>

#include <algorithm>

namespace gyre::node {
namespace {

constexpr Duration watch_period = 100ms, settle_wait = 5ms;

std::string joined(const std::vector<std::string>& lines, const char* between = "; ") {
    std::string text;
    for (const auto& line : lines) text += (text.empty() ? "" : between) + line;
    return text;
}

/// What changed in layouts, for who asked not to carry anything over.
std::string layout_changes(const world::Changes& changes) {
    std::vector<std::string> lines;
    for (const auto& type : changes.types)
        if (type.change == world::Change::layout) lines.push_back(type.type + ": " + joined(type.details, ", "));
    return joined(lines);
}

std::string short_id(const std::string& build) { return build.substr(0, 8); }

}  // namespace

/// The one reload that is at work.
class Reloader::Turn {
public:
    Turn(Reloader& reloader, std::string what) : reloader_(reloader) {
        if (!reloader.busy_.empty())
            throw Error(errc::in_use, reloader.parts_.node + ": " + reloader.busy_ + "; one at a time");
        reloader.busy_ = std::move(what);
    }
    ~Turn() { reloader_.busy_.clear(); }
    Turn(const Turn&) = delete;

private:
    Reloader& reloader_;
};

Reloader::Reloader(ReloaderParts parts) : parts_(std::move(parts)) {}

Reloader::~Reloader() {
    for (auto& [name, module] : modules_) {
        end_probation(module);
        if (parts_.running) parts_.running->erase(parts_.running->find(module.code->build()));
        if (!parts_.last_code) continue;
        parts_.last_code->push_back(std::move(module.code));
        parts_.last_code->insert(parts_.last_code->end(), module.held.begin(), module.held.end());
    }
}

double Reloader::ms_since(TimePoint begun) const {
    return std::chrono::duration<double, std::milli>(parts_.io.measure_now() - begun).count();
}

void Reloader::adopt(CodePtr code, BuildFile from) {
    Module& module = modules_[code->module()];
    run_on(module, std::move(code));
    module.file = std::move(from);
}

void Reloader::run_on(Module& module, CodePtr code) {
    if (parts_.running) {
        if (module.code) parts_.running->erase(parts_.running->find(module.code->build()));
        parts_.running->insert(code->build());
    }
    module.code = std::move(code);
}

/// A replaced build that something holds, and not a node beside this one that runs it.
bool Reloader::lingers(const Module& module, const Code& code) const {
    if (code.build() == module.code->build() || code.frames() + code.closures() == 0) return false;
    return !parts_.running || !parts_.running->contains(code.build());
}

AuditEntry Reloader::entry(const std::string& who, const std::string& action, const std::string& module) const {
    AuditEntry entry;
    entry.at_ms = parts_.io.wall_now().time_since_epoch() / 1ms;
    entry.who = who;
    entry.node = parts_.node;
    entry.action = action;
    entry.module = module;
    entry.result = "ok";
    return entry;
}

Task<> Reloader::tell(AuditEntry entry) {
    const auto written = co_await parts_.lane.run([audit = parts_.audit, entry] { return audit.append(entry); });
    if (!written) log::error("audit.not_written", {{"error", written.error().what()}});
}

Task<> Reloader::write_history() {
    auto saved = co_await parts_.lane.run([history = parts_.history] { return history.save(); });
    std::move(saved).value();
}

Task<ReloadReport> Reloader::reload(ReloadRequest request) {
    return bring(std::move(request), "reload");
}

Task<ReloadReport> Reloader::roll_back(std::string name, std::uint32_t steps, std::string who) {
    const ModuleHistory* history = parts_.history.find(name);
    if (!modules_.contains(name) || !history)
        throw Error(errc::not_found, parts_.node + " has no module " + name);
    if (steps == 0 || steps > history->previous.size())
        throw Error(errc::not_found, parts_.node + " keeps " + std::to_string(history->previous.size()) +
                                         " builds of " + name + " before this one (config key reload.keep)");
    ReloadRequest request;
    request.module = name;
    request.file = history->previous[steps - 1].file;
    request.who = std::move(who);
    co_return co_await bring(std::move(request), "rollback");
}

Task<ReloadReport> Reloader::bring(ReloadRequest request, std::string action) {
    while (settling_) co_await sleep(settle_wait);
    const Turn turn(*this, (request.who.empty() ? "somebody" : request.who) + " is at a " + action + " of " +
                               (request.module.empty() ? request.file : request.module));
    ReloadReport report;
    report.node = parts_.node;
    report.module = request.module;
    AuditEntry told = entry(request.who, action, request.module);
    const TimePoint begun = parts_.io.measure_now();
    std::optional<Error> failure;
    try {
        TimePoint step = begun;
        const auto lap = [&step, this](double& ms) {
            ms = ms_since(step);
            step = parts_.io.measure_now();
        };
        Workshop* workshop = &parts_.workshop;
        auto copied = co_await parts_.lane.run([workshop, file = request.file] { return workshop->keep(file); });
        const Workshop::Kept kept = std::move(copied).value();
        const BuildFile& file = kept.file;
        const std::string& name = kept.module;
        if (!request.module.empty() && request.module != name)
            throw Error(errc::bad_arguments, request.file + " is module " + name + ", not " + request.module);
        const auto found = modules_.find(name);
        if (found == modules_.end())
            throw Error(errc::not_found, "module " + name + " is none of cluster.modules: " + joined(parts_.modules, ", "));
        Module& module = found->second;
        report.module = told.module = name;
        report.from = told.from = module.code->build();
        report.to = told.to = file.build;
        lap(report.copy_ms);
        if (report.from == report.to) co_return report;
        // Not loaded here before a process of its own has: what is wrong with it may kill who loads it.
        auto verdict =
            co_await parts_.lane.run(workshop->prepare_check(file, name, parts_.config().check_limit));
        report.warnings = std::move(verdict).value();
        lap(report.check_ms);
        auto loaded = co_await parts_.lane.run([workshop, file] { return workshop->load(file); });
        const CodePtr code = std::move(loaded).value();
        lap(report.load_ms);
        report.changes = parts_.workshop.compare(*code);
        if (!report.changes.refused.empty()) throw Error(errc::conflict, joined(report.changes.refused));
        const bool full = report.changes.needs_carry_over() || request.mode == ReloadMode::full;
        report.mode = told.mode = full ? "full" : "incremental";
        if (full && request.mode == ReloadMode::incremental)
            throw Error(errc::conflict, "layouts changed, which needs a full reload: " + layout_changes(report.changes));
        if (request.check_only) co_return report;

        const std::string installed = co_await parts_.lane.run([workshop, name] { return workshop->installed(name); });
        const NodeHistory before = parts_.history;
        BuildFile tried = file;
        tried.since_ms = parts_.io.wall_now().time_since_epoch() / 1ms;
        parts_.history.begin(name, tried, request.who, installed, parts_.config().keep);
        const bool trusted = module.fallback && module.fallback->build() == tried.build;
        if (trusted || parts_.config().probation == 0ms) parts_.history.confirm(name);
        try {
            co_await write_history();
            const bool was_watched = module.fallback != nullptr;
            if (parts_.watchdog && !was_watched) parts_.watchdog->arm(parts_.config().stuck, watched(name));
            const TimePoint swapping = parts_.io.measure_now();
            CodePtr old = module.code;
            try {
                if (full) {
                    const Duration deadline =
                        request.deadline.count() ? Duration(request.deadline) : Duration(parts_.config().deadline);
                    const auto carried = co_await parts_.workshop.carry_over(code, deadline);
                    report.objects = carried.objects;
                    report.cancelled = carried.cancelled;
                    report.waited = carried.waited;
                } else {
                    parts_.workshop.swap(*code).value();
                }
                const auto started = co_await as_result(parts_.workshop.start_added_services());
                if (!started) {
                    if (full) (void)co_await parts_.workshop.carry_over(old, parts_.config().deadline);
                    else parts_.workshop.swap(*old).value();
                    throw Error(started.error());
                }
            } catch (...) {
                if (parts_.watchdog && !was_watched) parts_.watchdog->disarm(watched(name));
                throw;
            }
            report.swap_ms = ms_since(swapping);
            run_on(module, code);
            module.file = tried;
            module.who = request.who;
            module.at_swap = parts_.workshop.vitals(name);  // what the reload itself cancelled is not the build's fault
            module.probation_until = parts_.io.now() + parts_.config().probation;
            // What never was trusted is nothing to come back to.
            if (was_watched) replaced(module, std::move(old));
            else module.fallback = std::move(old);
            if (trusted) end_probation(module);
        } catch (const Error& error) {
            failure = error;
        } catch (...) {
            trace::failed("module.swap_failed", std::current_exception(), {{"module", name}});
            failure = to_error(std::current_exception());
        }
        if (failure) {
            parts_.history = before;
            const auto undone = co_await as_result(write_history());
            if (!undone) log::error("module.history_not_written", {{"error", undone.error().what()}});
            throw *failure;
        }
        log::info("module.swapped", {{"module", name}, {"from", short_id(report.from)}, {"to", short_id(report.to)},
                                     {"mode", report.mode}, {"who", request.who}, {"swap_ms", report.swap_ms}});
        parts_.on_change();
        changed_.notify_all();
    } catch (const Error& error) {
        failure = error;
    } catch (...) {
        trace::failed("module.reload_failed", std::current_exception(), {{"module", told.module}});
        failure = to_error(std::current_exception());
    }
    if (request.check_only) {
        if (failure) throw *failure;
        co_return report;
    }
    told.took_ms = ms_since(begun);
    if (failure) {
        told.result = "refused";
        told.reason = failure->what();
        log::warn("module.refused", {{"module", told.module}, {"build", short_id(told.to)}, {"who", request.who},
                                     {"reason", told.reason}});
    }
    co_await shielded(tell(told));
    if (failure) throw *failure;
    co_return report;
}

void Reloader::replaced(Module& module, CodePtr old) {
    if (old) module.held.push_back(std::move(old));
}

void Reloader::end_probation(Module& module) {
    if (!module.fallback) return;
    replaced(module, std::move(module.fallback));
    module.fallback = nullptr;
    module.probation_until = {};
    if (parts_.watchdog) parts_.watchdog->disarm(watched(module.code->module()));
}

Task<> Reloader::confirm(std::string name) {
    Module& module = modules_.at(name);
    AuditEntry told = entry("probation", "confirm", name);
    told.to = module.code->build();
    end_probation(module);
    parts_.history.confirm(name);
    co_await write_history();
    log::info("module.confirmed", {{"module", name}, {"build", short_id(told.to)}});
    std::vector<std::string> keep = {told.to};
    for (const auto& file : parts_.history.find(name)->previous) keep.push_back(file.build);
    Workshop* workshop = &parts_.workshop;
    co_await parts_.lane.run([workshop, name, keep] { workshop->tidy(name, keep); });
    co_await tell(told);
}

Task<> Reloader::return_to_fallback(std::string name, std::string reason) {
    Module& module = modules_.at(name);
    AuditEntry told = entry("probation", "rollback", name);
    told.from = module.code->build();
    told.to = module.fallback->build();
    told.result = "rolled_back";
    told.reason = reason;
    const TimePoint begun = parts_.io.measure_now();
    const CodePtr back = module.fallback;
    const auto changes = parts_.workshop.compare(*back);
    told.mode = changes.needs_carry_over() ? "full" : "incremental";
    std::optional<Error> failure;
    if (!changes.refused.empty()) {
        failure.emplace(errc::conflict, joined(changes.refused));
    } else if (changes.needs_carry_over()) {
        const auto carried = co_await as_result(parts_.workshop.carry_over(back, parts_.config().deadline));
        if (!carried) failure = carried.error();
    } else if (auto swapped = parts_.workshop.swap(*back); !swapped) {
        failure = swapped.error();
    }
    if (failure) {
        // Neither is good; the one that runs stays, and people are told.
        told.result = "failed";
        told.reason += "; rolling back failed: " + std::string(failure->what());
        log::error("module.roll_back_failed", {{"module", name}, {"reason", told.reason}});
        end_probation(module);
        parts_.history.confirm(name);
    } else {
        CodePtr bad = module.code;
        run_on(module, back);
        end_probation(module);
        replaced(module, std::move(bad));
        parts_.history.roll_back(name);
        module.file = parts_.history.find(name)->current;
        log::warn("module.rolled_back", {{"module", name}, {"from", short_id(told.from)}, {"to", short_id(told.to)},
                                         {"reason", reason}});
    }
    const auto saved = co_await as_result(write_history());
    if (!saved) log::error("module.history_not_written", {{"error", saved.error().what()}});
    parts_.on_change();
    told.took_ms = ms_since(begun);
    co_await tell(told);
}

Task<> Reloader::run() {
    int until_unload = 0;
    for (;;) {
        const bool watch = std::ranges::any_of(
            modules_, [](const auto& named) { return named.second.fallback || !named.second.held.empty(); });
        if (!watch) co_await changed_.wait();
        co_await sleep(watch_period);
        if (busy_.empty()) {
            const ReloadConfig config = parts_.config();
            const Decline decline{config.failures, config.overruns};
            for (auto& [name, module] : modules_) {
                if (!module.fallback) continue;
                const std::string reason = decline.reason(module.at_start, module.at_swap, parts_.workshop.vitals(name));
                if (reason.empty() && parts_.io.now() < module.probation_until) continue;
                const Turn turn(*this, "probation of " + name + " ends");
                settling_ = true;
                const auto done = reason.empty() ? co_await as_result(confirm(name))
                                                 : co_await as_result(return_to_fallback(name, reason));
                settling_ = false;
                if (!done) log::error("module.history_not_written", {{"error", done.error().what()}});
            }
        }
        if (++until_unload >= 10) {
            until_unload = 0;
            unload_unused();
        }
    }
}

void Reloader::unload_unused() {
    for (auto& [name, module] : modules_)
        std::erase_if(module.held, [&module](const CodePtr& code) {
            return code->build() == module.code->build() || code->frames() + code->closures() == 0;
        });
}

std::string_view Reloader::build_of(std::string_view module) const {
    const auto found = modules_.find(module);
    return found == modules_.end() ? std::string_view() : std::string_view(found->second.code->build()).substr(0, 8);
}

std::uint32_t Reloader::held() const {
    std::uint32_t count = 0;
    for (const auto& [name, module] : modules_) {
        for (const auto& code : module.held) count += lingers(module, *code);
        count += module.fallback && lingers(module, *module.fallback);
    }
    return count;
}

Task<> Reloader::end() {
    bool changed = false;
    for (auto& [name, module] : modules_) {
        if (!module.fallback) continue;
        end_probation(module);
        parts_.history.confirm(name);
        changed = true;
    }
    if (changed) co_await write_history();
}

Task<std::vector<ConfigChange>> Reloader::reload_config(bool check_only, std::string who) {
    if (!parts_.live_config) throw Error(errc::unavailable, "this process cannot read its configuration again");
    if (check_only) co_return parts_.live_config->check().value();
    const TimePoint begun = parts_.io.measure_now();
    auto changes = parts_.live_config->apply();
    AuditEntry told = entry(who, "config", "");
    told.result = changes ? "ok" : "refused";
    told.took_ms = ms_since(begun);
    if (!changes) {
        told.reason = changes.error().what();
        log::warn("config.refused", {{"who", who}, {"reason", told.reason}});
    } else {
        for (const auto& change : *changes) {
            told.reason += (told.reason.empty() ? "" : ", ") + change.key + " " + change.before + " -> " + change.after;
            log::info("config.changed", {{"key", change.key}, {"before", change.before}, {"after", change.after}, {"who", who}});
        }
        if (changes->empty()) told.reason = "nothing changed";
    }
    co_await shielded(tell(told));
    co_return std::move(changes).value();
}

std::vector<ModuleState> Reloader::states() const {
    std::vector<ModuleState> states;
    for (const auto& [name, module] : modules_) {
        ModuleState state;
        state.module = name;
        state.build = module.code->build();
        state.file = module.file.file;
        state.since_ms = module.file.since_ms;
        state.who = module.who;
        if (module.fallback)
            state.probation_ms = std::max<std::int64_t>(1, (module.probation_until - parts_.io.now()) / 1ms);
        if (const auto* history = parts_.history.find(name)) {
            for (const auto& file : history->previous) state.previous.push_back(file.build);
            state.bad = history->bad;
        }
        std::list<CodePtr> held = module.held;
        if (module.fallback) held.push_back(module.fallback);
        for (const auto& code : held) {
            if (!lingers(module, *code)) continue;
            state.held.push_back({code->build(), code->frames(), code->closures(), parts_.workshop.holders(*code)});
        }
        states.push_back(std::move(state));
    }
    return states;
}

}  // namespace gyre::node

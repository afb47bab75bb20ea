#pragma once
#include <chrono>
#include <gyre/world/changes.hpp>

/// What `gyre reload` and the nodes tell each other.
namespace gyre::node {

enum class ReloadMode : std::uint8_t {
    automatic,    ///< Incremental when no layout changed, else full.
    incremental,  ///< Refused when a layout changed.
    full,         ///< Objects are carried over where a layout changed; calls wait meanwhile.
};

struct ReloadRequest {
    std::string module;  ///< Empty: the file says.
    std::string file;    ///< On the node's machine.
    ReloadMode mode = ReloadMode::automatic;
    std::string who;     ///< "ann@host1"
    std::chrono::milliseconds deadline{0};  ///< 0: config key reload.deadline.
    bool check_only = false;                ///< Tells what would change and changes nothing.
    static consteval auto describe() {
        return type<ReloadRequest>("ReloadRequest", field<&ReloadRequest::module>(), field<&ReloadRequest::file>(),
                                   field<&ReloadRequest::mode>(), field<&ReloadRequest::who>(),
                                   field<&ReloadRequest::deadline>(), field<&ReloadRequest::check_only>());
    }
};

struct ReloadReport {
    std::string node, module;
    std::string from, to;  ///< Build ids. The same: there was nothing to do.
    std::string mode;      ///< incremental, full; empty: nothing to do.
    world::Changes changes;
    std::vector<std::string> warnings;
    std::uint64_t objects = 0, cancelled = 0, waited = 0;  ///< Of a full reload: as in CarryReport.
    double copy_ms = 0, check_ms = 0, load_ms = 0;
    double swap_ms = 0;  ///< Incremental: the loop stood still for it. Full: calls waited for it.
    static consteval auto describe() {
        return type<ReloadReport>(
            "ReloadReport", field<&ReloadReport::node>(), field<&ReloadReport::module>(),
            field<&ReloadReport::from>(), field<&ReloadReport::to>(), field<&ReloadReport::mode>(),
            field<&ReloadReport::changes>(), field<&ReloadReport::warnings>(), field<&ReloadReport::objects>(),
            field<&ReloadReport::cancelled>(), field<&ReloadReport::waited>(), field<&ReloadReport::copy_ms>(),
            field<&ReloadReport::check_ms>(), field<&ReloadReport::load_ms>(), field<&ReloadReport::swap_ms>());
    }
};

/// A build that was replaced and is still loaded.
struct HeldBuild {
    std::string build;
    std::uint64_t frames = 0, closures = 0;
    std::vector<std::string> held_by;  ///< "Match/12: task at match.cpp:88 waits for sleep, 3 s left"
    static consteval auto describe() {
        return type<HeldBuild>("HeldBuild", field<&HeldBuild::build>(), field<&HeldBuild::frames>(),
                               field<&HeldBuild::closures>(), field<&HeldBuild::held_by>());
    }
};

struct ModuleState {
    std::string module, build, file;
    std::int64_t since_ms = 0;       ///< Runs here since, 1970 UTC.
    std::string who;                 ///< Brought it; empty or "start": the start of the node.
    std::int64_t probation_ms = 0;   ///< Left of it; 0: trusted.
    std::vector<std::string> previous;  ///< Builds to come back to, newest first.
    std::vector<std::string> bad;       ///< Died in probation.
    std::vector<HeldBuild> held;
    static consteval auto describe() {
        return type<ModuleState>("ModuleState", field<&ModuleState::module>(), field<&ModuleState::build>(),
                                 field<&ModuleState::file>(), field<&ModuleState::since_ms>(),
                                 field<&ModuleState::who>(), field<&ModuleState::probation_ms>(),
                                 field<&ModuleState::previous>(), field<&ModuleState::bad>(),
                                 field<&ModuleState::held>());
    }
};

/// Calls of one method since the node started, timers included.
struct MethodVitals {
    std::string method;  ///< "Bag.take"
    std::uint64_t calls = 0, failed = 0;
    static consteval auto describe() {
        return type<MethodVitals>("MethodVitals", field<&MethodVitals::method>(), field<&MethodVitals::calls>(),
                                  field<&MethodVitals::failed>());
    }
};

/// What a module did on a node since it started: counters that only grow.
struct Vitals {
    std::vector<MethodVitals> methods;  ///< By name; none that was never called.
    std::uint64_t ticks = 0, overruns = 0;  ///< Of all worlds of the node.
    double tick_ms = 0;                     ///< In all of them together.
    std::uint64_t pid = 0;
    static consteval auto describe() {
        return type<Vitals>("Vitals", field<&Vitals::methods>(), field<&Vitals::ticks>(), field<&Vitals::overruns>(),
                            field<&Vitals::tick_ms>(), field<&Vitals::pid>());
    }
};

/// How much worse `now` is than before: what a probation and a canary go by. Each method is judged by
/// itself, so that timers and the busiest method hide nothing; the worst one is named.
struct Decline {
    double failures = 0.1;       ///< Rise of the share of failed calls of a method that is too much.
    double overruns = 0.2;       ///< The same of ticks that took longer than their period.
    double tick_factor = 0;      ///< Ticks that take so many times as long are too much; 0: not looked at.
    std::uint64_t calls_min = 20, ticks_min = 30;  ///< Fewer since the swap (of the method) say nothing.
    /// at_start: as the node started (all zero) or a time before the swap; at_swap; now. Empty: all is well.
    std::string reason(const Vitals& at_start, const Vitals& at_swap, const Vitals& now) const;
};

}  // namespace gyre::node

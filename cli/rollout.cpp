#include "rollout.hpp"

#include <gyre/base/hash.hpp>
#include <gyre/module/check.hpp>
#include <gyre/module/loader.hpp>
#include <gyre/node/process.hpp>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <thread>

#include "duration.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

using node::ReloadService;

constexpr Duration reload_limit = 5min, short_limit = 5s;
constexpr auto watch_period = 500ms;

std::string short_id(const std::string& build) { return build.substr(0, 8); }

std::string padded(const std::string& text, std::size_t width) {
    return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

}  // namespace

std::string who_asks() {
    const passwd* user = ::getpwuid(::getuid());
    char host[256] = "";
    ::gethostname(host, sizeof host - 1);
    return (user ? std::string(user->pw_name) : std::to_string(::getuid())) + "@" + host;
}

ModuleFile find_file(const std::string& name_or_path) {
    const bool path = name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".so");
    const std::string found =
        path ? name_or_path : module::find_module(name_or_path).value();
    char whole[PATH_MAX];
    if (!::realpath(found.c_str(), whole)) throw Error(errc::not_found, "no file " + found);
    const auto report = module::check_file(whole);
    if (report.ok) return {report.name, report.build, whole};
    std::string reasons;
    for (const auto& error : report.errors) reasons += (reasons.empty() ? "" : "; ") + error;
    throw Error(errc::bad_data, found + ": " + reasons);
}

Rollout::Rollout(ClusterClient& client, std::vector<cluster::NodeInfo> nodes,
                 std::function<void(const std::string&)> tell)
    : client_(client), nodes_(std::move(nodes)), tell_(std::move(tell)) {
    std::ranges::sort(nodes_, {}, [](const auto& node) { return std::pair(node::stop_rank(node.role), node.name); });
}

/// The file's path on the node's machine; it is sent when that machine does not have it.
std::string Rollout::place(const cluster::NodeInfo& node, const ModuleFile& file) {
    std::ifstream in(file.path, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(in), {});
    if (bytes.size() > ReloadService::upload_bytes_max)
        throw Error(errc::too_large, file.path + ": more than " + std::to_string(ReloadService::upload_bytes_max >> 20) + " MiB");
    if (client_.ask<&ReloadService::has_file>(node.address, short_limit, file.path, bytes.size(), fnv1a(bytes)))
        return file.path;
    std::string there;
    for (std::size_t at = 0; at < bytes.size(); at += ReloadService::chunk_bytes) {
        const std::string_view piece = std::string_view(bytes).substr(at, ReloadService::chunk_bytes);
        there = client_.ask<&ReloadService::upload>(node.address, short_limit, file.build, at,
                                                    Bytes(piece.begin(), piece.end()));
    }
    return there;
}

node::ReloadReport Rollout::check(const cluster::NodeInfo& node, const ModuleFile& file, node::ReloadMode mode) {
    node::ReloadRequest request;
    request.module = file.module;
    request.file = place(node, file);
    request.mode = mode;
    request.who = who_asks();
    request.check_only = true;
    return client_.ask<&ReloadService::reload>(node.address, reload_limit, request);
}

bool Rollout::bring_to(const cluster::NodeInfo& node, const ModuleFile& file, const Settings& settings) {
    std::size_t width = 0;
    for (const auto& one : nodes_) width = std::max(width, one.name.size());
    const std::string name = "  " + padded(node.name, width) + "  ";
    bool swapped = false;
    try {
        node::ReloadRequest request;
        request.module = file.module;
        request.file = place(node, file);
        request.mode = settings.mode;
        request.deadline = settings.deadline;
        request.who = who_asks();
        reports_.push_back(client_.ask<&ReloadService::reload>(node.address, reload_limit, request));
        const auto& report = reports_.back();
        if (report.mode.empty()) {
            tell_(name + "runs " + short_id(report.to) + " already");
            return true;
        }
        std::string line = name + short_id(report.from) + " -> " + short_id(report.to) + "  ";
        if (report.mode == "full")
            line += "full, " + std::to_string(report.objects) + " objects carried over, calls waited " +
                    readable_ms(report.swap_ms) + (report.cancelled ? ", " + std::to_string(report.cancelled) + " tasks cancelled" : "");
        else
            line += "paused " + readable_ms(report.swap_ms);
        tell_(line + styled(STDERR_FILENO, Style::dim, "  (check " + readable_ms(report.check_ms) + ")"));
        for (const auto& warning : report.warnings) tell_("    " + styled(STDERR_FILENO, Style::yellow, "warning: ") + warning);
        done_.push_back({node, {}});
        swapped = true;
        done_.back().at_swap = client_.ask<&ReloadService::vitals>(node.address, short_limit, file.module);
        return true;
    } catch (const Error& error) {
        tell_(name + styled(STDERR_FILENO, Style::red, swapped ? "does not answer: " : "refused: ") + error.what());
        return false;
    }
}

std::string Rollout::what_is_wrong(const Done& done, const ModuleFile& file) {
    try {
        const auto now = client_.ask<&ReloadService::vitals>(done.node.address, 2s, file.module);
        if (now.pid != done.at_swap.pid) return "its process died and was started again";
        for (const auto& state : client_.ask<&ReloadService::builds>(done.node.address, 2s))
            if (state.module == file.module && state.build != file.build) {
                for (const auto& entry : client_.ask<&ReloadService::audit>(done.node.address, 2s, 50u))
                    if (entry.node == done.node.name && entry.module == file.module && entry.result == "rolled_back" &&
                        entry.from == file.build)
                        return "it went back by itself: " + entry.reason;
                return "it runs " + short_id(state.build) + " again";
            }
        node::Decline decline;
        decline.tick_factor = 2;
        return decline.reason({}, done.at_swap, now);
    } catch (const Error& error) {
        return std::string("it does not answer: ") + error.what();
    }
}

bool Rollout::watch(const ModuleFile& file, std::chrono::milliseconds time) {
    tell_("  watching the canary for " + readable_ms(static_cast<double>(time.count())));
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(watch_period);
        for (const auto& done : done_) {
            const std::string wrong = what_is_wrong(done, file);
            if (wrong.empty()) continue;
            tell_("  " + done.node.name + ": " + styled(STDERR_FILENO, Style::red, wrong));
            return false;
        }
    }
    return true;
}

void Rollout::take_back(const ModuleFile& file) {
    while (!done_.empty()) {
        const Done done = std::move(done_.back());
        done_.pop_back();
        // A node that died comes back with the build before by itself, a moment later.
        const auto end = std::chrono::steady_clock::now() + 5s;
        for (;;) {
            try {
                const auto states = client_.ask<&ReloadService::builds>(done.node.address, 2s);
                const auto state = std::ranges::find(states, file.module, &node::ModuleState::module);
                if (state == states.end() || state->build == file.build)
                    (void)client_.ask<&ReloadService::rollback>(done.node.address, reload_limit, file.module, 1u, who_asks());
                tell_("  " + done.node.name + ": back on the build before");
                break;
            } catch (const Error& error) {
                if (std::chrono::steady_clock::now() < end) {
                    std::this_thread::sleep_for(200ms);
                    continue;
                }
                tell_("  " + done.node.name + ": " + styled(STDERR_FILENO, Style::red, "not rolled back: ") + error.what());
                break;
            }
        }
    }
}

bool Rollout::bring(const ModuleFile& file, const Settings& settings) {
    done_.clear();
    std::vector<cluster::NodeInfo> first, rest;
    std::map<std::string, std::uint32_t> taken;
    for (const auto& node : nodes_) {
        const bool serves = std::ranges::any_of(node.modules, [&file](const auto& m) { return m.module == file.module && m.serves; });
        const bool goes_first = serves && taken[node.role] < settings.canary;
        taken[node.role] += goes_first;
        (goes_first ? first : rest).push_back(node);
    }
    const auto all_of = [&](const std::vector<cluster::NodeInfo>& nodes) {
        return std::ranges::all_of(nodes, [&](const auto& node) { return bring_to(node, file, settings); });
    };
    bool good = all_of(first);
    if (good && !done_.empty() && settings.watch.count() > 0) good = watch(file, settings.watch);
    good = good && all_of(rest);
    if (!good && !done_.empty()) tell_("  rolling back what was changed");
    if (!good) take_back(file);
    return good;
}

}  // namespace gyre::cli

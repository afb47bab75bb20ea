#include <gyre/codec/json.hpp>
#include <gyre/node/reload_service.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>

#include "cluster_client.hpp"
#include "commands.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

std::string since(std::int64_t started_ms) {
    using namespace std::chrono;
    const std::int64_t now = duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
    const std::int64_t s = std::max<std::int64_t>(0, now - started_ms / 1000);
    const auto pair = [](std::int64_t a, const char* x, std::int64_t b, const char* y) {
        char text[48];
        std::snprintf(text, sizeof text, "%lld%s%02lld%s", static_cast<long long>(a), x,
                      static_cast<long long>(b), y);
        return std::string(text);
    };
    if (s < 60) return std::to_string(s) + "s";
    if (s < 3600) return pair(s / 60, "m", s % 60, "s");
    if (s < 86400) return pair(s / 3600, "h", s / 60 % 60, "m");
    return pair(s / 86400, "d", s / 3600 % 24, "h");
}

std::string modules_of(const cluster::NodeInfo& node) {
    std::string text;
    for (const auto& module : node.modules)
        if (module.serves) text += (text.empty() ? "" : " ") + module.module + ":" + module.build;
    return text.empty() ? "-" : text;
}

std::vector<std::string> row(const cluster::NodeInfo& node) {
    std::string client = node.client_address.port ? node.client_address.to_string() : "";
    if (node.http_address.port)
        client += (client.empty() ? "http://" : " http://") + node.http_address.to_string();
    return {node.role + (node.draining ? " (draining)" : ""), node.name, node.address.to_string(),
            client.empty() ? "-" : client, std::to_string(node.pid), std::to_string(node.load),
            std::to_string(node.entities), std::to_string(node.sessions), since(node.started_ms),
            node.build.substr(0, 8), modules_of(node)};
}

/// Yesterday's as date, else the time.
std::string when(std::int64_t at_ms) {
    if (at_ms <= 0) return "start";
    const std::time_t at = at_ms / 1000;
    std::tm local{};
    ::localtime_r(&at, &local);
    char text[32];
    const bool recent = std::time(nullptr) - at < 86'400;
    return {text, std::strftime(text, sizeof text, recent ? "%H:%M:%S" : "%Y-%m-%d", &local)};
}

std::string listed(const std::vector<std::string>& builds) {
    std::string text;
    for (const auto& build : builds) text += (text.empty() ? "" : " ") + build.substr(0, 8);
    return text.empty() ? "-" : text;
}

/// Every module of every node, then what holds old builds.
int ps_builds(ClusterClient& client, const std::vector<cluster::NodeInfo>& nodes, bool json) {
    std::map<std::string, std::vector<node::ModuleState>> states;
    int code = node::exit_code::ok;
    for (const auto& node : nodes) {
        try {
            states[node.name] = client.ask<&node::ReloadService::builds>(node.address, 2s);
        } catch (const Error& error) {
            say(node.name + ": " + error.what());
            code = node::exit_code::failed;
        }
    }
    if (json) {
        std::printf("%s\n", to_json(states, true).c_str());
        return code;
    }
    std::vector<std::vector<std::string>> rows = {{"NODE", "MODULE", "BUILD", "SINCE", "BY", "STATE", "BEFORE IT", "BAD"}};
    std::string held;
    for (const auto& [name, modules] : states)
        for (const auto& state : modules) {
            const std::string trust = state.probation_ms
                                          ? "on probation, " + std::to_string((state.probation_ms + 999) / 1000) + " s left"
                                          : "trusted";
            rows.push_back({name, state.module, state.build.substr(0, 8), when(state.since_ms),
                            state.who.empty() ? "-" : state.who, trust, listed(state.previous), listed(state.bad)});
            for (const auto& old : state.held) {
                held += name + ": old build " + old.build.substr(0, 8) + " of " + state.module + " is held by " +
                        std::to_string(old.frames) + " coroutines and " + std::to_string(old.closures) + " closures\n";
                for (const auto& line : old.held_by) held += "  " + line + "\n";
            }
        }
    std::fputs(table(STDOUT_FILENO, rows).c_str(), stdout);
    if (!held.empty()) std::printf("\n%s", held.c_str());
    return code;
}

}  // namespace

int ps(const PsOptions& options) {
    ClusterClient client(options.data);
    auto nodes = client.nodes();
    std::ranges::sort(nodes, {}, &cluster::NodeInfo::name);
    if (options.builds) return ps_builds(client, nodes, options.json);
    if (options.json) {
        std::printf("%s\n", to_json(nodes, true).c_str());
    } else {
        std::vector<std::vector<std::string>> rows = {
            {"ROLE", "NAME", "ADDRESS", "CLIENTS", "PID", "LOAD", "ENTITIES", "SESSIONS", "UP", "ENGINE", "MODULES"}};
        for (const auto& node : nodes) rows.push_back(row(node));
        std::fputs(table(STDOUT_FILENO, rows, {4, 5, 6, 7, 8}).c_str(), stdout);
    }
    // Nodes of one process hold the same ones.
    std::map<std::pair<std::string, std::uint64_t>, std::uint32_t> held;
    for (const auto& node : nodes) {
        auto& most = held[{node.address.host, node.pid}];
        most = std::max(most, node.old_builds);
    }
    std::uint32_t old_builds = 0;
    for (const auto& [process, count] : held) old_builds += count;
    if (old_builds && !options.json)
        say(std::to_string(old_builds) + (old_builds == 1 ? " old build is" : " old builds are") +
            " still held; gyre ps --builds says by what");
    std::string missing;
    for (const auto& spec : client.file().config)
        if (!std::ranges::count(nodes, spec.name, &cluster::NodeInfo::name))
            missing += (missing.empty() ? "" : ", ") + spec.name;
    if (missing.empty()) return node::exit_code::ok;
    say(styled(STDERR_FILENO, Style::red, "not running: " + missing));
    return node::exit_code::failed;
}

}  // namespace gyre::cli

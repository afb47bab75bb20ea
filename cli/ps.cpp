#include <gyre/codec/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

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

std::vector<std::string> row(const cluster::NodeInfo& node) {
    std::string client = node.client_address.port ? node.client_address.to_string() : "";
    if (node.http_address.port)
        client += (client.empty() ? "http://" : " http://") + node.http_address.to_string();
    return {node.role + (node.draining ? " (draining)" : ""), node.name, node.address.to_string(),
            client.empty() ? "-" : client, std::to_string(node.pid), std::to_string(node.load),
            std::to_string(node.entities), std::to_string(node.sessions), since(node.started_ms),
            node.build.substr(0, 8)};
}

}  // namespace

int ps(const std::string& data, bool json) {
    ClusterClient client(data);
    auto nodes = client.nodes();
    std::ranges::sort(nodes, {}, &cluster::NodeInfo::name);
    if (json) {
        std::printf("%s\n", to_json(nodes, true).c_str());
    } else {
        std::vector<std::vector<std::string>> rows = {
            {"ROLE", "NAME", "ADDRESS", "CLIENTS", "PID", "LOAD", "ENTITIES", "SESSIONS", "UP", "BUILD"}};
        for (const auto& node : nodes) rows.push_back(row(node));
        std::fputs(table(STDOUT_FILENO, rows, {4, 5, 6, 7, 8}).c_str(), stdout);
    }
    std::string missing;
    for (const auto& spec : client.file().config)
        if (!std::ranges::count(nodes, spec.name, &cluster::NodeInfo::name))
            missing += (missing.empty() ? "" : ", ") + spec.name;
    if (missing.empty()) return node::exit_code::ok;
    say(styled(STDERR_FILENO, Style::red, "not running: " + missing));
    return node::exit_code::failed;
}

}  // namespace gyre::cli

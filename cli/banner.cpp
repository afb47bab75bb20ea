#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "commands.hpp"
#include "terminal.hpp"

namespace gyre::cli {

void print_banner(const node::ClusterFile& file, const std::string& data) {
    const int out = STDOUT_FILENO;
    auto nodes = file.nodes;
    std::ranges::sort(nodes, {}, &cluster::NodeInfo::name);
    std::vector<std::vector<std::string>> rows = {{"NAME", "ROLE", "NODES", "CLIENTS"}};
    std::string login, gate;
    for (const auto& node : nodes) {
        const std::string client = node.client_address.port ? node.client_address.to_string() : "";
        const std::string http =
            node.http_address.port ? "http://" + node.http_address.to_string() : "";
        if (login.empty() && node.role == "account") login = http;
        if (gate.empty() && node.role == "gate") gate = client;
        rows.push_back({node.name, node.role, node.address.to_string(),
                        client + (client.empty() || http.empty() ? "" : " ") + http});
    }
    const std::string where = data == node::ProcessOptions{}.data ? "" : " --data " + data;
    std::string text = styled(out, Style::green, "Gyre is up") + ": " + std::to_string(nodes.size()) +
                       " nodes in " +
                       (file.mode == "process" ? "one process"
                                               : std::to_string(nodes.size()) + " processes") +
                       ", data in " + data + "\n\n" + table(out, rows, {}, 2) + "\n";
    if (!login.empty() && !gate.empty())
        text += "Clients log in at " + login + " and connect to " + gate + ".\n";
    if (const auto folder = node::DataFolder::find(data))
        if (const auto key = folder->server_key())
            text += "They pin the server's key: " + secure::to_text(*key) + "\n";
    text += "\n";
    std::vector<std::pair<std::string, std::string>> next = {
        {"gyre ps" + where, "what runs, and what it carries"}};
    if (!nodes.empty())
        next.emplace_back("gyre call " + nodes.front().name + " NodeService.methods" + where, "any method of a node");
#ifdef GYRE_HAS_BOTS
    next.emplace_back("gyre bots" + where, "players that play");
#endif
    next.emplace_back("gyre down" + where, "saves and ends it, as Ctrl-C does");
    std::size_t width = 0;
    for (const auto& [command, what] : next) width = std::max(width, command.size());
    text += "Next:\n";
    for (const auto& [command, what] : next)
        text += "  " + command + std::string(width - command.size() + 2, ' ') + styled(out, Style::dim, what) + "\n";
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
}

}  // namespace gyre::cli

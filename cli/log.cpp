#include <gyre/codec/json.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/node/log_service.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "cluster_client.hpp"
#include "commands.hpp"
#include "rollout.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

using node::LogService;
using node::LogState;

struct Wish {
    std::string module, level;
};

/// Error: bad_arguments. All are read before any is done.
std::vector<Wish> read_wishes(const std::vector<std::string>& texts) {
    std::vector<Wish> wishes;
    for (const auto& text : texts) {
        const auto split = text.find('=');
        Wish wish{split == text.npos ? "" : text.substr(0, split), split == text.npos ? text : text.substr(split + 1)};
        if (wish.level == "default" && !wish.module.empty()) wish.level.clear();
        else if (!log::parse_level(wish.level))
            throw Error(errc::bad_arguments, text + ": \"" + wish.level + "\" is none of trace, debug, info, warn, error" +
                                                 (wish.module.empty() ? "" : ", default"));
        if (split == 0) throw Error(errc::bad_arguments, text + ": a module has to stand before =");
        wishes.push_back(std::move(wish));
    }
    return wishes;
}

std::string listed(const std::map<std::string, std::string>& levels) {
    std::string text;
    for (const auto& [module, level] : levels) text += (text.empty() ? "" : " ") + module + "=" + level;
    return text.empty() ? "-" : text;
}

}  // namespace

int log(const LogOptions& options) {
    const auto wishes = read_wishes(options.set);
    ClusterClient client(options.data);
    auto nodes = client.nodes();
    std::ranges::sort(nodes, {}, &cluster::NodeInfo::name);
    for (const auto& name : options.nodes)
        if (!std::ranges::count(nodes, name, &cluster::NodeInfo::name))
            throw Error(errc::not_found, "no node " + name + "; gyre ps lists them");
    // Nodes of one process have one log.
    struct Process {
        cluster::NodeInfo node;
        std::string names;
        bool chosen = false;
    };
    std::map<std::pair<std::string, std::uint64_t>, Process> processes;
    for (const auto& node : nodes) {
        auto& process = processes[{node.address.host, node.pid}];
        if (process.names.empty()) process.node = node;
        process.names += (process.names.empty() ? "" : " ") + node.name;
        process.chosen |= options.nodes.empty() || std::ranges::count(options.nodes, node.name);
    }
    std::map<std::string, LogState> states;
    int code = node::exit_code::ok;
    for (const auto& [key, process] : processes) {
        const auto& [node, names, chosen] = process;
        try {
            for (const auto& wish : wishes)
                if (chosen)
                    (void)client.ask<&LogService::set_level>(node.address, 2s, wish.module, wish.level, who_asks());
            states[names] = client.ask<&LogService::state>(node.address, 2s);
        } catch (const Error& error) {
            say(names + ": " + error.what());
            code = node::exit_code::failed;
        }
    }
    if (options.json) {
        std::printf("%s\n", to_json(states, true).c_str());
        return code;
    }
    std::vector<std::vector<std::string>> rows = {{"LEVEL", "MODULES", "WRITTEN", "DROPPED", "NOT TAKEN", "NODES"}};
    for (const auto& [names, state] : states)
        rows.push_back({state.level, listed(state.levels), std::to_string(state.written),
                        std::to_string(state.dropped + state.errors_dropped), std::to_string(state.sink_failures), names});
    std::fputs(table(STDOUT_FILENO, rows, {2, 3, 4}).c_str(), stdout);
    return code;
}

}  // namespace gyre::cli

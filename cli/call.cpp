#include <gyre/codec/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "cluster_client.hpp"
#include "commands.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

/// What the caller got wrong, not the cluster.
int misused(const std::string& text) {
    say(text);
    return node::exit_code::refused;
}

std::string listed(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

io::Endpoint find_node(ClusterClient& client, const std::string& name) {
    if (name.find(':') != std::string::npos) return io::Endpoint::parse(name).value();
    // As it started, so that a call needs no other node; else the cluster is asked.
    for (const auto& node : client.file().nodes)
        if (node.name == name) return node.address;
    std::vector<std::string> names;
    for (const auto& node : client.nodes()) {
        if (node.name == name) return node.address;
        names.push_back(node.name);
    }
    throw Error(errc::not_found, "no node " + name + "; there are " + listed(names));
}

void suggest(ClusterClient& client, const io::Endpoint& at, const CallOptions& options) {
    const Bytes reply = client.call(at, 0, "NodeService.methods", encode(std::tuple<>()), 2s);
    const auto methods = decode<std::vector<std::string>>(reply).value();
    const auto near = near_names(options.method, methods);
    say(near.empty() ? options.node + " serves " + listed(methods) : "did you mean " + listed(near) + "?");
}

}  // namespace

int call(const CallOptions& options) {
    if (options.method.find('.') == std::string::npos)
        return misused("method \"" + options.method + "\": expected Type.method, as NodeService.info");
    EntityId entity = 0;
    if (!options.entity.empty()) {
        const char* end = options.entity.data() + options.entity.size();
        const auto read = std::from_chars(options.entity.data(), end, entity);
        if (read.ec != std::errc{} || read.ptr != end || entity == 0)
            return misused("--entity " + options.entity + ": expected a decimal id above 0");
    }
    Writer arguments;
    arguments.array(options.arguments.size());
    for (std::size_t i = 0; i < options.arguments.size(); ++i) {
        const auto value = json_to_msgpack(options.arguments[i]);
        if (!value)
            return misused("argument " + std::to_string(i + 1) + " " + options.arguments[i] + ": not JSON, " +
                           value.error().message() + " (text is '\"in quotes\"')");
        arguments.encoded(*value);
    }
    ClusterClient client(options.data);
    const io::Endpoint at = find_node(client, options.node);
    try {
        const Duration limit(static_cast<Duration::rep>(options.timeout_s * 1e9));
        const Bytes reply = client.call(at, entity, options.method, arguments.take(), limit);
        std::printf("%s\n", reply.empty() ? "null" : msgpack_to_json(reply, true).value().c_str());
        return node::exit_code::ok;
    } catch (const Error& error) {
        say(error.what());
        if (error.is(errc::unknown_method) && entity == 0) suggest(client, at, options);
        return node::exit_code::failed;
    }
}

}  // namespace gyre::cli

#include <gyre/codec/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "cluster_client.hpp"
#include "commands.hpp"
#include "terminal.hpp"

#include <gyre/rpc/moved.hpp>

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

struct Callee {
    std::string name;
    io::Endpoint at;
};

/// A node, "role:ROLE" (the first by name that does not drain), "all:ROLE", "all", or "entity".
std::vector<Callee> find_callees(ClusterClient& client, const std::string& who) {
    const bool all = who == "all" || who.starts_with("all:"), one = who.starts_with("role:");
    if (!all && !one && who != "entity") return {{who, find_node(client, who)}};
    const std::string role = all || one ? who.substr(std::min(who.find(':') + 1, who.size())) : "";
    std::vector<Callee> found;
    std::vector<std::string> roles;
    for (const auto& node : client.nodes()) {
        if (std::find(roles.begin(), roles.end(), node.role) == roles.end()) roles.push_back(node.role);
        if (!role.empty() && who != "all" && node.role != role) continue;
        if (all || (found.empty() && !node.draining)) found.push_back({node.name, node.address});
    }
    if (found.empty()) throw Error(errc::no_service, "no node of role " + role + "; there are " + listed(roles));
    return found;
}

/// An entity is followed to where it is.
Bytes call_one(ClusterClient& client, io::Endpoint at, EntityId entity, const CallOptions& options,
               const Bytes& arguments) {
    const Duration limit(static_cast<Duration::rep>(options.timeout_s * 1e9));
    for (int hops = 0;; ++hops) {
        try {
            return client.call(at, entity, options.method, arguments, limit);
        } catch (const Error& error) {
            const auto next = rpc::read_moved(error, entity);
            if (!next || hops == 2) throw;
            at = *next;
        }
    }
}

void suggest(ClusterClient& client, const io::Endpoint& at, const CallOptions& options) {
    const Bytes reply = client.call(at, 0, "NodeService.methods", encode(std::tuple<>()), 2s);
    const auto methods = decode<std::vector<std::string>>(reply).value();
    const auto near = near_names(options.method, methods);
    say(near.empty() ? options.node + " serves " + listed(methods) : "did you mean " + listed(near) + "?");
}

}  // namespace

int call(const CallOptions& given) {
    CallOptions options = given;
    if (options.node.starts_with("entity:")) {
        options.entity = options.node.substr(7);
        options.node = "entity";
    }
    if (options.method.find('.') == std::string::npos)
        return misused("method \"" + options.method + "\": expected Type.method, as NodeService.info");
    EntityId entity = 0;
    if (options.node == "entity" && options.entity.empty())
        return misused("entity: say which, as entity:ID");
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
    const auto callees = find_callees(client, options.node);
    const Bytes bytes = arguments.take();
    if (options.node == "all" || options.node.starts_with("all:")) {
        Writer results;
        results.map(callees.size());
        bool failed = false;
        for (const auto& callee : callees) {
            results.text(callee.name);
            try {
                const Bytes reply = call_one(client, callee.at, entity, options, bytes);
                if (reply.empty()) results.nil();
                else results.encoded(reply);
            } catch (const Error& error) {
                say(callee.name + ": " + error.what());
                results.nil();
                failed = true;
            }
        }
        std::printf("%s\n", msgpack_to_json(results.take(), true).value().c_str());
        return failed ? node::exit_code::failed : node::exit_code::ok;
    }
    const io::Endpoint at = callees.front().at;
    try {
        const Bytes reply = call_one(client, at, entity, options, bytes);
        std::printf("%s\n", reply.empty() ? "null" : msgpack_to_json(reply, true).value().c_str());
        return node::exit_code::ok;
    } catch (const Error& error) {
        say(error.what());
        if (error.is(errc::unknown_method) && entity == 0) suggest(client, at, options);
        return node::exit_code::failed;
    }
}

}  // namespace gyre::cli

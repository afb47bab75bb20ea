#include <arpa/inet.h>
#include <gyre/node/cluster_config.hpp>

#include <set>

namespace gyre::node {

Result<> Timeouts::validate() const {
    return config::Check()
        .that(heartbeat < link_dead, "link_dead", "must be longer than heartbeat")
        .that(link_dead < call, "call", "must be longer than link_dead")
        .that(call < lease, "lease", "must be longer than call")
        .that(lease < resume, "resume", "must be longer than lease");
}

namespace {
bool numeric_ipv4(const std::string& host) {
    in_addr parsed{};
    return host == "localhost" || ::inet_pton(AF_INET, host.c_str(), &parsed) == 1;
}
}  // namespace

Result<> ClusterConfig::validate() const {
    std::set<std::string> names;
    for (const auto& node : nodes) {
        if (node.name.empty() || node.role.empty())
            return Error(errc::bad_config, "nodes: each has a name and a role");
        if (!names.insert(node.name).second)
            return Error(errc::bad_config, "nodes: two are called \"" + node.name + "\"");
    }
    return config::Check()
        .that(!nodes.empty(), "nodes", "at least one")
        .that(numeric_ipv4(host) && host != "0.0.0.0", "host",
              "expected a numeric IPv4 address of this machine, by which the other nodes reach it")
        .that(numeric_ipv4(http_host), "http_host", "expected a numeric IPv4 address of this machine");
}

}  // namespace gyre::node

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

Result<> ClusterConfig::validate() const {
    std::set<std::string> names;
    for (const auto& node : nodes) {
        if (node.name.empty() || node.role.empty())
            return Error(errc::bad_config, "nodes: each has a name and a role");
        if (!names.insert(node.name).second)
            return Error(errc::bad_config, "nodes: two are called \"" + node.name + "\"");
    }
    const io::Endpoint at{host, 0};
    return config::Check()
        .that(!nodes.empty(), "nodes", "at least one")
        .that(at.is_loopback(), "host",
              "sessions are not encrypted yet: only loopback addresses are served");
}

}  // namespace gyre::node

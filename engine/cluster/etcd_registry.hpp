#pragma once
#include <gyre/cluster/registry.hpp>

namespace gyre::cluster {

/// The registry in etcd: one JSON entry a node at "/gyre/CLUSTER/nodes/NAME".
class EtcdRegistry final : public Registry {
public:
    /// endpoints: client addresses of the etcd members, at least one; another one is asked when
    /// one fails. cluster: servers that share an etcd differ in it.
    EtcdRegistry(io::Io& io, Scope& scope, std::vector<io::Endpoint> endpoints, std::string cluster,
                 RegistryConfig config = {});
};

}  // namespace gyre::cluster

#pragma once
#include <string>
#include <vector>

namespace gyre::cli {

/// An etcd answers at "127.0.0.1:2379". Waits at most 0.5 s.
bool etcd_answers(const std::string& endpoint);

/// How to run an etcd of one machine on free loopback ports, its data in an empty `folder`.
struct EtcdPlan {
    std::string endpoint;              ///< Of its clients.
    std::vector<std::string> command;
};
/// What an earlier one left in `folder` goes: leases of nodes that ended with it.
EtcdPlan plan_etcd(const std::string& folder);

}  // namespace gyre::cli

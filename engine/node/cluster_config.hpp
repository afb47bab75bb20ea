#pragma once
#include <gyre/config/config.hpp>
#include <gyre/io/io.hpp>
#include <gyre/cluster/node_info.hpp>
#include <string>
#include <vector>

namespace gyre::node {

/// One node of the cluster. A port of 0 is chosen when the node starts.
struct NodeSpec {
    std::string name;                 ///< "battle_1": unique.
    std::string role;                 ///< "battle": decides which services start.
    std::uint16_t port = 0;           ///< Links from other nodes.
    std::uint16_t client_port = 0;    ///< Clients, where the role has them.
    std::uint16_t http_port = 0;      ///< HTTP, where the role has it.
    static consteval auto describe() {
        return type<NodeSpec>("NodeSpec", field<&NodeSpec::name>(), field<&NodeSpec::role>(),
                              field<&NodeSpec::port>(), field<&NodeSpec::client_port>(),
                              field<&NodeSpec::http_port>());
    }
};

/// Order: heartbeat < link_dead < call < lease < resume.
struct Timeouts {
    std::chrono::milliseconds heartbeat{500};
    std::chrono::milliseconds link_dead{1500};
    std::chrono::milliseconds call{3000};
    std::chrono::milliseconds lease{5000};
    std::chrono::milliseconds resume{60'000};
    Result<> validate() const;
    static consteval auto describe() {
        return type<Timeouts>("Timeouts", field<&Timeouts::heartbeat>(),
                              field<&Timeouts::link_dead>(), field<&Timeouts::call>(),
                              field<&Timeouts::lease>(), field<&Timeouts::resume>());
    }
};

enum class RegistryKind : std::uint8_t { embedded, etcd };

struct RegistryConfig {
    RegistryKind kind = RegistryKind::embedded;
    std::vector<std::string> endpoints;  ///< Of etcd: "127.0.0.1:2379".
    static consteval auto describe() {
        return type<RegistryConfig>("RegistryConfig", field<&RegistryConfig::kind>(),
                                    field<&RegistryConfig::endpoints>());
    }
};

struct ClusterConfig {
    static constexpr std::string_view config_section = "cluster";
    std::string name;                 ///< Prefix of registry keys; empty: made from the data folder.
    std::string host = "127.0.0.1";   ///< Address that nodes listen on and tell each other.
    std::uint16_t zone = 0;           ///< [0, 1023], part of every id.
    std::vector<std::string> modules = {"account", "gate", "lobby", "dispatcher", "battle", "arena"};
    std::vector<NodeSpec> nodes = {{"account_0", "account", 0, 0, 0}, {"gate_0", "gate", 0, 0, 0},
                                   {"lobby_0", "lobby", 0, 0, 0}, {"dispatcher_0", "dispatcher", 0, 0, 0},
                                   {"battle_0", "battle", 0, 0, 0}, {"battle_1", "battle", 0, 0, 0}};
    RegistryConfig registry;
    Timeouts timeouts;
    std::uint32_t coroutine_pool = 888;  ///< [1, 1'000'000]: tasks that plain go() runs at once, a process.
    std::chrono::milliseconds autosave{5000};
    std::chrono::milliseconds drain_limit{10'000};  ///< From the signal to the end, at most.
    Result<> validate() const;
    static consteval auto describe() {
        return type<ClusterConfig>(
            "ClusterConfig", field<&ClusterConfig::name>(), field<&ClusterConfig::host>(),
            field<&ClusterConfig::zone>(), field<&ClusterConfig::modules>(),
            field<&ClusterConfig::nodes>(), field<&ClusterConfig::registry>(),
            field<&ClusterConfig::timeouts>(), field<&ClusterConfig::coroutine_pool>(),
            field<&ClusterConfig::autosave>(),
            field<&ClusterConfig::drain_limit>());
    }
};

}  // namespace gyre::node

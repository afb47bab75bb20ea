#pragma once
#include <gyre/config/config.hpp>
#include <gyre/io/io.hpp>
#include <gyre/cluster/node_info.hpp>
#include <string>
#include <vector>

namespace gyre::node {

/// One node of the cluster. A port of 0 is chosen when the node starts.
struct NodeSpec {
    std::string name;
    std::string role;
    std::uint16_t port = 0;
    std::uint16_t client_port = 0;
    std::uint16_t http_port = 0;
    static consteval auto describe() {
        return type<NodeSpec>("NodeSpec",
            field<&NodeSpec::name>(about("name of a node, unique")),
            field<&NodeSpec::role>(about("a role that a module serves; decides which services start")),
            field<&NodeSpec::port>(about("links from other nodes; 0: any free one")),
            field<&NodeSpec::client_port>(about("clients, where the role has them; 0: any free one")),
            field<&NodeSpec::http_port>(about("HTTP, where the role has it; 0: any free one")));
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
        return type<Timeouts>("Timeouts",
            field<&Timeouts::heartbeat>(range(10ms, 10s), about("ping on links between nodes")),
            field<&Timeouts::link_dead>(about("silence after which a link is cut; above `heartbeat`")),
            field<&Timeouts::call>(about("default time-out of a call between nodes; above `link_dead`")),
            field<&Timeouts::lease>(about("a node that does not renew for so long is gone; above `call`")),
            field<&Timeouts::resume>(about("above `lease`; checked, not used yet: sessions are not resumed")));
    }
};

enum class RegistryKind : std::uint8_t { embedded, etcd };

struct RegistryConfig {
    RegistryKind kind = RegistryKind::embedded;
    std::vector<std::string> endpoints;
    static consteval auto describe() {
        return type<RegistryConfig>("RegistryConfig",
            field<&RegistryConfig::kind>(about("embedded knows the nodes of one process")),
            field<&RegistryConfig::endpoints>(about("addresses of etcd: `127.0.0.1:2379`")));
    }
};

struct ClusterConfig {
    static constexpr std::string_view config_section = "cluster";
    std::string name;
    std::string host = "127.0.0.1";
    std::string http_host = "127.0.0.1";
    std::uint16_t zone = 0;
    std::vector<std::string> modules = {"account", "gate", "lobby", "dispatcher", "battle", "arena"};
    std::vector<NodeSpec> nodes = {{"account_0", "account", 0, 0, 0}, {"gate_0", "gate", 0, 0, 0},
                                   {"lobby_0", "lobby", 0, 0, 0}, {"dispatcher_0", "dispatcher", 0, 0, 0},
                                   {"battle_0", "battle", 0, 0, 0}, {"battle_1", "battle", 0, 0, 0}};
    RegistryConfig registry;
    Timeouts timeouts;
    std::uint32_t coroutine_pool = 888;
    std::chrono::milliseconds autosave{5000};
    std::chrono::milliseconds drain_limit{10'000};
    Result<> validate() const;
    static consteval auto describe() {
        return type<ClusterConfig>(
            "ClusterConfig",
            field<&ClusterConfig::name>(about("prefix of the registry's keys; empty: made from the data folder")),
            field<&ClusterConfig::host>(about("address that nodes listen on and tell each other; links and sessions are sealed")),
            field<&ClusterConfig::http_host>(about("address of HTTP services, which are not encrypted: another than loopback is for a TLS proxy before them")),
            field<&ClusterConfig::zone>(range(0, 1023), about("part of every id and account name, so that clusters can be merged")),
            field<&ClusterConfig::modules>(about("what is loaded: `lib/gyre/modules/NAME.so` beside the command, or a path with a `/`")),
            field<&ClusterConfig::nodes>(about("a list in the file replaces all of them")),
            field<&ClusterConfig::registry>(),
            field<&ClusterConfig::timeouts>(),
            field<&ClusterConfig::coroutine_pool>(range(1, 1'000'000), about("tasks that plain `go()` runs at once in a process; those beyond wait for their start")),
            field<&ClusterConfig::autosave>(range_min(1ms), about("what a crash may lose of an entity; nothing of what was `save_now()`ed")),
            field<&ClusterConfig::drain_limit>(range_min(0ms), about("from the signal to the end of a process, at most")));
    }
};

/// The section "gyre" of gyre.json: how the engine itself behaves.
struct EngineConfig {
    static constexpr std::string_view config_section = "gyre";
    bool trace_errors = false;
    static consteval auto describe() {
        return type<EngineConfig>("EngineConfig",
                                  field<&EngineConfig::trace_errors>(live, about("errors (gyre::Error) keep the stack where they were thrown, too: about 5 µs each")));
    }
};

}  // namespace gyre::node

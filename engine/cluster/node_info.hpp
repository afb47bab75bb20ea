#pragma once
#include <gyre/codec/codec.hpp>
#include <gyre/net/endpoint.hpp>
#include <vector>

namespace gyre::cluster {

/// Which build of a module a node runs.
struct ModuleBuild {
    std::string module;
    std::string build;   ///< The first 8 hex digits of the build id.
    bool serves = false; ///< The node's role has types of it.
    friend bool operator==(const ModuleBuild&, const ModuleBuild&) = default;
    static consteval auto describe() {
        return gyre::type<ModuleBuild>("ModuleBuild", gyre::field<&ModuleBuild::module>(),
                                       gyre::field<&ModuleBuild::build>(), gyre::field<&ModuleBuild::serves>());
    }
};

/// What one node tells the others about itself.
struct NodeInfo {
    std::string name;               ///< "battle_1", unique in the cluster.
    std::string role;               ///< "battle"
    io::Endpoint address;           ///< Of the links between nodes.
    io::Endpoint client_address;    ///< Port 0: takes no clients.
    io::Endpoint http_address;      ///< Port 0: serves no HTTP.
    std::uint64_t incarnation = 0;  ///< Of this registration; another one after a lost lease.
    std::uint64_t pid = 0;
    std::uint64_t load = 0;        ///< What it carries, in a unit of its role; less is better.
    std::uint64_t entities = 0;
    std::uint64_t sessions = 0;
    std::int64_t started_ms = 0;  ///< Since 1970 UTC.
    std::string build;  ///< Of the engine.
    std::vector<ModuleBuild> modules;  ///< By name.
    std::uint32_t old_builds = 0;      ///< Replaced and still loaded, because something holds them.
    bool draining = false;  ///< Takes nothing new.

    friend bool operator==(const NodeInfo&, const NodeInfo&) = default;
    static consteval auto describe() {
        return gyre::type<NodeInfo>(
            "NodeInfo", gyre::field<&NodeInfo::name>(), gyre::field<&NodeInfo::role>(),
            gyre::field<&NodeInfo::address>(), gyre::field<&NodeInfo::client_address>(),
            gyre::field<&NodeInfo::http_address>(), gyre::field<&NodeInfo::incarnation>(),
            gyre::field<&NodeInfo::pid>(), gyre::field<&NodeInfo::load>(),
            gyre::field<&NodeInfo::entities>(), gyre::field<&NodeInfo::sessions>(),
            gyre::field<&NodeInfo::started_ms>(), gyre::field<&NodeInfo::build>(),
            gyre::field<&NodeInfo::modules>(), gyre::field<&NodeInfo::old_builds>(),
            gyre::field<&NodeInfo::draining>());
    }
};

}  // namespace gyre::cluster

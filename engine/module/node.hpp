#pragma once
#include <gyre/cluster/entity_resolver.hpp>
#include <gyre/config/config.hpp>
#include <gyre/metric/registry.hpp>
#include <gyre/persist/persist.hpp>
#include <gyre/secure/key.hpp>
#include <gyre/store/store.hpp>
#include <gyre/world/entity.hpp>

namespace gyre::node {
class Reloader;
}

namespace gyre::module {

class ClientSink;
class Door;
class HttpDoor;

/// The secrets of a cluster, one for each purpose.
struct Keys {
    secure::Key cluster{{}};  ///< Node links.
    secure::Key login{{}};    ///< Tokens of the account service.
    secure::Key ticket{{}};   ///< Tickets to battle nodes.
    secure::Key server{{}};   ///< Secret half of what clients pin (secure::Identity).
};

/// What stands around game code: the node it runs on. Reached through this_node().
class Node {
public:
    io::Io& io;
    Scope& scope;
    Scope& drain;
    world::Host& host;
    rpc::Rpc& rpc;
    cluster::Directory& directory;
    cluster::EntityResolver& resolver;
    store::Store& store;
    persistence::Persist& persist;
    const config::Document& config;
    metric::Registry& metrics;
    const Keys& keys;
    /// As others see this node. A service changes its load and client address; published within
    /// a second.
    cluster::NodeInfo& info;
    /// Who has clients here; null: nobody.
    ClientSink* clients = nullptr;
    Door* door = nullptr;
    HttpDoor* http = nullptr;
    /// Replaces the modules of this node; null: nobody can.
    node::Reloader* reloader = nullptr;
};

}  // namespace gyre::module

namespace gyre {

/// The node whose task runs.
inline module::Node& this_node() {
    GYRE_ASSERT(current && current->node && current->node->node, "this_node() in a task of a node");
    return *current->node->node;
}

/// For tasks that a node which stops lets finish, for up to 3 s after its services and entities
/// have ended: what was promised and not yet handed over.
inline Scope& drain_scope() { return this_node().drain; }

}  // namespace gyre

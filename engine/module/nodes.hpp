#pragma once
#include <gyre/cluster/node_info.hpp>
#include <gyre/module/owned_method.hpp>

namespace gyre {

namespace module {

/// What happens to the nodes of the cluster, for the entity or service whose task runs: each calls
/// a described method of it, until it ends. Errors: bad_arguments, the method is another's.
class Nodes {
public:
    /// A new incarnation: first the old one leaves, then the new one joins.
    template <auto M>
    void on_joined() const {
        listen(Event::joined, owned_method<M, void, cluster::NodeInfo>());
    }
    template <auto M>
    void on_left() const {
        listen(Event::left, owned_method<M, void, cluster::NodeInfo>());
    }
    /// The homes of entities of a role, which is told: a node came, left or drains.
    template <auto M>
    void on_homes_changed() const {
        listen(Event::homes_changed, owned_method<M, void, std::string>());
    }

private:
    enum class Event : std::uint8_t { joined, left, homes_changed };
    static void listen(Event event, OwnedMethod method);
};

}  // namespace module

/// `nodes().on_left<&Lobby::node_left>();` with `void node_left(cluster::NodeInfo gone)`.
inline module::Nodes nodes() { return {}; }

}  // namespace gyre

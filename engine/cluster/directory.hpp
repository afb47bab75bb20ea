#pragma once
#include <gyre/cluster/registry.hpp>
#include <gyre/cluster/subscribers.hpp>
#include <gyre/rpc/rpc.hpp>

namespace gyre::cluster {

/// Which node to use: the registry's view, less what this node has seen fail itself.
/// One per registry, whose changes it takes. Use on its loop only.
class Directory {
public:
    /// A suspicion ends after `suspicion`: use the lease time.
    Directory(Executor& executor, Registry& registry, Duration suspicion = 5s);
    ~Directory();
    Directory(const Directory&) = delete;

    const View& view() const { return registry_.view(); }
    Registry& registry() { return registry_; }

    // An empty role stands for every node.
    std::vector<NodeInfo> of_role(std::string_view role) const;  ///< All, by name.
    std::optional<NodeInfo> find(std::string_view name) const;
    std::optional<NodeInfo> by_address(const io::Endpoint& address) const;

    // The next three choose among nodes that do not drain. A suspected one only when there is no
    // other: it may just have lost one link. nullopt: none.
    std::optional<NodeInfo> pick_any(std::string_view role);  ///< One after the other, by name.
    /// Each pick counts as a load of 10 for a second, so that a burst spreads before nodes report.
    std::optional<NodeInfo> pick_least_loaded(std::string_view role);
    /// The same node for the same key on all nodes with the same view (highest random weight): a
    /// node that comes or goes moves only its own share of keys. Cost: O(nodes of the role).
    std::optional<NodeInfo> rendezvous(std::string_view role, std::uint64_t key) const;
    /// The same for an entity's home, whatever is suspected: where it is, it stays until the
    /// registry says that its node is gone. A broken link moves nobody.
    std::optional<NodeInfo> home(std::string_view role, std::uint64_t entity) const;
    /// Its address; valid until the view changes. Null: none. Allocates nothing.
    const io::Endpoint* home_address(std::string_view role, std::uint64_t entity) const;

    /// A link to it was lost: avoid the node until it registers anew or trust() is called.
    void suspect(const io::Endpoint& address);
    void trust(const io::Endpoint& address);  ///< A link works again.
    bool suspected(const NodeInfo& node) const;

    /// A new incarnation: first the old one leaves, then the new one joins; view() has the new one
    /// already, perhaps the same process with its links whole.
    Subscription on_joined(std::function<void(const NodeInfo&)> callback);
    Subscription on_left(std::function<void(const NodeInfo&)> callback);
    /// home() may have another answer for entities of this role: a node came, left or drains.
    Subscription on_homes_changed(std::function<void(const std::string& role)> callback);

private:
    std::vector<const NodeInfo*> nodes_of(std::string_view role) const;
    const NodeInfo* choose(std::string_view role, std::uint64_t key, bool avoid_suspected) const;
    void changed(const NodeInfo* before, const NodeInfo* after);
    struct Suspicion {
        std::uint64_t incarnation;
        TimePoint until;
    };
    Executor& executor_;
    Registry& registry_;
    const Duration suspicion_;
    std::map<io::Endpoint, Suspicion> suspicions_;
    std::map<std::string, std::uint64_t> picks_;
    TimePoint picks_since_;
    std::map<std::string, std::string, std::less<>> last_any_;  // of each role
    Subscribers<const NodeInfo&> joined_, left_;
    Subscribers<const std::string&> homes_changed_;
};

}  // namespace gyre::cluster

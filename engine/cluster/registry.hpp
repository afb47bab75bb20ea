#pragma once
#include <gyre/cluster/registry_backend.hpp>
#include <gyre/cluster/view.hpp>
#include <memory>

namespace gyre::cluster {

struct RegistryConfig {
    Duration lease_ttl = 5s;        ///< [1 s, 1 min], whole seconds. Renewed every third of it.
    Duration request_limit = 1s;    ///< Of one question to the registry.
    Duration update_interval = 1s;  ///< Between two writes of load figures.
    Duration retry_min = 100ms;     ///< Then doubling, with jitter, up to retry_max.
    Duration retry_max = 2s;
};

/// Who is alive: registers this node under a lease and watches all the others.
/// Losing the registry stops nothing: the view stays as last heard, nothing new may be claimed
/// (lease_held() is false), and a node whose lease was lost registers again as a new incarnation.
/// Nodes missing after an outage stay in the view for one lease time more, to register again.
/// Use on the loop of `io` only. Its tasks run in `scope` and end when it is destroyed.
class Registry {
public:
    Registry(io::Io& io, Scope& scope, std::unique_ptr<RegistryBackend> backend,
             RegistryConfig config = {});
    virtual ~Registry();  ///< The entry stays until its lease expires: await unregister() first.
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    /// Waits until the registry has taken it. An entry of the same address is a dead process of
    /// ours and replaced at once; of another address, its lease has to expire.
    /// Error: in_use, when another node keeps the name for two lease times.
    Task<> register_node(NodeInfo self);
    void update(NodeInfo self);  ///< Load, draining ...: written soon. Name and incarnation stay.
    Task<> unregister();         ///< Idempotent; without an answer, the lease expires by itself.

    /// Asks the registry itself: that very incarnation holds a lease.
    /// Error: unavailable, when it does not answer: nobody may be taken for dead.
    Task<bool> is_alive(std::string name, std::uint64_t incarnation);
    /// Registered, and by the own clock the lease cannot have expired.
    bool lease_held() const;
    bool in_touch() const;  ///< It answered when last asked.
    std::uint64_t incarnation() const;
    const View& view() const;
    Task<> synced();  ///< Until the first view has arrived.

    /// The lease was lost. Told before the node registers again with this incarnation: what was
    /// claimed as the former one may already be claimed by others.
    std::function<void(std::uint64_t incarnation)> on_new_incarnation;
    /// The view has changed: null before: new; null after: gone. One listener, the Directory.
    std::function<void(const NodeInfo* before, const NodeInfo* after)> on_change;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace gyre::cluster

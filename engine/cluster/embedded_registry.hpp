#pragma once
#include <gyre/cluster/registry.hpp>

namespace gyre::cluster {

namespace detail {
class EmbeddedCore;
}

/// The registry of one process or one simulated world: a twin of etcd in memory, with its leases,
/// revisions and forgotten history. Its leases run on `executor`; clients may be on others.
class EmbeddedRegistryServer {
public:
    explicit EmbeddedRegistryServer(Executor& executor, Duration delay = Duration::zero());
    ~EmbeddedRegistryServer();
    EmbeddedRegistryServer(const EmbeddedRegistryServer&) = delete;

    void set_delay(Duration delay);  ///< Of each message, either way.
    /// Answers and tells nothing. What is asked meanwhile is done after the pause, and no lease
    /// expires before a full lease time from then on, as with an etcd that was restarted.
    void pause(bool paused);
    /// Messages from and to one client are lost; its leases run on.
    void cut(std::string_view client, bool cut);
    void keep_history(std::size_t events);  ///< 4096 unless told: watches from before list again.
    void forget_everything();               ///< Data and leases, as an etcd with an empty disk.
    std::vector<RegistryEntry> entries() const;
    std::uint64_t writes() const;

private:
    friend class EmbeddedRegistry;
    std::shared_ptr<detail::EmbeddedCore> core_;
};

/// One node's door to it. `client` names it for cut().
class EmbeddedRegistry final : public Registry {
public:
    EmbeddedRegistry(io::Io& io, Scope& scope, EmbeddedRegistryServer& server, std::string client,
                     RegistryConfig config = {});
};

}  // namespace gyre::cluster

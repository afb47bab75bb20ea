#include <gyre/cluster/etcd_client.hpp>
#include <gyre/cluster/etcd_registry.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::cluster {
namespace {

EtcdConfig client_config(std::vector<io::Endpoint> endpoints, const RegistryConfig& registry) {
    EtcdConfig config;
    // All members have their turn within one question of the registry.
    const auto members = static_cast<std::int64_t>(std::max<std::size_t>(endpoints.size(), 1));
    config.request_limit = registry.request_limit * 9 / (10 * members);
    config.endpoints = std::move(endpoints);
    return config;
}

class EtcdBackend final : public RegistryBackend {
public:
    EtcdBackend(io::Io& io, EtcdConfig config, std::string prefix)
        : client_(io, std::move(config)), prefix_(std::move(prefix)) {}

    Task<std::uint64_t> grant(Duration ttl) override {
        co_return static_cast<std::uint64_t>(
            co_await client_.lease_grant(std::chrono::ceil<std::chrono::seconds>(ttl)));
    }
    Task<bool> keep_alive(std::uint64_t lease) override {
        const auto left =
            co_await as_result(client_.lease_keep_alive(static_cast<std::int64_t>(lease)));
        if (left.ok()) co_return true;
        if (left.error().is(errc::not_found)) co_return false;
        throw Error(left.error());
    }
    Task<> revoke(std::uint64_t lease) override {
        return client_.lease_revoke(static_cast<std::int64_t>(lease));
    }
    Task<std::uint64_t> put_if(RegistryEntry entry, std::uint64_t lease,
                               std::uint64_t expected) override {
        co_return static_cast<std::uint64_t>(co_await client_.put_if(
            prefix_ + entry.name, entry.value, static_cast<std::int64_t>(expected),
            static_cast<std::int64_t>(lease)));
    }
    Task<std::optional<RegistryEntry>> get(std::string name) override {
        const auto pair = co_await client_.get(prefix_ + name);
        if (!pair) co_return std::nullopt;
        co_return to_entry(*pair);
    }
    Task<RegistryListing> list() override {
        const EtcdRange range = co_await client_.range(prefix_);
        cluster_ = range.cluster;
        RegistryListing listing;
        listing.revision = static_cast<std::uint64_t>(range.revision);
        for (const EtcdPair& pair : range.pairs) listing.entries.push_back(to_entry(pair));
        co_return listing;
    }
    Task<> watch(std::uint64_t revision,
                 std::function<void(const RegistryEvent&)> handler) override {
        EtcdWatch watch(client_, prefix_, static_cast<std::int64_t>(revision) - 1, cluster_);
        for (;;) {
            const EtcdChanges changes = co_await watch.next();
            if (changes.complete) throw Error(errc::conflict, "etcd has compacted its history");
            for (const EtcdEvent& event : changes.events)
                handler({event.removed, to_entry(event.pair)});
        }
    }

private:
    RegistryEntry to_entry(const EtcdPair& pair) const {
        return {pair.key.substr(std::min(prefix_.size(), pair.key.size())), pair.value,
                static_cast<std::uint64_t>(pair.mod_revision)};
    }
    EtcdClient client_;
    const std::string prefix_;
    std::uint64_t cluster_ = 0;  // id of the etcd the last listing came from
};

}  // namespace

EtcdRegistry::EtcdRegistry(io::Io& io, Scope& scope, std::vector<io::Endpoint> endpoints,
                           std::string cluster, RegistryConfig config)
    : Registry(io, scope,
               std::make_unique<EtcdBackend>(io, client_config(std::move(endpoints), config),
                                             "/gyre/" + cluster + "/nodes/"),
               config) {}

}  // namespace gyre::cluster

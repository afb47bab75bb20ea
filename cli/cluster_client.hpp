#pragma once
#include <gyre/io/loop.hpp>
#include <gyre/node/data_folder.hpp>
#include <gyre/rpc/remote.hpp>
#include <gyre/rpc/rpc.hpp>

#include <memory>

namespace gyre::cli {

/// A tool's link to the nodes of a data folder: proves the cluster key as a node called "cli".
class ClusterClient {
public:
    /// Errors: not_found (nothing runs there), bad_config (the key cannot be read).
    explicit ClusterClient(const std::string& data);
    ~ClusterClient();

    const node::ClusterFile& file() const { return file_; }
    /// What the first node that answers knows of the cluster. Error: unavailable, none answers.
    std::vector<cluster::NodeInfo> nodes();
    /// Any method: the reply with field names, msgpack. Errors: the callee's and those of the link.
    Bytes call(const io::Endpoint& to, EntityId entity, std::string_view method, Bytes arguments,
               Duration limit);

    /// A method of a service: `ask<&NodeService::info>(address, 2s)`. Errors: as call().
    template <auto M, class... A>
    auto ask(const io::Endpoint& to, Duration limit, A&&... arguments) {
        using S = signature<M>;
        const Bytes reply = call(to, 0, rpc::method_name<M>.text,
                                 encode(typename S::Parameters{std::forward<A>(arguments)...}), limit);
        if constexpr (!std::is_void_v<typename S::Result>) return decode<typename S::Result>(reply).value();
    }

private:
    class Deaf;
    node::ClusterFile file_;
    io::Loop loop_;
    NodeIdentity identity_;
    std::unique_ptr<Deaf> deaf_;
    std::unique_ptr<Scope> scope_;
    std::unique_ptr<rpc::Rpc> rpc_;
};

}  // namespace gyre::cli

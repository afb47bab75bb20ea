#pragma once
#include <gyre/rpc/remote.hpp>
#include <gyre/base/token_bucket.hpp>

namespace gyre::session {

namespace detail {
struct Home;
}

/// One client behind its connection. Its calls reach the server's Target, stamped with its entity
/// and id; entity 0 on the wire means its own. Lives until on_closed of the server has returned.
class Session final : rpc::Target {
public:
    std::uint64_t id() const { return id_; }
    EntityId entity() const { return entity_; }
    const io::Endpoint& peer() const { return peer_; }
    std::uint32_t client_version() const { return client_version_; }
    std::uint64_t user_data = 0;  ///< As the Admission gave it; the owner's from then on.
    std::string user_text;

    /// One way, to the client's handler of `method`. False when it was left out: too large, the
    /// session ends, or the client reads too slowly and the method is sequenced or unreliable.
    bool push(rpc::MethodName method, BytesView arguments);
    /// The same, typed: session.push<&Hud::show>(text).
    template <auto M, class... A>
    bool push(A&&... arguments) {
        return push(rpc::method_name<M>, rpc::detail::encode_arguments<M>(typename signature<M>::Parameters{
                                             std::forward<A>(arguments)...}));
    }
    /// Tells the client why and ends; on_closed hears the same.
    void close(const Error& reason);
    /// For calls to the client, and what is unsent.
    rpc::Connection& connection() { return *connection_; }

    /// Made by a Server only.
    Session(detail::Home& home, std::uint64_t id, EntityId entity, io::Endpoint peer,
            std::uint32_t client_version);

private:
    friend class Server;
    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override;

    detail::Home& home_;
    const std::uint64_t id_;
    const EntityId entity_;
    const io::Endpoint peer_;
    const std::uint32_t client_version_;
    TokenBucket calls_;
    std::shared_ptr<rpc::Connection> connection_;
};

}  // namespace gyre::session

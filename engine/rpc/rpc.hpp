#pragma once
#include <gyre/rpc/connection.hpp>
#include <gyre/secure/key.hpp>
#include <map>
#include <optional>

namespace gyre::rpc {

/// Whom to call. Entity 0: a service.
struct Destination {
    EntityId entity = 0;
    std::string_view type;           ///< Of the entity.
    std::optional<io::Endpoint> at;  ///< Nothing: wherever the entity is.
    Duration limit{};                ///< Not more than zero: the node's default.
};

/// Where entities are. Implemented above (cluster); answers at once, and may be stale.
class Resolver {
public:
    virtual ~Resolver() = default;
    /// The node that has, or will load, entity `id` of a described type, or that knows who has it.
    /// Valid until the next await. Null: see why_unknown().
    virtual const io::Endpoint* known(EntityId id, std::string_view type) = 0;
    virtual Error why_unknown(EntityId id, std::string_view type) const = 0;  ///< unavailable.
    virtual void moved(EntityId id, const io::Endpoint& to) = 0;  ///< A node has told so.
    virtual void forget(EntityId id) = 0;  ///< It is not where it was said to be.
};

struct RpcConfig {
    std::string name;               ///< Of this node.
    std::uint64_t incarnation = 0;  ///< Of this start of it.
    secure::Key key{{}};                ///< Of the cluster; both ends of a link prove it.
    Duration heartbeat = 500ms;
    Duration dead_after = 1500ms;
    Duration handshake_limit = 3s;
    Duration call_limit = 5s;       ///< Default time-out of a call.
    std::size_t max_message_bytes = 1 << 20;
};

/// A node's calls: links to other nodes, dialled when needed, and its own listener.
class Rpc {
public:
    Rpc(io::Io& io, Scope& scope, RpcConfig config, Target& local);
    ~Rpc();

    /// Accepts links of nodes that prove the key. Errors: in_use, refused.
    Result<> listen(const io::Endpoint& at);
    const io::Endpoint& address() const { return address_; }
    const std::string& name() const { return config_.name; }
    const RpcConfig& config() const { return config_; }
    void set_resolver(Resolver* resolver) { resolver_ = resolver; }
    Resolver* resolver() const { return resolver_; }
    /// A link is lost, or could not be opened: (address, reason). Perhaps outside of tasks.
    std::function<void(const io::Endpoint&, const Error&)> on_link_lost;
    std::function<void(const io::Endpoint&)> on_link_opened;

    /// To a service or entity; the own address needs no link. The reply is still encoded.
    /// An entity that has moved is called once more where it is now, unless an address was given.
    /// Errors: the callee's; timed_out, disconnected, cancelled (each: it may have run);
    /// entity_gone, unavailable, too_large (it has not).
    Task<Bytes> call(Destination to, MethodName method, Bytes arguments, CallOptions options);
    /// One way; what cannot be delivered is dropped and logged. No address: where the entity is.
    void notify(const Destination& to, MethodName method, BytesView arguments);
    CallOptions default_options() const {
        CallOptions options;
        options.limit = config_.call_limit;
        return options;
    }
    /// Ends a link, as a failed one does: for nodes the registry says are gone.
    void drop_link(const io::Endpoint& to, const Error& reason);
    void close();  ///< Ends all links and stops listening.
    std::size_t links() const;

private:
    friend class Outgoing;
    struct Link;
    class LocalCalls;
    Connection* open_link_to(const io::Endpoint& to) const;
    bool is_here(const Destination& to) const;
    Link& slot(const io::Endpoint& to);
    Task<std::shared_ptr<Connection>> link(io::Endpoint to);
    Task<> dial(io::Endpoint to);
    Task<std::shared_ptr<Connection>> open_link(io::Endpoint to);
    Task<> welcome(std::unique_ptr<io::Stream> stream);
    secure::Key link_key() const;
    Bytes hello() const;
    Task<> notify_later(Destination to, std::string type, std::uint64_t method, std::string text,
                        Bytes arguments);
    ConnectionConfig link_config() const;

    io::Io& io_;
    Scope& scope_;
    RpcConfig config_;
    Target& local_;
    Resolver* resolver_ = nullptr;
    io::Endpoint address_;
    std::unique_ptr<io::Listener> listener_;
    std::map<io::Endpoint, std::unique_ptr<Link>> links_;
    std::map<std::uint64_t, std::shared_ptr<Connection>> accepted_;
    std::uint64_t next_accepted_ = 0;
    IdMap<Link*> by_address_;  // the same, by a hash of the address
    std::unique_ptr<LocalCalls> here_;
    bool closed_ = false;
};

}  // namespace gyre::rpc

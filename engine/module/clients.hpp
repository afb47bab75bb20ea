#pragma once
#include <gyre/module/node.hpp>
#include <gyre/cluster/node_info.hpp>

namespace gyre {

/// A client's session and the node that holds its connection.
struct ClientRef {
    std::uint64_t session = 0;  ///< 0: nobody.
    io::Endpoint at;            ///< Link address of its gate or battle node.
    explicit operator bool() const { return session != 0; }
    friend bool operator==(const ClientRef&, const ClientRef&) = default;
    static consteval auto describe() {
        return type<ClientRef>("ClientRef", field<&ClientRef::session>(), field<&ClientRef::at>());
    }
};

/// A client's link as its gate or battle node sees it. Of TCP only bytes, messages and the queue are known.
struct ClientLink {
    std::uint64_t session = 0;
    EntityId entity = 0;
    std::string peer, transport;  ///< transport: tcp, rudp or kcp.
    double rtt_ms = 0, rtt_jitter_ms = 0;
    double loss = 0;  ///< Share of what was sent to the client that had to be sent again.
    std::uint64_t resent = 0, bytes_sent = 0, bytes_received = 0, messages_sent = 0, messages_received = 0;
    std::uint64_t queued_bytes = 0;  ///< Not sent, or not acknowledged.
    static consteval auto describe() {
        return type<ClientLink>("ClientLink", field<&ClientLink::session>(), field<&ClientLink::entity>(),
                                field<&ClientLink::peer>(), field<&ClientLink::transport>(),
                                field<&ClientLink::rtt_ms>(), field<&ClientLink::rtt_jitter_ms>(),
                                field<&ClientLink::loss>(), field<&ClientLink::resent>(),
                                field<&ClientLink::bytes_sent>(), field<&ClientLink::bytes_received>(),
                                field<&ClientLink::messages_sent>(), field<&ClientLink::messages_received>(),
                                field<&ClientLink::queued_bytes>());
    }
};

namespace module {
/// What has the sessions of this node: its Door, or a test in its place.
class ClientSink {
public:
    virtual ~ClientSink() = default;
    /// One way, as method.delivery says. False: no such session, or it reads too slowly.
    virtual bool push(std::uint64_t session, rpc::MethodName method, BytesView arguments) = 0;
    virtual void kick(std::uint64_t session, const Error& reason) = 0;
    /// The entity it plays has left the node that had it: find it again.
    virtual void moved(std::uint64_t) {}
    virtual std::vector<ClientLink> links() const { return {}; }
};

/// The service of that name on every node with sessions, whatever its role.
struct Clients : Service<Clients> {
    void push(std::uint64_t session, std::string method, Bytes arguments, Order order, std::uint8_t lane, Care care);
    void kick(std::uint64_t session, std::string code, std::string text);
    void moved(std::uint64_t session);
    /// Those with the most that waits to be sent, then the longest round trip, come first.
    std::vector<ClientLink> links(std::uint32_t limit);
    static consteval auto describe() {
        return type<Clients>("Clients", method<&Clients::push>(), method<&Clients::kick>(),
                             method<&Clients::moved>(), method<&Clients::links>());
    }
};

void push_encoded(const ClientRef& to, rpc::MethodName method, Bytes arguments);
}  // namespace module

/// Calls a method of the client's handler, one way: push<&ArenaClient::snapshot>(client, snapshot).
/// Dropped when the client is gone. It travels as the method is described: in order, where nothing else is said.
template <auto M, class... A>
void push(const ClientRef& to, A&&... arguments) {
    if (!to) return;
    module::push_encoded(to, rpc::method_name<M>,
                         rpc::detail::encode_arguments<M>(
                             typename signature<M>::Parameters{std::forward<A>(arguments)...}));
}

/// Ends a client's session and tells it why.
void kick(const ClientRef& client, const Error& reason);

/// Who makes the call that runs: its session at the node that has it. Entity 0: no client.
inline std::uint64_t calling_session() { return current->session; }
inline EntityId calling_entity() { return current->caller; }

}  // namespace gyre

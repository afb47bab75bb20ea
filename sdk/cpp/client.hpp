#pragma once
#include <functional>
#include <gyre/rpc/remote.hpp>
#include <gyre/secure/handshake.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace gyre::sdk {

namespace detail {
class Link;
}

/// All but kcp are sealed.
enum class Transport : std::uint8_t {
    tcp,
    rudp,  ///< Reliable UDP, at the port number of TCP.
    kcp,   ///< Plain KCP, to servers with `standard_kcp`: nothing is sealed and no key is proven.
};

struct ConnectOptions {
    io::Endpoint endpoint;
    secure::PublicKey server_key{};             ///< Of the server, as shipped with the client: it proves it.
    std::string credential;                     ///< The token of log_in().
    Transport transport = Transport::tcp;
    std::uint32_t client_version = 1;
    Duration connect_limit = 10s;               ///< For connection and handshake together.
    Duration call_limit = 5s;                   ///< Default time-out of a call.
    Duration dead_after = 10s;                  ///< Nothing heard from the server: timed_out.
    std::size_t max_message_bytes = 64 * 1024;  ///< As the server's.
};

/// Calls to one entity through a session. E: what it is, void: the client's own, of any type.
template <class E = void>
class Entity : public rpc::detail::Callable<Entity<E>> {
public:
    Entity(std::shared_ptr<detail::Link> link, EntityId id, Duration limit)
        : link_(std::move(link)), id_(id), limit_(limit) {}
    Entity within(Duration limit) const { return Entity(link_, id_, limit); }
    template <class C>
    static constexpr bool reaches =
        std::is_void_v<E> || std::is_same_v<E, C> || requires { requires E::template has_component<C>; };
    Task<Bytes> send(rpc::MethodName method, Bytes arguments) const;
    void post(rpc::MethodName method, BytesView arguments) const;

private:
    std::shared_ptr<detail::Link> link_;
    EntityId id_;
    Duration limit_;
};

/// One session of one player, outside of a node. Use on its loop, inside of tasks. Destroying it
/// closes it.
///
///     auto client = co_await sdk::Client::connect(io, scope, {gate, gate_key, token});
///     client.handle(hud);
///     Ticket ticket = co_await client.call<&Avatar::find_match>(MatchMode::duel);
///     client.entity(match).notify<&Match::input>(input);
class Client : public rpc::detail::Callable<Client> {
public:
    /// Errors: refused, disconnected, timed_out, bad_data; unauthorized when the server does not hold
    /// server_key; those of the server by their code, such as unauthorized, update_required, overloaded. `io` and `scope` outlive the client; handlers
    /// run as tasks of `scope`.
    static Task<Client> connect(io::Io& io, Scope& scope, ConnectOptions options);
    Client(Client&&) noexcept = default;
    Client& operator=(Client&& other) noexcept;
    ~Client();

    EntityId entity() const;          ///< The client's own.
    std::uint64_t session() const;
    const std::string& server_name() const;
    bool open() const;

    // call<&Avatar::find_match>(mode), notify<&Avatar::move>(to): to the own entity. Errors of a
    // call: the callee's; timed_out, disconnected (it may have run); closed, too_large (not).
    template <class C>
    static constexpr bool reaches = true;
    Task<Bytes> send(rpc::MethodName method, Bytes arguments) const;
    void post(rpc::MethodName method, BytesView arguments) const;
    Entity<> within(Duration limit) const { return Entity<>(link_, 0, limit); }
    template <class E>
    Entity<E> entity(Id<E> id) const {
        return Entity<E>(link_, id.value, Duration::zero());
    }
    /// By text: "Avatar.find_match" and a msgpack array of arguments; returns the value's msgpack.
    Task<Bytes> call_raw(std::string method, Bytes arguments, EntityId entity = 0) const;
    /// False when it was dropped: closed, too large, or the server reads too slowly.
    bool notify_raw(std::string_view method, BytesView arguments, EntityId entity = 0) const;

    /// The server's calls and pushes to T's described methods run on `object`, which outlives
    /// `scope`'s tasks or is removed while none of its methods run. Handlers that are set before
    /// the task which connected suspends again miss nothing.
    template <Described T>
    void handle(T& object) {
        add_handler(&object, rpc::methods_of<T>());
    }
    void remove_handler(const void* object);
    /// Every call of the server that has no handler: method and arguments; a reply is not possible.
    void on_unhandled(std::function<void(std::string_view method, BytesView arguments)> told);

    /// Once, with the reason: the server's code, disconnected, timed_out; closed after close().
    /// Called outside of tasks; at once when it is closed already.
    void on_closed(std::function<void(const Error&)> told);
    Task<> closed() const;  ///< Waits for the end of the session.
    const std::optional<Error>& close_reason() const;  ///< Why it ended; nothing while it is open.
    void close();           ///< Says goodbye. Idempotent.

private:
    explicit Client(std::shared_ptr<detail::Link> link) : link_(std::move(link)) {}
    void add_handler(void* object, std::span<const rpc::MethodEntry> methods);
    std::shared_ptr<detail::Link> link_;
};

namespace detail {
/// Entity 0: the own; limit 0: the session's.
Task<Bytes> call(std::shared_ptr<Link> link, EntityId entity, rpc::MethodName method,
                 Bytes arguments, Duration limit);
bool notify(Link& link, EntityId entity, rpc::MethodName method, BytesView arguments);
}  // namespace detail

template <class E>
Task<Bytes> Entity<E>::send(rpc::MethodName method, Bytes arguments) const {
    return detail::call(link_, id_, method, std::move(arguments), limit_);
}
template <class E>
void Entity<E>::post(rpc::MethodName method, BytesView arguments) const {
    (void)detail::notify(*link_, id_, method, arguments);
}

}  // namespace gyre::sdk

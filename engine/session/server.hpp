#pragma once
#include <functional>
#include <gyre/base/id.hpp>
#include <gyre/codec/describe.hpp>
#include <gyre/net/endpoint.hpp>
#include <gyre/secure/handshake.hpp>
#include <memory>
#include <optional>
#include <string>

namespace gyre::metric {
class Registry;
}
namespace gyre::net {
class Channel;
}
namespace gyre::rpc {
class Target;
}

namespace gyre::session {

class Session;

/// Where a server with `standard_kcp` speaks it: 1000 above the port of TCP, or below where that is too high.
constexpr std::uint16_t kcp_port(std::uint16_t tcp_port) {
    return static_cast<std::uint16_t>(tcp_port <= 64'535 ? tcp_port + 1000 : tcp_port - 1000);
}

/// What faces clients. Both ends must use the same max_message_bytes.
struct ServerConfig {
    io::Endpoint endpoint;                      ///< Port 0: any free one, see Server::local().
    std::string server_name = "gyre";           ///< Told to clients.
    /// What clients pin. Without one the server does not listen, and accept() takes links that are safe
    /// by themselves.
    std::optional<secure::Identity> identity;
    /// Reliable UDP at the same port number as TCP, sealed in the same way.
    bool rudp = false;
    /// Plain KCP besides, as its other implementations speak it, at kcp_port() of TCP's: what passes can be read,
    /// changed and cut off by anybody on the way. For trusted networks.
    bool standard_kcp = false;
    std::size_t max_message_bytes = 64 * 1024;  ///< [8 KiB, 1 MiB], of a frame.
    Duration handshake_limit = 5s;              ///< From accept to the answer.
    std::size_t max_sessions = 10'000;          ///< Beyond: `overloaded`; so for the next two.
    std::size_t max_pending_handshakes = 256;
    double max_handshakes_per_ip_per_second = 100;  ///< 0: no limit. Saved up for 2 s.
    double calls_per_second = 100;  ///< Of one session; 0: no limit. Saved up for 2 s. Excess calls
                                    ///< end `overloaded`, excess notifies are dropped.
    std::size_t max_calls_in_progress = 256;     ///< Of one session; above, it is not read.
    Duration heartbeat = 2s;
    Duration dead_after = 10s;                   ///< Nothing heard: the session ends `timed_out`.
    std::size_t max_unsent_bytes = 256 * 1024;   ///< Above the half, pushes that may be lost are left out;
                                                 ///< above it for 1 s, the session ends.
    std::uint32_t min_client_version = 0;        ///< Older ones end `update_required`.
    std::string update_text = "a newer version of the game is needed";
    metric::Registry* metrics = nullptr;         ///< gyre_session_*; outlives the server.
};

/// What may change while a server runs, as in ServerConfig.
struct ServerLimits {
    std::size_t max_sessions;
    double calls_per_second;  ///< Also of the sessions that are open.
    std::uint32_t min_client_version;
};

struct Credential {
    std::string text;
    std::uint32_t client_version = 0;
    io::Endpoint peer;
    static consteval auto describe() {
        return gyre::type<Credential>("Credential", field<&Credential::text>(secret),
                                      field<&Credential::client_version>(), field<&Credential::peer>());
    }
};
/// Who the client is.
struct Admission {
    EntityId entity = 0;          ///< Its own, not 0.
    std::uint64_t user_data = 0;  ///< Kept in Session::user_data.
    std::string user_text{};      ///< The same.
    static consteval auto describe() {
        return gyre::type<Admission>("Admission", field<&Admission::entity>(),
                                     field<&Admission::user_data>(), field<&Admission::user_text>());
    }
};
/// Throws an Error to refuse: the client is told its code and text. Cancelled after
/// handshake_limit. A plain function object, not itself a coroutine with captures.
using Authenticate = std::function<Task<Admission>(Credential)>;

/// Accepts clients, finds out who they are and passes their calls on. Use on its loop only.
class Server {
public:
    /// Handshakes are tasks of `scope`. io, scope and target outlive the server.
    Server(io::Io& io, Scope& scope, ServerConfig config, Authenticate authenticate,
           rpc::Target& target);
    ~Server();  ///< As close(), but on_closed is not called.

    /// Both are called outside of tasks: the first before the client's first call is passed on,
    /// the second as the last thing that happens with a session, with the reason.
    void on_opened(std::function<void(Session&)> told);
    void on_closed(std::function<void(Session&, const Error&)> told);

    /// Errors: in_use (names the address), refused, bad_config (names the field).
    Result<> listen();
    io::Endpoint local() const;
    /// A connection of another transport, from its first message on: the hello.
    void accept(std::unique_ptr<net::Channel> channel, io::Endpoint peer);

    void set_limits(const ServerLimits& limits);

    Session* find(std::uint64_t session) const;  ///< Null: it ended.
    std::size_t sessions() const;
    std::size_t pending_handshakes() const;
    /// Stops listening and ends every session `closed`. Idempotent.
    void close();

    class Impl;

private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace gyre::session

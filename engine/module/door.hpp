#pragma once
#include <gyre/module/clients.hpp>
#include <gyre/module/owned_method.hpp>
#include <gyre/session/server.hpp>
#include <gyre/session/session.hpp>

namespace gyre {

namespace module {

/// A client's session as its service hears of it.
struct SessionInfo {
    std::uint64_t session = 0;
    EntityId entity = 0;  ///< The client's own. This, and what follows, as admitted.
    std::uint64_t user_data = 0;
    std::string user_text;
    static consteval auto describe() {
        return type<SessionInfo>("SessionInfo", field<&SessionInfo::session>(),
                                 field<&SessionInfo::entity>(), field<&SessionInfo::user_data>(),
                                 field<&SessionInfo::user_text>());
    }
};

struct DoorStats {
    std::size_t sessions = 0;
    std::size_t routed = 0;       ///< Sessions with a route.
    std::uint64_t forwarded = 0;  ///< Calls of clients.
    std::uint64_t failed = 0;     ///< Of those to other nodes.
};

/// The sessions of one node's clients, and where the calls of each go. It belongs to the node; a
/// service opens it, names the methods that decide, and closes it: none of its state is the
/// service's, so the service can be replaced while clients are connected. When the service ends,
/// it closes.
///
///     door().open<&Gate::admit, &Gate::opened, &Gate::closed, &Gate::enter>(config);
///
/// - admit(Credential) -> Task<Admission>: who it is; an Error refuses.
/// - opened(SessionInfo): a session has begun; an Error ends it and is told to the client.
/// - enter(SessionInfo): asked for a session without a route, before a call goes on; calls route().
///   Never twice at a time for one session. It is asked as soon as a session is open, and again
///   every 500 ms, up to 30 times.
/// - closed(SessionInfo): the last for this session; what was asked before has ended. Asked again
///   each second while it ends unavailable, disconnected, timed_out or overloaded.
/// One that is cancelled because new code comes (`reloading`) is called again: each may run twice.
///
/// Calls to the client's own entity, or to none, go to the entity of its route, stamped with the
/// client's entity and session; others end forbidden. To another node: once more, on another
/// route, when the entity has moved; when the link breaks or the call times out, the route ends.
class Door {
public:
    explicit Door(Node& node);
    ~Door();
    Door(const Door&) = delete;

    /// Listens at the node's client address. Address, name and metrics of `config` are set here.
    /// Errors: in_use, refused, bad_config, bad_arguments (a method of another service).
    template <auto Admit, auto Opened, auto Closed, auto Enter>
    void open(session::ServerConfig config) {
        open({owned_method<Admit, session::Admission, session::Credential>(),
              owned_method<Opened, void, SessionInfo>(), owned_method<Closed, void, SessionInfo>(),
              owned_method<Enter, void, SessionInfo>()},
             std::move(config));
    }
    /// From now on, while it is open.
    void set_limits(const session::ServerLimits& limits);
    /// Ends calls, then sessions (`closed`), of which the service hears nothing. Idempotent.
    Task<> close();

    // Of a session that has ended, the next three do nothing.
    /// Calls go to this entity, of this node or of another.
    void route(std::uint64_t session, EntityId entity, std::optional<io::Endpoint> at = {});
    /// The next call asks again.
    void unroute(std::uint64_t session);
    /// The same, and it is asked at once.
    void find_again(std::uint64_t session);
    bool routed(std::uint64_t session) const;
    std::size_t size() const;                     ///< Sessions.
    std::vector<std::uint64_t> sessions() const;  ///< Ascending.
    DoorStats stats() const;

    class Impl;

private:
    struct Methods {
        OwnedMethod admit, opened, closed, enter;
    };
    void open(Methods methods, session::ServerConfig config);
    std::shared_ptr<Impl> impl_;
};

}  // namespace module

/// Of the node whose task runs.
inline module::Door& door() {
    GYRE_ASSERT(this_node().door, "this node was made without a door");
    return *this_node().door;
}

}  // namespace gyre

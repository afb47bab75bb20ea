#pragma once
#include <gyre/metric/registry.hpp>
#include <gyre/web/message.hpp>
#include <memory>

namespace gyre::web {

struct ServerConfig {
    io::Endpoint endpoint;                     ///< Port 0: any free one, see Server::local().
    std::size_t max_body_bytes = 64 * 1024;    ///< [0, 64 MiB], else 413.
    std::size_t max_header_bytes = 8 * 1024;   ///< [256, 1 MiB], else 414 or 431.
    std::size_t max_connections = 1024;        ///< Beyond: 503 and closed.
    Duration receive_limit = 5s;               ///< First to last byte of a request, else 408.
    Duration request_deadline = 10s;           ///< A handler is cancelled after it: 504.
    Duration idle_limit = 60s;                 ///< Between two requests of a connection.
    std::vector<std::string> allowed_origins;  ///< Pages that may call (CORS); "*": any.
    metric::Registry* metrics = nullptr;       ///< gyre_web_*; outlives the server.
};

using Handler = std::function<Task<Response>(Request)>;
/// Looks at a request before its handler; a Response answers in its place.
using Filter = std::function<std::optional<Response>(Request&)>;

/// HTTP/1.1 on one address. Use on its loop only.
///
///     server.route("POST", "/login", [this](Request r) { return login(std::move(r)); });
///
/// A handler is a plain function object that returns a Task, never itself a coroutine with
/// captures. Each request is a task of `scope`, with a trace of its own. Requests of one
/// connection are answered in order. An Error thrown by a handler becomes Response::error.
class Server {
public:
    /// `io` and `scope` outlive it; so do routes and filters, set before the first request.
    Server(io::Io& io, Scope& scope, ServerConfig config);
    /// Cuts every connection; answers of handlers that still run are dropped. See close().
    ~Server();

    /// `path`: "/p/{id}/items". A literal beats a parameter; GET answers HEAD too.
    void route(std::string_view method, std::string_view path, Handler handler);
    void filter(Filter filter);  ///< Filters run in the order in which they were added.

    /// Errors: in_use (names the address), refused, bad_arguments (names the field of the config).
    Result<> listen();
    io::Endpoint local() const;
    std::size_t connections() const;

    /// Accepts no more, ends idle connections, lets requests finish for `limit`, then cancels them.
    Task<> close(Duration limit = 5s);

    class Impl;

private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace gyre::web

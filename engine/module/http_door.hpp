#pragma once
#include <gyre/module/node.hpp>
#include <gyre/module/owned_method.hpp>
#include <gyre/web/server.hpp>

namespace gyre {

namespace module {

/// The HTTP server of one node. A service opens it and names the described methods that answer, so
/// that it can be replaced while requests come in. When the service ends, it closes.
///
///     http().route<&Account::log_in>("POST", "/login");   // Task<web::Response> log_in(web::Request)
///     http().open({.max_connections = 100});
///
/// An Error of a method becomes web::Response::error; what new code or the end of the service cuts
/// off is `unavailable` (503): it may have run. Cost: a local call and its encoding.
class HttpDoor {
public:
    explicit HttpDoor(Node& node);
    ~HttpDoor();
    HttpDoor(const HttpDoor&) = delete;

    /// Before open(), of one service. `path` as in web::Server. Error: bad_arguments, the method
    /// is another's.
    template <auto M>
    void route(std::string_view method, std::string_view path) {
        route(method, path, owned_method<M, web::Response, web::Request>());
    }
    /// Listens at the node's HTTP address; that and the metrics of `config` are set here.
    /// Errors: in_use, refused, bad_arguments.
    void open(web::ServerConfig config);
    /// Lets requests finish for `limit`. Idempotent.
    Task<> close(Duration limit = 5s);
    std::size_t connections() const;

    class Impl;

private:
    void route(std::string_view method, std::string_view path, OwnedMethod answers);
    std::shared_ptr<Impl> impl_;
};

}  // namespace module

/// Of the node whose task runs.
inline module::HttpDoor& http() {
    GYRE_ASSERT(this_node().http, "this node was made without HTTP");
    return *this_node().http;
}

}  // namespace gyre

#include <ctime>
#include <gyre/log/log.hpp>
#include <gyre/trace/failed.hpp>
#include <gyre/web/detail/connection.hpp>
#include <gyre/web/detail/router.hpp>
#include <gyre/web/server.hpp>
#include <map>

namespace gyre::web {

class Server::Impl final : public detail::ConnectionHost,
                           public std::enable_shared_from_this<Impl> {
public:
    Impl(io::Io& i, Scope& s, ServerConfig c)
        : ConnectionHost(i, s, std::move(c)),
          metrics(config.metrics ? *config.metrics : own_metrics),
          open(metrics.gauge("gyre_web_connections", {}, "Open connections of the HTTP server.")),
          duration(
              metrics.histogram("gyre_web_request_us", {}, "From the last byte to the answer.")),
          reaper(*this) {}

    Result<> listen();
    void accept(std::unique_ptr<io::Stream> stream);
    Task<Response> answer(Request request) override;
    Task<Response> dispatch(Request request);
    void allow_origin(std::string_view origin, Response& response) const;
    void ended(std::uint64_t connection) override {
        connections.erase(connection);
        open.set(static_cast<double>(connections.size()));
        changed.notify_all();
    }
    void discard(std::unique_ptr<io::Stream> stream) override {
        graveyard.push_back(std::move(stream));
        io.executor().at_turn_end(reaper);
    }
    void refused(const detail::Fault& fault) override {
        metrics.counter("gyre_web_bad_requests_total", {{"reason", fault.code}}).add();
        log::debug("web.bad_request", {{"status", fault.status}, {"reason", fault.detail}});
    }
    std::string date() override;
    bool closing() const override { return stopping; }
    static Task<> until_empty(std::shared_ptr<Impl> self) {
        while (!self->connections.empty()) co_await self->changed.wait();
    }
    static Task<> close(std::shared_ptr<Impl> self, Duration limit);
    /// A copy, because connections leave the map while it is walked.
    auto all() const { return connections; }

    struct Reaper : Ready {
        explicit Reaper(Impl& i)
            : Ready([](Ready& self) { static_cast<Reaper&>(self).impl.graveyard.clear(); }),
              impl(i) {}
        Impl& impl;
    };

    metric::Registry own_metrics;
    metric::Registry& metrics;
    metric::Gauge& open;
    metric::Histogram& duration;
    detail::Router router;
    std::vector<Filter> filters;
    std::unique_ptr<io::Listener> listener;
    std::map<std::uint64_t, std::shared_ptr<detail::Connection>> connections;
    std::uint64_t last_connection = 0;
    std::vector<std::unique_ptr<io::Stream>> graveyard;
    Reaper reaper;
    Signal changed;
    std::time_t date_second = -1;
    std::string date_text;
    bool stopping = false;
};

Result<> Server::Impl::listen() {
    const auto bad = [](const char* field, auto value, const char* range) {
        return Error(errc::bad_arguments, "web server " + std::string(field) + "=" +
                                              std::to_string(value) + " is outside of " + range);
    };
    if (config.max_body_bytes > 64u << 20)
        return bad("max_body_bytes", config.max_body_bytes, "[0, 67108864]");
    if (config.max_header_bytes < 256 || config.max_header_bytes > 1u << 20)
        return bad("max_header_bytes", config.max_header_bytes, "[256, 1048576]");
    if (config.max_connections < 1)
        return bad("max_connections", config.max_connections, "[1, ...]");
    auto made = io.listen(config.endpoint, [this](auto stream) { accept(std::move(stream)); });
    if (!made) return made.error();
    listener = std::move(*made);
    return {};
}

void Server::Impl::accept(std::unique_ptr<io::Stream> stream) {
    const std::uint64_t number = ++last_connection;
    auto connection =
        std::make_shared<detail::Connection>(shared_from_this(), number, std::move(stream));
    // Twice the limit would be an attack: those get no answer.
    const bool full = connections.size() >= config.max_connections;
    if (connections.size() >= 2 * config.max_connections) return;
    connections.emplace(number, connection);
    open.set(static_cast<double>(connections.size()));
    if (full)
        connection->refuse_overload();
    else
        connection->start();
}

Task<Response> Server::Impl::answer(Request request) {
    const TimePoint begin = io.now();
    const std::string method = request.method, origin(request.headers.get("Origin"));
    std::optional<Response> response;
    try {
        response = co_await with_timeout(config.request_deadline, dispatch(std::move(request)));
    } catch (const Error& error) {
        if (error.is(errc::cancelled)) throw;
        response = Response::error(error);
        if (response->status >= 500) trace::failed("web.handler_failed", std::current_exception(), {{"method", method}});
    } catch (...) {
        trace::failed("web.handler_failed", std::current_exception(), {{"method", method}});
        response = Response::error(500, errc::internal, "the server failed");
    }
    allow_origin(origin, *response);
    const std::string family = std::to_string(response->status / 100) + "xx";
    metrics.counter("gyre_web_requests_total", {{"status", family}}).add();
    duration.record(static_cast<std::uint64_t>((io.now() - begin) / 1us));
    co_return std::move(*response);
}

Task<Response> Server::Impl::dispatch(Request request) {
    if (!request.url.starts_with('/'))
        co_return Response::error(400, "bad_request", "request target: expected /path?query");
    auto match = router.find(request);
    if (!match) co_return Response::error(400, "bad_request", match.error().message());
    if (!match->handler && match->allow.empty())
        co_return Response::error(404, errc::not_found, "no route \"" + request.path + "\"");
    if (!match->handler) {
        if (request.method == "OPTIONS") {
            Response response;
            response.status = 204;
            response.headers.add("Allow", match->allow);
            response.headers.add("Access-Control-Allow-Methods", match->allow);
            response.headers.add("Access-Control-Allow-Headers",
                                 "Authorization, Content-Type, X-Request-Id");
            response.headers.add("Access-Control-Max-Age", "600");
            co_return response;
        }
        Response response = Response::error(405, "method_not_allowed",
                                            "\"" + request.path + "\" takes " + match->allow);
        response.headers.add("Allow", match->allow);
        co_return response;
    }
    for (const Filter& filter : filters)
        if (auto response = filter(request)) co_return std::move(*response);
    co_return co_await (*match->handler)(std::move(request));
}

void Server::Impl::allow_origin(std::string_view origin, Response& response) const {
    if (origin.empty()) return;
    for (const std::string& allowed : config.allowed_origins) {
        if (allowed != "*" && allowed != origin) continue;
        response.headers.set("Access-Control-Allow-Origin", allowed);
        response.headers.set("Vary", "Origin");
        return;
    }
}

std::string Server::Impl::date() {
    const std::time_t second =
        std::chrono::duration_cast<std::chrono::seconds>(io.wall_now().time_since_epoch()).count();
    if (second != date_second) {
        static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        std::tm t{};
        gmtime_r(&second, &t);
        char text[64];
        std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday],
                      t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
        date_text = text;
        date_second = second;
    }
    return date_text;
}

Task<> Server::Impl::close(std::shared_ptr<Impl> self, Duration limit) {
    self->stopping = true;
    self->listener.reset();
    for (const auto& [number, connection] : self->all()) connection->wind_down();
    if (co_await as_result(with_timeout(limit, until_empty(self)))) co_return;
    for (const auto& [number, connection] : self->all()) {
        if (connection->handling())
            connection->cancel_request();
        else
            connection->cut();
    }
    // A cancelled handler may still have something shielded to complete.
    co_await shielded(until_empty(self));
}

Server::Server(io::Io& io, Scope& scope, ServerConfig config)
    : impl_(std::make_shared<Impl>(io, scope, std::move(config))) {}
Server::~Server() {
    impl_->stopping = true;
    impl_->listener.reset();
    for (const auto& [number, connection] : impl_->all()) connection->cut();
}
void Server::route(std::string_view method, std::string_view path, Handler handler) {
    impl_->router.add(method, path, std::move(handler));
}
void Server::filter(Filter filter) { impl_->filters.push_back(std::move(filter)); }
Result<> Server::listen() { return impl_->listen(); }
io::Endpoint Server::local() const { return impl_->listener->local(); }
std::size_t Server::connections() const { return impl_->connections.size(); }
Task<> Server::close(Duration limit) { return Impl::close(impl_, limit); }

}  // namespace gyre::web

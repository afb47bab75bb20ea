#include <gyre/module/http_door.hpp>

namespace gyre::module {
namespace {

Task<web::Response> ask(Node& node, OwnedMethod method, Duration limit, web::Request request) {
    rpc::CallOptions options;
    options.limit = limit;
    auto answer = co_await as_result(node.rpc.call({.at = node.rpc.address()}, method.name(),
                                                   encode(std::tuple(std::move(request))), options));
    if (answer) co_return decode<web::Response>(*answer).value();
    // The service ends or takes new code: with what ran or came then.
    if (answer.error().is(errc::disconnected) || answer.error().is(errc::reloading) || answer.error().is(errc::entity_gone) ||
        answer.error().is(errc::unknown_method))
        co_return web::Response::error(Error(errc::unavailable, node.info.name + " cannot answer now"));
    throw answer.error();
}

}  // namespace

class HttpDoor::Impl : public std::enable_shared_from_this<Impl> {
public:
    explicit Impl(Node& node) : node_(node) {}

    void route(std::string_view method, std::string_view path, OwnedMethod answers) {
        (void)record_with(answers, "http");
        GYRE_ASSERT(!server_, "routes come before open()");
        routes_.push_back({std::string(method), std::string(path), std::move(answers)});
    }
    void open(web::ServerConfig config) {
        if (server_) throw Error(errc::in_use, "the HTTP door of " + node_.info.name + " is open");
        GYRE_ASSERT(!routes_.empty(), "routes come before open()");
        world::Record& record = record_with(routes_.front().answers, "http");
        config.endpoint = node_.info.http_address;
        config.metrics = &node_.metrics;
        const Duration limit = config.request_deadline;
        auto server = std::make_unique<web::Server>(node_.io, node_.scope, std::move(config));
        for (auto& route : std::exchange(routes_, {}))
            server->route(route.method, route.path,
                          [&node = node_, answers = std::move(route.answers), limit](web::Request request) {
                              return ask(node, answers, limit, std::move(request));
                          });
        server->listen().value();
        server_ = std::move(server);
        node_.info.http_address = server_->local();
        record.attachments.push_back(std::make_unique<Opening>(weak_from_this(), server_.get()));
    }
    static Task<> close(std::shared_ptr<Impl> self, Duration limit) {
        if (!self->server_) co_return;
        const auto server = self->server_;
        co_await server->close(limit);
        if (self->server_ == server) self->server_.reset();
    }
    std::size_t connections() const { return server_ ? server_->connections() : 0; }

private:
    /// Cuts what is left when the service ends without having closed it.
    class Opening final : public world::Attachment {
    public:
        Opening(std::weak_ptr<Impl> door, const web::Server* server)
            : door_(std::move(door)), server_(server) {}
        ~Opening() override {
            const auto door = door_.lock();
            if (door && door->server_.get() == server_) door->server_.reset();
        }

    private:
        std::weak_ptr<Impl> door_;
        const web::Server* server_;
    };
    struct Route {
        std::string method, path;
        OwnedMethod answers;
    };
    Node& node_;
    std::vector<Route> routes_;
    std::shared_ptr<web::Server> server_;  // null: closed
};

HttpDoor::HttpDoor(Node& node) : impl_(std::make_shared<Impl>(node)) {}
HttpDoor::~HttpDoor() = default;
void HttpDoor::route(std::string_view method, std::string_view path, OwnedMethod answers) {
    impl_->route(method, path, std::move(answers));
}
void HttpDoor::open(web::ServerConfig config) { impl_->open(std::move(config)); }
Task<> HttpDoor::close(Duration limit) { return Impl::close(impl_, limit); }
std::size_t HttpDoor::connections() const { return impl_->connections(); }

}  // namespace gyre::module

#include <algorithm>
#include <gyre/task/sync.hpp>
#include <gyre/web/client.hpp>
#include <gyre/web/detail/parser.hpp>
#include <map>

namespace gyre::web {
using detail::Parser;

/// One connection, one exchange at a time.
class StreamingResponse::Source final : public io::StreamHandler {
public:
    Source(io::Io& io, const ClientConfig& config, io::Endpoint peer_,
           std::unique_ptr<io::Stream> s)
        : peer(std::move(peer_)),
          unread_limit_(config.max_unread_bytes),
          stream_(std::move(s)),
          idle_(io.executor(), [this] { lose(Error(errc::disconnected, "idle for too long")); }) {
        stream_->start(*this);
    }
    ~Source() override { cut(); }

    void send(const std::string& text, std::unique_ptr<Parser> parser) {
        idle_.cancel();
        parser_ = std::move(parser);
        done_ = got_bytes_ = false;
        stream_->write(as_bytes(text));
    }
    /// Waits for the header. Errors: disconnected, bad_data.
    Task<> header() {
        while (!failure_ && !parser_->head_done()) co_await changed_.wait();
        if (!parser_->head_done()) throw Error(*failure_);
    }
    /// Waits for a part of the body; empty at its end.
    Task<std::string> part() {
        while (parser_->body.empty() && !done_ && !failure_) co_await changed_.wait();
        std::string part = std::exchange(parser_->body, {});
        if (part.empty() && failure_ && !done_) throw Error(*failure_);
        if (paused_ && stream_) stream_->pause(paused_ = false);
        co_return part;
    }
    Task<> whole_body() {
        while (!done_ && !failure_) co_await changed_.wait();
        if (!done_) throw Error(*failure_);
    }
    Parser& parser() { return *parser_; }
    bool alive() const { return stream_ != nullptr; }
    bool reusable() const { return alive() && done_ && parser_->head.keep_alive && input_.empty(); }
    /// Nothing came back.
    bool lost_before_reply() const { return failure_ && !got_bytes_; }
    void keep_idle(Duration limit) {
        parser_.reset();
        idle_.in(limit);
    }
    void stream_body() { streaming_ = true; }

    void on_data(BytesView bytes) override {
        if (!parser_) return lose(Error(errc::bad_data, "a response nobody asked for"));
        got_bytes_ = true;
        input_.append(as_text(bytes));
        while (!done_) {
            const Parser::Step step = parser_->parse(input_);
            if (step == Parser::Step::failed)
                return lose(
                    Error(parser_->fault.code == errc::too_large ? errc::too_large : errc::bad_data,
                          "response of " + peer.to_string() + ": " + parser_->fault.detail));
            if (step == Parser::Step::need_more) break;
            if (parser_->head.status / 100 == 1 && parser_->head.status != 101)
                parser_->reset();
            else
                done_ = true;
        }
        if (streaming_ && !paused_ && parser_->body.size() > unread_limit_)
            stream_->pause(paused_ = true);
        if (done_ || parser_->head_done()) changed_.notify_all();
    }
    void on_closed(const Error& reason) override {
        if (parser_ && !done_ && parser_->end()) done_ = true;
        lose(Error(errc::disconnected, peer.to_string() + ": " + reason.message()));
    }

    const io::Endpoint peer;

private:
    void lose(Error reason) {
        if (!stream_) return;
        failure_ = std::move(reason);
        changed_.notify_all();
        cut();
    }
    void cut() {
        idle_.cancel();
        if (stream_) stream_->close();
        stream_.reset();
    }

    std::size_t unread_limit_;
    std::unique_ptr<io::Stream> stream_;
    std::unique_ptr<Parser> parser_;
    Alarm idle_;
    std::string input_;
    Signal changed_;
    std::optional<Error> failure_;
    bool done_ = false, got_bytes_ = false, paused_ = false, streaming_ = false;
};
using Source = StreamingResponse::Source;

namespace {

struct Target {
    io::Endpoint endpoint;
    std::string path;
};

Result<Target> parse_url(std::string_view url) {
    constexpr std::string_view scheme = "http://";
    const auto bad = [&](std::string_view why) {
        return Error(errc::bad_arguments, "url \"" + std::string(url) + "\": " + std::string(why));
    };
    if (!url.starts_with(scheme)) return bad("expected http://HOST:PORT/path");
    const std::string_view rest = url.substr(scheme.size());
    const std::size_t slash = std::min(rest.find_first_of("/?"), rest.size());
    std::string host(rest.substr(0, slash));
    if (host.find(':') == std::string::npos) host += ":80";
    auto endpoint = io::Endpoint::parse(host);
    if (!endpoint) return bad(endpoint.error().message());
    std::string path(rest.substr(slash));
    if (!path.starts_with('/')) path.insert(0, "/");
    return Target{std::move(*endpoint), std::move(path)};
}

bool idempotent(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
           method == "OPTIONS";
}

}  // namespace

class Client::Pool {
public:
    Pool(io::Io& io, ClientConfig config) : io_(io), config_(config) {}

    static Task<Response> request(std::shared_ptr<Pool> self, Request request) {
        auto source = co_await self->exchange(std::move(request), self->config_.max_body_bytes);
        co_await source->whole_body();
        Parser& parser = source->parser();
        Response response;
        response.status = parser.head.status;
        response.headers = std::move(parser.head.headers);
        response.body = std::move(parser.body);
        self->keep(std::move(source));
        co_return response;
    }
    static Task<StreamingResponse> stream(std::shared_ptr<Pool> self, Request request) {
        auto source = co_await self->exchange(std::move(request), std::nullopt);
        co_return StreamingResponse(std::move(source));
    }

private:
    using Owned = std::unique_ptr<Source>;

    /// Sends and waits for the header of the response.
    Task<Owned> exchange(Request request, std::optional<std::uint64_t> body_limit) {
        const Target target = parse_url(request.url).value();
        const std::string text =
            detail::write_request(request, target.endpoint.to_string(), target.path).value();
        detail::Limits limits;
        limits.header_bytes = config_.max_header_bytes;
        limits.body_bytes = body_limit;
        for (;;) {
            Owned source = take(target.endpoint);
            // A turn of the loop tells whether the other side has closed it meanwhile.
            if (source) co_await yield();
            if (source && !source->alive()) continue;
            const bool kept = source != nullptr;
            if (!kept) {
                auto stream = co_await io_.connect(target.endpoint, config_.connect_limit);
                source = std::make_unique<Source>(io_, config_, target.endpoint, std::move(stream));
            }
            auto parser = Parser::of_responses(limits);
            parser->reset(request.method == "HEAD");
            if (!body_limit) source->stream_body();
            source->send(text, std::move(parser));
            const auto header = co_await as_result(source->header());
            if (header) co_return source;
            const bool again = kept && source->lost_before_reply() && idempotent(request.method);
            if (!again) throw Error(header.error());
        }
    }

    Owned take(const io::Endpoint& endpoint) {
        auto& idle = idle_[endpoint];
        while (!idle.empty()) {
            Owned source = std::move(idle.back());
            idle.pop_back();
            if (source->alive()) return source;
        }
        return nullptr;
    }
    void keep(Owned source) {
        if (!source->reusable()) return;
        auto& idle = idle_[source->peer];
        std::erase_if(idle, [](const Owned& other) { return !other->alive(); });
        if (idle.size() >= config_.max_idle_connections) return;
        source->keep_idle(config_.idle_limit);
        idle.push_back(std::move(source));
    }

    io::Io& io_;
    const ClientConfig config_;
    std::map<io::Endpoint, std::vector<Owned>> idle_;  // the most recently used last
};

Client::Client(io::Io& io, ClientConfig config) : pool_(std::make_shared<Pool>(io, config)) {}
Client::~Client() = default;
Task<Response> Client::request(Request request, Duration limit) {
    return with_timeout(limit, Pool::request(pool_, std::move(request)));
}
Task<StreamingResponse> Client::stream(Request request, Duration limit) {
    return with_timeout(limit, Pool::stream(pool_, std::move(request)));
}

StreamingResponse::StreamingResponse(std::unique_ptr<Source> source) : source_(std::move(source)) {
    detail::Head& head = source_->parser().head;
    status = head.status;
    headers = std::move(head.headers);
}
StreamingResponse::StreamingResponse(StreamingResponse&&) noexcept = default;
StreamingResponse& StreamingResponse::operator=(StreamingResponse&&) noexcept = default;
StreamingResponse::~StreamingResponse() = default;

Task<std::optional<Bytes>> StreamingResponse::next() {
    GYRE_ASSERT(source_ != nullptr, "next() of a response that was moved away");
    const std::string part = co_await source_->part();
    if (part.empty()) co_return std::nullopt;
    const BytesView view = as_bytes(part);
    co_return Bytes(view.begin(), view.end());
}

}  // namespace gyre::web

#include <gyre/log/log.hpp>
#include <gyre/web/detail/connection.hpp>

namespace gyre::web::detail {
namespace {

constexpr std::size_t pipeline_bytes = 16 * 1024;  // read ahead while a request runs
constexpr std::size_t backlog_bytes = 64 * 1024;   // unsent, before the next request waits
constexpr Duration linger_limit = 1s;

bool is_id(std::string_view id) {
    if (id.empty() || id.size() > 64) return false;
    for (const char c : id)
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    return true;
}

std::string hex(std::uint64_t value) {
    std::string out(16, '0');
    for (std::size_t i = 16; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
    return out;
}

}  // namespace

Connection::Connection(std::shared_ptr<ConnectionHost> host, std::uint64_t number,
                       std::unique_ptr<io::Stream> stream)
    : host_(std::move(host)),
      number_(number),
      stream_(std::move(stream)),
      parser_(Parser::of_requests({.header_bytes = host_->config.max_header_bytes,
                                   .header_fields = 100,
                                   .body_bytes = host_->config.max_body_bytes})),
      alarm_(host_->io.executor(), [this] { on_alarm(); }) {}

void Connection::start() {
    become(State::idle);
    stream_->start(*this);
}

void Connection::refuse_overload() {
    stream_->start(*this);
    fail({503, std::string(errc::overloaded),
          "more than " + std::to_string(host_->config.max_connections) + " connections"});
}

void Connection::become(State state) {
    state_ = state;
    switch (state) {
        case State::idle: alarm_.in(host_->config.idle_limit); break;
        case State::receiving: alarm_.in(host_->config.receive_limit); break;
        case State::draining: alarm_.in(host_->config.idle_limit); break;
        case State::lingering: alarm_.in(linger_limit); break;
        case State::handling:
        case State::ended: alarm_.cancel(); break;
    }
}

void Connection::on_data(BytesView bytes) {
    if (state_ == State::lingering || state_ == State::ended) return;
    input_.append(as_text(bytes));
    if (state_ == State::idle || state_ == State::receiving) return pump();
    if (!paused_ && input_.size() > pipeline_bytes) stream_->pause(paused_ = true);
}

void Connection::on_closed(const Error&) {
    const auto keep_alive = shared_from_this();
    stream_.reset();
    end();
}

void Connection::cut() {
    if (!stream_) return;
    const auto keep_alive = shared_from_this();
    stream_->close();
    host_->discard(std::move(stream_));
    end();
}

void Connection::end() {
    if (handling()) return;  // finish() comes back here
    become(State::ended);
    host_->ended(number_);
}

void Connection::wind_down() {
    keep_ = false;
    if (state_ == State::idle) cut();
}

void Connection::cancel_request() {
    if (handling() && request_) request_->cancel();
}

void Connection::on_alarm() {
    if (state_ == State::receiving)
        return fail({408, std::string(errc::timed_out),
                     "the request did not arrive within " +
                         std::to_string(static_cast<int>(to_ms(host_->config.receive_limit))) +
                         " ms"});
    cut();
}

void Connection::on_drained() {
    if (state_ != State::draining) return;
    if (!keep_) return cut();
    become(State::idle);
    pump();
}

void Connection::pump() {
    if (pumping_) return;  // a handler that ended at once: the loop below goes on
    const auto keep_alive = shared_from_this();
    pumping_ = true;
    while (stream_ && (state_ == State::idle || state_ == State::receiving)) {
        if (state_ == State::idle) {
            const std::size_t begin = std::min(input_.find_first_not_of("\r\n"), input_.size());
            input_.erase(0, begin);
            if (input_.empty()) break;
            parser_->reset();
            continued_ = false;
            become(State::receiving);
        }
        const Parser::Step step = parser_->parse(input_);
        if (step == Parser::Step::failed) {
            fail(parser_->fault);
            break;
        }
        if (parser_->head_done() && !continued_) {
            continued_ = true;
            if (const auto expect = parser_->head.headers.get("Expect"); !expect.empty()) {
                if (expect != "100-continue") {
                    fail({417, "bad_request", "Expect: only 100-continue is known"});
                    break;
                }
                if (step == Parser::Step::need_more && parser_->body.empty())
                    write("HTTP/1.1 100 Continue\r\n\r\n");
            }
        }
        if (step == Parser::Step::need_more) break;
        dispatch();
    }
    pumping_ = false;
    if (stream_ && paused_ && state_ != State::handling && state_ != State::draining)
        stream_->pause(paused_ = false);
}

void Connection::dispatch() {
    Head& head = parser_->head;
    keep_ = keep_ && head.keep_alive && head.http_1_1 && !host_->closing();
    Request request;
    request.method = std::move(head.method);
    request.url = std::move(head.target);
    request.headers = std::move(head.headers);
    request.body = std::move(parser_->body);
    const std::uint64_t trace = host_->io.random_u64();
    const std::string_view given = request.headers.get("X-Request-Id");
    request.id = is_id(given) ? std::string(given) : hex(trace);
    request.peer = stream_->peer();
    become(State::handling);
    Context context = host_->scope.context();
    context.trace = trace;
    const ContextGuard guard(&context);
    request_.emplace(go(host_->scope, serve(shared_from_this(), std::move(request))));
    if (!handling()) request_.reset();
}

Task<> Connection::serve(std::shared_ptr<Connection> self, Request request) {
    const std::string id = request.id;
    const bool no_body = request.method == "HEAD";
    std::optional<Response> response;
    try {
        response = co_await self->host_->answer(std::move(request));
    } catch (const Error&) {  // cancelled: the server closes
        self->keep_ = false;
        response = Response::error(503, errc::unavailable, "the server is closing");
    }
    self->finish(std::move(*response), id, no_body);
}

void Connection::finish(Response response, std::string_view id, bool no_body) {
    request_.reset();  // its frame holds this connection
    become(State::ended);
    if (!stream_) return end();
    if (host_->closing()) keep_ = false;
    const auto write_it = [&](Response& r) {
        r.headers.set("X-Request-Id", std::string(id));
        r.headers.set("Date", host_->date());
        return write_response(r, no_body, keep_);
    };
    auto text = write_it(response);
    if (!text) {
        log::error("web.bad_response", {{"reason", text.error().message()}});
        response = Response::error(500, errc::internal, "the server failed");
        text = write_it(response);
    }
    write(*text);
    if (stream_->unsent_bytes() > backlog_bytes) return become(State::draining);
    if (!keep_) return cut();
    become(State::idle);
    pump();
}

void Connection::fail(const Fault& fault) {
    host_->refused(fault);
    keep_ = false;
    Response response = Response::error(fault.status, fault.code, fault.detail);
    response.headers.set("Date", host_->date());
    write(*write_response(response, false, false));
    // Closing with unread bytes would reset the connection and lose the answer: read on a while.
    input_.clear();
    if (paused_) stream_->pause(paused_ = false);
    become(State::lingering);
}

}  // namespace gyre::web::detail

// The only file that sees Beast: its parser alone, without sockets.
#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <gyre/web/detail/parser.hpp>

namespace gyre::web::detail {
namespace {
namespace beast = boost::beast;
namespace http = boost::beast::http;
using beast::error_code;
using View = beast::string_view;

std::string text(View view) { return {view.data(), view.size()}; }
std::string quoted(View view) {
    std::string out = "\"";
    for (const char c : view.substr(0, 64)) out += c >= 0x20 && c < 0x7f ? c : '?';
    return out += view.size() > 64 ? "...\"" : "\"";
}

template <bool is_request>
class BeastParser final : public http::basic_parser<is_request> {
public:
    BeastParser(Parser& out, const Limits& limits, bool no_body) : out_(out), limits_(limits) {
        this->eager(true);
        this->header_limit(static_cast<std::uint32_t>(limits.header_bytes));
        if (limits.body_bytes)
            this->body_limit(*limits.body_bytes);
        else
            this->body_limit(boost::none);
        if (no_body) this->skip(true);
    }
    bool started() const { return started_; }

private:
    /// Refuses the message for a reason Beast has no name for.
    void refuse(std::uint16_t status, std::string_view code, std::string detail, error_code& ec) {
        out_.fault = {status, std::string(code), std::move(detail)};
        ec = http::error::bad_value;
    }
    void on_request_impl(http::verb, View method, View target, int version,
                         error_code& ec) override {
        started_ = true;
        out_.head.method = text(method);
        out_.head.target = text(target);
        out_.head.http_1_1 = version >= 11;
        count(method.size() + target.size() + 12, ec);
    }
    void on_response_impl(int status, View reason, int version, error_code& ec) override {
        started_ = true;
        out_.head.status = static_cast<std::uint16_t>(status);
        out_.head.http_1_1 = version >= 11;
        count(reason.size() + 15, ec);
    }
    void on_field_impl(http::field field, View name, View value, error_code& ec) override {
        count(name.size() + value.size() + 4, ec);
        if (ec) return;
        if (++fields_ > limits_.header_fields)
            return refuse(431, "header_too_large",
                          "more than " + std::to_string(limits_.header_fields) + " header fields",
                          ec);
        if (this->is_header_done()) return;  // a trailer: checked for size, then ignored
        if constexpr (is_request) {
            if (field == http::field::transfer_encoding && !beast::iequals(value, "chunked"))
                return refuse(501, "unknown_transfer_encoding",
                              "Transfer-Encoding " + quoted(value) + ": only chunked is known", ec);
            if (field == http::field::host && out_.head.headers.has("Host"))
                return refuse(400, "bad_request", "Host: given twice", ec);
        }
        out_.head.headers.add(text(name), text(value));
    }
    void on_header_impl(error_code& ec) override {
        header_bytes_ = fields_ = 0;  // from here on counts trailers
        if constexpr (is_request) {
            const Head& head = out_.head;
            if (head.http_1_1 && !head.headers.has("Host"))
                return refuse(400, "bad_request", "Host: missing", ec);
            if (!head.http_1_1 && head.headers.has("Transfer-Encoding"))
                return refuse(400, "bad_request", "Transfer-Encoding: not in HTTP/1.0", ec);
        }
    }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(View bytes, error_code&) override {
        out_.body.append(bytes.data(), bytes.size());
        return bytes.size();
    }
    void on_chunk_header_impl(std::uint64_t, View, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, View bytes, error_code&) override {
        out_.body.append(bytes.data(), bytes.size());
        return bytes.size();
    }
    void on_finish_impl(error_code&) override {}

    // Beast holds its limit against what one call sees; pieces must not add up to more.
    void count(std::size_t bytes, error_code& ec) {
        if ((header_bytes_ += bytes) > limits_.header_bytes) ec = http::error::header_limit;
    }

    Parser& out_;
    const Limits& limits_;
    std::size_t header_bytes_ = 0, fields_ = 0;
    bool started_ = false;
};

std::string_view reason(const error_code& ec) {
    using E = http::error;
    if (ec == E::bad_line_ending) return "a line does not end in CR LF";
    if (ec == E::bad_method) return "bad method";
    if (ec == E::bad_target) return "bad character in the request target";
    if (ec == E::bad_version) return "bad HTTP version";
    if (ec == E::bad_status) return "bad status";
    if (ec == E::bad_reason) return "bad reason phrase";
    if (ec == E::bad_field) return "bad character in a header name";
    if (ec == E::bad_value) return "bad character in a header value";
    if (ec == E::bad_obs_fold) return "bad folded header line";
    if (ec == E::bad_content_length) return "Content-Length: not one number";
    if (ec == E::multiple_content_length) return "Content-Length: given twice, different";
    if (ec == E::bad_transfer_encoding) return "Transfer-Encoding: twice or beside Content-Length";
    if (ec == E::bad_chunk) return "bad chunk";
    if (ec == E::bad_chunk_extension) return "bad chunk extension";
    return "not an HTTP/1 message";
}

template <bool is_request>
class ParserImpl final : public Parser {
public:
    explicit ParserImpl(Limits limits) : limits_(limits) { ParserImpl::reset(false); }

    void reset(bool no_body) override {
        head = {};
        body.clear();
        fault = {};
        in_chunk_header_ = false;
        beast_.emplace(*this, limits_, no_body);
    }
    bool head_done() const override { return beast_->is_header_done(); }

    Step parse(std::string& input) override {
        // Beast asserts these when a last chunk comes in pieces; nothing shorter completes.
        if (in_chunk_header_ && input.size() < last_chunk.size() && input.starts_with('0'))
            return Step::need_more;
        in_chunk_header_ = false;
        std::size_t used = 0;
        Step step = Step::need_more;
        while (used < input.size()) {
            error_code ec;
            const std::size_t taken = beast_->put(
                boost::asio::const_buffer(input.data() + used, input.size() - used), ec);
            used += taken;
            if (ec == http::error::need_more) {
                in_chunk_header_ = beast_->is_header_done();
                // What waits for its other half is a header, a chunk header or trailers.
                if (input.size() - used > limits_.header_bytes)
                    step = fail(http::error::header_limit, input);
                break;
            }
            if (ec) {
                step = fail(ec, input);
                break;
            }
            if (beast_->is_done()) {
                head.keep_alive = beast_->keep_alive();
                step = Step::done;
                break;
            }
            if (taken == 0) break;
        }
        input.erase(0, used);
        return step;
    }

    bool end() override {
        if (!beast_->is_header_done() || !beast_->need_eof()) return false;
        error_code ec;
        beast_->put_eof(ec);
        return !ec;
    }

private:
    Step fail(error_code ec, std::string_view input) {
        if (fault.status != 0) return Step::failed;
        const bool in_start_line =
            !beast_->started() && input.substr(0, limits_.header_bytes).find("\r\n") == input.npos;
        if (ec == http::error::header_limit && in_start_line) {
            fault = {414, "target_too_long",
                     "the request line is over " + std::to_string(limits_.header_bytes) + " bytes"};
        } else if (ec == http::error::header_limit) {
            fault = {431, "header_too_large",
                     "the header is over " + std::to_string(limits_.header_bytes) + " bytes"};
        } else if (ec == http::error::body_limit) {
            fault = {
                413, std::string(errc::too_large),
                "the body is over " + std::to_string(limits_.body_bytes.value_or(0)) + " bytes"};
        } else {
            const bool version = ec == http::error::bad_version;
            fault = {static_cast<std::uint16_t>(version ? 505 : 400), "bad_request",
                     std::string(reason(ec))};
        }
        return Step::failed;
    }

    static constexpr std::string_view last_chunk = "0\r\n\r\n";
    Limits limits_;
    std::optional<BeastParser<is_request>> beast_;
    bool in_chunk_header_ = false;
};

bool is_token(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}
bool is_value(std::string_view value) {
    return std::ranges::all_of(value, [](char c) {
        return c == '\t' || (static_cast<std::uint8_t>(c) >= 0x20 && c != 0x7f);
    });
}

/// The fields, without those that frame the message; an Error names the one that is refused.
Result<> append_fields(std::string& out, const Headers& headers) {
    for (const auto& [name, value] : headers) {
        const auto refuse = [&](std::string why) {
            return Error(errc::bad_arguments,
                         "header " + quoted({name.data(), name.size()}) + ": " + why);
        };
        if (!is_token(name)) return refuse("not a header name");
        if (!is_value(value)) return refuse("control character in the value");
        for (const char* own : {"Content-Length", "Transfer-Encoding", "Connection", "Host"})
            if (beast::iequals(own, name)) return refuse("is set by the framing");
        out.append(name).append(": ").append(value).append("\r\n");
    }
    return {};
}

}  // namespace

std::unique_ptr<Parser> Parser::of_requests(Limits limits) {
    return std::make_unique<ParserImpl<true>>(limits);
}
std::unique_ptr<Parser> Parser::of_responses(Limits limits) {
    return std::make_unique<ParserImpl<false>>(limits);
}

Result<std::string> write_request(const Request& request, const std::string& host,
                                  std::string_view target) {
    if (!is_token(request.method))
        return Error(errc::bad_arguments,
                     "method " + quoted({request.method.data(), request.method.size()}));
    const bool printable = std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!printable || !target.starts_with('/'))
        return Error(errc::bad_arguments, "request target " +
                                              quoted({target.data(), target.size()}) +
                                              ": expected /path?query, percent-encoded");
    std::string out = request.method + " ";
    out.append(target).append(" HTTP/1.1\r\nHost: ").append(host).append("\r\n");
    if (auto fields = append_fields(out, request.headers); !fields) return fields.error();
    if (!request.body.empty() || request.method == "POST" || request.method == "PUT")
        out.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
    out.append("\r\n").append(request.body);
    return out;
}

Result<std::string> write_response(const Response& response, bool no_body, bool keep_alive) {
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
    out.append(reason_phrase(response.status)).append("\r\n");
    if (auto fields = append_fields(out, response.headers); !fields) return fields.error();
    const bool bodiless = response.status == 204 || response.status == 304;
    if (!bodiless)
        out.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
    out.append(keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
    if (!no_body && !bodiless) out.append(response.body);
    return out;
}

}  // namespace gyre::web::detail

#include <algorithm>
#include <gyre/web/message.hpp>

namespace gyre::web {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool same(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

struct Problem {
    std::string type, title;
    std::uint16_t status = 0;
    std::string detail;
    static consteval auto describe() {
        return gyre::type<Problem>("Problem", gyre::field<&Problem::type>(),
                                   gyre::field<&Problem::title>(), gyre::field<&Problem::status>(),
                                   gyre::field<&Problem::detail>());
    }
};

std::uint16_t status_of(const Error& error) {
    struct Row {
        std::string_view code;
        std::uint16_t status;
    };
    static constexpr Row rows[] = {
        {errc::unauthorized, 401}, {errc::forbidden, 403},   {errc::not_found, 404},
        {errc::conflict, 409},     {errc::too_large, 413},   {errc::bad_arguments, 422},
        {errc::overloaded, 503},   {errc::unavailable, 503}, {errc::cancelled, 503},
        {errc::timed_out, 504},
    };
    for (const Row& row : rows)
        if (error.is(row.code)) return row.status;
    return 500;
}

}  // namespace

std::string_view Headers::get(std::string_view name) const {
    for (const Field& field : fields_)
        if (same(field.name, name)) return field.value;
    return {};
}
bool Headers::has(std::string_view name) const { return count(name) != 0; }
std::size_t Headers::count(std::string_view name) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(fields_, [&](const Field& field) { return same(field.name, name); }));
}
void Headers::set(std::string_view name, std::string value) {
    std::erase_if(fields_, [&](const Field& field) { return same(field.name, name); });
    add(std::string(name), std::move(value));
}

const std::string& Request::parameter(std::string_view name) const {
    const auto found = std::ranges::find(parameters, name, &Headers::Field::name);
    GYRE_ASSERT(found != parameters.end(), "the route has no parameter of this name");
    return found->value;
}

std::optional<std::string> Request::query(std::string_view name) const {
    std::string_view rest = url;
    const std::size_t mark = rest.find('?');
    if (mark == rest.npos) return {};
    rest.remove_prefix(mark + 1);
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
        const std::size_t equals = std::min(pair.find('='), pair.size());
        if (percent_decode(pair.substr(0, equals), true) != name) continue;
        return percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    }
    return {};
}

Error Request::bad_body(const Error& error) {
    return Error(errc::bad_arguments, "body: " + error.message());
}

Response Response::text(std::string body, std::uint16_t status, std::string_view type) {
    Response response;
    response.status = status;
    response.headers.add("Content-Type", std::string(type));
    response.body = std::move(body);
    return response;
}

Response Response::error(std::uint16_t status, std::string_view code, std::string_view detail) {
    Problem problem;
    problem.type = "gyre:" + std::string(code);
    problem.title = reason_phrase(status);
    problem.status = status;
    problem.detail = detail;
    Response response = text(to_json(problem), status, "application/problem+json");
    if (status == 401) response.headers.add("WWW-Authenticate", "Bearer");
    if (status == 503) response.headers.add("Retry-After", "1");
    return response;
}

Response Response::error(const Error& error) {
    const std::uint16_t status = status_of(error);
    if (status == 500) return Response::error(500, errc::internal, "the server failed");
    return Response::error(status, error.code(), error.message());
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            if (text.size() - i < 3 || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return {};
            out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        } else {
            out += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

std::string percent_encode(std::string_view text) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const char l = lower(c);
        if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') ||
            std::string_view("-._~").find(c) != std::string_view::npos) {
            out += c;
        } else {
            out += '%';
            out += digits[static_cast<std::uint8_t>(c) >> 4];
            out += digits[static_cast<std::uint8_t>(c) & 15];
        }
    }
    return out;
}

std::string_view reason_phrase(std::uint16_t status) {
    switch (status) {
        case 100: return "Continue";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 426: return "Upgrade Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        default: return "Status";
    }
}

}  // namespace gyre::web

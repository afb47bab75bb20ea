#pragma once
#include <gyre/codec/json.hpp>
#include <gyre/net/endpoint.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gyre::web {

/// Header fields in the order they were added; names compare without case.
class Headers {
public:
    struct Field {
        std::string name, value;
        static consteval auto describe() {
            return gyre::type<Field>("HeaderField", gyre::field<&Field::name>(),
                                     gyre::field<&Field::value>());
        }
    };
    Headers() = default;
    Headers(std::initializer_list<Field> fields) : fields_(fields) {}
    /// The first of this name; empty when there is none.
    std::string_view get(std::string_view name) const;
    bool has(std::string_view name) const;
    std::size_t count(std::string_view name) const;
    void set(std::string_view name, std::string value);  ///< Replaces all of this name.
    void add(std::string name, std::string value) {
        fields_.emplace_back(std::move(name), std::move(value));
    }
    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }
    std::size_t size() const { return fields_.size(); }
    static consteval auto describe() {
        return gyre::type<Headers>("Headers", gyre::field<&Headers::fields_>("fields"));
    }

private:
    std::vector<Field> fields_;
};

struct Request {
    std::string method = "GET";
    std::string
        url{};  ///< To a server: "http://HOST:PORT/path?query". In a handler: "/path?query".
    Headers headers{};   ///< Host, Connection and the framing of the body are set for you.
    std::string body{};  ///< Any bytes.

    // In a handler only:
    std::string path{};   ///< Of `url`, without the query, percent-decoded.
    std::string id{};     ///< X-Request-Id of the caller, or a new one.
    io::Endpoint peer{};  ///< The other end of the connection (maybe a proxy).
    std::vector<Headers::Field> parameters{};

    /// Of the route: "/p/{id}" has "id". Asserts that the route has it.
    const std::string& parameter(std::string_view name) const;
    /// The first of this name in the query, percent-decoded.
    std::optional<std::string> query(std::string_view name) const;
    /// The body as T. Error: bad_arguments (status 422), which names the field.
    template <class T>
    Result<T> json() const {
        auto value = from_json<T>(body);
        if (!value.ok()) return bad_body(value.error());
        return value;
    }
    static consteval auto describe() {
        return gyre::type<Request>("HttpRequest", gyre::field<&Request::method>(),
                                   gyre::field<&Request::url>(secret), gyre::field<&Request::headers>(secret),
                                   gyre::field<&Request::body>(secret), gyre::field<&Request::path>(),
                                   gyre::field<&Request::id>(), gyre::field<&Request::peer>(),
                                   gyre::field<&Request::parameters>());
    }

private:
    static Error bad_body(const Error& error);
};

struct Response {
    std::uint16_t status = 200;
    Headers headers;
    std::string body;  ///< Any bytes.

    template <class T>
    static Response json(const T& value, std::uint16_t status = 200) {
        return text(to_json(value), status, "application/json");
    }
    static Response text(std::string body, std::uint16_t status = 200,
                         std::string_view type = "text/plain; charset=utf-8");
    /// RFC 9457 problem: {"type":"gyre:CODE","title":...,"status":...,"detail":...}.
    static Response error(std::uint16_t status, std::string_view code, std::string_view detail);
    /// The status that stands for the error's code: unauthorized 401, forbidden 403, not_found 404,
    /// conflict 409, too_large 413, bad_arguments 422, overloaded, unavailable and cancelled 503,
    /// timed_out 504, any other 500 without its text.
    static Response error(const Error& error);

    bool ok() const { return status >= 200 && status < 300; }
    /// The body as T. Error: bad_data.
    template <class T>
    Result<T> as() const {
        return from_json<T>(body);
    }
    static consteval auto describe() {
        return gyre::type<Response>("HttpResponse", gyre::field<&Response::status>(),
                                    gyre::field<&Response::headers>(), gyre::field<&Response::body>());
    }
};

/// Nothing on a '%' without two hex digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
std::string percent_encode(std::string_view text);  ///< All but letters, digits and "-._~".
std::string_view reason_phrase(std::uint16_t status);

}  // namespace gyre::web

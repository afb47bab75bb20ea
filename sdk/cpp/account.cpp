#include <gyre/codec/json.hpp>
#include <gyre/web/client.hpp>
#include <gyre_sdk/account.hpp>

namespace gyre::sdk {
namespace {

struct LoginRequest {
    std::string name, password;
    static consteval auto describe() {
        return type<LoginRequest>("LoginRequest", field<&LoginRequest::name>(),
                                  field<&LoginRequest::password>());
    }
};
struct Answer {
    std::string token;
    EntityId entity = 0;
    std::int64_t expires_s = 0;
    static consteval auto describe() {
        return gyre::type<Answer>("LoginReply", field<&Answer::token>(), field<&Answer::entity>(),
                                  field<&Answer::expires_s>());
    }
};
/// RFC 9457; the code is a member of its own or the end of the type.
struct Problem {
    std::string type, code, detail;
    static consteval auto describe() {
        return gyre::type<Problem>("Problem", field<&Problem::type>(), field<&Problem::code>(),
                                   field<&Problem::detail>());
    }
};
constexpr std::string_view type_prefix = "gyre:";
constexpr std::size_t max_code_bytes = 64, max_detail_bytes = 512;

Error problem(const web::Response& response) {
    const auto body = response.as<Problem>();
    std::string code = body ? body->code : "";
    if (body && code.empty() && body->type.starts_with(type_prefix))
        code = body->type.substr(type_prefix.size());
    if (code.empty() || code.size() > max_code_bytes)
        return Error(response.status >= 500 ? errc::unavailable : errc::bad_data,
                     "account service: status " + std::to_string(response.status));
    return Error(code, body->detail.substr(0, max_detail_bytes));
}

Task<LoginReply> ask(io::Io& io, io::Endpoint account, std::string path, LoginRequest login,
                     Duration limit) {
    web::Client http(io, {.max_body_bytes = 64 * 1024});
    web::Request request;
    request.method = "POST";
    request.url = "http://" + account.to_string() + path;
    request.headers.set("Content-Type", "application/json");
    request.body = to_json(login);
    const web::Response response = co_await http.request(std::move(request), limit);
    if (!response.ok()) throw problem(response);
    auto answer = response.as<Answer>();
    if (!answer) throw answer.error();
    if (answer->token.empty()) throw Error(errc::bad_data, "account service: an answer without token");
    co_return LoginReply{std::move(answer->token), answer->entity, answer->expires_s};
}

}  // namespace

Task<LoginReply> log_in(io::Io& io, io::Endpoint account, std::string name, std::string password,
                        Duration limit) {
    return ask(io, std::move(account), "/login", {std::move(name), std::move(password)}, limit);
}
Task<LoginReply> register_account(io::Io& io, io::Endpoint account, std::string name,
                                  std::string password, Duration limit) {
    return ask(io, std::move(account), "/register", {std::move(name), std::move(password)}, limit);
}

}  // namespace gyre::sdk

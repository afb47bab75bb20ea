#include <gtest/gtest.h>
#include <gyre/io/loop.hpp>
#include <gyre/web/server.hpp>
#include <gyre_sdk/account.hpp>

namespace gyre::sdk {
namespace {

/// Answers as the account service does, and as one that is broken.
Task<web::Response> account(web::Request request) {
    web::Response response;
    if (request.body.find("\"ann\"") != std::string::npos) {
        response.status = request.path == "/register" ? 201 : 200;
        response.body = R"({"token":"t.o.k","entity":"9007199254740993","expires_s":3600})";
    } else if (request.body.find("\"broken\"") != std::string::npos) {
        response.body = "<html>";
    } else if (request.body.find("\"proxy\"") != std::string::npos) {
        response.status = 502;
        response.body = "Bad Gateway";
    } else if (request.body.find("\"taken\"") != std::string::npos) {
        response.status = 409;
        response.body = R"({"type":"about:blank","status":409,"code":"name_taken","detail":"taken"})";
    } else {
        response = web::Response::error(401, errc::unauthorized, "wrong name or password");
    }
    co_return response;
}

TEST(Account, logs_in_and_names_why_not) {
    io::Loop loop;
    Scope scope(loop.executor(), "test");
    web::Server server(loop, scope, {.endpoint = {"127.0.0.1", 0}});
    server.route("POST", "/login", account);
    server.route("POST", "/register", account);
    server.listen().value();
    const auto at = server.local();
    const LoginReply reply = loop.run_task(register_account(loop, at, "ann", "secret"));
    EXPECT_EQ(reply.token, "t.o.k");
    EXPECT_EQ(reply.entity, 9007199254740993u);
    EXPECT_EQ(reply.expires_s, 3600);
    const auto code = [&](std::string name) {
        try {
            (void)loop.run_task(log_in(loop, at, std::move(name), "x"));
            return std::string("in");
        } catch (const Error& error) {
            return error.code();
        }
    };
    EXPECT_EQ(code("ann"), "in");
    EXPECT_EQ(code("eve"), "unauthorized");
    EXPECT_EQ(code("taken"), "name_taken");
    EXPECT_EQ(code("proxy"), "unavailable");
    EXPECT_EQ(code("broken"), "bad_data");
    loop.run_task(server.close());
    EXPECT_EQ(code("ann"), "refused");
    loop.run_task(scope.close());
}

}  // namespace
}  // namespace gyre::sdk

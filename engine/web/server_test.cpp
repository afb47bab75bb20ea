#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/web/detail/memory_io.hpp>
#include <gyre/web/server.hpp>

namespace gyre::web {
namespace {
using test::MemoryIo;
using test::RawPeer;

struct Login {
    std::string name;
    std::uint32_t age = 0;
    static consteval auto describe() {
        return gyre::type<Login>("Login", gyre::field<&Login::name>(), gyre::field<&Login::age>());
    }
};

/// A service as a user writes it.
class Service {
public:
    explicit Service(Server& server) {
        server.route("POST", "/login", [this](Request r) { return login(std::move(r)); });
        server.route("GET", "/p/{id}", [this](Request r) { return player(std::move(r)); });
        server.route("GET", "/p/me", [this](Request r) { return echo(std::move(r)); });
        server.route("PUT", "/p/{id}", [this](Request r) { return player(std::move(r)); });
        server.route("POST", "/echo", [this](Request r) { return echo(std::move(r)); });
        server.route("GET", "/fail/{code}", [this](Request r) { return fail(std::move(r)); });
        server.route("GET", "/slow", [this](Request r) { return slow(std::move(r)); });
        server.route("GET", "/big", [this](Request r) { return big(std::move(r)); });
        server.route("GET", "/split", [this](Request r) { return split_header(std::move(r)); });
    }
    Event release;
    std::string ended;
    std::uint64_t trace = 0;

private:
    Task<Response> login(Request request) {
        const Login login = request.json<Login>().value();
        co_return Response::json(login, 201);
    }
    Task<Response> player(Request request) {
        co_return Response::text(request.parameter("id") + "?" + request.query("x").value_or("-"));
    }
    Task<Response> echo(Request request) {
        trace = current->trace;
        co_return Response::text("[" + request.body + "]");
    }
    Task<Response> fail(Request request) {
        co_await yield();
        if (request.parameter("code") == "std") throw std::runtime_error("secret");
        throw Error(request.parameter("code"), "player=7");
    }
    Task<Response> slow(Request) {
        try {
            co_await release.wait();
        } catch (const Error& error) {
            ended = error.code();
            throw;
        }
        co_return Response::text("slow");
    }
    Task<Response> big(Request) { co_return Response::text(std::string(300'000, 'x')); }
    Task<Response> split_header(Request) {
        Response response;
        response.headers.add("Location", "/a\r\nSet-Cookie: evil=1");
        co_return response;
    }
};

Task<> close_server(Server* server, Duration limit, bool* closed) {
    co_await server->close(limit);
    *closed = true;
}

class ServerTest : public testing::Test {
protected:
    ServerTest() { start({}); }
    ~ServerTest() override {
        bool closed = false;
        (void)go(closer, close_server(server.get(), 0s, &closed));
        io.advance(10s);
        EXPECT_TRUE(closed);
        EXPECT_EQ(scope.running(), 0u);
    }
    void start(ServerConfig config) {
        service.reset();
        server.reset();
        config.endpoint.port = 80;
        server = std::make_unique<Server>(io, scope, config);
        service = std::make_unique<Service>(*server);
        server->listen().value();
    }
    RawPeer peer() { return RawPeer(io, {"127.0.0.1", 80}); }
    std::string ask(std::string_view bytes) { return peer().say(bytes); }

    MemoryIo io;
    Scope scope{io.executor(), "web"}, closer{io.executor(), "closer"};
    std::unique_ptr<Server> server;
    std::unique_ptr<Service> service;
};

std::string get(std::string_view path, std::string_view more = "") {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(more) + "\r\n";
}
std::string post(std::string_view path, std::string_view body) {
    return "POST " + std::string(path) +
           " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}
bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }
std::size_t count(std::string_view text, std::string_view part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
    return n;
}

TEST_F(ServerTest, answers_json_with_json) {
    const std::string reply = ask(post("/login", R"({"name":"Ann","age":30})"));
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 201 Created\r\n")) << reply;
    EXPECT_TRUE(has(reply, "Content-Type: application/json\r\n"));
    EXPECT_TRUE(has(reply, "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n")) << reply;
    EXPECT_TRUE(has(reply, "X-Request-Id: "));
    EXPECT_TRUE(reply.ends_with("\r\n\r\n{\"name\":\"Ann\",\"age\":30}")) << reply;
}

TEST_F(ServerTest, a_bad_field_is_named_with_422) {
    const std::string reply = ask(post("/login", R"({"name":"Ann","age":-1})"));
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 422 ")) << reply;
    EXPECT_TRUE(has(reply, "application/problem+json"));
    EXPECT_TRUE(has(reply, R"("type":"gyre:bad_arguments")")) << reply;
    EXPECT_TRUE(has(reply, "Login.age")) << reply;
    EXPECT_TRUE(ask(post("/login", "{")).starts_with("HTTP/1.1 422 "));
}

TEST_F(ServerTest, literals_beat_parameters_and_the_query_is_decoded) {
    EXPECT_TRUE(ask(get("/p/a%20b?y=1&x=c%2Bd+e")).ends_with("a b?c+d e"));
    EXPECT_TRUE(ask(get("/p/me")).ends_with("[]"));
    EXPECT_TRUE(ask(get("/p/me%2F1")).ends_with("me/1?-"));
    EXPECT_TRUE(ask(get("/p/")).starts_with("HTTP/1.1 404 "));
}

TEST_F(ServerTest, head_has_the_length_and_no_body) {
    const std::string reply = ask("HEAD /p/7 HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(has(reply, "Content-Length: 3\r\n")) << reply;
    EXPECT_TRUE(reply.ends_with("\r\n\r\n")) << reply;
}

TEST_F(ServerTest, unknown_paths_and_methods) {
    const std::string missing = ask(get("/nothing\x22here"));
    EXPECT_TRUE(has(missing, R"("status":404,"detail":"no route \"/nothing\"here\"")")) << missing;
    const std::string method = ask("DELETE /p/7 HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(method.starts_with("HTTP/1.1 405 ")) << method;
    EXPECT_TRUE(has(method, "Allow: GET, HEAD, PUT\r\n")) << method;
}

struct Raw {
    const char* what;
    std::string bytes;
    const char* status;
    const char* detail;
};
class RawTest : public ServerTest {
protected:
    static std::vector<Raw> cases() {
        const std::string fields(9'000, 'a');
        std::string many = "GET /p/1 HTTP/1.1\r\nHost: h\r\n";
        for (int i = 0; i < 101; ++i) many += "a: b\r\n";
        return {
            {"garbage", "\x16\x03\x01\x02\x00\x01\xff\xff\r\n\r\n", "400", "bad method"},
            {"no version", "GET /p/1\r\n\r\n", "400", "bad character in the request target"},
            {"version 2", "PRI * HTTP/2.0\r\n\r\n", "505", "bad HTTP version"},
            {"no host", "GET /p/1 HTTP/1.1\r\n\r\n", "400", "Host: missing"},
            {"two hosts", get("/p/1", "Host: g\r\n"), "400", "Host: given twice"},
            {"bare line feed", "GET /p/1 HTTP/1.1\nHost: h\n\n", "505", "bad HTTP version"},
            {"space in name", get("/p/1", "a b: c\r\n"), "400", "bad character in a header name"},
            {"control in value", get("/p/1", "a: \x01\r\n"), "400", "header"},
            {"length is text", get("/p/1", "Content-Length: x\r\n"), "400", "Content-Length"},
            {"length negative", get("/p/1", "Content-Length: -1\r\n"), "400", "Content-Length"},
            {"two lengths", get("/p/1", "Content-Length: 1\r\nContent-Length: 2\r\n"), "400",
             "twice"},
            {"length and chunked",
             get("/p/1", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "400",
             "Transfer-Encoding"},
            {"chunked and length",
             get("/p/1", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), "400",
             "Content-Length"},
            {"gzip encoding", get("/p/1", "Transfer-Encoding: gzip, chunked\r\n"), "501", "gzip"},
            {"chunked in 1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "400", "HTTP/1.0"},
            {"bad chunk",
             "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400",
             "bad chunk"},
            {"chunk too large",
             "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
             "413", "65536"},
            {"endless chunk extension",
             "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + fields,
             "431", "8192"},
            {"endless trailers",
             "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: " +
                 fields,
             "431", "8192"},
            {"long target", "GET /" + fields + " HTTP/1.1\r\nHost: h\r\n\r\n", "414", "8192"},
            {"long field", get("/p/1", "a: " + fields + "\r\n"), "431", "8192"},
            {"many fields", many + "\r\n", "431", "more than 100"},
            {"body over the limit", post("/echo", std::string(65'537, 'b')), "413", "65536"},
            {"bad percent", get("/p/%zz"), "400", "percent"},
            {"zero byte", get("/p/%00"), "400", "percent"},
            {"expectation", get("/p/1", "Expect: miracle\r\n"), "417", "Expect"},
            {"options star", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "400", "request target"},
            {"connect", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "400", "request target"},
        };
    }
};

TEST_F(RawTest, every_bad_request_has_its_status_and_reason) {
    for (const Raw& raw : cases()) {
        const std::string reply = ask(raw.bytes);
        EXPECT_TRUE(reply.starts_with("HTTP/1.1 " + std::string(raw.status) + " "))
            << raw.what << "\n"
            << reply;
        EXPECT_TRUE(has(reply.substr(reply.find("\"detail\":")), raw.detail)) << raw.what << "\n"
                                                                              << reply;
        EXPECT_EQ(count(reply, "HTTP/1.1 "), 1u) << raw.what;
    }
}

TEST_F(RawTest, the_same_statuses_byte_by_byte) {
    io.piece_bytes = 1;
    for (const Raw& raw : cases()) {
        if (raw.what == std::string_view("bare line feed")) continue;  // waits for CR LF, then 408
        const std::string reply = ask(raw.bytes);
        EXPECT_TRUE(reply.starts_with("HTTP/1.1 " + std::string(raw.status) + " "))
            << raw.what << "\n"
            << reply;
    }
}

TEST_F(ServerTest, pipelined_requests_are_answered_in_order_however_they_are_split) {
    std::string bytes;
    for (int i = 0; i < 20; ++i) {
        bytes += post("/echo", std::to_string(i));
        bytes += i % 3 ? "" : "\r\n";
        bytes +=
            "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
            "chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n"
            "0\r\nTrailer: t\r\n\r\n";
    }
    std::string whole;
    for (const std::size_t piece : {1u << 20, 1u, 2u, 3u, 7u, 64u}) {
        io.piece_bytes = piece;
        auto raw = peer();
        const std::string reply = raw.say(bytes);
        std::size_t at = 0;
        for (int i = 0; i < 20; ++i) {
            at = reply.find("[" + std::to_string(i) + "]", at);
            ASSERT_NE(at, reply.npos) << i << " pieces of " << piece;
            at = reply.find("[abcd]", at);
            ASSERT_NE(at, reply.npos) << i << " pieces of " << piece;
        }
        EXPECT_FALSE(raw.closed);
    }
}

TEST_F(ServerTest, a_request_split_at_every_byte) {
    const std::string bytes = post("/echo", "hello");
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        auto raw = peer();
        EXPECT_EQ(raw.say(bytes.substr(0, cut)), "");
        EXPECT_TRUE(raw.say(bytes.substr(cut)).ends_with("[hello]")) << cut;
    }
}

TEST_F(ServerTest, a_body_at_the_limit_fits) {
    EXPECT_TRUE(ask(post("/echo", std::string(65'536, 'b'))).starts_with("HTTP/1.1 200 "));
}

TEST_F(ServerTest, slow_loris_ends_with_408) {
    auto raw = peer();
    std::string reply;
    for (const char c : get("/p/1").substr(0, 10)) {
        reply += raw.say(std::string(1, c));
        io.advance(600ms);
        if (!raw.text.empty()) break;
    }
    EXPECT_TRUE(raw.text.starts_with("HTTP/1.1 408 ")) << raw.text;
    EXPECT_TRUE(has(raw.text, "5000 ms"));
    io.advance(1s);
    EXPECT_TRUE(raw.closed);
}

TEST_F(ServerTest, idle_connections_end) {
    auto raw = peer();
    (void)raw.say(get("/p/1"));
    io.advance(59s);
    EXPECT_FALSE(raw.closed);
    io.advance(1s);
    EXPECT_TRUE(raw.closed);
    EXPECT_EQ(server->connections(), 0u);
}

TEST_F(ServerTest, close_and_http_1_0_end_the_connection) {
    for (const std::string& bytes :
         {get("/p/1", "Connection: close\r\n"), std::string("GET /p/1 HTTP/1.0\r\n\r\n")}) {
        auto raw = peer();
        const std::string reply = raw.say(bytes + get("/p/2"));
        EXPECT_TRUE(has(reply, "Connection: close\r\n")) << reply;
        EXPECT_EQ(count(reply, "HTTP/1.1 "), 1u);
        EXPECT_TRUE(raw.closed);
    }
}

TEST_F(ServerTest, errors_of_handlers_have_their_status) {
    const std::pair<const char*, const char*> rows[] = {
        {"unauthorized", "401"}, {"forbidden", "403"},  {"not_found", "404"},
        {"conflict", "409"},     {"overloaded", "503"}, {"bad_arguments", "422"}};
    for (const auto& [code, status] : rows) {
        const std::string reply = ask(get("/fail/" + std::string(code)));
        EXPECT_TRUE(reply.starts_with("HTTP/1.1 " + std::string(status) + " ")) << reply;
        EXPECT_TRUE(has(reply, "player=7")) << reply;
        EXPECT_EQ(has(reply, "Retry-After: 1\r\n"), status == std::string_view("503"));
    }
    log::Capture log;
    for (const char* code : {"disconnected", "std"}) {
        const std::string reply = ask(get("/fail/" + std::string(code)));
        EXPECT_TRUE(reply.starts_with("HTTP/1.1 500 ")) << reply;
        EXPECT_FALSE(has(reply, "player=7") || has(reply, "secret")) << reply;
    }
    EXPECT_TRUE(log.has("web.handler_failed", "secret"));
    EXPECT_TRUE(log.has("web.handler_failed", "player=7"));
}

TEST_F(ServerTest, a_handler_is_cancelled_after_the_deadline) {
    auto raw = peer();
    (void)raw.say(get("/slow"));
    io.advance(10s);
    EXPECT_TRUE(raw.text.starts_with("HTTP/1.1 504 ")) << raw.text;
    EXPECT_EQ(service->ended, "cancelled");
    EXPECT_FALSE(raw.closed);
}

TEST_F(ServerTest, a_handler_outlives_its_client) {
    {
        auto raw = peer();
        (void)raw.say(get("/slow"));
    }
    io.settle();
    EXPECT_EQ(scope.running(), 2u);
    EXPECT_EQ(server->connections(), 1u);
    service->release.set();
    io.settle();
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_EQ(server->connections(), 0u);
}

TEST_F(ServerTest, reads_ahead_only_a_little_while_a_handler_runs) {
    auto raw = peer();
    (void)raw.say(get("/slow"));
    io.piece_bytes = 1000;
    std::string flood;
    for (int i = 0; i < 1000; ++i) flood += get("/p/1");
    EXPECT_EQ(raw.say(flood), "");
    EXPECT_GT(raw.stream->unsent_bytes(), flood.size() - 20'000);
    service->release.set();
    io.settle();
    EXPECT_EQ(count(raw.text, "HTTP/1.1 200 "), 1001u);
}

TEST_F(ServerTest, a_large_answer_is_drained_before_the_next) {
    io.piece_bytes = 10'000;
    auto raw = peer();
    raw.stream->pause(true);
    (void)raw.say(get("/big") + get("/big") + get("/big", "Connection: close\r\n"));
    EXPECT_EQ(raw.text, "");
    raw.stream->pause(false);
    io.settle();
    EXPECT_EQ(count(raw.text, "HTTP/1.1 200 "), 3u);
    EXPECT_GT(raw.text.size(), 900'000u);
    EXPECT_TRUE(raw.closed);
}

TEST_F(ServerTest, a_client_that_reads_nothing_is_cut) {
    auto raw = peer();
    raw.stream->pause(true);
    (void)raw.say(get("/big"));
    EXPECT_EQ(server->connections(), 1u);
    io.advance(60s);
    EXPECT_EQ(server->connections(), 0u);
}

TEST_F(ServerTest, continue_is_said_before_a_body) {
    auto raw = peer();
    EXPECT_EQ(
        raw.say(
            "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_TRUE(raw.say("ok").ends_with("[ok]"));
}

TEST_F(ServerTest, connections_beyond_the_limit_hear_503) {
    start({.max_connections = 2});
    auto a = peer(), b = peer();
    (void)a.say(get("/p/1"));
    auto c = peer();
    io.settle();
    EXPECT_TRUE(c.text.starts_with("HTTP/1.1 503 ")) << c.text;
    EXPECT_TRUE(has(c.text, "Retry-After"));
    io.advance(2s);
    EXPECT_TRUE(c.closed);
    EXPECT_TRUE(has(a.say(get("/p/1")), "200 OK"));
}

TEST_F(ServerTest, request_ids_come_back_and_traces_differ) {
    EXPECT_TRUE(has(ask(get("/p/1", "X-Request-Id: abc-1\r\n")), "X-Request-Id: abc-1\r\n"));
    EXPECT_FALSE(has(ask(get("/p/1", "X-Request-Id: a b\r\n")), "a b"));
    (void)ask(post("/echo", ""));
    const auto first = service->trace;
    (void)ask(post("/echo", ""));
    EXPECT_NE(first, 0u);
    EXPECT_NE(first, service->trace);
}

TEST_F(ServerTest, a_header_that_would_split_the_response_is_refused) {
    log::Capture log;
    const std::string reply = ask(get("/split"));
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 500 ")) << reply;
    EXPECT_FALSE(has(reply, "evil"));
    EXPECT_TRUE(log.has("web.bad_response", "Location"));
}

TEST_F(ServerTest, cross_origin_calls_from_allowed_pages) {
    start({.allowed_origins = {"https://game.example"}});
    const std::string preflight =
        ask("OPTIONS /login HTTP/1.1\r\nHost: h\r\nOrigin: https://game.example\r\n\r\n");
    EXPECT_TRUE(preflight.starts_with("HTTP/1.1 204 ")) << preflight;
    EXPECT_TRUE(has(preflight, "Access-Control-Allow-Origin: https://game.example\r\n"))
        << preflight;
    EXPECT_TRUE(has(preflight, "Access-Control-Allow-Methods: POST\r\n")) << preflight;
    EXPECT_FALSE(has(ask(get("/p/1", "Origin: https://evil.example\r\n")), "Access-Control"));
}

TEST_F(ServerTest, filters_answer_before_the_handler) {
    server->filter([](Request& r) -> std::optional<Response> {
        if (r.headers.get("Authorization").empty()) throw Error(errc::unauthorized, "no token");
        return {};
    });
    const std::string reply = ask(get("/p/1"));
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 401 ")) << reply;
    EXPECT_TRUE(has(reply, "WWW-Authenticate: Bearer\r\n"));
    EXPECT_TRUE(has(ask(get("/p/1", "Authorization: x\r\n")), "200 OK"));
}

TEST_F(ServerTest, close_lets_requests_finish_then_cancels_them) {
    auto idle = peer(), patient = peer();
    (void)idle.say(get("/p/1"));
    (void)patient.say(get("/slow"));
    bool closed = false;
    (void)go(closer, close_server(server.get(), 3s, &closed));
    io.advance(1s);
    EXPECT_TRUE(idle.closed);
    EXPECT_EQ(peer().stream, nullptr);
    EXPECT_FALSE(closed);
    service->release.set();
    io.settle();
    EXPECT_TRUE(patient.text.ends_with("slow")) << patient.text;
    EXPECT_TRUE(has(patient.text, "Connection: close"));
    EXPECT_TRUE(closed);

    start({});
    auto late = peer();
    (void)late.say(get("/slow"));
    closed = false;
    (void)go(closer, close_server(server.get(), 3s, &closed));
    io.advance(3s);
    EXPECT_TRUE(closed);
    EXPECT_EQ(service->ended, "cancelled");
    EXPECT_TRUE(late.text.starts_with("HTTP/1.1 503 ")) << late.text;
}

TEST_F(ServerTest, a_bad_config_or_address_is_named) {
    Server other(io, scope, {.endpoint = {"127.0.0.1", 80}});
    EXPECT_EQ(other.listen().error().code(), errc::in_use);
    Server bad(io, scope, {.max_header_bytes = 1});
    EXPECT_NE(bad.listen().error().message().find("max_header_bytes=1"), std::string::npos);
}

}  // namespace
}  // namespace gyre::web

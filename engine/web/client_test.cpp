#include <gtest/gtest.h>

#include <gyre/web/client.hpp>
#include <gyre/web/detail/memory_io.hpp>
#include <gyre/web/server.hpp>

namespace gyre::web {
namespace {
using test::MemoryIo;

Task<Response> echo(Request r) {
    co_return Response::text(r.method + " " + r.url + " [" + r.body + "] " +
                             std::string(r.headers.get("A")));
}

/// Answers each connection with what the test says, byte by byte if it likes.
struct Script final : io::StreamHandler {
    void on_data(BytesView bytes) override { heard.append(as_text(bytes)); }
    void on_closed(const Error&) override { closed = true; }
    void say(std::string_view bytes) { stream->write(as_bytes(bytes)); }
    std::unique_ptr<io::Stream> stream;
    std::string heard;
    bool closed = false;
};

class ClientTest : public testing::Test {
protected:
    ~ClientTest() override {
        scope.cancel();
        io.advance(1min);
        EXPECT_EQ(scope.running(), 0u);
    }
    void serve(ServerConfig config = {}) {
        config.endpoint.port = 80;
        server.emplace(io, scope, config);
        for (const char* method : {"GET", "POST", "PUT"}) server->route(method, "/echo", echo);
        server->listen().value();
    }
    void script() {
        listener = io.listen({"127.0.0.1", 80}, [this](auto stream) {
                         scripts.push_back(std::make_unique<Script>());
                         scripts.back()->stream = std::move(stream);
                         scripts.back()->stream->start(*scripts.back());
                     }).value();
    }
    template <class T>
    struct Outcome {
        std::optional<Result<T>> result;
        std::optional<Join<>> job;
    };
    template <class T>
    static Task<> keep(Task<T> task, Outcome<T>* out) {
        out->result.emplace(co_await as_result(std::move(task)));
    }
    template <class T>
    void start(Outcome<T>& out, Task<T> task) {
        out.job.emplace(go(scope, keep(std::move(task), &out)));
        io.settle();
    }
    Result<Response> ask(Request request) {
        Outcome<Response> out;
        start(out, client.request(std::move(request)));
        if (!out.result) io.advance(11s);
        return std::move(*out.result);
    }

    MemoryIo io;
    Scope scope{io.executor(), "test"};
    Client client{io};
    std::optional<Server> server;
    std::unique_ptr<io::Listener> listener;
    std::vector<std::unique_ptr<Script>> scripts;
    const std::string url = "http://127.0.0.1:80/echo";
};

TEST_F(ClientTest, one_connection_carries_many_requests) {
    serve();
    for (int i = 0; i < 5; ++i) {
        const auto reply =
            ask({"POST", url + "?q=1", {{"A", "b"}}, "x" + std::to_string(i)}).value();
        EXPECT_EQ(reply.status, 200);
        EXPECT_EQ(reply.body, "POST /echo?q=1 [x" + std::to_string(i) + "] b");
    }
    EXPECT_EQ(io.connects, 1u);
    EXPECT_EQ(ask({"HEAD", url, {}, ""}).value().body, "");
    EXPECT_EQ(ask({"GET", url, {}, ""}).value().status, 200);
    EXPECT_EQ(io.connects, 1u);
}

TEST_F(ClientTest, a_kept_connection_the_server_closed_is_replaced) {
    serve({.idle_limit = 10s});
    (void)ask({"GET", url, {}, ""}).value();
    io.advance(11s);
    EXPECT_EQ(ask({"POST", url, {}, "x"}).value().status, 200);
    EXPECT_EQ(io.connects, 2u);
}

TEST_F(ClientTest, what_may_have_run_is_sent_again_only_when_idempotent) {
    serve();
    (void)ask({"GET", url, {}, ""}).value();
    io.lose_next_write = true;
    EXPECT_EQ(ask({"GET", url, {}, ""}).value().status, 200);
    EXPECT_EQ(io.connects, 2u);
    io.lose_next_write = true;
    const auto reply = ask({"PUT", url, {}, "x"});
    EXPECT_TRUE(reply.ok());
    EXPECT_EQ(io.connects, 3u);
    io.lose_next_write = true;  // a fresh connection is never tried twice
    Client fresh(io);
    Outcome<Response> out;
    start(out, fresh.request({"GET", url, {}, ""}));
    EXPECT_EQ(out.result->error().code(), errc::disconnected);
}

TEST_F(ClientTest, chunked_and_until_close_bodies_in_any_pieces) {
    script();
    for (const std::size_t piece : {1u << 20, 1u, 3u}) {
        io.piece_bytes = piece;
        Outcome<Response> chunked, endless;
        start(chunked, client.request({"GET", url, {}, ""}));
        scripts.back()->say(
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
        io.settle();
        EXPECT_EQ(chunked.result->value().body, "hello world");
        scripts.back()->stream->close();
        io.settle();
        start(endless, client.request({"GET", url, {}, ""}));
        scripts.back()->say("HTTP/1.1 200 OK\r\n\r\nto the end");
        io.settle();
        EXPECT_FALSE(endless.result);
        scripts.back()->stream->close();
        io.settle();
        EXPECT_EQ(endless.result->value().body, "to the end");
    }
}

TEST_F(ClientTest, failures_are_named) {
    EXPECT_EQ(ask({"GET", url, {}, ""}).error().code(), errc::refused);
    script();
    const std::pair<const char*, std::string_view> rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", errc::disconnected},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", errc::disconnected},
        {"HTTP/1.1 20", errc::disconnected},
        {"", errc::disconnected},
        {"SSH-2.0-OpenSSH\r\n\r\n", errc::bad_data},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", errc::too_large},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff0\r\n", errc::too_large},
    };
    for (const auto& [bytes, code] : rows) {
        Outcome<Response> out;
        start(out, client.request({"GET", url, {}, ""}));
        scripts.back()->say(bytes);
        io.settle();
        scripts.back()->stream->close();
        io.settle();
        ASSERT_TRUE(out.result) << bytes;
        EXPECT_EQ(out.result->error().code(), code) << bytes << out.result->error().what();
    }
    Outcome<Response> late;
    start(late, client.request({"GET", url, {}, ""}, 2s));
    io.advance(2s);
    EXPECT_EQ(late.result->error().code(), errc::timed_out);
    EXPECT_TRUE(scripts.back()->closed);
}

TEST_F(ClientTest, an_answer_nobody_asked_for_ends_the_kept_connection) {
    script();
    Outcome<Response> out;
    start(out, client.request({"GET", url, {}, ""}));
    scripts.back()->say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    io.settle();
    EXPECT_TRUE(out.result->ok());
    scripts.back()->say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!");
    io.settle();
    EXPECT_TRUE(scripts.back()->closed);
}

TEST_F(ClientTest, injection_and_bad_urls_are_refused_before_anything_is_sent) {
    const Request bad[] = {{"GET", url, {{"A", "x\r\nB: y"}}, ""},
                           {"GET", url, {{"A\r\nB", "x"}}, ""},
                           {"GET", url, {{"Host", "x"}}, ""},
                           {"GET", url, {{"content-length", "1"}}, ""},
                           {"GET /\r\n", url, {}, ""},
                           {"GET", "http://127.0.0.1:80/a b", {}, ""},
                           {"GET", "http://127.0.0.1:80/\r\nX: y", {}, ""},
                           {"GET", "https://127.0.0.1/", {}, ""},
                           {"GET", "http://127.0.0.1:99999/", {}, ""},
                           {"GET", "127.0.0.1:80/", {}, ""}};
    for (const Request& request : bad)
        EXPECT_EQ(ask(request).error().code(), errc::bad_arguments) << request.url;
    EXPECT_EQ(io.connects, 0u);
}

Task<std::string> read_all(Client* client, std::string url, std::vector<std::string>* parts) {
    auto response = co_await client->stream({"GET", url, {}, ""});
    while (auto part = co_await response.next()) parts->emplace_back(as_text(*part));
    co_return std::to_string(response.status) + std::string(response.headers.get("X"));
}

TEST_F(ClientTest, a_stream_gives_its_parts_as_they_arrive) {
    script();
    std::vector<std::string> parts;
    Outcome<std::string> out;
    start(out, read_all(&client, url, &parts));
    Script& other = *scripts.back();
    other.say("HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n");
    io.settle();
    EXPECT_TRUE(parts.empty());
    other.say("3\r\none\r\n");
    io.settle();
    io.advance(1h);  // its limit was for the header only
    other.say("3\r\ntwo\r\n");
    io.settle();
    EXPECT_EQ(parts, (std::vector<std::string>{"one", "two"}));
    other.say("0\r\n\r\n");
    io.settle();
    EXPECT_EQ(out.result->value(), "200y");
}

TEST_F(ClientTest, a_stream_that_is_cut_or_cancelled) {
    script();
    std::vector<std::string> parts;
    Outcome<std::string> cut, cancelled;
    start(cut, read_all(&client, url, &parts));
    scripts.back()->say(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n9\r\nsec");
    scripts.back()->stream->close();
    io.settle();
    EXPECT_EQ(cut.result->error().code(), errc::disconnected);
    EXPECT_EQ(parts, (std::vector<std::string>{"firstsec"}));

    start(cancelled, read_all(&client, url, &parts));
    scripts.back()->say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    io.settle();
    cancelled.job->cancel();
    io.settle();
    EXPECT_EQ(cancelled.result->error().code(), errc::cancelled);
    EXPECT_TRUE(scripts.back()->closed);
}

Task<StreamingResponse> open_stream(Client* client, std::string url) {
    co_return co_await client->stream({"GET", url, {}, ""});
}
Task<std::size_t> drain(StreamingResponse* response) {
    std::size_t total = 0;
    while (auto part = co_await response->next()) total += part->size();
    co_return total;
}

TEST_F(ClientTest, a_stream_that_is_not_read_pushes_back) {
    script();
    io.piece_bytes = 50'000;
    Outcome<StreamingResponse> opened;
    start(opened, open_stream(&client, url));
    Script& other = *scripts.back();
    other.say("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + std::string(2'000'000, 'x'));
    io.settle();
    EXPECT_GT(other.stream->unsent_bytes(), 1'600'000u);
    Outcome<std::size_t> total;
    start(total, drain(&**opened.result));
    EXPECT_EQ(total.result->value(), 2'000'000u);
}

}  // namespace
}  // namespace gyre::web

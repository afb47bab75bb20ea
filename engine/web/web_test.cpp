// Server and client together: in the simulator, over real sockets, and with an independent client.
#include <gtest/gtest.h>

#include <gyre/io/loop.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/web/client.hpp>
#include <gyre/web/server.hpp>
#include <thread>

namespace gyre::web {
namespace {

Task<Response> echo(Request request) {
    co_await yield();
    co_return Response::text(std::move(request.body));
}
Task<Response> slow_echo(Request request) {
    co_await sleep(1s);
    co_return Response::text(std::move(request.body));
}

/// Posts `count` bodies of growing size; how many came back whole.
Task<int> post_all(Client* client, std::string url, int count) {
    int good = 0;
    for (int i = 0; i < count; ++i) {
        const std::string body(static_cast<std::size_t>(i) * 997u % 60'000u,
                               static_cast<char>('a' + i % 26));
        const auto reply = co_await as_result(client->request({"POST", url, {}, body}));
        if (reply && (*reply).status == 200 && (*reply).body == body) ++good;
    }
    co_return good;
}
Task<Response> ask(Client* client, Request request) {
    co_return co_await client->request(std::move(request));
}
Task<> close(Server* server) { co_await server->close(); }

struct SimRun {
    int good = 0;
    std::uint64_t hash = 0;
};
SimRun run_in_sim(std::uint64_t seed, sim::NetworkConfig network) {
    SimRun out;
    sim::World world({.seed = seed, .network = network});
    auto& there = world.machine("server", "10.0.0.1");
    auto& here = world.machine("client", "10.0.0.2");
    Scope scope(there.executor(), "web");
    {
        Server server(there, scope, {.endpoint = {"10.0.0.1", 80}});
        server.route("POST", "/echo", echo);
        server.listen().value();
        Client client(here);
        out.good = world.run(here, post_all(&client, "http://10.0.0.1:80/echo", 50));
        world.run(there, close(&server));
        EXPECT_EQ(server.connections(), 0u);
    }
    EXPECT_EQ(scope.running(), 0u);
    out.hash = world.trace_hash();
    return out;
}

TEST(Web, a_healthy_simulated_network_loses_nothing_and_repeats) {
    const auto first = run_in_sim(sim::test_seed(), {});
    const auto second = run_in_sim(sim::test_seed(), {});
    EXPECT_EQ(first.good, 50);
    EXPECT_EQ(first.hash, second.hash);
}

TEST(Web, streams_that_stall_and_are_cut_end_as_errors_and_nothing_leaks) {
    int good = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
        good += run_in_sim(sim::test_seed() * 100 + seed, {.stall_probability = 0.02,
                                                           .stall_max = 20s,
                                                           .cut_probability = 0.02,
                                                           .refuse_probability = 0.1})
                    .good;
    EXPECT_GT(good, 20 * 50 / 2);
    EXPECT_LT(good, 20 * 50);
}

TEST(Web, a_killed_server_is_disconnected_and_a_new_one_is_found) {
    sim::World world({.seed = sim::test_seed()});
    auto& there = world.machine("server", "10.0.0.1");
    auto& here = world.machine("client", "10.0.0.2");
    Client client(here);
    const auto serve = [&](Scope& scope) {
        auto server =
            std::make_unique<Server>(there, scope, ServerConfig{.endpoint = {"10.0.0.1", 80}});
        server->route("POST", "/slow", slow_echo);
        server->listen().value();
        return server;
    };
    const Request request{"POST", "http://10.0.0.1:80/slow", {}, "x"};
    {
        Scope scope(there.executor(), "web");
        auto server = serve(scope);
        EXPECT_EQ(world.run(here, ask(&client, request)).body, "x");
        world.after(500ms, [&] { there.kill(); });
        try {
            (void)world.run(here, ask(&client, request));
            FAIL() << "an answer of the dead";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), errc::disconnected);
        }
        world.run(there, scope.close());
    }
    there.restart();
    Scope scope(there.executor(), "web");
    auto server = serve(scope);
    EXPECT_EQ(world.run(here, ask(&client, request)).body, "x");
    world.run(there, close(server.get()));
}

TEST(Web, over_real_sockets) {
    io::Loop loop;
    Scope scope(loop.executor(), "web");
    Server server(loop, scope, {.max_body_bytes = 1 << 20});
    server.route("POST", "/echo", echo);
    server.route("GET", "/p/{id}", echo);
    server.listen().value();
    const std::string url = "http://" + server.local().to_string();
    Client client(loop);
    EXPECT_EQ(loop.run_task(post_all(&client, url + "/echo", 40)), 40);
    EXPECT_EQ(server.connections(), 1u);
    // An early refusal must arrive although the body is still under way.
    const auto refused =
        loop.run_task(ask(&client, {"POST", url + "/echo", {}, std::string(1'100'000, 'x')}));
    EXPECT_EQ(refused.status, 413);
    loop.run_task(close(&server));
}

TEST(Web, pythons_http_client_agrees) {
    io::Loop loop;
    Scope scope(loop.executor(), "web");
    Server server(loop, scope, {});
    server.route("POST", "/echo", echo);
    server.listen().value();
    const std::string script =
        "python3 -c \"import http.client, json\n"
        "c = http.client.HTTPConnection('127.0.0.1', " +
        std::to_string(server.local().port) +
        ", timeout=5)\n"
        "for i in range(3):\n"
        "    c.request('POST', '/echo', body='hello %d' % i); r = c.getresponse()\n"
        "    assert r.status == 200 and r.read() == b'hello %d' % i\n"
        "c.request('POST', '/echo', body=iter([b'ab', b'cde']), encode_chunked=True); r = "
        "c.getresponse()\n"
        "assert r.read() == b'abcde'\n"
        "c.request('HEAD', '/nothing'); r = c.getresponse()\n"
        "assert r.status == 404 and r.read() == b''\n"
        "c.request('DELETE', '/echo'); r = c.getresponse()\n"
        "assert r.status == 405 and json.loads(r.read())['status'] == 405 and r.getheader('Allow') "
        "== 'POST'\"";
    int status = -1;
    bool done = false;
    std::thread python([&] {
        const int code = std::system(script.c_str());
        loop.post([&, code] { status = code, done = true; });
    });
    EXPECT_TRUE(loop.run_until([&] { return done; }, 20s));
    python.join();
    EXPECT_EQ(status, 0);
    loop.run_task(close(&server));
}

}  // namespace
}  // namespace gyre::web

#include <gtest/gtest.h>

#include <gyre/module/manifest.hpp>
#include <gyre/module/node_test.hpp>
#include <gyre/module/passwords.hpp>
#include <gyre/web/client.hpp>

namespace gyre::module {
namespace {

/// Answers over HTTP. The code of a later version has the same data.
template <int version>
struct DeskOf : Service<DeskOf<version>> {
    using Desk = DeskOf;
    static constexpr std::string_view role = "desk";
    std::uint32_t asked = 0;
    bool closes = true;
    Task<> on_start() {
        Passwords::open({.cost = {.memory_bytes = 8192, .passes = 1}, .queue = 1});
        http().template route<&Desk::item>("POST", "/items/{name}");
        http().template route<&Desk::wait>("GET", "/wait");
        http().template route<&Desk::secret>("GET", "/secret");
        http().open({});
        co_return;
    }
    Task<> on_stop() {
        if (closes) co_await http().close(1s);
    }
    Task<web::Response> item(web::Request request) {
        ++asked;
        if (request.parameter("name") == "none") throw Error(errc::not_found, "no such item");
        auto answer = web::Response::text(request.parameter("name") + " " + request.query("n").value_or("1") +
                                          " " + request.body + " " + request.peer.host + " v" +
                                          std::to_string(version));
        answer.headers.set("X-Asked", std::to_string(asked));
        co_return answer;
    }
    Task<web::Response> wait(web::Request) {
        co_await sleep(1h);
        co_return {};
    }
    Task<web::Response> secret(web::Request) {
        const auto hash = co_await passwords().hash("sesame");
        const bool right = co_await passwords().verify(hash, "sesame");
        const bool wrong = co_await passwords().verify(hash, "open");
        co_return web::Response::text(right && !wrong ? "yes" : "no");
    }
    static consteval auto describe() {
        return type<Desk>("Desk", field<&Desk::asked>(), field<&Desk::closes>(), method<&Desk::item>(),
                          method<&Desk::wait>(), method<&Desk::secret>());
    }
};
using Desk = DeskOf<1>;

class HttpDoorTest : public testing::Test {
protected:
    HttpDoorTest() { node.start(type_list<Desk>, "desk"); }
    static Task<web::Response> send(web::Client* from, web::Request request) {
        co_return co_await from->request(std::move(request));
    }
    web::Response ask(std::string method, std::string path, std::string body = {}) {
        return world.run(here, send(&client, {std::move(method), "http://10.0.0.1:80" + path, {}, std::move(body)}));
    }
    auto begin(std::string path) {
        return go(here.scope(), as_result(send(&client, {"GET", "http://10.0.0.1:80" + path})));
    }

    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& there = world.machine("desk_0", "10.0.0.1");
    sim::Machine& here = world.machine("visitor", "10.0.0.2");
    cluster::EmbeddedRegistryServer registry{there.executor()};
    std::unique_ptr<store::Store> store = world.run(there, store::open(there, {}));
    TestNode node{world, there, registry, *store, {.role = "desk", .http_port = 80}};
    web::Client client{here};
};

TEST_F(HttpDoorTest, a_described_method_answers_with_the_whole_request_at_hand) {
    const auto answer = ask("POST", "/items/sword?n=3", std::string("sharp\0\xff", 7));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "sword 3 " + std::string("sharp\0\xff", 7) + " 10.0.0.2 v1");
    EXPECT_EQ(answer.headers.get("X-Asked"), "1");
    const auto none = ask("POST", "/items/none");
    EXPECT_EQ(none.status, 404);
    EXPECT_NE(none.body.find("no such item"), std::string::npos) << none.body;
    EXPECT_EQ(ask("GET", "/items/sword").status, 405);
    EXPECT_EQ(ask("GET", "/secret").body, "yes");
}

TEST_F(HttpDoorTest, new_code_answers_what_comes_then) {
    EXPECT_EQ(ask("POST", "/items/sword").body, "sword 1  10.0.0.2 v1");
    auto swapping = [](TestNode* at) -> Task<> {
        co_await yield();
        at->inside().host.swap("desk", type_list<DeskOf<2>>).value();
    };
    node.run(swapping(&node));
    EXPECT_EQ(ask("POST", "/items/sword").body, "sword 1  10.0.0.2 v2");
    EXPECT_EQ(ask("GET", "/secret").body, "yes") << "what the service opened stays";
}

TEST_F(HttpDoorTest, who_is_cut_off_by_the_end_of_the_service_may_come_back) {
    auto waits = begin("/wait");
    ASSERT_TRUE(world.run_until([&] { return node.inside().http->connections() == 1; }, 1s));
    world.run_for(10ms);
    node.run(node.stop_services());
    ASSERT_TRUE(world.run_until([&] { return waits.done(); }, 5s));
    const auto answer = waits.take();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 503);
    EXPECT_EQ(answer->headers.get("Retry-After"), "1");
    EXPECT_EQ(node.inside().http->connections(), 0u);
}

TEST_F(HttpDoorTest, closes_when_its_service_has_forgotten_to) {
    EXPECT_EQ(ask("POST", "/items/sword").status, 200);
    node.service<Desk>().closes = false;
    node.run(node.stop_services());
    EXPECT_EQ(node.inside().http->connections(), 0u);
    EXPECT_THROW((void)ask("POST", "/items/sword"), Error) << "nobody listens";
}

}  // namespace
}  // namespace gyre::module

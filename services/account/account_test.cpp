#include "services/account/account.hpp"

#include <gtest/gtest.h>

#include <gyre/module/node_test.hpp>
#include <gyre/store/collection.hpp>
#include <gyre/web/client.hpp>
#include <gyre/web/jwt.hpp>

namespace gyre::account {
namespace {

/// An account server and a client of it in the simulator, with the cheapest hash there is.
class AccountTest : public testing::Test {
protected:
    AccountTest() { serve(R"("memory_kib": 8, "passes": 1)"); }

    void serve(std::string config) {
        node.reset();
        module::TestNodeConfig settings{
            .role = "account", .json = R"({"cluster": {"zone": 5}, "account": {)" + config + "}}", .http_port = 80};
        settings.keys.login = key;
        node = std::make_unique<module::TestNode>(world, there, registry, *store, std::move(settings));
        node->start(module::type_list<Account>);
        client = std::make_unique<web::Client>(here);
    }
    static Task<web::Response> send(web::Client* from, web::Request request) {
        co_return co_await from->request(std::move(request));
    }
    web::Response ask(std::string method, std::string path, std::string body = {}) {
        return world.run(here, send(client.get(), {std::move(method), "http://10.0.0.1:80" + path, {},
                                              std::move(body)}));
    }
    web::Response enroll(std::string name, std::string password = "sesame") {
        return ask("POST", "/register", to_json(Credentials{std::move(name), std::move(password)}));
    }
    web::Response log_in(std::string name, std::string password = "sesame") {
        return ask("POST", "/login", to_json(Credentials{std::move(name), std::move(password)}));
    }
    StoredAccount stored(const std::string& name) {
        return world
            .run(there, store::Collection<StoredAccount>(store->documents(), "accounts").find(name))
            .value();
    }

    const secure::Key key{{1, 2, 3}};
    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& there = world.machine("account_0", "10.0.0.1");
    sim::Machine& here = world.machine("player", "10.0.0.2");
    sim::Machine& registry_machine = world.machine("registry", "10.0.9.1");
    cluster::EmbeddedRegistryServer registry{registry_machine.executor()};
    std::unique_ptr<store::Store> store = world.run(there, store::open(there, store::StoreConfig{}));
    std::unique_ptr<module::TestNode> node;
    std::unique_ptr<web::Client> client;
};

TEST_F(AccountTest, who_registers_can_log_in_and_is_the_same_entity) {
    const auto made = enroll("Alice");
    ASSERT_EQ(made.status, 201) << made.body;
    const auto first = made.as<Login>().value();
    EXPECT_EQ(first.expires_s, 720 * 60);
    EXPECT_EQ(std::stoull(first.entity) >> 54, 5u) << "the id carries the zone";

    const auto back = log_in("aLICE");
    ASSERT_EQ(back.status, 200) << back.body;
    const auto second = back.as<Login>().value();
    EXPECT_EQ(second.entity, first.entity);

    web::JwtExpectation expected{there.wall_now().time_since_epoch() / 1s, "gyre", "gate"};
    const auto claims = web::jwt_verify(second.token, key.bytes(), expected).value();
    EXPECT_EQ(claims.subject, first.entity);
    EXPECT_EQ(claims.extra.at("name"), "Alice");
    expected.now_s += second.expires_s + 1;
    EXPECT_FALSE(web::jwt_verify(second.token, key.bytes(), expected).ok()) << "it ends";
}

TEST_F(AccountTest, a_name_is_given_once_whatever_its_case) {
    EXPECT_EQ(enroll("bob").status, 201);
    const auto again = enroll("BOB", "another one");
    EXPECT_EQ(again.status, 409);
    EXPECT_NE(again.body.find("name_taken"), std::string::npos) << again.body;
    EXPECT_EQ(log_in("bob").status, 200);

    // Both at once, so that neither finds the other: the store decides.
    std::vector<std::uint16_t> statuses;
    const auto one = [](web::Client* c, std::string body, std::vector<std::uint16_t>* out) -> Task<> {
        out->push_back((co_await send(c, {"POST", "http://10.0.0.1:80/register", {}, body})).status);
    };
    for (const char* name : {"carol", "CAROL", "Carol"})
        (void)go(here.scope(), one(client.get(), to_json(Credentials{name, "sesame"}), &statuses));
    ASSERT_TRUE(world.run_until([&] { return statuses.size() == 3; }, 1min));
    std::sort(statuses.begin(), statuses.end());
    EXPECT_EQ(statuses, (std::vector<std::uint16_t>{201, 409, 409}));
}

TEST_F(AccountTest, a_refusal_names_the_field) {
    struct Case {
        std::string body, told;
        std::uint16_t status;
    };
    const std::string good_password = R"(, "password": "sesame"})";
    const Case cases[] = {
        {R"({"name": "al")" + good_password, "name", 422},
        {R"({"name": ")" + std::string(25, 'a') + "\"" + good_password, "name", 422},
        {R"({"name": "a b c")" + good_password, "name", 422},
        {R"({"name": "\u00e4rger")" + good_password, "name", 422},
        {R"({"name": 7)" + good_password, "name", 422},
        {R"({"password": "sesame"})", "name", 422},
        {R"({"name": "alice"})", "password", 422},
        {R"({"name": "alice", "password": "short"})", "password", 422},
        {R"({"name": "alice", "password": ")" + std::string(129, 'x') + "\"}", "password", 422},
        {R"({"name": "alice", )", "bad_json", 400},
        {"", "bad_json", 400},
        {"[]", "", 422},
    };
    for (const std::string path : {"/register", "/login"})
        for (const auto& c : cases) {
            const auto answer = ask("POST", path, c.body);
            EXPECT_EQ(answer.status, c.status) << path << " " << c.body << " " << answer.body;
            EXPECT_NE(answer.body.find(c.told), std::string::npos) << c.body << " " << answer.body;
        }
    EXPECT_EQ(ask("POST", "/register", std::string(70'000, ' ')).status, 413);
    EXPECT_EQ(ask("POST", "/nowhere", "{}").status, 404);
    EXPECT_EQ(ask("GET", "/login").status, 405);
    EXPECT_EQ(ask("GET", "/healthz").status, 200);
    EXPECT_EQ(enroll("..-", std::string(128, 'x')).status, 201) << "the limits themselves are fine";
}

TEST_F(AccountTest, nobody_can_tell_an_unknown_name_from_a_wrong_password) {
    enroll("dora");
    const auto wrong = log_in("dora", "not it at all");
    const auto unknown = log_in("nobody", "not it at all");
    EXPECT_EQ(wrong.status, 401);
    EXPECT_EQ(unknown.status, 401);
    EXPECT_EQ(wrong.body, unknown.body);
    // Equal work: one hash each.
    std::size_t hashes = 0;
    world.on_trace([&](const sim::TraceEvent& event) { hashes += event.kind == "lane"; });
    log_in("dora", "not it at all");
    const std::size_t for_known = std::exchange(hashes, 0);
    log_in("nobody", "not it at all");
    EXPECT_EQ(hashes, for_known);
    EXPECT_GT(hashes, 0u);
}

TEST_F(AccountTest, guessing_is_slowed_down_for_that_name_alone) {
    enroll("eve");
    enroll("fred");
    for (const std::string name : {"eve", "unknown"}) {
        for (int i = 0; i < 5; ++i) EXPECT_EQ(log_in(name, "a wrong one").status, 401);
        const auto throttled = log_in(name, "sesame");
        EXPECT_EQ(throttled.status, 429);
        const int wait_s = std::stoi(std::string(throttled.headers.get("Retry-After")));
        EXPECT_GE(wait_s, 50);
        EXPECT_LE(wait_s, 60);
    }
    EXPECT_EQ(log_in("fred").status, 200);
    world.run_for(61s);
    EXPECT_EQ(log_in("eve").status, 200);
    for (int i = 0; i < 4; ++i) log_in("eve", "a wrong one");
    EXPECT_EQ(log_in("eve").status, 200) << "a right one starts anew";
    EXPECT_EQ(log_in("eve", "a wrong one").status, 401);
}

TEST_F(AccountTest, a_full_queue_asks_to_come_back) {
    serve(R"("memory_kib": 8, "passes": 1, "queue": 2)");
    std::map<std::uint16_t, int> statuses;
    int done = 0;
    const auto one = [](web::Client* c, std::string body, std::map<std::uint16_t, int>* out,
                        int* count) -> Task<> {
        const auto answer = co_await send(c, {"POST", "http://10.0.0.1:80/register", {}, body});
        ++(*out)[answer.status];
        if (answer.status == 503) EXPECT_EQ(answer.headers.get("Retry-After"), "1");
        ++*count;
    };
    world.lanes() = {50ms, 50ms};
    for (int i = 0; i < 20; ++i)
        (void)go(here.scope(), one(client.get(), to_json(Credentials{"player" + std::to_string(i), "sesame"}),
                                   &statuses, &done));
    ASSERT_TRUE(world.run_until([&] { return done == 20; }, 1min));
    EXPECT_GT(statuses[201], 1);
    EXPECT_GT(statuses[503], 1);
    EXPECT_EQ(statuses[201] + statuses[503], 20);
}

TEST_F(AccountTest, on_a_slow_machine_who_would_wait_long_is_asked_to_come_back) {
    world.lanes() = {500ms, 500ms};
    for (int i = 0; i < 20; ++i) EXPECT_EQ(log_in("nobody" + std::to_string(i)).status, 401);
    std::map<std::uint16_t, int> statuses;
    const auto one = [](web::Client* c, std::string body, std::map<std::uint16_t, int>* out) -> Task<> {
        ++(*out)[(co_await send(c, {"POST", "http://10.0.0.1:80/login", {}, body})).status];
    };
    const TimePoint began = world.now();
    for (int i = 0; i < 20; ++i)
        (void)go(here.scope(), one(client.get(), to_json(Credentials{"some" + std::to_string(i), "sesame"}), &statuses));
    ASSERT_TRUE(world.run_until([&] { return statuses[401] + statuses[503] == 20; }, 1min));
    EXPECT_GE(statuses[401], 4) << "as many as fit into 3 s";
    EXPECT_LE(statuses[401], 8);
    EXPECT_LT(to_ms(world.now() - began), 4500) << "nobody waited for a time-out";
    world.lanes() = {1ms, 1ms};
    EXPECT_EQ(log_in("somebody").status, 401);
}

TEST_F(AccountTest, a_password_is_hashed_anew_when_the_cost_was_raised) {
    enroll("gina");
    const std::string before = stored("5/gina").password;
    serve(R"("memory_kib": 16, "passes": 2)");
    EXPECT_EQ(log_in("gina").status, 200);
    const std::string after = stored("5/gina").password;
    EXPECT_NE(after, before);
    EXPECT_FALSE(secure::needs_rehash(after, {16 * 1024, 2}));
    EXPECT_EQ(log_in("gina").status, 200);
    EXPECT_EQ(stored("5/gina").password, after) << "once is enough";
}

TEST(AccountConfig, errors_name_the_field_and_its_range) {
    const auto read = [](std::string_view text) { return config::Document::from_text(text).value().as<AccountConfig>(); };
    EXPECT_TRUE(read("{}"));
    const std::string refused = read(R"({"account": {"memory_kib": 7}})").error().message();
    EXPECT_NE(refused.find("account.memory_kib: 7 is outside [8, 1048576]"), std::string::npos) << refused;
}

}  // namespace
}  // namespace gyre::account

#include <gtest/gtest.h>
#include <gyre/session/server.hpp>
#include <gyre/session/session.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/web/server.hpp>
#include <gyre_sdk/bots.hpp>
#include <set>

namespace gyre::sdk {
namespace {

const secure::Identity identity(secure::Key(secure::Seed{1}));

struct Player {
    std::uint32_t status() { return 7; }
    void shout(std::string) {}
    static consteval auto describe() {
        return type<Player>("Player", method<&Player::status>(Caller::owner),
                            method<&Player::shout>(Caller::owner));
    }
};

Task<session::Admission> check_token(session::Credential credential) {
    if (!credential.text.starts_with("token/")) throw Error(errc::unauthorized, "unknown token");
    co_return session::Admission{1 + std::stoull(credential.text.substr(6))};
}

/// An account service and a gate, with the faults a test sets.
struct Front : rpc::Target {
    Front(io::Io& io, Scope& s)
        : scope(s), web(io, s, {.endpoint = {"10.0.0.1", 80}}), gate(io, s, gate_config(), &check_token, *this) {
        web.route("POST", "/register", [this](web::Request r) { return answer(r, true); });
        web.route("POST", "/login", [this](web::Request r) { return answer(r, false); });
        web.listen().value();
        gate.on_opened([this](session::Session& one) { open.insert(one.id()); });
        gate.on_closed([this](session::Session& one, const Error&) { open.erase(one.id()); });
        gate.listen().value();
    }
    static session::ServerConfig gate_config() {
        session::ServerConfig config;
        config.endpoint = {"10.0.0.1", 4000};
        config.identity = identity;
        config.max_handshakes_per_ip_per_second = 0;
        return config;
    }
    Task<web::Response> answer(web::Request request, bool fresh) {
        if (busy > 0 && busy-- > 0) co_return web::Response::error(503, errc::overloaded, "later");
        if (broken) co_return web::Response::error(500, errc::internal, "broken");
        const auto found = request.body.find("bot-");
        const std::string name = request.body.substr(found, request.body.find('"', found) - found);
        if (fresh && !names.insert(name).second)
            co_return web::Response::error(409, "name_taken", name);
        const std::string id = std::to_string(1 + std::distance(names.begin(), names.find(name)));
        co_return web::Response::text(R"({"token":")" + std::string(bad_tokens ? "" : "token/") + id + R"(","entity":")" + id +
                                          R"(","expires_s":60})",
                                      fresh ? 201 : 200, "application/json");
    }
    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override {
        for (const auto& method : rpc::methods_of<Player>())
            if (method.id == call.method.id)
                return rpc::run_call({&player, &method, &scope, nullptr, call.entity}, call, std::move(respond));
        respond(Error(errc::unknown_method, std::string(call.method.text)));
    }
    void kick_all(std::string_view code) {
        const auto all = open;
        for (const auto id : all) gate.find(id)->close(Error(code, "from the test"));
    }

    Scope& scope;
    Player player;
    std::set<std::string> names;
    std::set<std::uint64_t> open;
    int busy = 0;
    bool broken = false, bad_tokens = false;
    web::Server web;
    session::Server gate;
};

Task<> play(Bot bot) {
    for (std::uint64_t match = 1;; ++match) {
        bot.gate().notify<&Player::shout>("hey");
        bot.count_messages();
        co_await sleep(100ms);
        bot.measured(20ms);
        if (bot.number() < 2) bot.count_match(match);  // both in the same
    }
}
Task<> ping(Bot bot) { (void)co_await bot.gate().call<&Player::status>(); }
Task<> leave(Bot bot) {
    bot.gate().close();
    co_return;
}
constexpr BotManifest manifest{bot_api, "test", &play, &ping, &leave};

class BotsTest : public testing::Test {
protected:
    ~BotsTest() override {
        auto close = [](Front* f) -> Task<> {
            f->gate.close();
            co_await f->web.close();
        };
        world.run(there, close(&front));
        world.run(there, scope.close());
    }
    static Task<BotReport> start(BotRun* run) { co_return co_await run->run(); }
    BotOptions options(std::uint32_t count) {
        BotOptions o;
        o.server_key = identity.public_key();
        o.count = count;
        o.duration = 10s;
        o.accounts = {{"10.0.0.1", 80}};
        o.gates = {{"10.0.0.1", 4000}};
        return o;
    }
    BotReport run(BotOptions o) {
        BotRun bots(here, std::move(o), manifest);
        return world.run(here, start(&bots));
    }

    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& there = world.machine("front", "10.0.0.1");
    sim::Machine& here = world.machine("bots", "10.0.0.2");
    Scope scope{there.executor(), "front"};
    Front front{there, scope};
};

TEST_F(BotsTest, all_log_in_play_and_leave) {
    const BotReport report = run(options(20));
    EXPECT_EQ(report.bots, 20);
    EXPECT_EQ(report.logins, 20);
    EXPECT_EQ(report.errors, 0) << report.summary();
    EXPECT_NEAR(to_ms(report.duration), 10'000, 1);
    EXPECT_GT(to_ms(report.ramp), 19 * 20.0) << "50 a second";
    EXPECT_NEAR(static_cast<double>(report.matches_finished), 100, 2);
    EXPECT_NEAR(static_cast<double>(report.rtt_us.count()), 200, 20);
    // 10 shouts a second of each bot, and two messages a ping.
    EXPECT_NEAR(static_cast<double>(report.messages), 20 * 10 * 10 + 2 * 200, 60);
    EXPECT_GE(report.rtt_us.min(), 1000) << "the network takes that long both ways";
    EXPECT_LT(report.rtt_us.max(), 3000);
    EXPECT_EQ(report.input_to_state_us.quantile(0.5) / 1000, 20);
    world.run_for(1s);
    EXPECT_TRUE(front.open.empty());
}

TEST_F(BotsTest, the_line_for_tools_has_exactly_its_fields) {
    BotReport report;
    report.bots = report.logins = 200;
    report.matches_finished = 3;
    report.messages = 12;
    report.ramp = 1500ms;
    report.duration = 30s;
    for (std::uint64_t us = 1; us <= 100; ++us) report.rtt_us.record(us * 1);
    EXPECT_EQ(report.to_json_line(),
              R"({"bots":200,"logins":200,"matches_finished":3,"messages":12,"errors":0,"ramp_s":1.5,)"
              R"("duration_s":30.0,"rtt_ms":{"p50":0.05,"p95":0.095,"p99":0.099},)"
              R"("input_to_state_ms":{"p50":0.0,"p95":0.0,"p99":0.0}})");
}

TEST_F(BotsTest, who_has_an_account_logs_in) {
    EXPECT_EQ(run(options(5)).errors, 0);
    EXPECT_EQ(front.names.size(), 5u);
    const auto again = run(options(5));
    EXPECT_EQ(again.logins, 5);
    EXPECT_EQ(again.errors, 0) << again.summary();
    EXPECT_EQ(front.names.size(), 5u);
    auto others = options(5);
    others.seed = 2;
    EXPECT_EQ(run(others).errors, 0);
    EXPECT_EQ(front.names.size(), 10u) << "another seed, other players";
}

TEST_F(BotsTest, a_busy_server_is_waited_for_and_no_error) {
    front.busy = 30;
    const auto report = run(options(10));
    EXPECT_EQ(report.busy, 30);
    EXPECT_EQ(report.logins, 10);
    EXPECT_EQ(report.errors, 0) << report.summary();
    EXPECT_GT(to_ms(report.ramp), 1000);
}

TEST_F(BotsTest, a_log_in_that_fails_is_an_error_with_its_kind) {
    front.bad_tokens = true;
    auto report = run(options(3));
    EXPECT_EQ(report.logins, 0);
    EXPECT_EQ(report.errors, 3);
    EXPECT_EQ(report.error_kinds["log in: unauthorized"].times, 3) << report.summary();
    front.broken = true;
    report = run(options(3));
    EXPECT_EQ(report.error_kinds["log in: internal"].times, 3) << report.summary();
}

TEST_F(BotsTest, a_lost_session_is_one_error_and_the_bot_comes_back) {
    BotRun bots(here, options(4), manifest);
    auto job = go(here.scope(), start(&bots));
    ASSERT_TRUE(world.run_until([&] { return bots.measuring(); }, 10s));
    world.run_for(2s);
    front.kick_all("replaced");
    world.run_for(100ms);
    EXPECT_EQ(bots.logged_in(), 0u);
    ASSERT_TRUE(world.run_until([&] { return bots.logged_in() == 4; }, 5s));
    ASSERT_TRUE(world.run_until([&] { return job.done(); }, 20s));
    EXPECT_EQ(bots.report().errors, 4) << bots.report().summary();
    EXPECT_EQ(bots.report().error_kinds.at("gate: replaced").first, "from the test");
}

TEST_F(BotsTest, an_early_end_is_orderly) {
    auto long_run = options(4);
    long_run.duration = 1h;
    BotRun bots(here, long_run, manifest);
    auto job = go(here.scope(), start(&bots));
    ASSERT_TRUE(world.run_until([&] { return bots.measuring(); }, 10s));
    world.run_for(3s);
    bots.stop();
    ASSERT_TRUE(world.run_until([&] { return job.done(); }, 10s));
    EXPECT_NEAR(to_ms(bots.report().duration), 3000, 100);
    EXPECT_EQ(bots.report().errors, 0);
}

TEST_F(BotsTest, options_are_checked_by_name) {
    const auto told = [](BotOptions o) { return check(o).error().message(); };
    EXPECT_TRUE(check(options(1)).ok());
    EXPECT_EQ(told(options(0)), "count: 0 is outside [1, 20000]");
    auto o = options(1);
    o.duration = 10ms;
    EXPECT_EQ(told(o), "duration: 0s is outside [1s, 86400s]");
    o = options(1);
    o.ramp_per_s = 0;
    EXPECT_NE(told(o).find("ramp: "), std::string::npos);
    o = options(1);
    o.gates.clear();
    EXPECT_EQ(told(o), "gate: no gate to connect to");
}

}  // namespace
}  // namespace gyre::sdk

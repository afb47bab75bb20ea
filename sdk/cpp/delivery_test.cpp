#include <gtest/gtest.h>
#include <gyre/session/server.hpp>
#include <gyre/session/session.hpp>
#include <gyre/sim/link.hpp>
#include <gyre/sim/world.hpp>
#include <gyre_sdk/client.hpp>

namespace gyre::sdk {
namespace {

/// What one end hears: a number in each of the ways that a one-way call may travel.
struct Hud {
    void state(std::uint32_t n, std::string) { states.push_back(n); }
    void other(std::uint32_t n) { others.push_back(n); }
    void spark(std::uint32_t n) { sparks.push_back(n); }
    void hit(std::uint32_t n) { hits.push_back(n); }
    void line(std::uint32_t n) { lines.push_back(n); }
    void gold(std::uint32_t n) { golds.push_back(n); }
    std::vector<std::uint32_t> states, others, sparks, hits, lines, golds;
    static consteval auto describe() {
        return type<Hud>("Hud",
            method<&Hud::state>(Caller::anyone, Order::sequenced),
            method<&Hud::other>(Caller::anyone, Order::sequenced, lane(1), Care::economy),
            method<&Hud::spark>(Caller::anyone, Order::unreliable),
            method<&Hud::hit>(Caller::anyone, Order::unordered, Care::urgent),
            method<&Hud::line>(Caller::anyone, lane(2), Care::economy),
            method<&Hud::gold>(Caller::anyone));
    }
};

constexpr std::uint32_t rounds = 300;

/// One that ascends, with or without gaps.
void expect_ascending(const std::vector<std::uint32_t>& heard, const char* what) {
    for (std::size_t i = 1; i < heard.size(); ++i) ASSERT_LT(heard[i - 1], heard[i]) << what << " at " << i;
}
void expect_all(std::vector<std::uint32_t> heard, bool in_order, const char* what) {
    if (!in_order) std::sort(heard.begin(), heard.end());
    ASSERT_EQ(heard.size(), rounds) << what;
    for (std::uint32_t n = 0; n < rounds; ++n) ASSERT_EQ(heard[n], n) << what;
}

/// Calls of clients end here.
struct Served : rpc::Target {
    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override {
        for (const auto& method : rpc::methods_of<Hud>())
            if (method.id == call.method.id) return rpc::run_call({&hud, &method, scope, nullptr, 0}, call, std::move(respond));
        respond(Error(errc::unknown_method));
    }
    Hud hud;
    Scope* scope = nullptr;
};

Task<session::Admission> admit(session::Credential) { co_return session::Admission{7}; }

class DeliveryTest : public testing::Test {
protected:
    void play(Transport transport, std::string_view link) {
        world.link(phone, gate, sim::parse_link(link).value());
        session::ServerConfig config;
        config.endpoint = {"10.0.0.1", 4000};
        config.identity = secure::Identity(secure::Key(secure::Seed{1}));
        config.rudp = true;
        config.calls_per_second = 0;
        target.scope = &gate.scope();
        session::Server server(gate, gate.scope(), std::move(config), [](session::Credential c) { return admit(std::move(c)); }, target);
        server.on_opened([this](session::Session& s) {
            session = &s;
            say(0);  // may overtake the welcome
        });
        server.listen().value();
        world.run(phone, talk(this, transport, &server));
    }
    static Task<> talk(DeliveryTest* test, Transport transport, session::Server* server) {
        ConnectOptions options;
        options.server_key = secure::Identity(secure::Key(secure::Seed{1})).public_key();
        options.endpoint = {"10.0.0.1", 4000};
        options.transport = transport;
        options.connect_limit = 20s;
        Client client = co_await Client::connect(test->phone, test->phone.scope(), options);
        client.handle(test->hud);
        for (std::uint32_t n = 1; n < rounds; ++n) {
            test->say(n);
            co_await sleep(33ms);
        }
        for (std::uint32_t n = 0; n < rounds; ++n) {
            client.notify<&Hud::state>(n, pad(n));
            client.notify<&Hud::other>(n);
            client.notify<&Hud::spark>(n);
            client.notify<&Hud::hit>(n);
            client.notify<&Hud::line>(n);
            client.notify<&Hud::gold>(n);
            co_await sleep(33ms);
        }
        for (int i = 0; i < 1000 && !test->whole(); ++i) co_await sleep(10ms);
        EXPECT_TRUE(client.open());
        test->lost = server->find(client.session())->connection().stats().datagrams_lost;
        client.close();
    }
    static std::string pad(std::uint32_t n) { return std::string(n % 3 == 0 ? 2500 : n % 50, 'x'); }
    void say(std::uint32_t n) {
        session->push<&Hud::state>(n, pad(n));
        session->push<&Hud::other>(n);
        session->push<&Hud::spark>(n);
        session->push<&Hud::hit>(n);
        session->push<&Hud::line>(n);
        session->push<&Hud::gold>(n);
    }
    bool whole() const {
        for (const Hud* one : {&hud, &target.hud})
            if (one->hits.size() < rounds || one->lines.size() < rounds || one->golds.size() < rounds) return false;
        return true;
    }
    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& gate = world.machine("gate", "10.0.0.1");
    sim::Machine& phone = world.machine("phone", "10.0.0.2");
    Served target;
    Hud hud;
    session::Session* session = nullptr;
    std::uint64_t lost = 0;  // datagrams to the client
};

TEST_F(DeliveryTest, a_method_travels_as_it_is_described) {
    play(Transport::rudp, "rtt=60ms,jitter=5ms,loss=10%,reorder=5%/30ms,duplicate=2%");
    for (Hud* one : {&hud, &target.hud}) {
        expect_all(one->golds, true, "in order");
        expect_all(one->lines, true, "in order, on a lane");
        expect_all(one->hits, false, "unordered");
        expect_ascending(one->states, "sequenced, long and short");
        expect_ascending(one->others, "sequenced");
        EXPECT_LT(one->others.size(), rounds) << "what was lost is not sent again";
        for (const auto* lossy : {&one->states, &one->others, &one->sparks}) EXPECT_GT(lossy->size(), rounds / 2);
        std::sort(one->sparks.begin(), one->sparks.end());
        EXPECT_EQ(std::adjacent_find(one->sparks.begin(), one->sparks.end()), one->sparks.end()) << "one came twice";
    }
    EXPECT_GT(lost, 0u);
}

TEST_F(DeliveryTest, all_of_it_is_in_order_over_streams) {
    play(Transport::tcp, "rtt=60ms");
    for (Hud* one : {&hud, &target.hud})
        for (const auto* heard : {&one->states, &one->others, &one->sparks, &one->hits, &one->lines, &one->golds})
            expect_all(*heard, true, "over a stream");
}

}  // namespace
}  // namespace gyre::sdk

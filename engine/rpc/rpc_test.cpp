#include <gtest/gtest.h>

#include <gyre/base/hash.hpp>
#include <gyre/codec/codec.hpp>
#include <gyre/log/capture.hpp>
#include <gyre/rpc/rpc.hpp>
#include <gyre/net/sealed_stream.hpp>
#include <gyre/sim/world.hpp>

namespace gyre::rpc {
namespace {

const Bytes no_arguments{0x90};
const secure::Key cluster_key{{1, 2, 3}};

/// Answers with the arguments; "T.hold" never.
class TestTarget : public Target {
public:
    void dispatch(const IncomingCall& call, Responder respond) override {
        heard.emplace_back(call.arguments.begin(), call.arguments.end());
        if (call.method.text == "T.hold") held.push_back(std::move(respond));
        else respond(heard.back());
    }
    std::vector<Bytes> heard;
    std::vector<Responder> held;
};

struct Node {
    Node(sim::World& w, std::string name, std::string address, secure::Key key = cluster_key)
        : world(w),
          machine(w.machine(name, address)),
          scope(machine.executor(), name),
          rpc(machine, scope, config(name, key), target) {
        rpc.listen({address, 100}).value();
        rpc.on_link_lost = [this](const io::Endpoint&, const Error& e) { lost.push_back(e.code()); };
    }
    ~Node() {
        target.held.clear();
        rpc.close();
        world.run(machine, scope.close());
    }
    static RpcConfig config(const std::string& name, const secure::Key& key) {
        RpcConfig config;
        config.name = name;
        config.key = key;
        return config;
    }
    Task<Bytes> call(io::Endpoint to, std::string method, Bytes arguments, Duration limit = 5s) {
        CallOptions options;
        options.limit = limit;
        const std::string text = std::move(method);
        co_return co_await rpc.call({.entity = 7, .at = to}, {fnv1a(text), text}, std::move(arguments), options);
    }
    /// Starts a call; its end is appended to `out`.
    void ask(const io::Endpoint& to, std::string method, Duration limit, std::string* out) {
        (void)go(scope, asking(this, to, std::move(method), limit, out));
    }
    static Task<> asking(Node* self, io::Endpoint to, std::string method, Duration limit,
                         std::string* out) {
        const auto result = co_await as_result(self->call(to, std::move(method), no_arguments, limit));
        *out += (result ? "ok" : result.error().code()) + " ";
    }
    io::Endpoint address() const { return rpc.address(); }
    sim::World& world;
    sim::Machine& machine;
    Scope scope;
    TestTarget target;
    Rpc rpc;
    std::vector<std::string> lost;
};

class RpcTest : public testing::Test {
protected:
    std::string run(Node& from, const Node& to, std::string method = "T.echo", Duration limit = 5s) {
        std::string result;
        from.ask(to.address(), std::move(method), limit, &result);
        world.run_until([&] { return !result.empty(); }, 1h);
        return result;
    }
    log::Capture log{log::Level::warn};
    sim::World world{{.seed = sim::test_seed()}};
    Node a{world, "a", "10.0.0.1"}, b{world, "b", "10.0.0.2"};
    std::string out;
};

TEST_F(RpcTest, two_nodes_call_each_other_at_the_same_time) {
    a.ask(b.address(), "T.echo", 5s, &out);
    b.ask(a.address(), "T.echo", 5s, &out);
    ASSERT_TRUE(world.run_until([&] { return out == "ok ok "; }, 5s));
    EXPECT_EQ(a.rpc.links(), 2u) << "each dials its own";
    EXPECT_EQ(run(a, b), "ok ");
    EXPECT_EQ(a.rpc.links(), 2u);
}

TEST_F(RpcTest, a_callee_that_is_cancelled_does_not_cancel_its_caller) {
    a.ask(b.address(), "T.hold", 5s, &out);
    b.ask(b.address(), "T.hold", 5s, &out);
    ASSERT_TRUE(world.run_until([&] { return b.target.held.size() == 2; }, 5s));
    for (auto& respond : b.target.held) respond(Error(errc::cancelled, "its scope ended"));
    world.run_for(1s);
    EXPECT_EQ(out, "disconnected disconnected ");
}

TEST_F(RpcTest, a_node_calls_itself_without_a_link) {
    EXPECT_EQ(run(a, a), "ok ");
    EXPECT_EQ(run(a, a, "T.hold", 20ms), "timed_out ");
    a.target.held.clear();  // a late answer
    EXPECT_EQ(run(a, a, "T.echo", 0ms), "timed_out ");
    EXPECT_EQ(a.target.heard.size(), 2u) << "what is too late is not begun";
    EXPECT_EQ(a.rpc.links(), 0u);
    a.ask(a.address(), "T.hold", 1h, &out);
    a.rpc.close();
    world.run_for(1ms);
    EXPECT_EQ(out, "disconnected ");
}

TEST_F(RpcTest, ten_thousand_calls_wait_for_a_link_that_is_not_there_yet) {
    for (int i = 0; i < 10'000; ++i) a.ask(b.address(), "T.echo", 5s, &out);
    a.rpc.notify({.entity = 7, .at = b.address()}, {fnv1a("T.tell"), "T.tell"}, encode(std::tuple(1)));
    ASSERT_TRUE(world.run_until([&] { return out.size() == 30'000; }, 10s));
    EXPECT_EQ(out.find_first_not_of("ok "), std::string::npos);
    EXPECT_EQ(b.target.heard.size(), 10'001u);
    EXPECT_EQ(b.target.heard.back(), encode(std::tuple(1)));
    EXPECT_EQ(a.rpc.links(), 1u);
}

TEST_F(RpcTest, a_frozen_peer_is_found_out) {
    EXPECT_EQ(run(a, b), "ok ");
    b.machine.freeze(1min);
    a.ask(b.address(), "T.echo", 1h, &out);
    const TimePoint start = world.now();
    ASSERT_TRUE(world.run_until([&] { return !out.empty(); }, 5s));
    EXPECT_EQ(out, "disconnected ");
    EXPECT_LT(world.now() - start, 2100ms);
    EXPECT_GT(world.now() - start, 1s);
    EXPECT_EQ(a.lost, std::vector<std::string>{"timed_out"});
    world.run_for(1min);
    EXPECT_EQ(run(a, b), "ok ") << "it thaws and is dialled again";
}

TEST_F(RpcTest, a_short_freeze_is_forgiven) {
    EXPECT_EQ(run(a, b), "ok ");
    for (int i = 0; i < 10; ++i) {
        (i % 2 ? a : b).machine.freeze(900ms);
        world.run_for(3s);
    }
    EXPECT_TRUE(a.lost.empty());
    EXPECT_EQ(run(a, b), "ok ");
}

TEST_F(RpcTest, a_partition_ends_calls_on_both_sides_and_heals) {
    EXPECT_EQ(run(a, b), "ok ");
    EXPECT_EQ(run(b, a), "ok ");
    world.partition(a.machine, b.machine);
    a.ask(b.address(), "T.echo", 1h, &out);
    b.ask(a.address(), "T.echo", 1h, &out);
    ASSERT_TRUE(world.run_until([&] { return out == "disconnected disconnected "; }, 2200ms));
    const std::string down = run(a, b, "T.echo", 1s);
    EXPECT_TRUE(down == "timed_out " || down == "disconnected ") << down;
    world.heal();
    std::string back;
    const TimePoint healed = world.now();
    while (back != "ok " && world.now() < healed + 10s) {
        back = run(a, b, "T.echo", 1s);
        world.run_for(10ms);
    }
    EXPECT_EQ(back, "ok ");
    EXPECT_LT(world.now() - healed, 5s + 2s);  // a dial under way, then one back-off
}

TEST_F(RpcTest, a_peer_that_is_away_is_dialled_with_back_off_and_found_when_it_returns) {
    auto c = std::make_unique<Node>(world, "c", "10.0.0.3");
    const io::Endpoint where = c->address();
    EXPECT_EQ(run(a, *c), "ok ");
    c.reset();
    world.run_for(100ms);
    EXPECT_EQ(a.lost, std::vector<std::string>{"disconnected"});
    int dials = 0;
    world.on_trace([&](const sim::TraceEvent& e) { dials += e.kind == "connect" || e.kind == "refused"; });
    for (int i = 0; i < 1000; ++i) {
        a.ask(where, "T.echo", 1s, &out);
        world.run_for(10ms);
    }
    EXPECT_EQ(out.find("ok"), std::string::npos);
    EXPECT_EQ(out.find("timed"), std::string::npos) << "refused callers do not wait";
    EXPECT_GT(dials, 4);
    EXPECT_LT(dials, 60);
    world.on_trace(nullptr);
    c = std::make_unique<Node>(world, "c", "10.0.0.3");
    world.run_for(2s);
    EXPECT_EQ(run(a, *c), "ok ");
}

TEST_F(RpcTest, a_cut_link_ends_what_is_in_flight_and_the_next_call_dials) {
    EXPECT_EQ(run(a, b), "ok ");
    a.ask(b.address(), "T.hold", 1h, &out);
    world.run_for(10ms);
    world.cut(a.machine, b.machine);
    ASSERT_TRUE(world.run_until([&] { return out == "disconnected "; }, 100ms));
    EXPECT_EQ(run(a, b), "ok ");
    b.target.held.clear();  // an answer into the link that is gone
    world.run_for(10ms);
}

TEST_F(RpcTest, links_end_on_both_sides_when_a_node_closes) {
    EXPECT_EQ(run(a, b), "ok ");
    EXPECT_EQ(run(b, a), "ok ");
    a.ask(b.address(), "T.hold", 1h, &out);
    world.run_for(10ms);
    b.rpc.close();
    world.run_for(50ms);
    EXPECT_EQ(out, "disconnected ");
    EXPECT_EQ(a.rpc.links(), 0u);
    EXPECT_EQ(b.rpc.links(), 0u);
    EXPECT_EQ(a.lost.size(), 1u);
    EXPECT_EQ(run(a, b), "disconnected ");
    EXPECT_EQ(run(b, a), "closed ");
}

TEST_F(RpcTest, closing_amid_a_handshake_leaves_nothing) {
    a.ask(b.address(), "T.echo", 5s, &out);
    world.run_for(1ms);
    a.rpc.close();
    world.run_for(5s);
    EXPECT_NE(out, "ok ");
    EXPECT_FALSE(out.empty());
    EXPECT_EQ(world.connections(), 0u);
}

TEST_F(RpcTest, a_limit_covers_the_dialling_too) {
    b.machine.freeze(1h);  // its kernel accepts, nobody speaks
    a.ask(b.address(), "T.echo", 1s, &out);
    const TimePoint start = world.now();
    ASSERT_TRUE(world.run_until([&] { return !out.empty(); }, 5s));
    EXPECT_EQ(out, "timed_out ");
    EXPECT_EQ(world.now() - start, 1s);
    world.run_for(2005ms);  // the handshake limit has passed
    EXPECT_EQ(run(a, b, "T.echo", 1s), "disconnected ") << "within the back-off";
}

TEST_F(RpcTest, a_stranger_with_another_key_is_refused_by_both_sides) {
    Node stranger(world, "stranger", "10.0.0.66", secure::Key{{9}});
    EXPECT_EQ(run(stranger, a), "disconnected ");
    EXPECT_EQ(run(a, stranger), "disconnected ");
    EXPECT_TRUE(world.run_until([&] { return log.count("rpc.stranger") >= 2; }, 5s));
    EXPECT_EQ(a.rpc.links(), 0u);
    EXPECT_TRUE(a.target.heard.empty());
}

/// What the other side of a node port may be.
class Visitor : public io::StreamHandler {
public:
    explicit Visitor(std::unique_ptr<io::Stream> s) : stream(std::move(s)) { stream->start(*this); }
    void on_data(BytesView bytes) override { append(heard, bytes); }
    void on_closed(const Error&) override { closed = true; }
    Bytes heard;
    bool closed = false;
    std::unique_ptr<io::Stream> stream;
};
/// Message 1 of a handshake as it stands on a stream.
Bytes framed(BytesView message) {
    Bytes bytes{static_cast<std::uint8_t>(message.size()), static_cast<std::uint8_t>(message.size() >> 8), 0, 2};
    append(bytes, message);
    return bytes;
}
Bytes node_hello(std::uint32_t version) {
    return encode(std::tuple(version, std::string("v"), std::uint64_t{1}));
}
secure::Key link_key(const secure::Key& cluster) { return cluster.derive("node link 2"); }

class VisitorTest : public RpcTest {
protected:
    void visit(const std::vector<Bytes>& messages) {
        visitor = std::make_unique<Visitor>(world.run(machine, machine.connect(a.address(), 1s)));
        for (const Bytes& m : messages) {
            visitor->stream->write(m);
            world.run_for(20ms);
        }
    }
    /// The code with which the node refuses; "link" when it does not.
    std::string shake_hands(secure::ClientHandshake handshake, Bytes payload) {
        const auto seal = [](sim::Machine* from, io::Endpoint to, secure::ClientHandshake h, Bytes p) -> Task<> {
            auto stream = co_await from->connect(std::move(to), 1s);
            (void)co_await net::seal_client(*from, std::move(stream), std::move(h), std::move(p));
        };
        try {
            world.run(machine, seal(&machine, a.address(), std::move(handshake), std::move(payload)));
        } catch (const Error& error) {
            return error.code();
        }
        return "link";
    }
    ~VisitorTest() override {
        visitor.reset();
        world.run_for(5s);
        EXPECT_EQ(a.rpc.links(), 0u);
        EXPECT_TRUE(a.target.heard.empty());
        EXPECT_EQ(world.connections(), 0u);
        EXPECT_EQ(run(b, a), "ok ") << "others are not disturbed";
        a.target.heard.clear();
        b.rpc.close();
        world.run_for(1s);
    }
    secure::Key key = link_key(a.rpc.config().key);
    sim::Machine& machine = world.machine("visitor", "10.0.0.9");
    std::unique_ptr<Visitor> visitor;
};

TEST_F(VisitorTest, silence_is_ended_after_three_seconds) {
    visit({});
    EXPECT_TRUE(world.run_until([&] { return visitor->closed; }, 3100ms));
    EXPECT_TRUE(log.has("rpc.stranger", "timed_out"));
    EXPECT_TRUE(visitor->heard.empty());
}
TEST_F(VisitorTest, garbage_is_not_answered) {
    visit({Bytes(100, 0xc1)});
    EXPECT_TRUE(world.run_until([&] { return visitor->closed; }, 1s));
    EXPECT_TRUE(log.has("rpc.stranger", "bad_data"));
    EXPECT_TRUE(visitor->heard.empty());
}
TEST_F(VisitorTest, a_length_over_the_limit_is_refused_by_its_head) {
    visit({Bytes{0xff, 0xff, 0xff, 2}});
    EXPECT_TRUE(world.run_until([&] { return visitor->closed; }, 1s));
    EXPECT_TRUE(log.has("rpc.stranger", "bad_data"));
}
TEST_F(VisitorTest, who_does_not_hold_the_key_is_refused) {
    EXPECT_NE(shake_hands({link_key(secure::Key{{9}}), secure::Seed{1}}, node_hello(2)), "link");
    EXPECT_TRUE(log.has("rpc.stranger", "unauthorized"));
    const secure::Identity other(secure::Key{{9}});
    EXPECT_NE(shake_hands({other.public_key(), secure::Seed{1}}, node_hello(2)), "link") << "a game client";
}
TEST_F(VisitorTest, another_version_is_named) {
    EXPECT_EQ(shake_hands({key, secure::Seed{1}}, node_hello(3)), errc::update_required);
    EXPECT_EQ(shake_hands({key, secure::Seed{1}}, Bytes{1, 2, 3}), errc::bad_data);
}
TEST_F(VisitorTest, a_recorded_first_message_opens_no_link) {
    const Bytes recorded = framed(secure::ClientHandshake(key, secure::Seed{1}).first(node_hello(2)));
    visit({recorded});
    EXPECT_FALSE(visitor->heard.empty()) << "it is answered";
    EXPECT_EQ(a.rpc.links(), 0u);
    Bytes call(200, 0);
    call[0] = 196;
    visitor->stream->write(call);
    EXPECT_TRUE(world.run_until([&] { return visitor->closed; }, 1s));
    EXPECT_TRUE(log.has("rpc.stranger", "unauthorized"));
    visit({recorded});
    EXPECT_TRUE(world.run_until([&] { return visitor->closed; }, 3100ms)) << "silence behind it ends, too";
}
TEST_F(VisitorTest, half_a_handshake_then_a_cut_leaves_nothing) {
    visit({framed(secure::ClientHandshake(key, secure::Seed{1}).first(node_hello(2)))});
    world.cut(machine, a.machine);
    world.run_for(100ms);
    EXPECT_TRUE(log.has("rpc.stranger", "disconnected"));
}

// A node that dials something else than a node.
TEST_F(RpcTest, what_answers_at_an_address_may_be_no_node) {
    auto& machine = world.machine("other", "10.0.0.9");
    std::vector<std::unique_ptr<Visitor>> visitors;
    Bytes answer;
    bool hang_up = false;
    auto listener = machine.listen({"10.0.0.9", 100}, [&](std::unique_ptr<io::Stream> stream) {
        visitors.push_back(std::make_unique<Visitor>(std::move(stream)));
        auto& v = *visitors.back();
        if (!answer.empty()) v.stream->write(answer);
        if (hang_up) v.stream->close();
    }).value();
    const auto ask = [&](Bytes says, bool hangs_up) {
        answer = std::move(says), hang_up = hangs_up;
        out.clear();
        a.ask(listener->local(), "T.echo", 10s, &out);
        world.run_until([&] { return !out.empty(); }, 11s);
        world.run_for(3s);  // past the back-off
        return out;
    };
    EXPECT_EQ(ask(Bytes(50, 0xc1), false), "disconnected ");
    EXPECT_EQ(ask({}, true), "disconnected ");
    EXPECT_EQ(ask({}, false), "disconnected ") << "silence, for three seconds";
    EXPECT_EQ(ask(framed(Bytes(64, 1)), false), "disconnected ") << "an answer without proof";
    visitors.clear();
}

TEST_F(RpcTest, notifies_and_calls_before_and_behind_the_dialling_keep_their_order) {
    const auto tell = [&](int i) {
        a.rpc.notify({.entity = 7, .at = b.address()}, {fnv1a("T.tell"), "T.tell"}, encode(std::tuple(i)));
    };
    const auto call = [](Node* from, io::Endpoint to, int i) -> Task<> {
        (void)co_await from->call(to, "T.echo", encode(std::tuple(i)));
    };
    for (int i = 0; i < 300; ++i) {
        // As a caller does it: from tasks.
        if (i % 2) tell(i);
        else (void)go(a.scope, call(&a, b.address(), i));
        if (i % 10 == 9) world.run_for(200us);
    }
    ASSERT_TRUE(world.run_until([&] { return b.target.heard.size() == 300; }, 5s));
    for (int i = 0; i < 300; ++i)
        EXPECT_EQ(b.target.heard[static_cast<std::size_t>(i)], encode(std::tuple(i))) << i;
    world.run_for(10ms);
}

TEST_F(RpcTest, everything_ends_in_a_value_or_a_named_error_under_a_hostile_network) {
    world.network().cut_probability = 0.01;
    world.network().stall_probability = 0.01;
    world.network().refuse_probability = 0.2;
    auto dice = world.random("calls");
    int asked = 0;
    for (int i = 0; i < 2000; ++i) {
        Node& from = dice.below(2) ? a : b;
        Node& to = dice.below(4) ? (&from == &a ? b : a) : from;
        from.ask(to.address(), dice.below(10) ? "T.echo" : "T.hold", 500ms, &out), ++asked;
        world.run_for(dice.between(0ms, 10ms));
        if (dice.below(100) == 0) world.partition(a.machine, b.machine);
        if (dice.below(50) == 0) world.heal();
        if (dice.below(100) == 0) b.target.held.clear();
    }
    world.run_for(5s);
    EXPECT_EQ(std::count(out.begin(), out.end(), ' '), asked);
    for (const char* known : {"ok ", "disconnected ", "timed_out ", "internal "}) {
        for (std::size_t at; (at = out.find(known)) != std::string::npos;)
            out.erase(at, std::string_view(known).size());
    }
    EXPECT_EQ(out, "");
}

}  // namespace
}  // namespace gyre::rpc

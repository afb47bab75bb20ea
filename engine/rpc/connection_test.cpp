#include <gtest/gtest.h>

#include <gyre/base/hash.hpp>
#include <gyre/codec/codec.hpp>
#include <gyre/log/capture.hpp>
#include <gyre/rpc/connection.hpp>
#include <gyre/rpc/detail/scripted_channel.hpp>

namespace gyre::rpc {
namespace {

using detail::ScriptedChannel;

enum Kind { call_kind = 1, result_kind, error_kind, cancel_kind, ping_kind, pong_kind, bye_kind, name_kind };

/// A msgpack sequence.
template <class... A>
Bytes frame(A... parts) {
    Writer writer;
    const auto put = [&](auto part) {
        if constexpr (std::is_convertible_v<decltype(part), std::string_view>) writer.text(part);
        else if constexpr (std::is_same_v<decltype(part), Bytes>) writer.encoded(part);
        else writer.unsigned_integer(static_cast<std::uint64_t>(part));
    };
    (put(parts), ...);
    return writer.take();
}
const Bytes no_arguments{0x90};
Bytes call_message(std::uint64_t id, std::string name, std::uint64_t left_ms = 0) {
    return frame(call_kind, id, 7, name, left_ms, 0, 0, no_arguments);
}
int kind_of(const Bytes& message) { return message.at(0); }

struct Heard {
    EntityId entity;
    std::string method;
    Bytes arguments;
    CallerId caller;
    TimePoint deadline;
    std::uint64_t trace;
    Form form;
};

/// Answers with the arguments, or keeps who asks.
class TestTarget : public Target {
public:
    void dispatch(const IncomingCall& call, Responder respond) override {
        heard.push_back({call.entity, std::string(call.method.text),
                         Bytes(call.arguments.begin(), call.arguments.end()), call.caller,
                         call.deadline, call.trace, call.form});
        if (then) then();
        if (hold) held.push_back(std::move(respond));
        else if (call.method.text == "T.fail") respond(failure);
        else if (call.method.text == "T.large") respond(Bytes(large, 0xc0));
        else if (call.method.text != "T.drop") respond(heard.back().arguments);
    }
    std::vector<Heard> heard;
    std::vector<Responder> held;
    bool hold = false;
    std::size_t large = 0;
    Error failure{"broken", "on purpose"};
    std::function<void()> then;
};

MethodName name(std::string_view text) { return {fnv1a(text), text}; }

/// One end over a script.
class ConnectionTest : public testing::Test {
protected:
    ConnectionTest() { open({}); }
    ~ConnectionTest() override {
        target.held.clear();
        Scope closer(executor, "closer");
        (void)go(closer, scope.close());
        advance(1h);
        connection.reset();
    }
    void open(ConnectionConfig config, std::size_t limit = 1 << 20) {
        connection.reset();
        wire = {};
        told.clear();
        connection = Connection::open(executor, std::make_unique<ScriptedChannel>(wire, limit),
                                      config, target, [this](const Error& e) { told += e.code(); });
    }
    void advance(Duration by) {
        const TimePoint end = executor.now() + by;
        while (executor.next_deadline() <= end || !executor.idle())
            executor.turn(std::max(executor.now(), std::min(end, executor.next_deadline())));
        executor.turn(end);
    }
    static Task<> ask(std::shared_ptr<Connection> on, std::string method, Bytes arguments,
                      Duration limit, std::string* out) {
        CallOptions options;
        options.limit = limit;
        const auto result =
            co_await as_result(on->call(7, name(method), std::move(arguments), options));
        *out += (result ? "ok" + std::to_string(result->size()) : result.error().code()) + " ";
    }
    Join<> call(std::string method = "T.echo", Duration limit = 5s, Bytes arguments = no_arguments) {
        return go(scope, ask(connection, std::move(method), std::move(arguments), limit, &out));
    }
    bool open_still() const { return connection->open() && !wire.closed; }
    Executor executor;
    Scope scope{executor, "test"};
    TestTarget target;
    ScriptedChannel::Wire wire;
    std::string told, out;
    std::shared_ptr<Connection> connection;
};

TEST_F(ConnectionTest, a_call_is_one_frame_and_its_name_is_sent_once) {
    auto first = call();
    ASSERT_EQ(wire.sent.size(), 1u);
    EXPECT_EQ(wire.sent[0], frame(call_kind, 1, 7, "T.echo", 5000, 0, 0, no_arguments));
    auto second = call();
    EXPECT_EQ(wire.sent.at(1), frame(call_kind, 2, 7, 0, 5000, 0, 0, no_arguments));
    wire.arrive(frame(result_kind, 2, 42));
    wire.arrive(frame(error_kind, 1, "broken", "on purpose"));
    advance(0ms);
    EXPECT_EQ(out, "ok1 broken ");
    EXPECT_EQ(connection->pending_calls(), 0u);
}

TEST_F(ConnectionTest, what_may_overtake_others_brings_no_number) {
    constexpr Delivery newest{.order = Order::sequenced, .lane = 3};
    MethodName state = name("T.state");
    state.delivery = newest;
    for (const bool keeps_order : {true, false}) {
        open({});
        wire.keeps_order = keeps_order;
        ASSERT_TRUE(connection->notify(7, state, no_arguments));
        ASSERT_TRUE(connection->notify(7, state, no_arguments));
        if (keeps_order) {
            EXPECT_EQ(wire.sent, (std::vector<Bytes>{frame(call_kind, 0, 7, "T.state", 0, 0, 0, no_arguments),
                                                     frame(call_kind, 0, 7, 0, 0, 0, 0, no_arguments)}));
            continue;
        }
        const Bytes unnumbered = frame(call_kind, 0, 7, "T.state", 0, 4, 0, no_arguments);
        EXPECT_EQ(wire.sent, (std::vector<Bytes>{frame(name_kind, "T.state"), frame(ping_kind), unnumbered, unnumbered}));
        EXPECT_EQ(wire.how, (std::vector<Delivery>{{}, {}, newest, newest}));
        (void)call();  // in order: its name may be numbered at once
        EXPECT_EQ(wire.sent.back(), frame(call_kind, 1, 7, "T.echo", 5000, 0, 0, no_arguments));
        MethodName echo = name("T.echo");
        echo.delivery.order = Order::unreliable;
        ASSERT_TRUE(connection->notify(7, echo, no_arguments));
        EXPECT_EQ(wire.sent.back(), frame(call_kind, 0, 7, "T.echo", 0, 4, 0, no_arguments));
        wire.arrive(frame(pong_kind));
        ASSERT_TRUE(connection->notify(7, state, no_arguments));
        EXPECT_EQ(wire.sent.back(), frame(call_kind, 0, 7, 0, 0, 0, 0, no_arguments));
        ASSERT_TRUE(connection->notify(7, echo, no_arguments));
        EXPECT_EQ(wire.sent.back(), frame(call_kind, 0, 7, "T.echo", 0, 4, 0, no_arguments));
        advance(500ms);  // the heartbeat asks for the pong that shows it
        wire.arrive(frame(pong_kind));
        ASSERT_TRUE(connection->notify(7, echo, no_arguments));
        EXPECT_EQ(wire.sent.back(), frame(call_kind, 0, 7, 1, 0, 0, 0, no_arguments));
    }
}

TEST_F(ConnectionTest, a_name_frame_numbers_and_an_unnumbered_name_does_not) {
    wire.arrive(frame(call_kind, 0, 7, "T.echo", 0, 4, 0, no_arguments));
    wire.arrive(frame(name_kind, "T.state"));
    wire.arrive(frame(call_kind, 0, 7, "T.other", 0, 0, 0, no_arguments));
    wire.arrive(frame(call_kind, 0, 7, 0, 0, 0, 0, no_arguments));
    wire.arrive(frame(call_kind, 0, 7, 1, 0, 0, 0, no_arguments));
    std::vector<std::string> methods;
    for (const Heard& one : target.heard) methods.push_back(one.method);
    EXPECT_EQ(methods, (std::vector<std::string>{"T.echo", "T.other", "T.state", "T.other"}));
    ASSERT_TRUE(open_still());
    wire.arrive(frame(pong_kind));  // of no ping
    ASSERT_TRUE(open_still());
    for (const Bytes& wrong : {frame(name_kind), frame(name_kind, ""), frame(name_kind, std::string(129, 'x')),
                               frame(name_kind, "T.state", 1), frame(name_kind, 1)}) {
        open({});
        wire.arrive(wrong);
        EXPECT_EQ(told, errc::bad_data);
    }
}

TEST_F(ConnectionTest, a_reply_after_the_time_out_is_ignored) {
    (void)call("T.echo", 10ms);
    advance(10ms);
    EXPECT_EQ(out, "timed_out ");
    EXPECT_EQ(wire.sent.back(), frame(cancel_kind, 1));
    wire.arrive(frame(result_kind, 1, 42));
    wire.arrive(frame(error_kind, 99, "x", "y"));
    advance(1ms);
    EXPECT_EQ(out, "timed_out ");
    EXPECT_TRUE(open_still());
}

TEST_F(ConnectionTest, a_cancelled_caller_tells_the_callee_and_later_sends_nothing) {
    auto stubborn = [](std::shared_ptr<Connection> on, std::string* log) -> Task<> {
        for (int i = 0; i < 2; ++i) {
            try {
                (void)co_await on->call(7, name("T.echo"), no_arguments, {});
            } catch (const Error& error) {
                *log += error.code() + " ";
            }
        }
    };
    auto job = go(scope, stubborn(connection, &out));
    job.cancel();
    advance(0ms);
    EXPECT_EQ(out, "cancelled cancelled ");
    ASSERT_EQ(wire.sent.size(), 2u);
    EXPECT_EQ(wire.sent[1], frame(cancel_kind, 1));
}

TEST_F(ConnectionTest, a_deadline_that_has_passed_sends_nothing) {
    (void)call("T.echo", 0ms);
    (void)call("T.echo", -1h);
    EXPECT_EQ(out, "timed_out timed_out ");
    EXPECT_TRUE(wire.sent.empty());
    (void)call("T.echo", Duration::max());
    EXPECT_EQ(wire.sent.size(), 1u);
}

TEST_F(ConnectionTest, the_nearer_deadline_travels_with_the_call) {
    auto inner = [](std::shared_ptr<Connection> on) -> Task<> {
        (void)co_await on->call(7, name("T.echo"), no_arguments, {});
    };
    (void)go(scope, with_timeout(20ms, inner(connection)));
    EXPECT_EQ(wire.sent.at(0), frame(call_kind, 1, 7, "T.echo", 20, 0, 0, no_arguments));
    wire.arrive(call_message(5, "T.echo", 30));
    wire.arrive(call_message(6, "T.echo", 0));
    wire.arrive(call_message(7, "T.echo", ~std::uint64_t{0}));
    ASSERT_EQ(target.heard.size(), 3u);
    EXPECT_EQ(target.heard[0].deadline, executor.now() + 30ms);
    EXPECT_EQ(target.heard[1].deadline, TimePoint::max());
    EXPECT_EQ(target.heard[2].deadline, TimePoint::max());
}

TEST_F(ConnectionTest, silence_ends_it_and_its_calls) {
    (void)call("T.echo", 1h);
    advance(1400ms);
    EXPECT_TRUE(open_still());
    EXPECT_EQ(kind_of(wire.sent.back()), ping_kind);
    advance(100ms);
    EXPECT_EQ(out, "disconnected ");
    EXPECT_EQ(told, errc::timed_out);
    EXPECT_TRUE(wire.closed);
    EXPECT_EQ(read_bye(wire.sent.back())->code(), errc::timed_out);
    (void)call();
    EXPECT_EQ(out, "disconnected disconnected ");
    EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(ConnectionTest, any_frame_is_a_sign_of_life_and_a_ping_is_answered) {
    for (int i = 0; i < 20; ++i) {
        advance(1s);
        wire.sent.clear();
        wire.arrive(frame(ping_kind));
        EXPECT_EQ(wire.sent.at(0), frame(pong_kind));
    }
    EXPECT_TRUE(open_still());
}

TEST_F(ConnectionTest, a_process_that_stood_still_does_not_blame_its_peer) {
    executor.turn(executor.now() + 1400ms + 10s);  // no turn in between: we were stopped
    EXPECT_TRUE(open_still());
    advance(1400ms);
    EXPECT_TRUE(open_still());
    advance(700ms);
    EXPECT_FALSE(open_still());
}

TEST_F(ConnectionTest, every_truncation_and_bit_flip_of_every_frame_is_survived) {
    struct Frame {
        Bytes bytes;
        std::size_t open_end = 0;  // of its last bytes only who reads the arguments or result knows
    };
    const std::vector<Frame> frames = {
        {call_message(3, "T.echo", 100), 1},
        {frame(call_kind, 4, 7, "T.echo", 0, 2, 11, 12, 0, Bytes{0x92, 0x01, 0xa1, 'x'}), 4},
        {frame(call_kind, 0, 0, "T.echo", 0, 1, 0, no_arguments), 1},
        {frame(result_kind, 1, 42), 1},
        {frame(error_kind, 1, "code", "text")},
        {frame(cancel_kind, 1)},
        {frame(ping_kind)},
        {frame(pong_kind)},
        {bye_message(Error("code", "text"))}};
    ConnectionConfig config;
    config.trusted = true;
    const auto check = [&](const Bytes& bytes) {
        log::Capture log;
        open(config);
        wire.arrive(bytes);
        const bool bye = told == "code" || (!bytes.empty() && read_bye(bytes));
        if (!connection->open() && !bye) {
            EXPECT_EQ(told, errc::bad_data);
            EXPECT_TRUE(log.has("rpc.bad_frame"));
            EXPECT_EQ(read_bye(wire.sent.back())->code(), errc::bad_data);
        }
    };
    for (const auto& [whole, open_end] : frames) {
        for (std::size_t n = 1; n < whole.size(); ++n) {
            check(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
            EXPECT_EQ(connection->open(), n > whole.size() - open_end) << "half a frame is none";
        }
        Bytes longer = whole;
        longer.push_back(0);
        check(longer);
        EXPECT_EQ(connection->open(), open_end > 0) << "more than a frame is none";
        for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
            Bytes flipped = whole;
            flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1u << bit % 8));
            check(flipped);
        }
    }
    std::uint64_t random = 1;
    for (int i = 0; i < 20'000; ++i) {
        Bytes garbage(1 + i % 40);
        for (auto& byte : garbage) byte = static_cast<std::uint8_t>(random = mix(random + 1));
        check(garbage);
    }
}

TEST_F(ConnectionTest, names_are_numbered_up_to_the_limit_and_no_index_reaches_beyond) {
    ConnectionConfig config;
    config.max_names = 2;
    open(config);
    wire.arrive(call_message(1, "T.a"));
    wire.arrive(call_message(2, "T.b"));
    wire.arrive(call_message(3, "T.c"));
    wire.arrive(frame(call_kind, 4, 7, 1, 0, 0, 0, no_arguments));
    ASSERT_EQ(target.heard.size(), 4u);
    EXPECT_EQ(target.heard[3].method, "T.b");
    wire.arrive(frame(call_kind, 5, 7, 2, 0, 0, 0, no_arguments));
    EXPECT_EQ(target.heard.size(), 4u);
    EXPECT_EQ(told, errc::bad_data);
    for (const std::string& bad : {std::string(), std::string(129, 'x')}) {
        open(config);
        wire.arrive(call_message(1, bad));
        EXPECT_EQ(told, errc::bad_data);
    }
    open(config);  // the sending side counts the same
    for (const char* method : {"T.a", "T.b", "T.c", "T.c", "T.b"}) (void)call(method);
    EXPECT_EQ(wire.sent.at(3), frame(call_kind, 4, 7, "T.c", 5000, 0, 0, no_arguments));
    EXPECT_EQ(wire.sent.at(4), frame(call_kind, 5, 7, 1, 5000, 0, 0, no_arguments));
}

TEST_F(ConnectionTest, only_a_trusted_peer_says_for_whom_it_calls) {
    ConnectionConfig config;
    config.stamp = {5, 6};
    open(config);
    wire.arrive(call_message(1, "T.echo"));
    EXPECT_EQ(target.heard.at(0).caller.entity, 5u);
    EXPECT_EQ(target.heard.at(0).caller.session, 6u);
    const Bytes forged = frame(call_kind, 2, 7, 0, 0, 2, 99, 0, 0, no_arguments);
    wire.arrive(forged);
    EXPECT_EQ(target.heard.size(), 1u);
    EXPECT_EQ(told, errc::forbidden);
    EXPECT_FALSE(open_still());
    config.trusted = true;
    config.stamp = {};
    open(config);
    wire.arrive(frame(call_kind, 2, 7, "T.echo", 0, 3, 99, 98, 97, no_arguments));
    EXPECT_EQ(target.heard.back().caller.entity, 99u);
    EXPECT_EQ(target.heard.back().caller.session, 98u);
    EXPECT_EQ(target.heard.back().trace, 97u);
    EXPECT_EQ(target.heard.back().form, Form::names);
}

TEST_F(ConnectionTest, callers_wait_while_the_peer_reads_slowly_in_order_and_not_beyond_their_limit) {
    wire.unsent = (4 << 20) + 1;
    (void)call("T.a", 10ms);
    (void)call("T.b", 1s);
    auto cancelled = call("T.c", 1s);
    (void)call("T.d", 1s);
    EXPECT_FALSE(connection->notify(7, name("T.n"), no_arguments));
    EXPECT_TRUE(wire.sent.empty());
    cancelled.cancel();
    advance(10ms);
    EXPECT_EQ(out, "cancelled timed_out ");
    wire.unsent = 1000;  // room again, but those before have not been woken yet
    (void)call("T.e", 1s);
    EXPECT_TRUE(wire.sent.empty());
    connection->on_drained();
    advance(0ms);
    ASSERT_EQ(wire.sent.size(), 3u);
    EXPECT_EQ(wire.sent[0], frame(call_kind, 1, 7, "T.b", 990, 0, 0, no_arguments));
    EXPECT_EQ(wire.sent[2], frame(call_kind, 3, 7, "T.e", 1000, 0, 0, no_arguments));
    EXPECT_TRUE(connection->notify(7, name("T.n"), no_arguments));
}

TEST_F(ConnectionTest, closing_ends_those_who_wait_for_room) {
    wire.unsent = 5 << 20;
    (void)call();
    connection->close(Error(errc::closed, "done"));
    advance(0ms);
    EXPECT_EQ(out, "disconnected ");
}

TEST_F(ConnectionTest, too_many_calls_in_progress_pause_the_peer) {
    ConnectionConfig config;
    config.max_incoming = 4;
    open(config);
    target.hold = true;
    for (std::uint64_t id = 1; id <= 3; ++id) wire.arrive(call_message(id, "T.echo"));
    EXPECT_FALSE(wire.paused);
    wire.arrive(call_message(4, "T.echo"));
    EXPECT_TRUE(wire.paused);
    advance(10s);  // the silence of a peer we do not read is no death
    EXPECT_TRUE(open_still());
    target.held[0](no_arguments);
    target.held[1](no_arguments);
    EXPECT_TRUE(wire.paused);
    target.held[2](no_arguments);
    EXPECT_FALSE(wire.paused);
}

TEST_F(ConnectionTest, a_peer_is_read_while_its_replies_are_waited_for) {
    ConnectionConfig config;
    config.max_incoming = 2;
    open(config);
    target.hold = true;
    for (std::uint64_t id = 1; id <= 2; ++id) wire.arrive(call_message(id, "T.echo"));
    EXPECT_TRUE(wire.paused);
    (void)call();  // what those two calls wait for
    EXPECT_FALSE(wire.paused);
    wire.arrive(call_message(3, "T.echo"));
    EXPECT_FALSE(wire.paused);
    EXPECT_EQ(wire.sent.back(), frame(error_kind, 3, "overloaded", "more than 2 calls of one peer in progress"));
    wire.arrive(frame(result_kind, 1, 42));
    EXPECT_EQ(out, "ok1 ");
    wire.arrive(call_message(4, "T.echo"));
    EXPECT_TRUE(wire.paused);
    target.held[0](no_arguments);
    target.held[1](no_arguments);
    target.held[2](no_arguments);
    EXPECT_FALSE(wire.paused);
}

TEST_F(ConnectionTest, arguments_and_replies_over_the_limit_are_named) {
    open({}, 4096);
    (void)call("T.echo", 1s, Bytes(4096, 0xc0));
    EXPECT_EQ(out, "too_large ");
    EXPECT_FALSE(connection->notify(7, name("T.echo"), Bytes(4096, 0xc0)));
    EXPECT_TRUE(wire.sent.empty());
    target.large = 4096;
    wire.arrive(call_message(1, "T.large"));
    EXPECT_EQ(wire.sent.back(), frame(error_kind, 1, "too_large", "the reply has 4098 bytes, limit 4096"));
    EXPECT_TRUE(open_still());
}

TEST_F(ConnectionTest, error_texts_are_bounded_both_ways) {
    target.failure = Error(std::string(10'000, 'c'), std::string(10'000, 't'));
    wire.arrive(call_message(1, "T.fail"));
    EXPECT_EQ(wire.sent.back(), frame(error_kind, 1, std::string(128, 'c'), std::string(512, 't')));
    std::size_t code = 0, text = 0;
    auto look = [](std::shared_ptr<Connection> on, std::size_t* c, std::size_t* t) -> Task<> {
        const auto result = co_await as_result(on->call(7, name("T.echo"), no_arguments, {}));
        *c = result.error().code().size(), *t = result.error().message().size();
    };
    (void)go(scope, look(connection, &code, &text));
    wire.arrive(frame(error_kind, 1, std::string(10'000, 'c'), std::string(10'000, 't')));
    advance(0ms);
    EXPECT_EQ(code, 128u);
    EXPECT_EQ(text, 512u);
    wire.arrive(frame(bye_kind, std::string(10'000, 'c'), std::string(10'000, 't')));
    EXPECT_EQ(told.size(), 128u);
}

TEST_F(ConnectionTest, a_call_that_is_dropped_unanswered_says_so) {
    wire.arrive(call_message(9, "T.drop"));
    EXPECT_EQ(wire.sent.back(), frame(error_kind, 9, "internal", "the call was dropped"));
    target.hold = true;
    wire.arrive(call_message(10, "T.echo"));
    connection.reset();  // an answer to a connection that is gone goes nowhere
    target.held.clear();
}

TEST_F(ConnectionTest, a_bye_tells_the_reason_and_ends_calls) {
    (void)call();
    wire.arrive(bye_message(Error("replaced", "by a newer session")));
    advance(0ms);
    EXPECT_EQ(told, "replaced");
    EXPECT_EQ(out, "disconnected ");
    EXPECT_FALSE(connection->open());
}

TEST_F(ConnectionTest, close_says_why_once_and_does_not_call_back) {
    (void)call();
    connection->close(Error(errc::closed, "done"));
    connection->close(Error(errc::closed, "again"));
    advance(0ms);
    EXPECT_EQ(out, "disconnected ");
    EXPECT_EQ(told, "");
    EXPECT_EQ(wire.sent.size(), 2u);
    EXPECT_EQ(read_bye(wire.sent.back())->message(), "done");
}

TEST_F(ConnectionTest, a_target_may_close_or_drop_it_while_it_answers) {
    target.then = [&] { connection->close(Error(errc::closed, "enough")); };
    wire.arrive(call_message(1, "T.echo"));
    EXPECT_FALSE(connection->open());
    open({});
    target.then = [&] { connection.reset(); };
    wire.arrive(call_message(1, "T.echo"));
    EXPECT_TRUE(wire.closed);
    open({});
    target.then = [&] { wire.handler->on_closed(Error(errc::disconnected, "cut")); };
    wire.arrive(call_message(1, "T.echo"));
    EXPECT_EQ(told, errc::disconnected);
}

TEST_F(ConnectionTest, early_messages_come_first_and_may_end_it) {
    wire = {};
    connection = Connection::open(
        executor, std::make_unique<ScriptedChannel>(wire), {}, target,
        [this](const Error& e) { told += e.code(); },
        {call_message(1, "T.a"), Bytes{0xff}, call_message(2, "T.b")});
    EXPECT_EQ(target.heard.size(), 1u);
    EXPECT_EQ(told, errc::bad_data);
    EXPECT_FALSE(connection->open());
}

TEST_F(ConnectionTest, a_client_that_leaves_too_much_unread_is_cut) {
    ConnectionConfig config;
    config.cut_unsent_bytes = 1000;
    open(config);
    wire.unsent = 1001;
    (void)connection->notify(7, name("T.push"), no_arguments);
    wire.unsent = 0;
    connection->on_drained();
    for (int i = 0; i < 3; ++i) advance(500ms), wire.arrive(frame(pong_kind));
    EXPECT_TRUE(open_still()) << "it caught up in time";
    wire.unsent = 1001;
    (void)connection->notify(7, name("T.push"), no_arguments);
    for (int i = 0; i < 3 && wire.handler; ++i) advance(500ms), wire.arrive(frame(pong_kind));
    EXPECT_EQ(told, errc::overloaded);
    open(config);
    wire.unsent = 4001;
    const auto sent = wire.sent.size();
    (void)connection->notify(7, name("T.push"), no_arguments);
    EXPECT_EQ(wire.sent.size(), sent) << "its memory is bounded at once";
    advance(0ms);
    EXPECT_EQ(told, errc::overloaded);
}

/// Two ends, joined.
class PairTest : public ConnectionTest {
protected:
    PairTest() {
        other = Connection::open(executor, std::make_unique<ScriptedChannel>(other_wire), {},
                                 other_target, [](const Error&) {});
    }
    ~PairTest() override { other.reset(); }
    void carry() {
        for (bool moved = true; moved;) {
            moved = move(wire, other_wire);
            moved = move(other_wire, wire) || moved;
            executor.turn(executor.now());
        }
    }
    static bool move(ScriptedChannel::Wire& from, ScriptedChannel::Wire& to) {
        const auto sent = std::exchange(from.sent, {});
        for (const Bytes& message : sent) to.arrive(message);
        return !sent.empty();
    }
    ScriptedChannel::Wire other_wire;
    TestTarget other_target;
    std::shared_ptr<Connection> other;
};

TEST_F(PairTest, ten_thousand_calls_pipelined_both_ways_keep_their_order) {
    std::string theirs;
    for (int i = 0; i < 10'000; ++i) {
        (void)call("T.echo", 5s, encode(std::tuple(i)));
        (void)go(scope, ask(other, "T.echo", encode(std::tuple(i)), 5s, &theirs));
    }
    EXPECT_EQ(connection->pending_calls(), 10'000u);
    carry();
    ASSERT_EQ(other_target.heard.size(), 10'000u);
    ASSERT_EQ(target.heard.size(), 10'000u);
    for (int i = 0; i < 10'000; ++i)
        ASSERT_EQ(decode<std::tuple<int>>(other_target.heard[static_cast<std::size_t>(i)].arguments)
                      .value(),
                  std::tuple(i));
    EXPECT_EQ(out.find("timed"), std::string::npos);
    EXPECT_EQ(connection->pending_calls(), 0u);
    EXPECT_EQ(other->pending_calls(), 0u);
}

TEST_F(PairTest, notifies_and_calls_of_one_sender_keep_their_order) {
    for (int i = 0; i < 100; ++i) {
        if (i % 3 == 0) (void)call("T.echo", 5s, encode(std::tuple(i)));
        else EXPECT_TRUE(connection->notify(7, name("T.tell"), encode(std::tuple(i))));
    }
    carry();
    ASSERT_EQ(other_target.heard.size(), 100u);
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(other_target.heard[static_cast<std::size_t>(i)].arguments, encode(std::tuple(i)));
    EXPECT_TRUE(other_wire.sent.empty()) << "a notify has no reply";
}

}  // namespace
}  // namespace gyre::rpc

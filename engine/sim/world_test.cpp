#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::sim {
namespace {

/// Sends back what it hears.
struct Echo : io::StreamHandler {
    explicit Echo(std::unique_ptr<io::Stream> s) : stream(std::move(s)) { stream->start(*this); }
    void on_data(BytesView bytes) override { stream->write(bytes); }
    void on_closed(const Error&) override { stream.reset(); }
    std::unique_ptr<io::Stream> stream;
};

struct EchoServer {
    EchoServer(Machine& machine, std::uint16_t port)
        : listener(machine.listen({machine.address(), port},
                                  [this](std::unique_ptr<io::Stream> stream) {
                                      echoes.push_back(std::make_unique<Echo>(std::move(stream)));
                                  }).value()) {}
    std::vector<std::unique_ptr<Echo>> echoes;
    std::unique_ptr<io::Listener> listener;
};

/// Counts echoed bytes; beats every 100 ms.
struct Beating : io::StreamHandler {
    Beating(Machine& machine, std::unique_ptr<io::Stream> s)
        : stream(std::move(s)), alarm(machine.executor(), [this] { stream->write(as_bytes("beat")); }) {
        stream->start(*this);
        alarm.every(100ms);
    }
    void on_data(BytesView bytes) override { echoed += bytes.size(); }
    void on_closed(const Error& reason) override {
        end = reason.code();
        alarm.cancel();
    }
    std::unique_ptr<io::Stream> stream;
    std::size_t echoed = 0;
    std::string end;
    Alarm alarm;
};

/// A few clients, faults, lanes: what the trace covers.
std::uint64_t traced_run(std::uint64_t seed) {
    World world({.seed = seed, .network = {.stall_probability = 0.01, .cut_probability = 0.002}});
    Machine& server_machine = world.machine("server", "10.0.0.1");
    EchoServer server(server_machine, 7000);
    auto lane = server_machine.make_lane({.name = "files", .threads = 2});
    std::vector<std::unique_ptr<Beating>> clients;
    for (int i = 0; i < 3; ++i) {
        Machine& machine =
            world.machine("client_" + std::to_string(i), "10.0.1." + std::to_string(i + 1));
        clients.push_back(std::make_unique<Beating>(
            machine, world.run(machine, machine.connect({"10.0.0.1", 7000}, 1s))));
        (void)world.run(server_machine, lane->run([] { return 1; }));
    }
    world.after(5s, [&] { world.machine("client_0", "10.0.1.1").kill(); });
    world.after(6s, [&] { server_machine.freeze(2s); });
    world.run_for(30s);
    EXPECT_GT(world.trace_events(), 400u);
    return world.trace_hash();
}

TEST(SimWorld, the_same_seed_is_the_same_run_on_every_build) {
    EXPECT_EQ(traced_run(7), traced_run(7));
    EXPECT_NE(traced_run(7), traced_run(8));
    // Changes only when the simulator's choices do; the same in release, asan and tsan builds.
    EXPECT_EQ(traced_run(7), 6824741146115329619u);
}

Task<Duration> measured_nap(Executor* executor, Duration length) {
    const TimePoint start = executor->now();
    co_await sleep(length);
    co_return executor->now() - start;
}
TEST(SimWorld, a_year_passes_in_no_time) {
    World world;
    Machine& machine = world.machine("a", "10.0.0.1");
    const WallTime before = machine.wall_now();
    EXPECT_EQ(world.run(machine, measured_nap(&machine.executor(), 8760h), 9000h), 8760h);
    EXPECT_EQ(machine.wall_now() - before, 8760h);
    machine.skew_wall_clock(-1h);
    EXPECT_EQ(machine.wall_now() - before, 8759h);
}

TEST(SimWorld, log_lines_carry_virtual_time) {
    log::Capture lines;
    World world;
    world.run_for(26h);
    log::info("test.line");
    ASSERT_EQ(lines.lines().size(), 1u);
    EXPECT_NE(lines.lines()[0].json.find("2025-01-02T02:00:00"), std::string::npos)
        << lines.lines()[0].json;
}

Task<> failing() {
    co_await sleep(1ms);
    throw Error("no_luck");
}
Task<> endless() {
    for (;;) co_await yield();
}
TEST(SimWorld, run_tells_how_a_task_ended) {
    World world;
    Machine& machine = world.machine("a", "10.0.0.1");
    const auto code_of = [&](Task<> task, Duration limit) -> std::string {
        try {
            world.run(machine, std::move(task), limit);
            return "ended";
        } catch (const Error& error) {
            return error.what();
        }
    };
    EXPECT_EQ(code_of(failing(), 1s), "no_luck");
    EXPECT_EQ(code_of(endless(), 1ms).substr(0, 42), "timed_out: the task on machine a waits at ");
    world.after(10ms, [&] { machine.kill(); });
    EXPECT_EQ(code_of(endless(), 1s), "disconnected: machine a was killed");
    EXPECT_EQ(machine.scope().running(), 0u);
}

TEST(SimWorld, a_frozen_machine_is_silent_and_catches_up) {
    World world({.seed = test_seed()});
    Machine& a = world.machine("a", "10.0.0.1");
    Machine& b = world.machine("b", "10.0.0.2");
    EchoServer server(b, 7000);
    Beating client(a, world.run(a, a.connect({"10.0.0.2", 7000}, 1s)));
    world.run_for(1050ms);
    EXPECT_EQ(client.echoed, 40u);
    b.freeze(2s);
    world.run_for(1900ms);
    EXPECT_EQ(client.echoed, 40u);
    EXPECT_EQ(client.end, "");
    // Its kernel still answers; its process accepts later.
    auto stream = world.run(a, a.connect({"10.0.0.2", 7000}, 50ms));
    EXPECT_EQ(server.echoes.size(), 1u);
    world.run_for(200ms);
    EXPECT_EQ(server.echoes.size(), 2u);
    EXPECT_GE(client.echoed, 31 * 4u);
    a.freeze(1s);
    const std::size_t before = client.echoed;
    world.run_for(999ms);
    EXPECT_EQ(client.echoed, before) << "its timers are held back";
    world.run_for(100ms);
    EXPECT_GE(client.echoed, before + 40) << "and fire afterwards";
}

TEST(SimWorld, peers_of_a_dead_process_see_a_reset_and_of_a_dead_machine_nothing) {
    for (const Death death : {Death::process, Death::machine}) {
        World world({.seed = test_seed()});
        Machine& a = world.machine("a", "10.0.0.1");
        Machine& b = world.machine("b", "10.0.0.2");
        auto server = std::make_unique<EchoServer>(b, 7000);
        Beating client(a, world.run(a, a.connect({"10.0.0.2", 7000}, 1s)));
        world.run_for(1s);
        b.kill(death);
        world.run_for(10s);
        EXPECT_EQ(client.end, death == Death::process ? "disconnected" : "");
        EXPECT_FALSE(b.listen({"10.0.0.2", 1}, {}).ok());
        server.reset();
        b.restart();
        server = std::make_unique<EchoServer>(b, 7000);
        world.run_for(1s);
        EXPECT_EQ(client.end, "disconnected") << "the new kernel knows no such stream";
        auto stream = world.run(a, a.connect({"10.0.0.2", 7000}, 1s));
        EXPECT_EQ(server->echoes.size(), 0u);
        world.run_for(10ms);
        EXPECT_EQ(server->echoes.size(), 1u);
    }
}

Task<> count_every_second(int* count) {
    for (;;) {
        co_await sleep(1s);
        ++*count;
    }
}
TEST(SimWorld, a_dead_process_runs_nothing_but_what_unwinds_it) {
    World world;
    Machine& machine = world.machine("a", "10.0.0.1");
    int count = 0;
    EchoServer server(machine, 7000);
    Beating client(machine, world.run(machine, machine.connect({"10.0.0.1", 7000}, 1s)));
    client.alarm.cancel();
    Scope node(machine.executor(), "node");
    (void)go(node, count_every_second(&count));
    (void)go(machine.scope(), count_every_second(&count));
    world.run_for(3500ms);
    EXPECT_EQ(count, 6);
    machine.kill();
    world.run_for(1h);
    EXPECT_EQ(count, 6);
    EXPECT_EQ(client.end, "");
    world.run(machine, node.close());
    EXPECT_EQ(client.end, "disconnected") << "its streams end when its remains unwind";
    machine.restart();
    world.run_for(10s);
    EXPECT_EQ(count, 6);
}

TEST(SimWorld, random_differs_by_machine_incarnation_and_seed_only) {
    const auto draw = [](std::uint64_t seed, bool more_machines) {
        World world({.seed = seed});
        if (more_machines) (void)world.machine("z", "10.0.0.9").random_u64();
        Machine& a = world.machine("a", "10.0.0.1");
        std::vector<std::uint64_t> numbers{a.random_u64(), a.random_u64()};
        a.kill();
        a.restart();
        numbers.push_back(a.random_u64());
        return numbers;
    };
    const auto numbers = draw(1, false);
    EXPECT_EQ(numbers, draw(1, true));
    EXPECT_NE(numbers, draw(2, false));
    EXPECT_NE(numbers[0], numbers[2]);
}

Task<> labelled(io::Lane* lane, std::vector<int>* order, int label) {
    try {
        co_await lane->run([order, label] { order->push_back(label); });
    } catch (const Error& error) {
        order->push_back(error.is(errc::overloaded) ? -label : 0);
    }
}
TEST(SimLane, runs_in_order_and_refuses_beyond_its_limit) {
    World world({.seed = test_seed()});
    Machine& machine = world.machine("a", "10.0.0.1");
    auto lane = machine.make_lane({.name = "one", .queue_limit = 2});
    std::vector<int> order;
    for (int i = 1; i <= 4; ++i) (void)go(machine.scope(), labelled(lane.get(), &order, i));
    EXPECT_EQ(order, std::vector<int>{-4});
    EXPECT_EQ(lane->waiting(), 2u);
    const TimePoint start = world.now();
    ASSERT_TRUE(world.run_until([&] { return order.size() == 4; }, 1s));
    EXPECT_EQ(order, (std::vector<int>{-4, 1, 2, 3}));
    EXPECT_GE(world.now() - start, 150us);
}

TEST(SimLane, threads_work_at_the_same_time) {
    World world({.seed = test_seed(), .lanes = {.min = 1s, .max = 1s}});
    Machine& machine = world.machine("a", "10.0.0.1");
    auto lane = machine.make_lane({.name = "four", .threads = 4});
    std::vector<int> order;
    for (int i = 1; i <= 8; ++i) (void)go(machine.scope(), labelled(lane.get(), &order, i));
    world.run_for(1500ms);
    EXPECT_EQ(order.size(), 4u);
    world.run_for(1s);
    EXPECT_EQ(order.size(), 8u);
}

TEST(SimLane, a_dead_process_does_no_more_work) {
    World world({.seed = test_seed()});
    Machine& machine = world.machine("a", "10.0.0.1");
    std::vector<int> order;
    auto lane = machine.make_lane({.name = "one"});
    for (int i = 1; i <= 3; ++i) (void)go(machine.scope(), labelled(lane.get(), &order, i));
    machine.kill();
    world.run_for(1h);
    EXPECT_TRUE(order.empty());
}

}  // namespace
}  // namespace gyre::sim

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <gyre/log/capture.hpp>
#include <gyre/module/build.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/world/entity.hpp>
#include <set>

namespace gyre {
namespace {

namespace fs = std::filesystem;

std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}
/// Files of this folder that are mapped into this process.
std::size_t mapped(const std::string& folder) {
    std::ifstream maps("/proc/self/maps");
    std::set<std::string> files;
    for (std::string line; std::getline(maps, line);)
        if (const auto at = line.find(folder); at != std::string::npos) files.insert(line.substr(at));
    return files.size();
}
std::size_t open_files() {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

class Generations : public testing::Test {
protected:
    Generations() {
        GYRE_ASSERT(::mkdtemp(folder.data()), "a folder for the builds");
        identity.name = "n";
        identity.scope = &scope;
        identity.rpc = &rpc;
        identity.host = &host;
        rpc.listen({"10.0.0.1", 100}).value();
        use(0);
        walker = start(making(&host));
        other = start(making(&host));
        machine.executor().on_dropped_failure = [this](const Error& error, const std::exception_ptr&) { dropped.push_back(error); };
    }
    ~Generations() override {
        start([](Generations* t) -> Task<> {
            co_await t->host.destroy_all();
            t->rpc.close();
        }(this));
        world.run(machine, scope.close());
        fs::remove_all(folder);
    }
    static Task<EntityId> making(world::Host* host) { co_return host->create(*host->find_type("Walker")).id; }

    /// A build of its own: the file of the compiler with another generation and another build id.
    std::string file(int generation, int layout = 1) {
        std::string bytes = contents(std::string(GYRE_TEST_MODULES) + "/reload_game_" + std::to_string(layout) + ".so");
        char text[16];
        std::snprintf(text, sizeof text, "%04d", generation);
        const auto at = bytes.find("generation-0000");
        EXPECT_NE(at, std::string::npos);
        bytes.replace(at + 11, 4, text);
        // .note.gnu.build-id: name "GNU\0", then the id.
        const std::string head("\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0", 16);
        const auto id = bytes.find(head);
        EXPECT_NE(id, std::string::npos) << "a build id of 20 bytes";
        bytes.replace(id + head.size(), 4, text);
        const std::string path = folder + "/game-" + std::to_string(generation) + ".so";
        std::ofstream(path, std::ios::binary) << bytes;
        return path;
    }
    /// The build that runs from now on; the former is kept by those who still need it.
    void use(int generation, int layout = 1, bool full = false) {
        auto next = module::load_build(file(generation, layout), folder + "/copies").value();
        fs::remove(folder + "/game-" + std::to_string(generation) + ".so");
        if (!build) host.add_types(next->types(), "game").value();
        else if (full) (void)start(host.carry_over("game", next->types(), 100ms));
        else start(swapping(this, next.get())).value();
        if (build) former.push_back(std::move(build));
        build = std::move(next);
    }
    static Task<Result<>> swapping(Generations* t, module::Build* next) {
        co_await yield();
        co_return t->host.swap("game", next->types());
    }
    /// What nothing holds any more is unloaded.
    std::size_t held() {
        std::erase_if(former, [](const auto& one) { return !one->in_use(); });
        return former.size();
    }
    template <class T>
    T start(Task<T> task) {
        auto job = go(scope, std::move(task));
        EXPECT_TRUE(world.run_until([&] { return job.done(); }, 10min));
        return job.take();
    }
    Task<Bytes> call(EntityId id, std::string method, Bytes arguments) {
        rpc::CallOptions options;
        options.limit = 10min;
        const std::string text = "Walker." + method;
        co_return co_await rpc.call({.entity = id, .type = "Walker", .at = rpc.address()}, {fnv1a(text), text},
                                    std::move(arguments), options);
    }
    template <class R = std::string, class... A>
    R ask(std::string method, A... arguments) {
        return decode<R>(start(call(walker, std::move(method), encode(std::tuple<A...>(arguments...))))).value();
    }
    template <class... A>
    Join<Bytes> begin(std::string method, A... arguments) {
        return go(scope, call(walker, std::move(method), encode(std::tuple<A...>(arguments...))));
    }
    std::string end(Join<Bytes>& call) {
        EXPECT_TRUE(world.run_until([&] { return call.done(); }, 10min));
        return decode<std::string>(call.take()).value();
    }
    Error failure(std::string method) {
        const auto result = start(as_result(call(walker, std::move(method), encode(std::tuple<>()))));
        EXPECT_FALSE(result);
        return result ? Error("none") : result.error();
    }
    void wait(Duration time) {
        const TimePoint until = world.now() + time;
        world.run_until([&] { return world.now() >= until; }, time + 1s);
    }

    std::string folder = testing::TempDir() + "gyre_generations_XXXXXX";
    std::vector<std::shared_ptr<module::Build>> former;
    std::shared_ptr<module::Build> build;
    std::vector<Error> dropped;
    sim::World world;
    sim::Machine& machine = world.machine("n", "10.0.0.1");
    NodeIdentity identity;
    Scope scope{machine.executor(), "n", [this] {
                    Context c;
                    c.node = &identity;
                    return c;
                }()};
    world::Host host{machine.executor(), identity, [this] { return machine.random_u64(); }};
    rpc::Rpc rpc{machine, scope, {.name = "n", .incarnation = 1}, host};
    EntityId walker = 0, other = 0;
};

TEST_F(Generations, methods_suspended_in_ten_builds_end_in_theirs) {
    std::vector<Join<Bytes>> calls;
    for (int generation = 0; generation < 10; ++generation) {
        if (generation > 0) use(generation);
        calls.push_back(begin("slow", 100 - 10 * generation));
        wait(20ms);
    }
    EXPECT_EQ(held(), 9u);
    EXPECT_EQ(mapped(folder), 10u);
    EXPECT_EQ(ask("version"), "0009");
    // The youngest ends first; each build goes when its own method has ended.
    for (int generation = 9; generation >= 0; --generation) {
        char text[16];
        std::snprintf(text, sizeof text, "%04d-%04d", generation, generation);
        EXPECT_EQ(end(calls[static_cast<std::size_t>(generation)]), text);
        wait(20ms);
        EXPECT_EQ(held(), static_cast<std::size_t>(std::min(generation, 9)));
    }
    EXPECT_EQ(mapped(folder), 1u) << "the current one";
    EXPECT_EQ(ask("history").substr(0, 29), "0000 0001 0002 0003 0004 0005");
}

TEST_F(Generations, an_answer_that_comes_after_swaps_finds_the_code_that_asked) {
    auto call = begin("ask", other, 30);
    wait(1s);
    use(1);
    use(2);
    EXPECT_EQ(end(call), "0000 heard 0000-0000");
    wait(20ms);
    EXPECT_EQ(held(), 0u);
}

TEST_F(Generations, timers_systems_and_residents_move_and_a_closure_keeps_its_build) {
    (void)start(call(walker, "later", encode(std::tuple<>())));
    wait(100ms);
    use(1);
    wait(100ms);
    EXPECT_EQ(held(), 1u) << "for the closure alone";
    EXPECT_EQ(former.front()->uses().frames, 0u);
    EXPECT_EQ(former.front()->uses().closures, 1u);
    EXPECT_EQ(ask("history"), "0000 0001");
    const auto steps = ask<std::int32_t>("steps");
    wait(100ms);
    EXPECT_GE(ask<std::int32_t>("steps"), steps + 9);
    wait(5s);
    EXPECT_EQ(held(), 0u);
    EXPECT_NE(ask("history").find("later-0000"), std::string::npos);
}

TEST_F(Generations, no_exception_of_a_build_outlives_it) {
    const Error at_once = failure("fail"), late = failure("fail_late"), own = failure("rethrow");
    (void)start(call(walker, "drop_failing", encode(std::tuple<>())));
    use(1);
    wait(100ms);
    EXPECT_EQ(held(), 0u);
    EXPECT_EQ(mapped(folder), 1u);
    EXPECT_EQ(at_once.code(), errc::internal);
    EXPECT_EQ(late.code(), errc::internal);
    EXPECT_EQ(own.code(), "own_error");
    EXPECT_EQ(own.message(), "of generation 0000");
    EXPECT_NE(own.where().find("game.cpp:"), std::string::npos);
    ASSERT_EQ(dropped.size(), 1u);
    EXPECT_EQ(dropped.front().message(), "private of generation 0000");
}

TEST_F(Generations, layouts_change_forth_and_back) {
    wait(50ms);
    for (int round = 1; round <= 6; ++round) {
        use(round, round % 2 ? 2 : 1, true);
        wait(50ms);
        EXPECT_EQ(held(), 0u) << "its objects are gone, so its code may go";
    }
    EXPECT_EQ(ask("version"), "0006");
    EXPECT_EQ(ask("history"), "0000 0001 0002 0003 0004 0005 0006");
    EXPECT_GT(ask<std::int32_t>("steps"), 20);
}

TEST_F(Generations, a_thousand_swaps_leave_nothing_behind) {
    wait(50ms);
    std::size_t files = 0;
    for (int generation = 1; generation <= 1000; ++generation) {
        use(generation);
        wait(1ms);
        (void)held();
        if (generation == 10) files = open_files();
    }
    wait(50ms);
    EXPECT_EQ(held(), 0u);
    EXPECT_EQ(mapped(folder), 1u);
    EXPECT_EQ(open_files(), files);
    EXPECT_EQ(ask("version"), "1000");
    EXPECT_EQ(module::builds_not_unloaded(), 0u);
}

}  // namespace
}  // namespace gyre

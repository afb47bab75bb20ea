#include <gtest/gtest.h>

#include <gyre/cluster/embedded_registry.hpp>
#include <gyre/log/capture.hpp>
#include <gyre/node/node_runtime.hpp>
#include <gyre/sim/world.hpp>

namespace gyre::test {
namespace {

/// Tells, from all kinds of tasks, on which node it thinks it is.
struct Probe : Service<Probe> {
    std::string home;
    std::uint32_t beats = 0, wrong = 0;

    Task<> on_start() {
        home = this_node().info.name;
        log::info("probe.start", {{"home", home}});
        timers().every<&Probe::beat>(7ms, "beat");
        timers().after(5ms, "once", [this] { check("probe.once"); });
        (void)go(node_scope(), keep_checking(this));
        co_return;
    }
    Task<> on_stop() {
        check("probe.stop");
        co_return;
    }
    Task<> beat() {
        ++beats;
        check("probe.beat");
        co_await sleep(3ms);
        check("probe.beat");
    }
    /// Comes back through `via`: its answer and ours have to fit.
    Task<std::string> where(std::vector<io::Endpoint> via) {
        check("probe.where");
        std::string path = home;
        if (!via.empty()) {
            const io::Endpoint next = via.front();
            via.erase(via.begin());
            path += ">" + co_await at(next).service<Probe>().call<&Probe::where>(via);
        }
        co_await sleep(1ms);
        check("probe.where");
        co_return path;
    }
    void check(std::string_view event) {
        wrong += this_node().info.name != home || current->node->name != home;
        log::info(event, {{"home", home}});
    }
    static Task<> keep_checking(Probe* self) {
        for (;;) {
            co_await sleep(2ms);
            self->check("probe.loop");
        }
    }
    static consteval auto describe() {
        return type<Probe>("Probe", method<&Probe::beat>(), method<&Probe::where>());
    }
};

const module::Manifest manifest{module::api_version, "probe", module::type_list<Probe>.data(), 1};

Task<std::string> ask(io::Endpoint first, std::vector<io::Endpoint> via) {
    co_return co_await at(first).service<Probe>().call<&Probe::where>(via);
}
Task<std::string> run_in(node::NodeRuntime* node, Task<std::string> task) {
    auto job = go(node->node().scope, std::move(task));
    co_return co_await job;
}

TEST(TwoNodesSim, of_one_process_keep_their_tasks_timers_calls_and_log_lines_apart) {
    log::Capture log;
    sim::World world({.seed = sim::test_seed()});
    auto& machine = world.machine("one", "10.0.0.1");
    cluster::EmbeddedRegistryServer registry(machine.executor());
    auto store = world.run(machine, store::open(machine, {}));
    const config::Document config;
    node::ClusterConfig cluster;
    const module::Keys keys;
    const std::vector<module::Loaded> modules{{"", "", &manifest}};
    const node::NodeParts parts{machine, *store, config, cluster, keys, modules,
                                [&](Scope& scope, const std::string& name) {
                                    return std::make_unique<cluster::EmbeddedRegistry>(
                                        machine, scope, registry, name);
                                },
                                "sim", 1};
    {
        node::NodeRuntime a(parts, {"probe_a", "probe", 0, 0, 0}), b(parts, {"probe_b", "probe", 0, 0, 0});
        world.run(machine, a.start());
        world.run(machine, b.start());
        const auto at_a = a.info().address, at_b = b.info().address;
        EXPECT_NE(at_a, at_b);
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ(world.run(machine, run_in(&a, ask(at_b, {at_a, at_b, at_a}))),
                      "probe_b>probe_a>probe_b>probe_a");
            EXPECT_EQ(world.run(machine, run_in(&b, ask(at_b, {at_b, at_a}))), "probe_b>probe_b>probe_a");
        }
        world.run_for(2s);
        for (auto* node : {&a, &b}) {
            const auto* probe = static_cast<Probe*>(node->node().host.find_service("Probe")->object);
            EXPECT_EQ(probe->home, node->info().name);
            EXPECT_GT(probe->beats, 280u);
            EXPECT_EQ(probe->wrong, 0u);
        }
        world.run(machine, a.stop());
        world.run_for(100ms);
        world.run(machine, b.stop());
    }
    std::map<std::string, std::size_t> lines;
    for (const auto& line : log.lines()) {
        EXPECT_NE(line.node, "") << line.event << " " << line.fields;
        if (!line.event.starts_with("probe.")) continue;
        EXPECT_EQ("home=" + line.node, line.fields.substr(0, line.fields.find(" "))) << line.event;
        ++lines[line.node];
    }
    EXPECT_EQ(lines.size(), 2u);
    EXPECT_GT(lines["probe_a"], 1000u);
    EXPECT_GT(lines["probe_b"], 1000u);
}

}  // namespace
}  // namespace gyre::test

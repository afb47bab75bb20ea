#include <gyre/base/hash.hpp>
#include <gyre/cluster/embedded_registry.hpp>
#include <gyre/config/schema.hpp>
#include <gyre/io/loop.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/log/log.hpp>
#include <gyre/module/loader.hpp>
#include <gyre/node/log_config.hpp>
#include <gyre/node/known_sections.hpp>
#include <gyre/node/node_runtime.hpp>
#include <gyre/node/reload_config.hpp>
#include <gyre/node/process.hpp>
#include <gyre/trace/crash.hpp>
#include <gyre/trace/failed.hpp>
#include <gyre/trace/symbols.hpp>
#include <gyre/trace/throw.hpp>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>
#if __has_include(<gyre/cluster/etcd_registry.hpp>)
#include <gyre/cluster/etcd_registry.hpp>
#define GYRE_HAS_ETCD 1
#endif

namespace gyre::node {
namespace {

/// Roles start in this order: who is asked before who asks.
std::size_t start_rank(std::string_view role) {
    constexpr std::string_view order[] = {"dispatcher", "battle", "lobby", "account", "gate"};
    return static_cast<std::size_t>(std::ranges::find(order, role) - std::begin(order));
}

/// For the log: the build of the entity or service whose task runs.
std::string_view running_build(const Context& context) {
    if (!context.object || !context.node || !context.node->node || !context.node->node->reloader) return {};
    return context.node->node->reloader->build_of(static_cast<const world::Record*>(context.object)->hosted.module);
}

std::string own_executable() {
    char path[4096];
    const auto size = ::readlink("/proc/self/exe", path, sizeof path);
    return {path, size > 0 ? static_cast<std::size_t>(size) : 0};
}

std::string hex(std::uint64_t value) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
    return text;
}

void assign_ports(std::vector<NodeSpec>& nodes, std::uint16_t first) {
    const auto next = [&first] { return first == 0 ? std::uint16_t{0} : first++; };
    for (auto& node : nodes) {
        node.port = next();
        node.client_port = next();
        node.http_port = next();
    }
}

Error named(const std::string& node, const Error& error) {
    return error.message().find(node) != std::string::npos
               ? error
               : Error(error.code(), "node " + node + ": " + error.message());
}

/// Trying again may help: something else has to answer first.
bool may_pass(const Error& error) {
    for (const auto code : {errc::unavailable, errc::timed_out, errc::disconnected, errc::refused,
                            errc::cancelled, errc::internal, errc::overloaded})
        if (error.is(code)) return true;
    return false;
}

class Process {
public:
    Process(Setup setup, DataFolder folder, ProcessOptions options)
        : setup_(std::move(setup)),
          folder_(std::move(folder)),
          options_(std::move(options)),
          audit_(folder_.file("audit.log")),
          lane_(loop_.make_lane({.name = "modules"})),
          watchdog_([this](std::function<void()> action) { loop_.post(std::move(action)); },
                    [this](Duration limit, const std::vector<std::string>& modules) { on_stuck(limit, modules); }),
          live_config_(setup_.config, [this]() -> Result<config::Document> {
              auto again = read_setup(options_, folder_);
              if (!again) return again.error();
              return std::move(again->config);
          }, [this]() -> Result<> {
              if (const auto engine = setup_.config.as<EngineConfig>()) trace::set_trace_errors(engine->trace_errors);
              const auto log = setup_.config.as<LogConfig>();
              return log ? start_log(*log, log_file()) : Result<>(log.error());
          }) {}

    int run(const std::function<void(const ClusterFile&)>& ready) {
        (void)::signal(SIGXFSZ, SIG_IGN);  // a file too large is an error of who writes it, not the end
        loop_.on_signal({SIGINT, SIGTERM, SIGHUP}, [this](int number) { on_signal(number); });
        if (auto prepared = prepare(); !prepared) return tell(prepared.error());
        loop_.executor().on_dropped_failure = [](const Error&, const std::exception_ptr& failure) { trace::failed("task.failed", failure); };
        trace::install_terminate_handler();
        trace::start_reports();
        const int code = loop_.run_task(live(ready));
        trace::stop_reports();
        log::set_build_lookup(nullptr);
        log::stop();
        return code;
    }

private:
    Result<> prepare() {
        auto keys = folder_.keys(loop_);
        if (!keys) return keys.error();
        keys_ = *keys;
        if (auto chosen = choose_builds(); !chosen) return chosen;
        if (auto checked = check_sections(); !checked) return checked;
        if (auto served = check_roles(); !served) return served;
        if (setup_.cluster.registry.kind == RegistryKind::embedded) {
            if (!setup_.whole())
                return Error(errc::bad_config,
                             "cluster.registry.kind: embedded knows the nodes of one process only; "
                             "some of them alone need \"etcd\" (gyre up --processes)");
            embedded_ = std::make_unique<cluster::EmbeddedRegistryServer>(loop_.executor());
        } else if (auto possible = check_etcd(); !possible) {
            return possible;
        }
        log::set_build_lookup(&running_build);
        trace::set_trace_errors(setup_.config.as<EngineConfig>().value().trace_errors);
        if (auto started = start_log(setup_.config.as<LogConfig>().value(), log_file()); !started) return started;
        return trace::install_crash_handler({folder_.file("crashes"), process_name()});
    }

    std::string process_name() const {
        return setup_.whole() || setup_.nodes.empty() ? "gyre" : setup_.nodes.front().name;
    }
    std::string log_file() const { return folder_.file("logs/" + process_name() + ".log"); }

    /// So that a failure names its lines without waiting for a disk. Builds come and go.
    Task<> keep_symbols() {
        for (;; co_await sleep(1s)) {
            if (trace::indexed()) continue;
            const TimePoint begun = loop_.measure_now();
            co_await symbols_->run([] { trace::index(); });
            log::debug("trace.indexed", {{"took_ms", loop_.measure_now() - begun}});
        }
    }

    Result<> choose_builds() {
        const std::string folder = folder_.file("modules");
        const auto installed = find_installed(setup_.cluster.modules, folder + "/builds");
        for (const auto& spec : setup_.nodes) {
            auto start = start_builds(spec.name, installed, folder, engine_build(), audit_, now_ms());
            if (!start) return start.error();
            start_.emplace(spec.name, *std::move(start));
        }
        return {};
    }

    /// Everything that is wrong, before anything starts.
    Result<> check_sections() {
        engine_declared_ = config::Declaration(setup_.config, engine_sections());
        for (const auto& [name, start] : start_)
            for (const auto& build : start.builds) start_declared_.emplace_back(setup_.config, build.code->sections());
        return setup_.config.check(setup_.config);
    }

    /// What start_builds() found, once there is a log.
    void tell_start(const StartBuilds& start) {
        for (const auto& entry : start.told) {
            const std::string event = entry.action == "rollback" ? "module.rolled_back" : "module.refused";
            log::warn(event, {{"at", entry.node}, {"module", entry.module}, {"from", entry.from.substr(0, 8)},
                              {"to", entry.to.substr(0, 8)}, {"reason", entry.reason}});
            if (auto written = audit_.append(entry); !written)
                log::error("audit.not_written", {{"error", written.error().what()}});
        }
    }

    /// On the watchdog's thread: the loop will not turn again.
    void on_stuck(Duration limit, const std::vector<std::string>& modules) {
        for (const auto& name : modules) {
            AuditEntry entry;
            entry.at_ms = now_ms();
            entry.who = "watchdog";
            entry.node = name.substr(0, name.find('/'));
            entry.action = "stuck";
            entry.module = name.substr(name.find('/') + 1);
            entry.result = "failed";
            entry.reason = "the loop has not turned for " + std::to_string(limit / 1ms) + " ms";
            (void)audit_.append(entry);
            log::error("module.stuck", {{"at", entry.node}, {"module", entry.module}, {"reason", entry.reason}});
            std::fprintf(stderr, "gyre: %s: %s with a build of module %s on probation: ended\n", entry.node.c_str(),
                         entry.reason.c_str(), entry.module.c_str());
        }
        log::flush(200ms);
        ::_exit(exit_code::stuck);
    }

    static std::int64_t now_ms() {
        return std::chrono::system_clock::now().time_since_epoch() / 1ms;
    }
    static std::string engine_build() { return module::build_id_of(reinterpret_cast<const void*>(&run_process)); }

    /// A role nobody serves is a misspelt one.
    Result<> check_roles() const {
        std::set<std::string> roles;
        for (const auto& [name, start] : start_)
            for (const auto& build : start.builds)
                for (const auto* type : build.code->types())
                    if (type->kind == world::TypeKind::service && !type->role.empty())
                        roles.emplace(type->role);
        for (const auto& node : setup_.nodes) {
            if (roles.contains(node.role)) continue;
            std::string known;
            for (const auto& role : roles) known += (known.empty() ? "" : ", ") + role;
            return Error(errc::bad_config, "cluster.nodes: role \"" + node.role + "\" of " + node.name +
                                               ": no module serves it; cluster.modules serve " + known);
        }
        return {};
    }

    Result<> check_etcd() const {
#ifdef GYRE_HAS_ETCD
        if (setup_.cluster.registry.endpoints.empty())
            return Error(errc::bad_config, "cluster.registry.endpoints: at least one, as 127.0.0.1:2379");
        for (const auto& text : setup_.cluster.registry.endpoints)
            if (auto parsed = io::Endpoint::parse(text); !parsed)
                return Error(errc::bad_config, "cluster.registry.endpoints: " + parsed.error().message());
        return {};
#else
        return Error(errc::bad_config, "cluster.registry.kind: this build has no etcd");
#endif
    }

    std::unique_ptr<cluster::Registry> make_registry(Scope& scope, const std::string& node) {
        cluster::RegistryConfig config;
        config.lease_ttl = setup_.cluster.timeouts.lease;
        if (embedded_)
            return std::make_unique<cluster::EmbeddedRegistry>(loop_, scope, *embedded_, node, config);
#ifdef GYRE_HAS_ETCD
        std::vector<io::Endpoint> endpoints;
        for (const auto& text : setup_.cluster.registry.endpoints)
            endpoints.push_back(io::Endpoint::parse(text).value());
        return std::make_unique<cluster::EtcdRegistry>(loop_, scope, std::move(endpoints),
                                                       setup_.cluster.name, config);
#else
        return nullptr;
#endif
    }

    Task<int> live(std::function<void(const ClusterFile&)> ready) {
        std::optional<Error> failure;
        auto symbols = go(keep_symbols());
        {
            auto job = go(start());
            starting_ = &job;
            try {
                co_await job;
            } catch (const Error& error) {
                failure = error;
            } catch (...) {
                trace::failed("process.start_failed", std::current_exception());
                failure = to_error(std::current_exception());
            }
            starting_ = nullptr;
        }
        int code = exit_code::ok;
        if (!failure) {
            log::flush();  // What people read comes after it.
            ready(file_);
            while (signals_ == 0) co_await stop_.wait();
            log::info("process.draining", {{"limit_ms", setup_.cluster.drain_limit}});
        } else if (signals_ == 0) {
            code = tell(*failure);
        }
        const auto drained = co_await as_result(with_timeout(setup_.cluster.drain_limit, drain()));
        if (!drained)
            std::fprintf(stderr, "gyre: %s did not end within cluster.drain_limit (%lld ms)\n",
                         draining_.c_str(),
                         static_cast<long long>(setup_.cluster.drain_limit.count()));
        if (setup_.whole() && !options_.supervised) folder_.forget_cluster();
        if (!drained || starting_node_) {
            // Half a node cannot be taken apart; it has saved, or has nothing to save.
            log::flush();
            ::_exit(drained ? code : exit_code::failed);
        }
        symbols.cancel();
        (void)co_await as_result(std::move(symbols));
        store_.reset();
        co_return code;
    }

    Task<> start() {
        store::StoreConfig config = setup_.config.as<store::StoreConfig>().value();
        if (config.folder == store::StoreConfig{}.folder) config.folder = folder_.path();
        store_ = co_await store::open(loop_, config);
        NodeParts parts{
            loop_,    *store_,  setup_.config,
            setup_.cluster, keys_, {},
            [this](Scope& scope, const std::string& node) { return make_registry(scope, node); },
            engine_build(),
            static_cast<std::uint64_t>(::getpid()), &reload_};
        file_.name = setup_.cluster.name;
        file_.pid = static_cast<std::uint64_t>(options_.supervised ? ::getppid() : ::getpid());
        file_.mode = setup_.whole() ? "process" : "processes";
        file_.config = setup_.cluster.nodes;
        for (const auto& spec : setup_.nodes) {
            StartBuilds& start = start_.at(spec.name);
            tell_start(start);
            starting_node_ = std::make_unique<NodeRuntime>(parts, spec, std::move(start));
            try {
                co_await starting_node_->start();
            } catch (const Error& error) {
                throw named(spec.name, error);
            }
            running_.push_back(std::move(starting_node_));
            file_.nodes.push_back(running_.back()->info());
            folder_.write(file_.nodes.back()).value();
        }
        start_.clear();
        start_declared_.clear();
        if (setup_.whole()) folder_.write(file_).value();
    }

    Task<> drain() {
        std::ranges::sort(running_, {}, [](const auto& node) {
            return std::pair(stop_rank(node->info().role), node->info().name);
        });
        for (const auto& node : running_) {
            draining_ = node->info().name;
            co_await node->stop();
        }
        while (!running_.empty()) running_.pop_back();
    }

    void on_signal(int number) {
        // A supervisor that is asked twice kills; its death must not cut a drain short.
        if (++signals_ > 1 && options_.supervised) return;
        if (signals_ > 1) {
            std::fprintf(stderr, "gyre: signal %d again: ended at once, without saving\n", number);
            log::flush(200ms);
            ::_exit(exit_code::interrupted);
        }
        if (starting_) starting_->cancel();
        stop_.notify_all();
    }

    int tell(const Error& error) {
        log::error("process.cannot_start", {{"error", error.what()}, {"at", error.where()}});
        log::flush();
        std::fprintf(stderr, "gyre: %s\n", error.what());
        return may_pass(error) ? exit_code::failed : exit_code::refused;
    }

    Setup setup_;
    DataFolder folder_;
    ProcessOptions options_;
    AuditLog audit_;
    std::vector<CodePtr> last_code_;  // before the loop: what it still holds is their code
    io::Loop loop_;
    std::unique_ptr<io::Lane> lane_;
    std::unique_ptr<io::Lane> symbols_ = loop_.make_lane({.name = "symbols", .low_priority = true});
    Watchdog watchdog_;
    LiveConfig live_config_;
    PassedChecks passed_checks_;
    std::multiset<std::string> running_builds_;
    ReloadParts reload_{*lane_, audit_, watchdog_, live_config_, passed_checks_, running_builds_, last_code_, folder_.file("modules"), own_executable()};
    module::Keys keys_;
    std::map<std::string, StartBuilds> start_;  // of nodes that have not started
    config::Declaration engine_declared_;
    std::vector<config::Declaration> start_declared_;  // until each node declares what it runs
    std::unique_ptr<cluster::EmbeddedRegistryServer> embedded_;
    std::unique_ptr<store::Store> store_;
    std::vector<std::unique_ptr<NodeRuntime>> running_;
    std::unique_ptr<NodeRuntime> starting_node_;  // until it has started
    ClusterFile file_;
    std::string draining_;
    Join<>* starting_ = nullptr;
    Signal stop_;
    int signals_ = 0;
};

}  // namespace

std::span<const config::Section* const> engine_sections() {
    static constexpr const config::Section* all[] = {&config::section<ClusterConfig>, &config::section<LogConfig>, &config::section<EngineConfig>,
                                                     &config::section<ReloadConfig>, &config::section<store::StoreConfig>};
    return all;
}

std::size_t stop_rank(std::string_view role) {
    constexpr std::string_view order[] = {"battle", "gate", "account", "lobby", "dispatcher"};
    const auto at = std::ranges::find(order, role);
    return at == std::end(order) ? 1 : static_cast<std::size_t>(at - std::begin(order));
}

Result<config::Document> read_document(const ProcessOptions& options) {
    std::string path = options.config_file;
    if (path.empty() && ::access("gyre.json", F_OK) == 0) path = "gyre.json";
    const config::LoadOptions how{.profile = options.profile};
    auto document = path.empty() ? config::Document::from_text("{}", "gyre.json", how) : config::Document::from_file(path, how);
    if (!document) return document;
    if (auto set = document->set_from_environment(environ); !set) return set.error();
    if (!options.log_format.empty())
        if (auto set = document->set(options.log_format == "json" ? "log.json=true" : "log.json=false", "--log"); !set) return set.error();
    for (const auto& assignment : options.set)
        if (auto set = document->set(assignment); !set) return set.error();
    if (!options.supervised) return document;
    // People watch, and a password costs what a laptop has to spare.
    const auto modules = document->as<std::vector<std::string>>("cluster.modules");
    const bool accounts = !modules || modules->empty() || std::ranges::count(*modules, "account");
    auto base = config::Document::from_text(accounts ? R"({"log": {"console": "warn"},
        "account": {"memory_kib": 19456, "passes": 2}})" : R"({"log": {"console": "warn"}})", "gyre up");
    base->overlay(*document);
    return base;
}

Result<Setup> read_setup(const ProcessOptions& options, const DataFolder& folder) {
    auto document = read_document(options);
    if (!document) return document.error();
    auto cluster = document->as<ClusterConfig>();
    if (!cluster) {
        const auto problems = KnownSections(*document).problems();
        return problems.empty() ? cluster.error() : config::to_error(problems);
    }
    if (cluster->name.empty()) cluster->name = "gyre-" + hex(fnv1a(folder.path()));
    if (options.first_port) assign_ports(cluster->nodes, *options.first_port);
    for (const auto& pin : options.pinned)
        for (auto& node : cluster->nodes)
            if (node.name == pin.name)
                node.port = pin.port, node.client_port = pin.client_port, node.http_port = pin.http_port;
    Setup setup{*std::move(document), *std::move(cluster), {}};
    for (const auto& node : setup.cluster.nodes)
        if (options.nodes.empty() || std::ranges::count(options.nodes, node.name))
            setup.nodes.push_back(node);
    for (const auto& name : options.nodes) {
        if (std::ranges::count(setup.nodes, name, &NodeSpec::name)) continue;
        std::string known;
        for (const auto& node : setup.cluster.nodes) known += (known.empty() ? "" : ", ") + node.name;
        return Error(errc::not_found, "no node " + name + " in cluster.nodes, which are: " + known);
    }
    std::ranges::sort(setup.nodes, {}, [](const NodeSpec& n) { return std::pair(start_rank(n.role), n.name); });
    return setup;
}

int run_process(const ProcessOptions& options, std::function<void(const ClusterFile&)> ready) {
    const auto refuse = [](const Error& error) {
        std::fprintf(stderr, "gyre: %s\n", error.what());
        return exit_code::refused;
    };
    auto folder = DataFolder::open(options.data);
    if (!folder) return refuse(folder.error());
    auto setup = read_setup(options, *folder);
    if (!setup) return refuse(setup.error());
    std::optional<FolderLock> lock;
    if (!options.supervised && setup->whole()) {
        auto taken = folder->lock();
        if (!taken) return refuse(taken.error());
        lock.emplace(*std::move(taken));
        folder->forget_cluster();
    }
    try {
        return Process(*std::move(setup), *std::move(folder), options).run(ready);
    } catch (const Error& error) {
        return refuse(error);
    }
}

}  // namespace gyre::node

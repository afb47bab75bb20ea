#include <gyre/log/log.hpp>
#include <gyre/module/door.hpp>
#include <gyre/module/http_door.hpp>
#include <gyre/module/locations.hpp>
#include <gyre/node/log_service.hpp>
#include <gyre/node/node_runtime.hpp>
#include <gyre/node/node_service.hpp>
#include <gyre/node/node_workshop.hpp>
#include <gyre/node/reload_service.hpp>
#include <gyre/task/pool.hpp>
#include <gyre/world/fanout.hpp>

namespace gyre::node {
namespace {

constexpr Duration drain_limit = 3s;
constexpr const world::TypeTable* engine_types[] = {&world::table<NodeService>, &world::table<ReloadService>,
                                                    &world::table<LogService>,
                                                    &world::table<module::Clients>,
                                                    &world::table<module::Whereabouts>,
                                                    &world::table<world::Fanout>};

class RegistryOwners : public persistence::Owners {
public:
    RegistryOwners(cluster::Registry& registry, cluster::Directory& directory, std::string name)
        : registry_(registry), directory_(directory), name_(std::move(name)) {}
    std::optional<store::Owner> self() override {
        if (!registry_.lease_held()) return {};
        return store::Owner{name_, registry_.incarnation()};
    }
    Task<bool> alive(store::Owner owner) override {
        return registry_.is_alive(owner.node, owner.incarnation);
    }
    std::optional<io::Endpoint> address(const store::Owner& owner) override {
        const auto found = directory_.find(owner.node);
        if (!found || found->incarnation != owner.incarnation) return {};
        return found->address;
    }

private:
    cluster::Registry& registry_;
    cluster::Directory& directory_;
    std::string name_;
};

}  // namespace

class NodeRuntime::Impl {
public:
    Impl(NodeParts parts, NodeSpec spec, StartBuilds start)
        : parts_(std::move(parts)),
          spec_(std::move(spec)),
          start_(std::move(start)),
          identity_(make_identity()),
          scope_(parts_.io.executor(), spec_.name, context()),
          drain_(parts_.io.executor(), spec_.name + " draining", context()),
          registry_(parts_.registry(scope_, spec_.name)),
          host_(
              parts_.io.executor(), identity_, [this] { return new_id(); },
              [this] { return parts_.io.wall_now(); }),
          rpc_(parts_.io, scope_, rpc_config(), host_),
          directory_(parts_.io.executor(), *registry_),
          resolver_(directory_, {}),
          locations_(host_, directory_, resolver_, scope_),
          owners_(*registry_, directory_, spec_.name),
          persist_(host_, parts_.store.documents(), owners_, persist_config()),
          node_{parts_.io,  scope_,        drain_,   host_,    rpc_,        directory_, resolver_, parts_.store,
                persist_,   parts_.config, metrics_, parts_.keys, info_},
          door_(node_),
          http_(node_) {
        identity_.scope = &scope_;
        identity_.rpc = &rpc_;
        identity_.host = &host_;
        host_.set_tick_meter({[this] { return parts_.io.measure_now(); }, &metrics_});
        node_.door = &door_;
        node_.http = &http_;
        identity_.node = &node_;
        rpc_.set_resolver(&resolver_);
        // What was claimed as the former one may be another's by now.
        registry_->on_new_incarnation = [this](std::uint64_t incarnation) {
            info_.incarnation = incarnation;
            persist_.doubt();
        };
        rpc_.on_link_lost = [this](const io::Endpoint& at, const Error& reason) {
            ContextGuard guard(&scope_.context());
            log::warn("node.link_lost", {{"to", at.to_string()}, {"reason", reason.what()}});
            directory_.suspect(at);
            resolver_.distrust(at);
        };
        rpc_.on_link_opened = [this](const io::Endpoint& at) { directory_.trust(at); };
    }

    ~Impl() {
        if (told_) parts_.reload->config.forget(told_);
    }

    Task<> start() {
        parts_.io.executor().pool().set_limits(
            {.running = parts_.cluster.coroutine_pool, .patience = 1s});
        host_.add_types(engine_types).value();
        for (const auto& module : parts_.modules) host_.add_types(module.types(), module.manifest->name).value();
        for (const auto& build : start_.builds) host_.add_types(build.code->types(), build.code->name()).value();
        if (parts_.reload) make_reloader();
        resolver_.set_roles(homes());
        rpc_.listen({parts_.cluster.host, spec_.port}).value();
        resolver_.set_self(rpc_.address());
        info_.name = spec_.name;
        info_.role = spec_.role;
        info_.address = rpc_.address();
        info_.client_address = {parts_.cluster.host, spec_.client_port};
        info_.http_address = {parts_.cluster.http_host, spec_.http_port};
        info_.incarnation = incarnation_;
        info_.pid = parts_.pid;
        info_.build = parts_.build;
        info_.started_ms = parts_.io.wall_now().time_since_epoch() / 1ms;
        // Services start in the node's own scope, so that on_start is a task of this node.
        auto started = [](Impl* self) -> Task<> {
            co_await self->host_.start_services(self->spec_.role);
            co_await self->registry_->register_node(self->info_);
            log::info("node.started", {{"address", self->info_.address.to_string()},
                                       {"incarnation", self->info_.incarnation}});
        };
        auto job = go(scope_, started(this));
        co_await job;
        persist_.start_autosave(scope_);
        (void)go(scope_, report());
        if (reloader_) (void)go(scope_, reloader_->run());
    }

    Task<> stop() {
        auto stopping = [](Impl* self) -> Task<> {
            self->info_.draining = true;
            self->registry_->update(self->info_);
            if (self->reloader_) co_await self->reloader_->end();
            co_await self->host_.stop_services();
            co_await self->door_.close();
            co_await self->host_.destroy_all();
            const TimePoint latest = gyre::now() + drain_limit;
            while (self->drain_.running() > 0 && gyre::now() < latest) co_await sleep(20ms);
            if (self->drain_.running() > 0)
                log::warn("node.not_drained", {{"tasks", self->drain_.running()}});
            co_await self->registry_->unregister();
        };
        // Its own scope: what stops the node is not ended with the tasks it ends.
        Scope last(parts_.io.executor(), spec_.name + " stopping", scope_.context());
        auto job = go(last, as_result(stopping(this)));
        const auto result = co_await job;
        if (!result)
            log::error("node.stop_failed", {{"node", spec_.name}, {"error", result.error().what()}});
        rpc_.close();
        co_await drain_.close();
        co_await scope_.close();
        co_await last.close();
    }

    NodeParts parts_;
    NodeSpec spec_;
    StartBuilds start_;
    std::unique_ptr<NodeWorkshop> workshop_;
    std::uint64_t told_ = 0;
    std::unique_ptr<Reloader> reloader_;  // keeps the code of all objects below
    std::uint64_t incarnation_ = 0;
    NodeIdentity identity_;
    Scope scope_;
    Scope drain_;
    std::unique_ptr<cluster::Registry> registry_;
    world::Host host_;
    rpc::Rpc rpc_;
    cluster::Directory directory_;
    cluster::EntityResolver resolver_;
    module::Locations locations_;
    RegistryOwners owners_;
    persistence::Persist persist_;
    metric::Registry metrics_;
    cluster::NodeInfo info_;
    module::Node node_;
    module::Door door_;
    module::HttpDoor http_;

private:
    NodeIdentity make_identity() {
        incarnation_ = parts_.io.random_u64() >> 1 | 1;
        NodeIdentity identity;
        identity.name = spec_.name;
        identity.role = spec_.role;
        identity.build = parts_.build;
        return identity;
    }
    Context context() {
        Context context;
        context.node = &identity_;
        return context;
    }
    std::uint64_t new_id() { return make_entity_id(parts_.cluster.zone, parts_.io.random_u64()); }
    rpc::RpcConfig rpc_config() {
        rpc::RpcConfig config;
        config.name = spec_.name;
        config.incarnation = incarnation_;
        config.key = parts_.keys.cluster;
        config.heartbeat = parts_.cluster.timeouts.heartbeat;
        config.dead_after = parts_.cluster.timeouts.link_dead;
        config.call_limit = parts_.cluster.timeouts.call;
        return config;
    }
    persistence::PersistConfig persist_config() const {
        persistence::PersistConfig config;
        config.autosave = parts_.cluster.autosave;
        return config;
    }
    cluster::EntityResolver::Roles homes() const {
        cluster::EntityResolver::Roles roles;
        for (const auto* type : host_.types())
            if (type->kind == world::TypeKind::entity && !type->role.empty())
                roles.emplace(std::string(type->name), std::string(type->role));
        return roles;
    }
    void make_reloader() {
        const ReloadParts& with = *parts_.reload;
        workshop_ = std::make_unique<NodeWorkshop>(NodeWorkshop::Parts{
            host_, metrics_, with.folder + "/builds", with.folder + "/uploads", with.checker,
            parts_.cluster.modules, &with.config.running(), &with.passed});
        std::vector<std::string> names;
        for (const auto& build : start_.builds) names.push_back(build.code->name());
        const auto config = [this] {
            const auto read = parts_.config.as<ReloadConfig>();
            return read ? *read : ReloadConfig{};
        };
        reloader_ = std::make_unique<Reloader>(ReloaderParts{
            parts_.io, with.lane, spec_.name, std::move(names), config, *workshop_, std::move(start_.history),
            with.audit, &with.watchdog, &with.config, with.folder + "/uploads", &with.running, &with.last_code,
            [this] { on_builds_changed(); }});
        for (auto& build : start_.builds) {
            const auto code = std::make_shared<BuildCode>(std::move(build.code));
            workshop_->declare(*code);
            reloader_->adopt(code, build.file);
        }
        start_.builds.clear();
        node_.reloader = reloader_.get();
        told_ = with.config.tell([this] { host_.tell_config_changed(); });
        tell_builds();
    }
    bool serves(const std::string& module) const {
        for (const auto* type : host_.types())
            if (host_.hosted(*type).module == module && type->kind != world::TypeKind::component &&
                (type->role.empty() || type->role == spec_.role))
                return true;
        return false;
    }
    void tell_builds() {
        info_.modules.clear();
        for (const auto& state : reloader_->states())
            info_.modules.push_back({state.module, state.build.substr(0, 8), serves(state.module)});
        info_.old_builds = reloader_->held();
    }
    void on_builds_changed() {
        tell_builds();
        resolver_.set_roles(homes());
        registry_->update(info_);
    }
    Task<> report() {
        for (;;) {
            co_await sleep(1s);
            info_.entities = host_.entities();
            if (reloader_) info_.old_builds = reloader_->held();
            registry_->update(info_);
        }
    }
};

NodeRuntime::NodeRuntime(NodeParts parts, NodeSpec spec, StartBuilds start)
    : impl_(std::make_unique<Impl>(std::move(parts), std::move(spec), std::move(start))) {}
NodeRuntime::~NodeRuntime() = default;
Task<> NodeRuntime::start() { return impl_->start(); }
Task<> NodeRuntime::stop() { return impl_->stop(); }
const cluster::NodeInfo& NodeRuntime::info() const { return impl_->info_; }
module::Node& NodeRuntime::node() { return impl_->node_; }

}  // namespace gyre::node

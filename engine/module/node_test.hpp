#pragma once
#include <gyre/cluster/embedded_registry.hpp>
#include <gyre/module/door.hpp>
#include <gyre/module/http_door.hpp>
#include <gyre/sim/world.hpp>

namespace gyre::module {

struct TestNodeConfig {
    std::string role;
    std::string json;  ///< Of gyre.json.
    Keys keys{};
    std::uint16_t client_port = 0, http_port = 0;
};

/// A node on a simulated machine, made of its parts: its types are given by a test, and it claims
/// no entities.
class TestNode {
    class Nobody final : public persistence::Owners {
    public:
        std::optional<store::Owner> self() override { return {}; }
        Task<bool> alive(store::Owner) override { co_return false; }
        std::optional<io::Endpoint> address(const store::Owner&) override { return {}; }
    };

public:
    TestNode(sim::World& world, sim::Machine& machine, cluster::EmbeddedRegistryServer& registry,
             store::Store& store, TestNodeConfig settings)
        : world_(world),
          machine_(machine),
          keys_(settings.keys),
          config_(config::Document::from_text(settings.json.empty() ? "{}" : settings.json).value()),
          identity_(make_identity(machine.name(), settings.role)),
          scope_(machine.executor(), machine.name(), context()),
          drain_(machine.executor(), machine.name() + " draining", context()),
          registry_(machine, scope_, registry, machine.name()),
          host_(machine.executor(), identity_, [this] { return machine_.random_u64(); },
                [this] { return machine_.wall_now(); }),
          rpc_(machine, scope_, {.name = machine.name(), .incarnation = 1, .key = keys_.cluster}, host_),
          directory_(machine.executor(), registry_),
          resolver_(directory_, {}),
          persist_(host_, store.documents(), nobody_, {}),
          node_{machine_, scope_, drain_, host_, rpc_, directory_, resolver_, store, persist_, config_,
                metrics_, keys_, info_},
          door_(node_),
          http_(node_) {
        identity_.scope = &scope_;
        identity_.rpc = &rpc_;
        identity_.host = &host_;
        identity_.node = &node_;
        node_.door = &door_;
        node_.http = &http_;
        rpc_.set_resolver(&resolver_);
        rpc_.listen({machine.address(), 0}).value();
        resolver_.set_self(rpc_.address());
        info_.name = machine.name();
        info_.role = settings.role;
        info_.address = rpc_.address();
        info_.client_address = {machine.address(), settings.client_port};
        info_.http_address = {machine.address(), settings.http_port};
        info_.incarnation = 1;
    }
    ~TestNode() {
        auto stopping = [](TestNode* self) -> Task<> {
            co_await self->stop_services();
            co_await self->host_.destroy_all();
            co_await self->door_.close();
            if (self->registered_) co_await self->registry_.unregister();
        };
        run(stopping(this));
        rpc_.close();
        world_.run(machine_, drain_.close());
        world_.run(machine_, scope_.close());
    }
    TestNode(const TestNode&) = delete;

    /// Adds the types and starts the services among them.
    void start(std::span<const world::TypeTable* const> types, std::string_view module = {}) {
        host_.add_types(types, module).value();
        auto starting = [](TestNode* self) -> Task<> {
            co_await self->host_.start_services(self->info_.role);
            co_await self->registry_.register_node(self->info_);
        };
        run(starting(this));
        registered_ = true;
    }
    Task<> stop_services() { return host_.stop_services(); }
    /// As a task of the node.
    template <class T>
    T run(Task<T> task) {
        auto within = [](Scope* scope, Task<T> inner) -> Task<T> {
            auto job = go(*scope, std::move(inner));
            co_return co_await job;
        };
        return world_.run(machine_, within(&scope_, std::move(task)));
    }
    template <class S>
    S& service() {
        return *static_cast<S*>(host_.find_service(description<S>.name)->object);
    }
    Node& inside() { return node_; }

private:
    static NodeIdentity make_identity(const std::string& name, const std::string& role) {
        NodeIdentity identity;
        identity.name = name;
        identity.role = role;
        return identity;
    }
    Context context() {
        Context context;
        context.node = &identity_;
        return context;
    }
    sim::World& world_;
    sim::Machine& machine_;
    const Keys keys_;
    const config::Document config_;
    NodeIdentity identity_;
    Scope scope_, drain_;
    cluster::EmbeddedRegistry registry_;
    world::Host host_;
    rpc::Rpc rpc_;
    cluster::Directory directory_;
    cluster::EntityResolver resolver_;
    Nobody nobody_;
    persistence::Persist persist_;
    metric::Registry metrics_;
    cluster::NodeInfo info_;
    Node node_;
    Door door_;
    HttpDoor http_;
    bool registered_ = false;
};

}  // namespace gyre::module

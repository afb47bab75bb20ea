#include "tests/sim/cluster.hpp"

#include <gtest/gtest.h>

#include <gyre/web/jwt.hpp>

#include "tests/sim/player.hpp"

namespace gyre::test {
namespace {

constexpr const char* settings = R"({
    "account": {"memory_kib": 8, "passes": 1},
    "arena": {"seconds": 5, "kills": 10},
})";
constexpr std::size_t client_machines = 4;

secure::Key key(std::uint8_t fill) {
    std::array<std::uint8_t, secure::Key::size> bytes;
    bytes.fill(fill);
    return secure::Key(bytes);
}

/// Code is loaded once a process, as a node does.
std::span<const module::Loaded> modules() {
    static const std::vector<module::Loaded> loaded = [] {
        std::vector<module::Loaded> all;
        for (const char* name : {"account", "gate", "lobby", "dispatcher", "battle", "arena"})
            all.push_back(module::load(std::string(GYRE_MODULE_FOLDER "/") + name + ".so").value());
        return all;
    }();
    return loaded;
}

std::string address_of(std::string_view name, std::size_t number) {
    if (name == "registry") return "10.0.9.1";
    if (name == "database") return "10.0.9.2";
    return "10.0.1." + std::to_string(number + 1);
}

}  // namespace

/// The database as one process reaches it: over a network, and not at all once it is dead.
class SimCluster::DatabaseLink final : public store::Documents {
public:
    DatabaseLink(sim::Machine& from, store::Documents& to) : from_(from), to_(to) {}
    bool lose_replies = false;
    bool dead = false;

    Task<std::optional<store::Document>> find(std::string collection, std::string key) override {
        return carry(to_.find(std::move(collection), std::move(key)));
    }
    Task<store::Document> insert(std::string collection, std::string key, Bytes value) override {
        return carry(to_.insert(std::move(collection), std::move(key), std::move(value)));
    }
    Task<store::Document> claim(std::string collection, std::string key, store::Owner me,
                                std::optional<std::uint64_t> expected,
                                std::optional<Bytes> initial) override {
        return carry(to_.claim(std::move(collection), std::move(key), std::move(me), expected,
                               std::move(initial)));
    }
    Task<> save(std::string collection, std::string key, Bytes value, std::uint64_t epoch) override {
        return carry(to_.save(std::move(collection), std::move(key), std::move(value), epoch));
    }
    Task<> release(std::string collection, std::string key, std::uint64_t epoch) override {
        return carry(to_.release(std::move(collection), std::move(key), epoch));
    }
    Task<> replace(std::string collection, std::string key, Bytes value,
                   std::uint64_t version) override {
        return carry(to_.replace(std::move(collection), std::move(key), std::move(value), version));
    }
    Task<bool> erase(std::string collection, std::string key,
                     std::optional<std::uint64_t> epoch) override {
        return carry(to_.erase(std::move(collection), std::move(key), epoch));
    }
    Task<std::vector<store::Document>> list(std::string collection, std::string prefix,
                                            std::size_t limit, std::string after) override {
        return carry(to_.list(std::move(collection), std::move(prefix), limit, std::move(after)));
    }

private:
    void check() const {
        if (dead) throw Error(store::io_failed, "machine " + from_.name() + " is dead");
    }
    template <class T>
    Task<T> carry(Task<T> call) {
        check();
        co_await sleep(latency);
        check();
        if constexpr (std::is_void_v<T>) {
            co_await std::move(call);
            co_await reply();
        } else {
            auto result = co_await std::move(call);
            co_await reply();
            co_return result;
        }
    }
    Task<> reply() {
        Shield shield;
        co_await sleep(latency);
        check();
        if (lose_replies) throw Error(store::io_failed, "the link to the database broke");
    }
    static constexpr Duration latency = 300us;
    sim::Machine& from_;
    store::Documents& to_;
};

struct SimCluster::Slot {
    sim::Machine* machine = nullptr;
    node::NodeSpec spec;
    node::ClusterConfig config;
    std::unique_ptr<store::Store> store;
    DatabaseLink* link = nullptr;  // the store's
    std::unique_ptr<node::NodeRuntime> runtime;
    std::string registry_name;
    std::uint64_t starts = 0;
};

SimCluster::SimCluster(ClusterOptions options)
    : world({.seed = options.seed}), keys_{key(1), key(2), key(3), key(4)} {
    config_ = config::Document::from_text(settings).value();
    if (!options.config.empty()) config_.overlay(config::Document::from_text(options.config).value());
    registry_ = std::make_unique<cluster::EmbeddedRegistryServer>(machine("registry").executor(), 300us);
    database_ = run("database", store::open(machine("database"), {}));
    std::size_t number = 0;
    for (const auto& name : options.nodes) {
        auto made = std::make_unique<Slot>();
        made->spec = {name, name.substr(0, name.find('_')), 7000,
                      static_cast<std::uint16_t>(8000 + number), 9000};
        made->config.host = made->config.http_host = address_of(name, number++);
        made->machine = &world.machine(name, made->config.host);
        slots_.emplace(name, std::move(made));
    }
    for (const auto& name : options.nodes) start(name);
    settle();
    auto random = world.random("players");
    for (std::size_t i = 0; i < options.players; ++i) {
        const std::string at = std::to_string(i % client_machines);
        players_.push_back(std::make_unique<Player>(
            *this, world.machine("clients_" + at, "10.1.0." + std::to_string(1 + i % client_machines)),
            make_entity_id(0, random.next()), random.next()));
    }
}

SimCluster::~SimCluster() {
    world.network() = {};
    world.lanes() = {};
    world.heal();
    registry_->pause(false);
    for (auto& player : players_) run(*player, player->end());
    players_.clear();
    for (auto& [name, slot] : slots_)
        if (slot->runtime) bury(*slot);
    slots_.clear();
    world.run_for(1s);
    database_.reset();
}

SimCluster::Slot& SimCluster::slot(std::string_view name) {
    const auto found = slots_.find(name);
    GYRE_ASSERT(found != slots_.end(), "a node of this cluster");
    return *found->second;
}
sim::Machine& SimCluster::machine(std::string_view name) {
    const auto found = slots_.find(name);
    return found != slots_.end() ? *found->second->machine
                                 : world.machine(name, address_of(name, 0));
}
node::NodeRuntime& SimCluster::node(std::string_view name) {
    GYRE_ASSERT(slot(name).runtime, "this node runs");
    return *slot(name).runtime;
}
std::vector<std::string> SimCluster::names() const {
    std::vector<std::string> all;
    for (const auto& [name, slot] : slots_) all.push_back(name);
    return all;
}
sim::Machine& SimCluster::machine_of(Player& player) { return player.machine(); }

void SimCluster::start(std::string_view name) {
    Slot& one = slot(name);
    GYRE_ASSERT(!one.runtime, "this node does not run");
    if (!one.machine->alive()) one.machine->restart();
    auto link = std::make_unique<DatabaseLink>(*one.machine, database_->documents());
    one.link = link.get();
    one.store = std::make_unique<store::Store>(std::move(link), nullptr);
    one.registry_name = one.spec.name + "#" + std::to_string(++one.starts);
    node::NodeParts parts{*one.machine, *one.store, config_, one.config, keys_, modules(),
                          [this, &one](Scope& scope, const std::string&) {
                              return std::make_unique<cluster::EmbeddedRegistry>(
                                  *one.machine, scope, *registry_, one.registry_name);
                          },
                          "sim", one.starts};
    one.runtime = std::make_unique<node::NodeRuntime>(std::move(parts), one.spec);
    world.run(*one.machine, one.runtime->start(), 1min);
}

void SimCluster::configure(std::string_view json) {
    config_.overlay(config::Document::from_text(json).value());
    for (const auto& name : names())
        if (runs(name)) inside(name).host.tell_config_changed();
}

void SimCluster::kill(std::string_view name) {
    Slot& one = slot(name);
    one.link->dead = true;
    registry_->cut(one.registry_name, true);
    one.machine->kill();
}

void SimCluster::bury(Slot& one) {
    one.machine->freeze(Duration::zero());
    world.run(*one.machine, one.runtime->stop(), 1min);
    one.runtime.reset();
    one.store.reset();
}

void SimCluster::restart(std::string_view name) {
    Slot& one = slot(name);
    GYRE_ASSERT(!one.machine->alive(), "only a killed node restarts");
    bury(one);
    start(name);
}

bool SimCluster::runs(std::string_view name) {
    return slot(name).runtime && slot(name).machine->alive();
}
void SimCluster::stop(std::string_view name) { bury(slot(name)); }

void SimCluster::settle() {
    std::size_t alive = 0;
    for (const auto& [name, slot] : slots_) alive += slot->runtime && slot->machine->alive();
    const bool settled = world.run_until(
        [&] {
            for (const auto& [name, slot] : slots_)
                if (slot->runtime && slot->machine->alive() &&
                    slot->runtime->node().directory.view().size() != alive)
                    return false;
            return true;
        },
        30s);
    EXPECT_TRUE(settled) << "nodes do not see each other";
}

void SimCluster::begin(const std::function<Task<>(Player&)>& script) {
    for (auto& player : players_) player->begin(script(*player));
}
bool SimCluster::finished() const {
    for (const auto& player : players_)
        if (!player->finished()) return false;
    return true;
}
void SimCluster::finish(Duration limit) {
    EXPECT_TRUE(world.run_until([this] { return finished(); }, limit)) << "players are stuck";
    for (auto& player : players_) {
        if (!player->finished()) ADD_FAILURE() << player->describe();
        EXPECT_EQ(player->failure(), "") << player->describe();
    }
}
void SimCluster::together(const std::function<Task<>(Player&)>& script, Duration limit) {
    begin(script);
    finish(limit);
}

std::string SimCluster::token(EntityId entity, Duration life) {
    web::JwtClaims claims;
    claims.issuer = "gyre";
    claims.audience = "gate";
    claims.subject = std::to_string(entity);
    claims.expires_at_s = (machine("registry").wall_now() + life).time_since_epoch() / 1s;
    return web::jwt_sign(claims, keys_.login.bytes());
}
io::Endpoint SimCluster::gate(std::string_view name) {
    const Slot& one = slot(name);
    return {one.config.host, one.spec.client_port};
}
io::Endpoint SimCluster::account() {
    const Slot& one = slot("account_0");
    return {one.config.host, one.spec.http_port};
}
store::Documents& SimCluster::database() { return database_->documents(); }
std::optional<store::Document> SimCluster::document(EntityId entity) {
    return run("database", database_->documents().find("Avatar", std::to_string(entity)));
}
StoredAvatar SimCluster::stored(EntityId entity) {
    const auto found = document(entity);
    if (!found) return {};
    return decode<StoredAvatar>(found->value).value();
}
void SimCluster::cut_from_registry(std::string_view node, bool cut) {
    registry_->cut(slot(node).registry_name, cut);
}
void SimCluster::lose_replies(std::string_view node, bool lose) {
    slot(node).link->lose_replies = lose;
}

}  // namespace gyre::test

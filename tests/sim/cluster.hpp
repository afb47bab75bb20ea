#pragma once
#include <gyre/cluster/embedded_registry.hpp>
#include <gyre/node/node_runtime.hpp>
#include <gyre/secure/handshake.hpp>
#include <gyre/sim/world.hpp>

#include "games/arena/avatar.hpp"

namespace gyre::test {

class Player;

struct ClusterOptions {
    std::uint64_t seed = 1;
    std::vector<std::string> nodes = {"gate_0", "lobby_0", "dispatcher_0", "battle_0", "battle_1"};
    std::size_t players = 20;
    std::string config;  ///< JSON laid over the test's own.
};

/// What the database has of an avatar.
struct StoredBag {
    std::vector<arena::ItemStack> stacks;
    std::int64_t gold = 0;
    static consteval auto describe() {
        return type<StoredBag>("StoredBag", field<&StoredBag::stacks>(), field<&StoredBag::gold>());
    }
};
struct StoredCareer {
    std::uint32_t wins = 0, matches = 0;
    std::vector<EntityId> rewarded;
    static consteval auto describe() {
        return type<StoredCareer>("StoredCareer", field<&StoredCareer::wins>(),
                                  field<&StoredCareer::matches>(), field<&StoredCareer::rewarded>());
    }
};
struct StoredAvatar {
    StoredBag Bag;
    StoredCareer Career;
    static consteval auto describe() {
        return type<StoredAvatar>("StoredAvatar", field<&StoredAvatar::Bag>(),
                                  field<&StoredAvatar::Career>());
    }
};

/// A whole cluster in a simulated world: a machine for each node, one for the registry, one for
/// the database, some for the players.
class SimCluster {
public:
    explicit SimCluster(ClusterOptions options = {});
    ~SimCluster();
    SimCluster(const SimCluster&) = delete;

    sim::World world;
    cluster::EmbeddedRegistryServer& registry() { return *registry_; }
    sim::Machine& machine(std::string_view name);
    node::NodeRuntime& node(std::string_view name);
    module::Node& inside(std::string_view name) { return node(name).node(); }
    std::vector<std::string> names() const;  ///< Of all nodes, sorted.
    const module::Keys& keys() const { return keys_; }
    secure::PublicKey server_key() const { return secure::Identity(keys_.server).public_key(); }
    Player& player(std::size_t index) { return *players_[index]; }
    std::size_t players() const { return players_.size(); }

    /// Over what there is, as `gyre reload --config` would: every node that runs is told.
    void configure(std::string_view json);
    void kill(std::string_view name);     ///< SIGKILL.
    void restart(std::string_view name);  ///< Of a killed one, as a new process.
    void stop(std::string_view name);     ///< SIGTERM: drains, saves, ends.
    void start(std::string_view name);
    /// Until every node sees every other that lives.
    void settle();

    /// Runs a task on a machine, as World::run.
    template <class T>
    T run(std::string_view name, Task<T> task, Duration limit = 2min) {
        return world.run(machine(name), std::move(task), limit);
    }
    /// Runs a task of a node: this_node() is that node.
    template <class T>
    T run_in(std::string_view name, Task<T> task, Duration limit = 2min) {
        auto& node = inside(name);
        return world.run(machine(name), within(node.scope, std::move(task)), limit);
    }
    template <class T>
    T run(Player& player, Task<T> task, Duration limit = 2min) {
        return world.run(machine_of(player), std::move(task), limit);
    }
    /// One task for each player, at once. Their failures are test failures.
    bool runs(std::string_view name);  ///< Neither killed nor stopped.
    void together(const std::function<Task<>(Player&)>& script, Duration limit);
    void begin(const std::function<Task<>(Player&)>& script);
    bool finished() const;
    void finish(Duration limit);

    std::string token(EntityId entity, Duration life = 24h);
    io::Endpoint gate(std::string_view name = "gate_0");
    io::Endpoint account();  ///< HTTP.
    StoredAvatar stored(EntityId entity);
    std::optional<store::Document> document(EntityId entity);
    store::Documents& database();

    /// Answers of the database to a node get lost while true: the call fails, what it wrote stays.
    void lose_replies(std::string_view node, bool lose);
    /// Nothing passes between a node and the registry; its lease runs on.
    void cut_from_registry(std::string_view node, bool cut);

private:
    struct Slot;
    class DatabaseLink;
    static sim::Machine& machine_of(Player& player);
    template <class T>
    static Task<T> within(Scope& scope, Task<T> task) {
        auto job = go(scope, std::move(task));
        co_return co_await job;
    }
    Slot& slot(std::string_view name);
    void bury(Slot& slot);

    config::Document config_;
    module::Keys keys_;
    std::unique_ptr<cluster::EmbeddedRegistryServer> registry_;
    std::unique_ptr<store::Store> database_;
    std::map<std::string, std::unique_ptr<Slot>, std::less<>> slots_;
    std::vector<std::unique_ptr<Player>> players_;
};

}  // namespace gyre::test

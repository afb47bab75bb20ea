#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/persist/persist.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/store/store.hpp>

namespace gyre::persistence {
namespace {

std::map<std::string, Persist*> persist_of;  // by node
bool save_in_start = false;
Duration spend_in_stop{};

struct Purse : Component<Purse> {
    std::int64_t gold = 0;
    int seen = 0;
    static consteval auto describe() {
        return type<Purse>("Purse", field<&Purse::gold>(gyre::persist), field<&Purse::seen>());
    }
};
struct Hero : Entity<Hero, Purse> {
    std::string title = "novice";
    Task<> on_start() {
        if (!save_in_start) co_return;
        title = "started";
        co_await persist_of.at(current->node->name)->save(*static_cast<world::Record*>(current->object));
    }
    Task<> on_stop() {
        if (spend_in_stop > 0ms) co_await sleep(spend_in_stop);
        get<Purse>().gold += 1000;
    }
    Task<> nap() { co_await sleep(1h); }
    static consteval auto describe() {
        return type<Hero>("Hero", field<&Hero::title>(gyre::persist), method<&Hero::nap>());
    }
};
/// The same entity in another build: a field and the purse are gone, a pet has come.
struct Pet : Component<Pet> {
    std::string name = "cat";
    static consteval auto describe() {
        return type<Pet>("Pet", field<&Pet::name>(gyre::persist));
    }
};
struct NewHero : Entity<NewHero, Pet> {
    int level = 7;
    std::string title = "none";
    static consteval auto describe() {
        return type<NewHero>("Hero", field<&NewHero::level>(gyre::persist),
                             field<&NewHero::title>(gyre::persist));
    }
};
struct Wisp : Entity<Wisp> {
    int light = 0;
    static consteval auto describe() { return type<Wisp>("Wisp", field<&Wisp::light>()); }
};
struct NodeService : Service<NodeService> {
    Task<bool> yield(EntityId id) { return persist_of.at(current->node->name)->yield(id); }
    static consteval auto describe() {
        return type<NodeService>("NodeService", method<&NodeService::yield>());
    }
};

struct Node : Owners {
    Node(sim::Machine& machine, std::string name, std::uint16_t port, store::Documents& documents,
         std::map<std::string, Node*>& all, bool new_build)
        : all_(all),
          scope(machine.executor(), name, context(name)),
          host(machine.executor(), identity, [&machine] { return machine.random_u64(); }),
          rpc(machine, scope, config(name), host),
          persist(host, documents, *this, {.autosave = 5s, .yield_limit = 2s}) {
        identity.scope = &scope;
        identity.rpc = &rpc;
        identity.host = &host;
        static constexpr const world::TypeTable* old_types[] = {
            &world::table<Hero>, &world::table<Wisp>, &world::table<NodeService>};
        static constexpr const world::TypeTable* new_types[] = {&world::table<NewHero>,
                                                                &world::table<NodeService>};
        host.add_types(new_build ? std::span<const world::TypeTable* const>(new_types)
                                 : std::span<const world::TypeTable* const>(old_types)).value();
        rpc.listen({machine.address(), port}).value();
        persist_of[name] = &persist;
        all_[name] = this;
    }
    Context context(const std::string& name) {
        identity.name = name;
        Context c;
        c.node = &identity;
        return c;
    }
    static rpc::RpcConfig config(const std::string& name) {
        rpc::RpcConfig c;
        c.name = name;
        return c;
    }
    Task<bool> alive(store::Owner owner) override { co_return all_.contains(owner.node) && all_[owner.node]->has_lease; }
    std::optional<store::Owner> self() override {
        if (!has_lease) return {};
        return store::Owner{identity.name, 1};
    }
    std::optional<io::Endpoint> address(const store::Owner& owner) override {
        if (!all_.contains(owner.node)) return {};
        return all_[owner.node]->rpc.address();
    }
    const world::TypeTable& hero_type() { return *host.find_type("Hero"); }

    std::map<std::string, Node*>& all_;
    bool has_lease = true;
    NodeIdentity identity;
    Scope scope;
    world::Host host;
    rpc::Rpc rpc;
    Persist persist;
};

constexpr EntityId hero_id = 77;

class PersistTest : public testing::Test {
protected:
    PersistTest() {
        save_in_start = false;
        spend_in_stop = {};
        persist_of.clear();
        store = world.run(machine, store::open(machine, {}));
        a = make("a", 101);
        b = make("b", 102);
    }
    ~PersistTest() override {
        for (auto* node : {&a, &b}) close(*node);
        store.reset();
    }
    std::unique_ptr<Node> make(std::string name, std::uint16_t port, bool new_build = false) {
        auto node = std::make_unique<Node>(machine, name, port, documents(), nodes, new_build);
        run(*node, [](Node* n) -> Task<> { co_await n->host.start_services(""); }(node.get()));
        return node;
    }
    void close(std::unique_ptr<Node>& node) {
        if (!node) return;
        run(*node, [](Node* n) -> Task<> {
            co_await n->host.destroy_all();
            co_await n->host.stop_services();
            n->rpc.close();
        }(node.get()));
        world.run(machine, node->scope.close());
        nodes.erase(node->identity.name);
        node.reset();
    }
    store::Documents& documents() { return store->documents(); }
    template <class T>
    T run(Node& node, Task<T> task) {
        auto job = go(node.scope, std::move(task));
        EXPECT_TRUE(world.run_until([&] { return job.done(); }, 1h)) << job.chain().describe();
        return world.run(machine, join(std::move(job)));
    }
    template <class T>
    static Task<T> join(Join<T> job) {
        co_return co_await job;
    }
    /// Code of what it ended with; "ok".
    std::string code(Node& node, Task<> task) {
        const auto result = run(node, as_result(std::move(task)));
        if (!result) last_error = result.error().message();
        return result ? "ok" : result.error().code();
    }
    std::string load(Node& node, std::int64_t gold = 5) {
        return code(node, node.persist.load_or_create(hero_id, node.hero_type(), [gold, this](void* e) {
            ++inits;
            static_cast<Hero*>(e)->get<Purse>().gold = gold;
        }));
    }
    std::string activate(Node& node, EntityId id = hero_id) {
        return code(node, node.persist.activate(id, node.hero_type()));
    }
    void destroy(Node& node) {
        run(node, [](Node* n) -> Task<> { co_await n->host.destroy(hero_id); }(&node));
    }
    /// Marked, as if a task of the hero had it.
    static Hero& hero(Node& node) {
        auto* record = node.host.find(hero_id);
        record->mark();
        return *static_cast<Hero*>(record->object);
    }
    static std::int64_t& gold(Node& node) { return hero(node).get<Purse>().gold; }
    std::optional<store::Document> stored() {
        return world.run(machine, documents().find("Hero", std::to_string(hero_id)));
    }
    std::string owner() { return stored()->owner.node; }

    log::Capture log{log::Level::warn};
    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& machine = world.machine("m", "10.0.0.1");
    std::unique_ptr<store::Store> store;
    std::map<std::string, Node*> nodes;
    std::unique_ptr<Node> a, b;
    std::string last_error;
    int inits = 0;
};

TEST_F(PersistTest, creates_once_and_loads_what_was_saved) {
    EXPECT_EQ(load(*a), "ok");
    EXPECT_EQ(gold(*a), 5);
    EXPECT_EQ(owner(), "a");
    gold(*a) = 6;
    hero(*a).get<Purse>().seen = 9;
    destroy(*a);
    EXPECT_EQ(owner(), "");
    EXPECT_EQ(load(*a, 100), "ok");
    EXPECT_EQ(gold(*a), 1006) << "what on_stop did is saved, too";
    EXPECT_EQ(hero(*a).get<Purse>().seen, 0) << "transient";
    EXPECT_EQ(inits, 1) << "init is for a new one only";
}

TEST_F(PersistTest, saves_only_what_has_changed) {
    (void)load(*a);
    const auto save = [&] { return code(*a, a->persist.save(*a->host.find(hero_id))); };
    EXPECT_EQ(save(), "ok");
    hero(*a).get<Purse>().seen = 1;
    EXPECT_EQ(save(), "ok");
    EXPECT_EQ(a->persist.saves(), 0u);
    const auto version = stored()->version;
    gold(*a) = 8;
    EXPECT_EQ(save(), "ok");
    EXPECT_EQ(save(), "ok");
    EXPECT_EQ(a->persist.saves(), 1u);
    EXPECT_EQ(stored()->version, version + 1);
}

TEST_F(PersistTest, autosave_saves_within_the_interval) {
    (void)load(*a);
    a->persist.start_autosave(a->scope);
    world.run_for(20s);
    EXPECT_EQ(a->persist.saves(), 0u);
    for (int i = 0; i < 5; ++i) {
        gold(*a) = 100 + i;
        world.run_for(5s + 10ms);
        EXPECT_EQ(a->persist.saves(), static_cast<std::uint64_t>(i) + 1);
    }
}

TEST_F(PersistTest, autosave_looks_at_marked_entities_only) {
    a->persist.set_check_marks(false);
    (void)load(*a);
    a->persist.start_autosave(a->scope);
    world.run_for(20s);
    const auto compared = a->persist.compared();
    EXPECT_LE(compared, 2u);
    world.run_for(60s);
    EXPECT_EQ(a->persist.compared(), compared) << "nothing of it ran";
    std::int64_t& kept = gold(*a);
    kept = 100;
    world.run_for(6s);
    EXPECT_EQ(a->persist.saves(), 1u);
    kept = 101;  // Past its mark.
    world.run_for(60s);
    EXPECT_EQ(a->persist.saves(), 1u);
    EXPECT_EQ(a->persist.compared(), compared + 1);
}

TEST_F(PersistTest, a_write_past_its_mark_is_named_and_saved_where_that_is_checked) {
    a->persist.set_check_marks(true);
    (void)load(*a);
    a->persist.start_autosave(a->scope);
    std::int64_t& kept = gold(*a);
    world.run_for(6s);
    EXPECT_EQ(log.count("world.missed_mark"), 0u);
    kept = 101;
    world.run_for(6s);
    EXPECT_TRUE(log.has("world.missed_mark", "field=Purse.gold"));
    EXPECT_EQ(a->persist.saves(), 1u);
}

TEST_F(PersistTest, a_save_that_failed_is_tried_again_though_nothing_ran) {
    a->persist.set_check_marks(false);
    (void)load(*a);
    a->persist.start_autosave(a->scope);
    gold(*a) = 100;
    machine.disk().write_failure_probability = 1;
    world.run_for(5s + 10ms);
    EXPECT_EQ(a->persist.saves(), 0u);
    EXPECT_TRUE(log.has("persist.save_failed"));
    machine.disk().write_failure_probability = 0;
    world.run_for(5s + 10ms);
    EXPECT_EQ(a->persist.saves(), 1u);
}

TEST_F(PersistTest, an_id_without_a_document_is_gone_and_none_is_made) {
    EXPECT_EQ(activate(*a), errc::entity_gone);
    EXPECT_FALSE(stored());
    EXPECT_EQ(a->host.entities(), 0u);
}

TEST_F(PersistTest, many_who_want_it_load_it_once) {
    (void)load(*a);
    destroy(*a);
    const auto epoch = stored()->epoch;
    std::string ends;
    auto want = [](Node* n, std::string* out) -> Task<> {
        const auto result = co_await as_result(n->persist.activate(hero_id, n->hero_type()));
        *out += result ? "ok " : result.error().code();
    };
    for (int i = 0; i < 5; ++i) (void)go(a->scope, want(a.get(), &ends));
    world.run_for(1s);
    EXPECT_EQ(ends, "ok ok ok ok ok ");
    EXPECT_EQ(stored()->epoch, epoch + 1);
}

TEST_F(PersistTest, who_creates_is_not_told_gone_by_who_only_looks) {
    std::string ends;
    auto want = [](Node* n, bool create, std::string* out) -> Task<> {
        const auto result = co_await as_result(create ? n->persist.load_or_create(hero_id, n->hero_type(), {})
                                                      : n->persist.activate(hero_id, n->hero_type()));
        *out += (result ? "ok" : result.error().code()) + " ";
    };
    (void)go(a->scope, want(a.get(), false, &ends));
    (void)go(a->scope, want(a.get(), true, &ends));
    world.run_for(1s);
    EXPECT_EQ(ends, "entity_gone ok ");
}

TEST_F(PersistTest, another_node_gets_it_handed_over_saved) {
    (void)load(*a);
    gold(*a) = 50;
    EXPECT_EQ(activate(*b), "ok");
    EXPECT_EQ(a->host.find(hero_id), nullptr);
    EXPECT_EQ(gold(*b), 1050);
    EXPECT_EQ(owner(), "b");
    spend_in_stop = 500ms;  // asked for while it is on its way
    auto back = go(a->scope, a->persist.activate(hero_id, a->hero_type()));
    world.run_for(100ms);
    EXPECT_EQ(activate(*a), "ok");
    EXPECT_TRUE(back.done());
    EXPECT_EQ(gold(*a), 2050);
}

TEST_F(PersistTest, two_nodes_that_want_it_at_once_end_with_one) {
    for (int i = 0; i < 20; ++i) {
        auto want = [](Node* n) -> Task<> {
            (void)co_await as_result(n->persist.load_or_create(hero_id, n->hero_type(), {}));
        };
        auto first = go(a->scope, want(a.get()));
        auto second = go(b->scope, want(b.get()));
        ASSERT_TRUE(world.run_until([&] { return first.done() && second.done(); }, 1min));
        world.run_for(100ms);
        const bool at_a = a->host.find(hero_id) != nullptr, at_b = b->host.find(hero_id) != nullptr;
        EXPECT_TRUE(at_a != at_b) << i;
        EXPECT_EQ(owner(), at_a ? "a" : "b");
        destroy(at_a ? *a : *b);
    }
}

TEST_F(PersistTest, a_dead_owner_without_a_lease_is_taken_over_and_fenced) {
    (void)load(*a);
    const auto saved = stored()->value;
    gold(*a) = 66;  // will be lost
    a->rpc.close();
    a->has_lease = false;
    EXPECT_EQ(activate(*b), "ok");
    EXPECT_EQ(gold(*b), 5);
    EXPECT_EQ(code(*a, a->persist.save(*a->host.find(hero_id))), errc::fenced);
    world.run_for(10ms);
    EXPECT_EQ(a->host.find(hero_id), nullptr) << "dropped";
    EXPECT_EQ(a->persist.fenced(), 1u);
    EXPECT_EQ(stored()->value, saved) << "unsaved";
    EXPECT_EQ(owner(), "b");
    EXPECT_TRUE(log.has("persist.fenced"));
}

TEST_F(PersistTest, a_fenced_entity_ends_also_when_it_stops_first) {
    (void)load(*a);
    a->rpc.close();
    a->has_lease = false;
    EXPECT_EQ(activate(*b), "ok");
    const auto epoch = stored()->epoch;
    destroy(*a);  // its last save is refused
    EXPECT_EQ(a->host.entities(), 0u);
    EXPECT_EQ(stored()->epoch, epoch);
    EXPECT_EQ(owner(), "b");
}

TEST_F(PersistTest, a_living_owner_that_does_not_answer_keeps_it) {
    (void)load(*a);
    const auto epoch = stored()->epoch;
    a->rpc.close();  // out of reach, but with a lease
    EXPECT_EQ(activate(*b), errc::fenced);
    EXPECT_NE(last_error.find("held by a"), std::string::npos) << last_error;
    EXPECT_EQ(b->host.entities(), 0u);
    EXPECT_EQ(stored()->epoch, epoch);
    gold(*a) = 9;
    EXPECT_EQ(code(*a, a->persist.save(*a->host.find(hero_id))), "ok");
}

TEST_F(PersistTest, an_owner_that_takes_too_long_to_give_it_up_keeps_it_this_time) {
    (void)load(*a);
    spend_in_stop = 3s;
    EXPECT_EQ(activate(*b), errc::fenced);
    world.run_for(5s);
    EXPECT_EQ(owner(), "");
    EXPECT_EQ(activate(*b), "ok");
}

TEST_F(PersistTest, an_owner_that_has_not_loaded_it_gives_up_a_claim_it_forgot) {
    (void)load(*a);
    destroy(*a);
    // As after a release that failed.
    (void)world.run(machine, documents().claim("Hero", std::to_string(hero_id), {"a", 1}, {}, {}));
    EXPECT_EQ(activate(*b), "ok");
    EXPECT_EQ(owner(), "b");
}

TEST_F(PersistTest, its_own_forgotten_claim_is_no_obstacle) {
    (void)load(*a);
    destroy(*a);
    (void)world.run(machine, documents().claim("Hero", std::to_string(hero_id), {"a", 1}, {}, {}));
    EXPECT_EQ(activate(*a), "ok");
}

TEST_F(PersistTest, without_a_lease_nothing_is_claimed) {
    a->has_lease = false;
    EXPECT_EQ(load(*a), errc::unavailable);
    EXPECT_FALSE(stored());
}

TEST_F(PersistTest, a_document_that_cannot_be_read_stays_as_it_is_and_free) {
    for (const Bytes& value : {Bytes{0xc1}, Bytes{0x81, 0xa4, 'H', 'e', 'r', 'o', 0x01},
                               encode(std::tuple(1, 2)), Bytes{}}) {
        const std::string key = std::to_string(hero_id);
        (void)world.run(machine, documents().erase("Hero", key));
        (void)world.run(machine, documents().insert("Hero", key, value.empty() ? Bytes{0x80, 0x80} : value));
        const Bytes before = stored()->value;
        EXPECT_EQ(load(*a), errc::bad_data);
        EXPECT_EQ(a->host.entities(), 0u);
        EXPECT_EQ(stored()->value, before);
        EXPECT_EQ(owner(), "");
    }
}

TEST_F(PersistTest, another_build_keeps_what_both_know) {
    (void)load(*a);
    hero(*a).title = "knight";
    auto c = make("c", 103, /*new_build=*/true);
    EXPECT_EQ(activate(*c), "ok");
    auto& newer = *static_cast<NewHero*>(c->host.find(hero_id)->object);
    EXPECT_EQ(newer.title, "knight");
    EXPECT_EQ(newer.level, 7) << "what is new begins as in a new one";
    EXPECT_EQ(newer.get<Pet>().name, "cat");
    newer.level = 8;
    close(c);
    EXPECT_EQ(activate(*a), "ok");  // and back
    EXPECT_EQ(hero(*a).title, "knight");
    EXPECT_EQ(gold(*a), 0) << "a part that a build does not know goes with its save";
}

TEST_F(PersistTest, cancelled_amid_a_save_it_is_saved_whole_once_more) {
    (void)load(*a);
    for (int i = 0; i < 20; ++i) {
        gold(*a) = 10'000 * (i + 1);
        (void)go(a->host.find(hero_id)->scope, a->persist.save(*a->host.find(hero_id)));
        world.run_for(Duration(i * 20us));
        destroy(*a);
        EXPECT_EQ(owner(), "");
        EXPECT_EQ(activate(*a), "ok");
        EXPECT_EQ(gold(*a), 10'000 * (i + 1) + 1000) << i;
    }
    EXPECT_EQ(a->persist.fenced(), 0u);
}

TEST_F(PersistTest, cancelled_amid_a_load_it_can_be_loaded_again) {
    (void)load(*a);
    destroy(*a);
    for (int i = 0; i < 20; ++i) {
        auto job = go(a->scope, a->persist.activate(hero_id, a->hero_type()));
        auto other = go(a->scope, a->persist.activate(hero_id, a->hero_type()));
        world.run_for(Duration(i * 30us));
        job.cancel();
        ASSERT_TRUE(world.run_until([&] { return job.done() && other.done(); }, 1min));
        EXPECT_TRUE(a->host.find(hero_id)) << "the other one still wanted it";
        destroy(*a);
        EXPECT_EQ(owner(), "");
    }
}

TEST_F(PersistTest, on_start_may_save) {
    save_in_start = true;
    EXPECT_EQ(load(*a), "ok");
    world.run_for(1s);
    EXPECT_EQ(a->persist.saves(), 1u);
    EXPECT_FALSE(log.has("world.start_failed"));
}

TEST_F(PersistTest, a_database_that_fails_for_a_moment_loses_no_last_save) {
    (void)load(*a);
    gold(*a) = 42;
    machine.disk().write_failure_probability = 1;
    world.after(300ms, [&] { machine.disk().write_failure_probability = 0; });
    destroy(*a);
    EXPECT_EQ(owner(), "");
    EXPECT_EQ(activate(*a), "ok");
    EXPECT_EQ(gold(*a), 1042);
}

TEST_F(PersistTest, a_database_that_stays_away_is_given_up_by_name) {
    (void)load(*a);
    gold(*a) = 42;
    machine.disk().write_failure_probability = 1;
    const TimePoint start = world.now();
    destroy(*a);
    EXPECT_LT(world.now() - start, 10s);
    EXPECT_TRUE(log.has("world.last_save_failed"));
    machine.disk().write_failure_probability = 0;
    EXPECT_EQ(activate(*a), "ok");
    EXPECT_EQ(gold(*a), 5);
}

TEST_F(PersistTest, what_is_not_stored_is_neither_saved_nor_given_up) {
    auto make_wisp = []() -> Task<Id<Wisp>> { co_return create<Wisp>(); };
    const auto wisp = run(*a, make_wisp());
    EXPECT_EQ(code(*a, a->persist.save(*a->host.find(wisp.value))), errc::bad_arguments);
    EXPECT_FALSE(run(*a, a->persist.yield(wisp.value)));
    EXPECT_TRUE(run(*a, a->persist.yield(12345)));
    EXPECT_TRUE(a->host.find(wisp.value));
}

TEST_F(PersistTest, a_node_that_registers_anew_claims_again_what_nobody_took) {
    (void)load(*a);
    const auto epoch = stored()->epoch;
    a->persist.doubt();
    EXPECT_EQ(activate(*a), "ok");
    EXPECT_EQ(stored()->epoch, epoch + 1);
    gold(*a) = 12;
    EXPECT_EQ(code(*a, a->persist.save(*a->host.find(hero_id))), "ok");
    a->has_lease = false;
    a->rpc.close();
    EXPECT_EQ(activate(*b), "ok");
    a->has_lease = true;
    a->persist.doubt();
    world.run_for(1s);
    EXPECT_EQ(a->host.find(hero_id), nullptr);
    EXPECT_EQ(gold(*b), 12);
}

}  // namespace
}  // namespace gyre::persistence

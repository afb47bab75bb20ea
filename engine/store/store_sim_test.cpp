#include <gtest/gtest.h>

#include <gyre/sim/world.hpp>
#include <gyre/store/store.hpp>
#include <gyre/task/sync.hpp>
#include <map>

namespace gyre::store {
namespace {

const Owner lobby{"lobby_1", 5};

Bytes number(int value) {
    const std::string text = std::to_string(value);
    return {text.begin(), text.end()};
}
int to_number(const Document& document) { return std::stoi(std::string(as_text(document.value))); }

class StoreSimTest : public testing::Test {
protected:
    ~StoreSimTest() override { store.reset(); }
    template <class T>
    T run(Task<T> task) {
        return world.run(machine, std::move(task));
    }
    void open_store() { store = run(open(machine, StoreConfig())); }
    Documents& documents() { return store->documents(); }
    Keys& keys() { return store->keys(); }
    template <class T>
    std::string code_of(Task<T> task) {
        try {
            static_cast<void>(run(std::move(task)));
        } catch (const Error& error) {
            last_error = error.message();
            return error.code();
        }
        return "";
    }

    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& machine = world.machine("one", "10.0.0.1");
    std::unique_ptr<Store> store;
    std::string last_error;
};

TEST_F(StoreSimTest, keys_expire_on_the_wall_clock) {
    open_store();
    run(keys().put("a", "1", 10s));
    EXPECT_FALSE(run(keys().put_if_absent("a", "2", 10s)));
    world.run_for(9s);
    EXPECT_EQ(run(keys().get("a")), "1");
    world.run_for(1s);
    EXPECT_EQ(run(keys().get("a")), std::nullopt);
    EXPECT_FALSE(run(keys().erase("a")));
    EXPECT_TRUE(run(keys().put_if_absent("a", "3", 10s)));
    EXPECT_FALSE(run(keys().put_if_absent("a", "4", 10s)));
    EXPECT_EQ(run(keys().get("a")), "3");
    EXPECT_TRUE(run(keys().erase("a")));
    run(keys().put("b", "1", Keys::forever));
    world.run_for(100'000h);
    EXPECT_EQ(run(keys().get("b")), "1");
}

TEST_F(StoreSimTest, increments_count_from_the_first_call) {
    open_store();
    EXPECT_EQ(run(keys().increment("n", 5, 10s)), 5);
    world.run_for(6s);
    EXPECT_EQ(run(keys().increment("n", -7, 10s)), -2);
    world.run_for(5s);
    EXPECT_EQ(run(keys().increment("n", 1, 10s)), 1);
    run(keys().put("n", "9223372036854775807", 10s));
    EXPECT_EQ(code_of(keys().increment("n", 1, 10s)), errc::bad_data);
    run(keys().put("n", "12x", 10s));
    EXPECT_EQ(code_of(keys().increment("n", 1, 10s)), errc::bad_data);
    EXPECT_EQ(run(keys().get("n")), "12x");
}

TEST_F(StoreSimTest, a_full_disk_is_named_keeps_the_old_value_and_recovers) {
    open_store();
    run(documents().claim("avatars", "7", lobby, {}, number(1)));
    machine.disk().capacity_bytes = machine.disk_used_bytes() + 100'000;
    EXPECT_EQ(code_of(documents().save("avatars", "7", Bytes(1'000'000, 1), 1)), disk_full);
    EXPECT_NE(last_error.find("data/gyre.db"), std::string::npos) << last_error;
    EXPECT_EQ(to_number(*run(documents().find("avatars", "7"))), 1);
    run(documents().save("avatars", "7", number(2), 1));
    machine.disk().capacity_bytes = ~std::uint64_t{0};
    run(documents().save("avatars", "7", Bytes(1'000'000, 1), 1));
    EXPECT_EQ(run(documents().find("avatars", "7"))->version, 3u);
}

TEST_F(StoreSimTest, a_big_save_that_does_not_fit_fails_no_other) {
    open_store();
    run(documents().claim("avatars", "7", lobby, {}, number(1)));
    machine.disk().capacity_bytes = machine.disk_used_bytes() + 500'000;
    const auto together = [](Documents* to, std::string* codes) -> Task<> {
        std::vector<Join<Result<Document>>> jobs;
        jobs.push_back(go(as_result(to->insert("c", "a", number(1)))));
        jobs.push_back(go(as_result(to->insert("c", "big", Bytes(1'000'000, 1)))));
        jobs.push_back(go(as_result(to->insert("c", "b", number(1)))));
        for (auto& job : jobs) {
            const auto result = co_await job;
            *codes += (result ? "ok" : result.error().code()) + " ";
        }
    };
    std::string codes;
    run(together(&documents(), &codes));
    EXPECT_EQ(codes, "ok disk_full ok ");
    EXPECT_FALSE(run(documents().find("c", "big")));
    EXPECT_TRUE(run(documents().find("c", "b")));
}

/// What one document was asked to be and what was acknowledged.
struct Ledger {
    int begun = 0, acknowledged = 0, failed = 0;
};

Task<> save_upwards(Documents* documents, std::string key, std::uint64_t epoch, Ledger* ledger) {
    for (;;) {
        const int next = ++ledger->begun;
        const auto saved = co_await as_result(documents->save("avatars", key, number(next), epoch));
        if (saved)
            ledger->acknowledged = next;
        else if (saved.error().is(io_failed))
            ++ledger->failed;
        else
            throw Error(saved.error());
    }
}

/// Acknowledged saves of many documents outlive deaths in the middle of saving; what was not
/// acknowledged is whole or not there.
TEST_F(StoreSimTest, acknowledged_saves_survive_every_death) {
    constexpr int rounds = 40, players = 6;
    auto random = world.random("deaths");
    std::map<std::string, Ledger> ledgers;
    int lost = 0, failed = 0;
    for (int round = 0; round < rounds; ++round) {
        machine.disk().unsynced_survival = 0.3;
        open_store();
        for (int i = 0; i < players; ++i) {
            const std::string key = std::to_string(i);
            Ledger& ledger = ledgers[key];
            const auto found = run(documents().find("avatars", key));
            const std::uint64_t epoch = found ? found->epoch : 0;
            const Document mine = run(documents().claim("avatars", key, lobby, epoch, number(0)));
            EXPECT_EQ(mine.epoch, static_cast<std::uint64_t>(round) + 1) << "claims were lost";
            EXPECT_GE(to_number(mine), ledger.acknowledged);
            EXPECT_LE(to_number(mine), ledger.begun);
            lost += to_number(mine) < ledger.begun;
            ledger.begun = ledger.acknowledged = to_number(mine);
        }
        Scope savers(machine.executor(), "savers");
        for (auto& [key, ledger] : ledgers)
            (void)go(savers, save_upwards(&documents(), key, static_cast<std::uint64_t>(round) + 1,
                                          &ledger));
        if (round % 3 == 1) machine.disk().write_failure_probability = 0.02;
        if (round % 3 == 2) machine.disk().sync_failure_probability = 0.2;
        world.run_for(random.between(Duration::zero(), Duration(20ms)));
        for (auto& [key, ledger] : ledgers) failed += std::exchange(ledger.failed, 0);
        machine.kill(round % 2 ? sim::Death::machine : sim::Death::process);
        run(savers.close());
        store.reset();
        machine.disk() = {};
        machine.restart();
    }
    EXPECT_GT(lost, 0) << "no death came between a save and its acknowledgement";
    EXPECT_GT(failed, 0) << "no fault reached a save";
}

TEST(StoreSim, equal_seeds_give_equal_runs) {
    const auto trace = [](std::uint64_t seed) {
        sim::World world({.seed = seed});
        auto& machine = world.machine("one", "10.0.0.1");
        auto store = world.run(machine, open(machine, StoreConfig()));
        for (int i = 0; i < 20; ++i)
            (void)world.run(machine, store->documents().insert("c", std::to_string(i), number(i)));
        store.reset();
        return world.trace_hash();
    };
    EXPECT_EQ(trace(1), trace(1));
    EXPECT_NE(trace(1), trace(2));
}

}  // namespace
}  // namespace gyre::store

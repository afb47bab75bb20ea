#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gyre/io/loop.hpp>
#include <gyre/metric/registry.hpp>
#include <gyre/store/collection.hpp>
#include <gyre/store/store.hpp>

namespace gyre::store {
namespace {

/// Starts all in one turn, so that they share a transaction, and waits for all.
template <class T>
Task<std::vector<Result<T>>> all(std::vector<Task<T>> tasks) {
    std::vector<Join<Result<T>>> jobs;
    for (auto& task : tasks) jobs.push_back(go(as_result(std::move(task))));
    std::vector<Result<T>> results;
    for (auto& job : jobs) results.push_back(co_await job);
    co_return results;
}

Bytes bytes(std::string_view text) {
    const BytesView view = as_bytes(text);
    return {view.begin(), view.end()};
}
std::string text(const Document& document) { return std::string(as_text(document.value)); }

class StoreTest : public testing::Test {
protected:
    StoreTest() {
        char name[] = "/tmp/gyre_store_XXXXXX";
        folder = mkdtemp(name);
        config.folder = folder + "/data";
    }
    ~StoreTest() override {
        store.reset();
        std::filesystem::remove_all(folder);
    }
    /// The task's value; throws its Error.
    template <class T>
    T run(Task<T> task) {
        return loop.run_task(std::move(task));
    }
    template <class T>
    std::vector<Result<T>> run_all(std::vector<Task<T>> tasks) {
        return run(all(std::move(tasks)));
    }
    /// The code and message of the Error the task ends with; empty when it does not.
    template <class T>
    Error error_of(Task<T> task) {
        try {
            static_cast<void>(run(std::move(task)));
        } catch (const Error& error) {
            return error;
        }
        return Error("no_error");
    }
    std::unique_ptr<Store> open_store() { return run(open(loop, config, &metrics)); }
    Documents& documents() {
        if (!store) store = open_store();
        return store->documents();
    }
    Keys& keys() { return (void)documents(), store->keys(); }

    io::Loop loop;
    metric::Registry metrics;
    StoreConfig config;
    std::string folder;
    std::unique_ptr<Store> store;
    const Owner lobby{"lobby_1", 5}, battle{"battle_1", 2};
};

TEST_F(StoreTest, inserts_finds_and_refuses_a_second_insert) {
    EXPECT_FALSE(run(documents().find("accounts", "bob")));
    EXPECT_EQ(run(documents().insert("accounts", "bob", bytes("1"))).version, 1u);
    const Error error = error_of(documents().insert("accounts", "bob", bytes("2")));
    EXPECT_EQ(error.code(), errc::conflict);
    EXPECT_NE(error.message().find("accounts/bob"), std::string::npos) << error.what();
    EXPECT_EQ(text(*run(documents().find("accounts", "bob"))), "1");
    EXPECT_FALSE(run(documents().find("avatars", "bob")));
}

TEST_F(StoreTest, keys_and_values_are_any_bytes) {
    const std::string key("a\0b'\xff", 5);
    run(documents().insert("c", key, {}));
    EXPECT_EQ(run(documents().find("c", key))->value, Bytes());
    EXPECT_FALSE(run(documents().find("c", "a")));
    EXPECT_EQ(error_of(documents().find("c", "")).code(), errc::bad_arguments);
    EXPECT_EQ(error_of(documents().find("c", std::string(257, 'x'))).code(), errc::bad_arguments);
    EXPECT_EQ(error_of(documents().insert("c", "big", Bytes(value_bytes_max + 1))).code(),
              errc::too_large);
    run(documents().insert("c", "big", Bytes(value_bytes_max, 7)));
    EXPECT_EQ(run(documents().find("c", "big"))->value, Bytes(value_bytes_max, 7));
}

TEST_F(StoreTest, two_claims_race_and_exactly_one_wins) {
    for (const bool exists : {false, true}) {
        const std::string key = exists ? "old" : "new";
        if (exists) run(documents().insert("avatars", key, bytes("v")));
        std::vector<Task<Document>> claims;
        claims.push_back(documents().claim("avatars", key, lobby, {}, bytes("v")));
        claims.push_back(documents().claim("avatars", key, battle, {}, bytes("v")));
        const auto results = run_all(std::move(claims));
        ASSERT_TRUE(results[0]);
        EXPECT_EQ(results[0]->epoch, 1u);
        ASSERT_FALSE(results[1]);
        EXPECT_EQ(results[1].error().code(), errc::conflict);
        EXPECT_NE(results[1].error().message().find("node=lobby_1 incarnation=5, epoch=1"),
                  std::string::npos);
        EXPECT_EQ(run(documents().find("avatars", key))->owner, lobby);
    }
}

TEST_F(StoreTest, a_claim_needs_the_expected_epoch_and_says_whether_the_document_exists) {
    EXPECT_EQ(error_of(documents().claim("avatars", "7", lobby, {}, {})).code(), errc::not_found);
    run(documents().claim("avatars", "7", lobby, {}, bytes("v")));
    EXPECT_EQ(error_of(documents().claim("avatars", "7", battle, 0, {})).code(), errc::conflict);
    EXPECT_EQ(error_of(documents().claim("avatars", "7", battle, 2, {})).code(), errc::conflict);
    const Document taken = run(documents().claim("avatars", "7", battle, 1, bytes("not used")));
    EXPECT_EQ(taken.epoch, 2u);
    EXPECT_EQ(taken.owner, battle);
    EXPECT_EQ(text(taken), "v");
}

TEST_F(StoreTest, a_fenced_save_changes_nothing) {
    const auto first = run(documents().claim("avatars", "7", lobby, {}, bytes("a"))).epoch;
    run(documents().save("avatars", "7", bytes("b"), first));
    const auto second = run(documents().claim("avatars", "7", battle, first, {})).epoch;
    const Error error = error_of(documents().save("avatars", "7", bytes("c"), first));
    EXPECT_EQ(error.code(), errc::fenced);
    EXPECT_NE(error.message().find("node=battle_1 incarnation=2, epoch=2"), std::string::npos)
        << error.what();
    EXPECT_EQ(error_of(documents().release("avatars", "7", first)).code(), errc::fenced);
    EXPECT_EQ(error_of(documents().erase("avatars", "7", first)).code(), errc::fenced);
    EXPECT_EQ(error_of(documents().erase("avatars", "7")).code(), errc::fenced);
    EXPECT_EQ(error_of(documents().replace("avatars", "7", bytes("c"), 2)).code(), errc::fenced);
    const Document now = *run(documents().find("avatars", "7"));
    EXPECT_EQ(text(now), "b");
    EXPECT_EQ(now.version, 2u);
    EXPECT_EQ(now.epoch, second);

    run(documents().release("avatars", "7", second));
    EXPECT_EQ(error_of(documents().save("avatars", "7", bytes("c"), second)).code(), errc::fenced);
    EXPECT_EQ(run(documents().claim("avatars", "7", lobby, {}, {})).epoch, 3u);
    EXPECT_TRUE(run(documents().erase("avatars", "7", 3)));
    EXPECT_FALSE(run(documents().erase("avatars", "7", 3)));
    EXPECT_EQ(error_of(documents().save("avatars", "7", bytes("c"), 3)).code(), errc::fenced);
}

TEST_F(StoreTest, replace_needs_the_version) {
    run(documents().insert("ranks", "1", bytes("a")));
    run(documents().replace("ranks", "1", bytes("b"), 1));
    EXPECT_EQ(error_of(documents().replace("ranks", "1", bytes("c"), 1)).code(), errc::conflict);
    EXPECT_EQ(error_of(documents().replace("ranks", "2", bytes("c"), 1)).code(), errc::conflict);
    EXPECT_EQ(text(*run(documents().find("ranks", "1"))), "b");
    EXPECT_TRUE(run(documents().erase("ranks", "1")));
}

TEST_F(StoreTest, lists_a_prefix_in_order_page_by_page) {
    for (const char* key : {"b/2", "a", "b/1", "b/3", "c", "b"})
        run(documents().insert("x", key, bytes(key)));
    run(documents().insert("y", "b/0", {}));
    const auto keys_of = [](const std::vector<Document>& found) {
        std::string all;
        for (const auto& document : found) all += document.key + " ";
        return all;
    };
    EXPECT_EQ(keys_of(run(documents().list("x", "b/", 10))), "b/1 b/2 b/3 ");
    EXPECT_EQ(keys_of(run(documents().list("x", "b/", 2))), "b/1 b/2 ");
    EXPECT_EQ(keys_of(run(documents().list("x", "b/", 2, "b/2"))), "b/3 ");
    EXPECT_EQ(keys_of(run(documents().list("x", "", 10))), "a b b/1 b/2 b/3 c ");
    EXPECT_EQ(keys_of(run(documents().list("x", "d", 10))), "");
    EXPECT_EQ(keys_of(run(documents().list("x", "", 0))), "");
}

TEST_F(StoreTest, a_restart_keeps_everything) {
    const auto epoch = run(documents().claim("avatars", "7", lobby, {}, bytes("a"))).epoch;
    run(documents().save("avatars", "7", bytes("b"), epoch));
    run(keys().put("denied", "1", 1h));
    store.reset();
    const Document now = *run(documents().find("avatars", "7"));
    EXPECT_EQ(text(now), "b");
    EXPECT_EQ(now.owner, lobby);
    EXPECT_EQ(now.epoch, epoch);
    EXPECT_EQ(run(keys().get("denied")), "1");
    struct stat status{};
    ASSERT_EQ(stat((config.folder + "/gyre.db").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << "it holds password hashes";
}

TEST_F(StoreTest, calls_of_one_turn_share_a_transaction_and_have_their_own_results) {
    run(documents().claim("avatars", "0", lobby, {}, bytes("v")));
    const auto before = metrics.snapshot().find("gyre_store_batch_calls")->histogram.count();
    std::vector<Task<>> saves;
    for (int i = 0; i < 100; ++i)
        saves.push_back(
            documents().save("avatars", "0", bytes(std::to_string(i)), i == 50 ? 9 : 1));
    const auto results = run_all(std::move(saves));
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].ok(), i != 50) << i;
    EXPECT_EQ(metrics.snapshot().find("gyre_store_batch_calls")->histogram.count(), before + 1);
    EXPECT_EQ(text(*run(documents().find("avatars", "0"))), "99");
}

TEST_F(StoreTest, a_full_queue_refuses) {
    config.queue_limit = 2;
    documents();
    std::vector<Task<std::optional<Document>>> finds;
    for (int i = 0; i < 3; ++i) finds.push_back(documents().find("c", "k"));
    const auto results = run_all(std::move(finds));
    EXPECT_TRUE(results[1]);
    EXPECT_EQ(results[2].error().code(), errc::overloaded);
}

TEST_F(StoreTest, a_cancelled_call_ends_with_its_commit) {
    const auto insert_and_cancel = [](Documents* to) -> Task<bool> {
        auto job = go(as_result(to->insert("c", "k", bytes("v"))));
        job.cancel();
        co_return (co_await job).ok();
    };
    EXPECT_TRUE(run(insert_and_cancel(&documents())));
    EXPECT_TRUE(run(documents().find("c", "k")));
}

TEST_F(StoreTest, two_processes_share_the_file) {
    auto other = run(open(loop, config));
    const auto epoch = run(documents().claim("avatars", "7", lobby, {}, bytes("a"))).epoch;
    EXPECT_EQ(error_of(other->documents().claim("avatars", "7", battle, {}, {})).code(),
              errc::conflict);
    run(other->documents().claim("avatars", "7", battle, epoch, {}));
    EXPECT_EQ(error_of(documents().save("avatars", "7", bytes("b"), epoch)).code(), errc::fenced);
    std::vector<Task<std::int64_t>> adds;
    for (int i = 0; i < 200; ++i)
        adds.push_back((i % 2 ? *other : *store).keys().increment("count", 1, Keys::forever));
    for (const auto& result : run_all(std::move(adds))) EXPECT_TRUE(result);
    EXPECT_EQ(run(keys().get("count")), "200");
}

TEST_F(StoreTest, a_ticket_is_used_once_even_by_many_at_a_time) {
    std::vector<Task<bool>> uses;
    for (int i = 0; i < 20; ++i) uses.push_back(keys().put_if_absent("ticket", "used", 1min));
    int used = 0;
    for (const auto& result : run_all(std::move(uses))) used += *result;
    EXPECT_EQ(used, 1);
}

TEST_F(StoreTest, a_file_that_is_no_database_is_named_and_left_alone) {
    std::filesystem::create_directories(config.folder);
    const std::string path = config.folder + "/gyre.db", garbage(5000, 'x');
    std::ofstream(path) << garbage;
    const Error error = error_of(open(loop, config));
    EXPECT_EQ(error.code(), corrupt);
    EXPECT_NE(error.message().find(path), std::string::npos) << error.what();
    EXPECT_EQ(std::filesystem::file_size(path), garbage.size());
}

TEST_F(StoreTest, a_damaged_page_fails_only_the_calls_that_read_it) {
    run(documents().insert("c", "big", Bytes(200'000, 1)));
    run(documents().insert("c", "small", bytes("fine")));
    store.reset();
    const std::string path = config.folder + "/gyre.db";
    {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(5 * 4096);  // after the header and the four roots: where the overflow begins
        file << std::string(20 * 4096, '\xff');
    }
    std::vector<Task<std::optional<Document>>> finds;
    finds.push_back(documents().find("c", "small"));
    finds.push_back(documents().find("c", "big"));
    const auto results = run_all(std::move(finds));
    ASSERT_TRUE(results[0]) << results[0].error().what();
    EXPECT_EQ(text(**results[0]), "fine");
    ASSERT_FALSE(results[1]);
    EXPECT_EQ(results[1].error().code(), corrupt);
    EXPECT_NE(results[1].error().message().find(path), std::string::npos);
}

TEST_F(StoreTest, a_folder_that_cannot_be_written_is_named) {
    std::filesystem::create_directories(config.folder);
    const auto owner = geteuid();
    ASSERT_EQ(chmod(folder.c_str(), 0755), 0);
    ASSERT_EQ(chmod(config.folder.c_str(), 0555), 0);
    if (owner == 0) ASSERT_EQ(seteuid(65534), 0);
    const Error error = error_of(open(loop, config));
    if (owner == 0) ASSERT_EQ(seteuid(0), 0);
    EXPECT_EQ(error.code(), no_permission);
    EXPECT_NE(error.message().find(config.folder), std::string::npos) << error.what();
    config.folder = "/dev/null/data";
    const Error nowhere = error_of(open(loop, config));
    EXPECT_NE(nowhere.message().find("/dev/null/data"), std::string::npos) << nowhere.what();
}

TEST_F(StoreTest, config_out_of_range_is_named) {
    config.batch_max = 0;
    const Error error = error_of(open(loop, config));
    EXPECT_EQ(error.code(), errc::bad_config);
    EXPECT_EQ(error.message(), "batch_max: 0 is outside [1, 65536]");
}

struct Account {
    std::uint64_t id = 0;
    std::string password_hash;
    std::int64_t wins = 0;
    static consteval auto describe() {
        return gyre::type<Account>("Account", gyre::field<&Account::id>(persist),
                                   gyre::field<&Account::password_hash>(persist),
                                   gyre::field<&Account::wins>(persist));
    }
};

TEST_F(StoreTest, a_collection_maps_described_types) {
    Collection<Account> accounts(documents(), "accounts");
    run(accounts.insert("bob", Account{7, "$argon2id$", 0}));
    EXPECT_EQ(error_of(accounts.insert("bob", Account{8, "", 0})).code(), errc::conflict);
    EXPECT_EQ(run(accounts.find("bob"))->password_hash, "$argon2id$");
    EXPECT_FALSE(run(accounts.find("eve")));
    std::vector<Task<Account>> wins;
    for (int i = 0; i < 10; ++i)
        wins.push_back(accounts.update("bob", [](Account& account) { ++account.wins; }));
    for (const auto& result : run_all(std::move(wins))) EXPECT_TRUE(result);
    EXPECT_EQ(run(accounts.find("bob"))->wins, 10);
    EXPECT_EQ(run(accounts.list("b", 10)).front().second.id, 7u);
    run(documents().insert("accounts", "odd", bytes("\xc1")));
    const Error error = error_of(accounts.find("odd"));
    EXPECT_EQ(error.code(), errc::bad_data);
    EXPECT_NE(error.message().find("accounts/odd"), std::string::npos) << error.what();
}

}  // namespace
}  // namespace gyre::store

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <gyre/sim/world.hpp>

namespace gyre::sim {
namespace {

/// A database on a simulated disk.
class Database {
public:
    explicit Database(Machine& machine, const char* journal = "wal") {
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        open_code = sqlite3_open_v2("data/store.db", &db_, flags, machine.sqlite_vfs().c_str());
        if (open_code == SQLITE_OK) run(std::string("PRAGMA journal_mode=") + journal);
    }
    ~Database() { sqlite3_close(db_); }
    Database(const Database&) = delete;
    int run(const std::string& sql) {
        return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
    }
    std::string ask(const std::string& sql) {
        std::string answer;
        const auto keep = [](void* out, int, char** values, char**) {
            *static_cast<std::string*>(out) += values[0] ? values[0] : "null";
            return 0;
        };
        const int code = sqlite3_exec(db_, sql.c_str(), keep, &answer, nullptr);
        return code == SQLITE_OK ? answer : sqlite3_errstr(code);
    }
    int open_code;

private:
    sqlite3* db_ = nullptr;
};

struct DiskTest : testing::TestWithParam<const char*> {
    World world{{.seed = test_seed()}};
    Machine& machine = world.machine("store", "10.0.0.1");
    std::string insert(int from, int to) {
        std::string sql = "BEGIN;";
        for (int i = from; i < to; ++i)
            sql += "INSERT INTO t VALUES(" + std::to_string(i) + ", randomblob(100));";
        return sql + "COMMIT;";
    }
};

TEST_P(DiskTest, keeps_a_database_across_deaths) {
    for (const Death death : {Death::process, Death::machine}) {
        {
            Database db(machine, GetParam());
            ASSERT_EQ(db.run("PRAGMA synchronous=FULL;"
                             "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, data BLOB)"),
                      SQLITE_OK);
            ASSERT_EQ(db.run("DELETE FROM t"), SQLITE_OK);
            ASSERT_EQ(db.run(insert(0, 500)), SQLITE_OK);
            ASSERT_EQ(db.run("BEGIN; INSERT INTO t VALUES(1000, '')"), SQLITE_OK);
            machine.kill(death);
            EXPECT_NE(db.run("COMMIT"), SQLITE_OK) << "a dead process writes nothing";
        }
        EXPECT_NE(Database(machine, GetParam()).open_code, SQLITE_OK);
        machine.restart();
        Database db(machine, GetParam());
        EXPECT_EQ(db.ask("SELECT count(*) FROM t"), "500");
        EXPECT_EQ(db.ask("PRAGMA integrity_check"), "ok");
    }
}

TEST_P(DiskTest, a_dead_machine_forgets_what_was_not_synced) {
    machine.disk().unsynced_survival = 0;
    std::string rows;
    for (const Death death : {Death::process, Death::machine}) {
        {
            Database db(machine, GetParam());
            (void)db.run("PRAGMA synchronous=FULL;"
                         "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, data BLOB)");
            (void)db.run("PRAGMA synchronous=OFF");
            ASSERT_EQ(db.run(insert(death == Death::process ? 0 : 500,
                                    death == Death::process ? 500 : 1000)),
                      SQLITE_OK);
            machine.kill(death);
        }
        machine.restart();
        Database db(machine, GetParam());
        rows += db.ask("SELECT count(*) FROM t") + " ";
        (void)db.run("PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE); "
                     "PRAGMA user_version=1");
    }
    EXPECT_TRUE(rows.starts_with("500 ")) << rows;
    EXPECT_NE(rows, "500 1000 ") << "the power cut lost nothing";
}

TEST_P(DiskTest, a_synced_commit_survives_whatever_else_is_lost) {
    machine.disk().unsynced_survival = 0.5;
    int committed = 0;
    for (int round = 0; round < 20; ++round) {
        {
            Database db(machine, GetParam());
            (void)db.run("PRAGMA synchronous=FULL;"
                         "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, data BLOB)");
            ASSERT_EQ(db.ask("SELECT count(*) FROM t"), std::to_string(committed));
            ASSERT_EQ(db.ask("PRAGMA integrity_check"), "ok");
            ASSERT_EQ(db.run(insert(committed, committed + 40)), SQLITE_OK);
            committed += 40;
            (void)db.run("PRAGMA cache_size=1; BEGIN; UPDATE t SET data = randomblob(90)");
            machine.kill(Death::machine);
        }
        machine.restart();
    }
}

TEST_P(DiskTest, a_full_disk_and_failing_writes_are_told) {
    Database db(machine, GetParam());
    ASSERT_EQ(db.run("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)"), SQLITE_OK);
    const std::uint64_t used = machine.disk_used_bytes();
    EXPECT_GT(used, 4096u);
    machine.disk().capacity_bytes = used + 50'000;
    EXPECT_EQ(db.run(insert(0, 5000)), SQLITE_FULL);
    (void)db.run("ROLLBACK");
    machine.disk().capacity_bytes = 1ull << 40;
    EXPECT_EQ(db.run(insert(0, 500)), SQLITE_OK);
    machine.disk().write_failure_probability = 1;
    EXPECT_EQ(db.run(insert(500, 600)), SQLITE_IOERR);
    (void)db.run("ROLLBACK");
    machine.disk().write_failure_probability = 0;
    EXPECT_EQ(db.ask("SELECT count(*) FROM t"), "500");
}

TEST_P(DiskTest, connections_lock_each_other_out) {
    Database one(machine, GetParam()), two(machine, GetParam());
    ASSERT_EQ(one.run("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)"), SQLITE_OK);
    ASSERT_EQ(one.run("BEGIN IMMEDIATE; INSERT INTO t VALUES(1, '')"), SQLITE_OK);
    EXPECT_EQ(two.run("BEGIN IMMEDIATE"), SQLITE_BUSY);
    EXPECT_EQ(two.ask("SELECT count(*) FROM t"), "0");
    ASSERT_EQ(one.run("COMMIT"), SQLITE_OK);
    EXPECT_EQ(two.ask("SELECT count(*) FROM t"), "1");
    EXPECT_EQ(two.run("INSERT INTO t VALUES(2, '')"), SQLITE_OK);
    EXPECT_EQ(one.ask("SELECT count(*) FROM t"), "2");
}

INSTANTIATE_TEST_SUITE_P(Journals, DiskTest, testing::Values("wal", "delete", "truncate"),
                         [](const auto& info) { return std::string(info.param); });

TEST(SimDisk, machines_share_no_files_and_sql_random_follows_the_seed) {
    const auto draw = [](std::uint64_t seed) {
        World world({.seed = seed});
        Database one(world.machine("one", "10.0.0.1")), two(world.machine("two", "10.0.0.2"));
        (void)one.run("CREATE TABLE t(id INTEGER)");
        EXPECT_EQ(two.ask("SELECT count(*) FROM sqlite_schema"), "0");
        return one.ask("SELECT random()") + one.ask("SELECT datetime('now')");
    };
    EXPECT_EQ(draw(1), draw(1));
    EXPECT_NE(draw(1), draw(2));
}

}  // namespace
}  // namespace gyre::sim

// Against a real etcd, which each suite starts on free ports with a data folder of its own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <gyre/cluster/etcd_client.hpp>
#include <gyre/io/loop.hpp>

namespace gyre::cluster {
namespace {

std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
    ::close(fd);
    return ::ntohs(address.sin_port);
}

class EtcdServer {
public:
    EtcdServer() {
        char name[] = "/tmp/gyre_etcd_XXXXXX";
        folder_ = ::mkdtemp(name);
        start();
    }
    ~EtcdServer() {
        stop();
        std::filesystem::remove_all(folder_);
    }
    void start() {
        const std::string client = "http://127.0.0.1:" + std::to_string(endpoint.port);
        const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
        const std::string data = folder_ + "/data", cluster = "default=" + peer;
        pid_ = ::fork();
        if (pid_ != 0) return;
        const int null = ::open("/dev/null", O_RDWR);
        for (const int fd : {0, 1, 2}) ::dup2(null, fd);
        ::execl("/usr/bin/etcd", "etcd", "--data-dir", data.c_str(), "--listen-client-urls",
                client.c_str(), "--advertise-client-urls", client.c_str(), "--listen-peer-urls",
                peer.c_str(), "--initial-advertise-peer-urls", peer.c_str(), "--initial-cluster",
                cluster.c_str(), "--heartbeat-interval", "20", "--election-timeout", "200",
                nullptr);
        ::_exit(127);
    }
    void stop() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    void wipe() { std::filesystem::remove_all(folder_ + "/data"); }

    const io::Endpoint endpoint{"127.0.0.1", free_port()};

private:
    std::uint16_t peer_port_ = free_port();
    std::string folder_;
    pid_t pid_ = 0;
};

Task<> until_healthy(EtcdClient* client) {
    for (;;) {
        const auto written = co_await as_result(client->put("health", "1"));
        if (written) co_return;
        co_await sleep(20ms);
    }
}
Task<> limited(Duration limit, Task<> task) { co_await with_timeout(limit, std::move(task)); }

class EtcdTest : public testing::Test {
protected:
    static void SetUpTestSuite() {
        if (::access("/usr/bin/etcd", X_OK) == 0) server = new EtcdServer;
    }
    static void TearDownTestSuite() {
        delete server;
        server = nullptr;
    }
    void SetUp() override {
        if (!server) FAIL() << "/usr/bin/etcd is not installed (package etcd-server)";
        client.emplace(loop, config());
        loop.run_task(limited(30s, until_healthy(&*client)));
        prefix = std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + "/";
    }
    static EtcdConfig config() {
        EtcdConfig config;
        config.endpoints = {server->endpoint};
        config.retry_delay = 20ms;
        return config;
    }
    template <class T>
    T run(Task<T> task) {
        return loop.run_task(std::move(task));
    }
    template <class T>
    std::string code(Task<T> task) {
        auto result = loop.run_task(as_result(std::move(task)));
        return result ? "ok" : result.error().code();
    }
    EtcdChanges next(EtcdWatch& watch) { return run(with_limit(&watch)); }
    static Task<EtcdChanges> with_limit(EtcdWatch* watch) {
        co_return co_await with_timeout(20s, watch->next());
    }
    static Task<EtcdChanges> limited_next(EtcdWatch* watch, Duration limit) {
        co_return co_await with_timeout(limit, watch->next());
    }
    /// Starts to wait before `change` is made.
    EtcdChanges next_after(EtcdWatch& watch, std::function<void()> change) {
        return run(both(&watch, std::move(change)));
    }
    static Task<EtcdChanges> both(EtcdWatch* watch, std::function<void()> change) {
        auto waiting = go(with_limit(watch));
        while (!watch->connected()) co_await yield();
        change();
        co_return co_await waiting;
    }

    static inline EtcdServer* server = nullptr;
    io::Loop loop;
    std::optional<EtcdClient> client;
    std::string prefix;
};

TEST_F(EtcdTest, puts_gets_ranges_and_removes_any_bytes) {
    const std::string key = prefix + std::string("k\0\xff\"\n", 5), value("v\0\xfe", 3);
    EXPECT_FALSE(run(client->get(key)));
    const auto revision = run(client->put(key, value));
    const auto pair = run(client->get(key));
    ASSERT_TRUE(pair);
    EXPECT_EQ(pair->key, key);
    EXPECT_EQ(pair->value, value);
    EXPECT_EQ(pair->mod_revision, revision);
    (void)run(client->put(prefix, ""));
    (void)run(client->put(prefix + "\xff", "z"));
    const auto range = run(client->range(prefix));
    ASSERT_EQ(range.pairs.size(), 3u);
    EXPECT_EQ(range.pairs[0].key, prefix);
    EXPECT_EQ(range.pairs[1].key, key);
    EXPECT_EQ(range.pairs[2].value, "z");
    EXPECT_GT(range.revision, revision);
    EXPECT_GE(run(client->range("")).pairs.size(), 4u);
    EXPECT_TRUE(run(client->remove(key)));
    EXPECT_FALSE(run(client->remove(key)));
}

TEST_F(EtcdTest, a_lease_takes_its_keys_along) {
    const auto lease = run(client->lease_grant(60s));
    EXPECT_NE(lease, 0);
    (void)run(client->put(prefix + "a", "1", lease));
    EXPECT_EQ(run(client->get(prefix + "a"))->lease, lease);
    EXPECT_EQ(run(client->lease_keep_alive(lease)), 60s);
    run(client->lease_revoke(lease));
    EXPECT_FALSE(run(client->get(prefix + "a")));
    EXPECT_EQ(code(client->lease_keep_alive(lease)), errc::not_found);
    EXPECT_EQ(code(client->lease_revoke(lease)), errc::not_found);
    EXPECT_EQ(code(client->put(prefix + "a", "1", lease)), errc::not_found);
}

TEST_F(EtcdTest, writes_only_what_nobody_else_changed) {
    const std::string key = prefix + "lock";
    const auto mine = run(client->put_if(key, "me", 0));
    EXPECT_GT(mine, 0);
    EXPECT_EQ(run(client->put_if(key, "you", 0)), 0);
    EXPECT_EQ(run(client->get(key))->mod_revision, mine);
    const auto later = run(client->put_if(key, "me 2", mine));
    EXPECT_GT(later, mine);
    EXPECT_EQ(run(client->put_if(key, "you", mine)), 0);
    EXPECT_FALSE(run(client->remove_if(key, mine)));
    EXPECT_EQ(run(client->get(key))->value, "me 2");
    EXPECT_TRUE(run(client->remove_if(key, later)));
    EXPECT_FALSE(run(client->get(key)));
    EXPECT_EQ(run(client->put_if(key, "me", later)), 0);
}

Task<> write_two(EtcdClient* client, std::string prefix) {
    (void)co_await client->put(prefix + "b", "2");
    (void)co_await client->remove(prefix + "a");
}

TEST_F(EtcdTest, a_watch_tells_all_then_each_change) {
    (void)run(client->put(prefix + "a", "1"));
    (void)run(client->put("elsewhere/" + prefix, "x"));
    EtcdWatch watch(*client, prefix);
    const auto all = next(watch);
    EXPECT_TRUE(all.complete);
    ASSERT_EQ(all.events.size(), 1u);
    EXPECT_EQ(all.events[0].pair.value, "1");
    Scope scope(loop.executor(), "writer");
    const auto first = next_after(watch, [&] { (void)go(scope, write_two(&*client, prefix)); });
    EXPECT_FALSE(first.complete);
    ASSERT_EQ(first.events.size(), 1u);
    EXPECT_EQ(first.events[0].pair.key, prefix + "b");
    EXPECT_GT(first.revision, all.revision);
    const auto second = next(watch);
    ASSERT_EQ(second.events.size(), 1u);
    EXPECT_TRUE(second.events[0].removed);
    EXPECT_EQ(second.events[0].pair.key, prefix + "a");
    EXPECT_TRUE(loop.run_until([&] { return scope.running() == 0; }));
}

TEST_F(EtcdTest, a_lease_that_nobody_keeps_alive_is_told_to_the_watch) {
    const auto lease = run(client->lease_grant(1s));
    (void)run(client->put(prefix + "node", "1", lease));
    EtcdWatch watch(*client, prefix);
    EXPECT_EQ(next(watch).events.size(), 1u);
    const auto gone = next(watch);
    ASSERT_EQ(gone.events.size(), 1u);
    EXPECT_TRUE(gone.events[0].removed);
    EXPECT_EQ(gone.events[0].pair.key, prefix + "node");
}

TEST_F(EtcdTest, a_compacted_watch_starts_over) {
    (void)run(client->put(prefix + "a", "1"));
    EtcdWatch watch(*client, prefix);
    EXPECT_EQ(next(watch).events.size(), 1u);
    EXPECT_TRUE(run(client->remove(prefix + "a")));
    const auto revision = run(client->put(prefix + "b", "2"));
    run(client->compact(revision));
    const auto again = next(watch);
    EXPECT_TRUE(again.complete);
    ASSERT_EQ(again.events.size(), 1u);
    EXPECT_EQ(again.events[0].pair.key, prefix + "b");
}

TEST_F(EtcdTest, a_watch_survives_a_killed_etcd_and_misses_nothing) {
    EtcdWatch watch(*client, prefix);
    EXPECT_TRUE(next(watch).complete);
    Scope scope(loop.executor(), "writer");
    EXPECT_EQ(
        next_after(watch, [&] { (void)go(scope, write_two(&*client, prefix)); }).events.size(), 1u);
    EXPECT_TRUE(loop.run_until([&] { return scope.running() == 0; }));
    server->stop();
    EXPECT_EQ(code(client->put(prefix + "x", "lost")), errc::refused);
    server->start();
    EtcdClient other(loop, config());
    loop.run_task(limited(30s, until_healthy(&other)));
    (void)run(other.put(prefix + "c", "3"));
    const auto change = next(watch);
    EXPECT_FALSE(change.complete);
    ASSERT_EQ(change.events.size(), 1u);
    EXPECT_EQ(change.events[0].pair.key, prefix + "c");
}

TEST_F(EtcdTest, a_wiped_etcd_is_listed_again) {
    for (int i = 0; i < 20; ++i) (void)run(client->put(prefix + "a", std::to_string(i)));
    EtcdWatch watch(*client, prefix);
    EXPECT_EQ(next(watch).events.size(), 1u);
    server->stop();
    server->wipe();
    server->start();
    loop.run_task(limited(30s, until_healthy(&*client)));
    const auto again = next(watch);
    EXPECT_TRUE(again.complete);
    EXPECT_TRUE(again.events.empty());
}

TEST_F(EtcdTest, another_member_is_asked_when_one_is_gone) {
    EtcdConfig two = config();
    two.endpoints.insert(two.endpoints.begin(), {"127.0.0.1", free_port()});
    EtcdClient both_ends(loop, two);
    EXPECT_GT(run(both_ends.put(prefix + "a", "1")), 0);
    EtcdConfig none = config();
    none.endpoints = {{"127.0.0.1", free_port()}, {"127.0.0.1", free_port()}};
    EtcdClient nobody(loop, none);
    EXPECT_EQ(code(nobody.range("")), errc::refused);
    EXPECT_EQ(code(limited(300ms, until_healthy(&nobody))), errc::timed_out);
}

TEST_F(EtcdTest, a_silent_watch_is_opened_anew_and_a_cancelled_one_ends) {
    EtcdConfig hasty = config();
    hasty.watch_refresh = 50ms;
    EtcdClient impatient(loop, hasty);
    EtcdWatch watch(impatient, prefix);
    EXPECT_TRUE(next(watch).complete);
    EXPECT_EQ(code(limited_next(&watch, 500ms)), errc::timed_out);  // ten times anew by then
    (void)run(client->put(prefix + "a", "1"));
    EXPECT_EQ(next(watch).events.size(), 1u);
}

}  // namespace
}  // namespace gyre::cluster

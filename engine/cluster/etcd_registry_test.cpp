// Against a real etcd on free ports of loopback, one for each test.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <gyre/cluster/directory.hpp>
#include <gyre/cluster/etcd_client.hpp>
#include <gyre/cluster/etcd_registry.hpp>
#include <gyre/io/loop.hpp>

namespace gyre::cluster {
namespace {

constexpr Duration ttl = 2s;

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

/// One etcd process; it dies with the test.
class EtcdProcess {
public:
    EtcdProcess() {
        char name[] = "/tmp/gyre_registry_XXXXXX";
        folder_ = ::mkdtemp(name);
        start();
    }
    ~EtcdProcess() {
        stop();
        std::filesystem::remove_all(folder_);
    }
    void start() {
        const std::string client = "http://" + endpoint.to_string();
        const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
        const std::string data = folder_ + "/data", members = "default=" + peer;
        pid_ = ::fork();
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int null = ::open("/dev/null", O_RDWR);
        for (const int fd : {0, 1, 2}) ::dup2(null, fd);
        ::execl("/usr/bin/etcd", "etcd", "--data-dir", data.c_str(), "--listen-client-urls",
                client.c_str(), "--advertise-client-urls", client.c_str(), "--listen-peer-urls",
                peer.c_str(), "--initial-advertise-peer-urls", peer.c_str(), "--initial-cluster",
                members.c_str(), "--heartbeat-interval", "20", "--election-timeout", "200",
                "--unsafe-no-fsync", nullptr);
        ::_exit(127);
    }
    void send(int signal) { ::kill(pid_, signal); }
    void stop() {
        if (pid_ <= 0) return;
        send(SIGKILL);
        ::waitpid(std::exchange(pid_, 0), nullptr, 0);
    }
    void wipe() { std::filesystem::remove_all(folder_ + "/data"); }
    const io::Endpoint endpoint{"127.0.0.1", free_port()};

private:
    const std::uint16_t peer_port_ = free_port();
    std::string folder_;
    pid_t pid_ = 0;
};

struct Node {
    Node(io::Io& io, Scope& scope, const io::Endpoint& etcd, const std::string& name)
        : registry(io, scope, {etcd}, "test", {.lease_ttl = ttl, .update_interval = 200ms}),
          directory(io.executor(), registry) {
        info.name = name;
        info.role = name.substr(0, name.find('_'));
        info.address = {"127.0.0.1", static_cast<std::uint16_t>(fnv1a(name) | 1)};
        info.incarnation = io.random_u64() | 1;
        registry.on_new_incarnation = [this](std::uint64_t) { ++new_incarnations; };
    }
    bool sees(std::string_view name) const { return directory.view().find(name) != nullptr; }
    NodeInfo info;
    EtcdRegistry registry;
    Directory directory;
    int new_incarnations = 0;
};

class EtcdRegistryTest : public testing::Test {
protected:
    void SetUp() override {
        if (::access("/usr/bin/etcd", X_OK) != 0)
            FAIL() << "/usr/bin/etcd is not installed (package etcd-server)";
        etcd = std::make_unique<EtcdProcess>();
    }
    void TearDown() override { loop.run_task(scope.close()); }
    std::unique_ptr<Node> start(const std::string& name) {
        auto node = std::make_unique<Node>(loop, scope, etcd->endpoint, name);
        loop.run_task(node->registry.register_node(node->info));
        return node;
    }
    bool wait(const std::function<bool()>& done, Duration limit = 15s) {
        return loop.run_until(done, limit);
    }
    io::Loop loop;
    Scope scope{loop.executor(), "test"};
    std::unique_ptr<EtcdProcess> etcd;
};

TEST_F(EtcdRegistryTest, nodes_see_each_other_come_change_and_go) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1") && battle->sees("lobby_1"); }));
    EXPECT_EQ(*lobby->directory.find("battle_1"), battle->info);
    EXPECT_TRUE(loop.run_task(lobby->registry.is_alive("battle_1", battle->info.incarnation)));
    EXPECT_FALSE(loop.run_task(lobby->registry.is_alive("battle_1", 1)));
    EXPECT_FALSE(loop.run_task(lobby->registry.is_alive("battle_9", 1)));
    battle->info.load = 700;
    battle->info.draining = true;
    battle->registry.update(battle->info);
    ASSERT_TRUE(wait([&] { return *lobby->directory.find("battle_1") == battle->info; }));
    loop.run_task(battle->registry.unregister());
    ASSERT_TRUE(wait([&] { return !lobby->sees("battle_1"); }, ttl / 2));
}

TEST_F(EtcdRegistryTest, a_node_that_dies_goes_with_its_lease) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1"); }));
    EXPECT_FALSE(wait([&] { return !lobby->sees("battle_1"); }, ttl * 2));  // It is kept alive.
    const TimePoint died = loop.now();
    battle.reset();
    ASSERT_TRUE(wait([&] { return !lobby->sees("battle_1"); }));
    EXPECT_LT(loop.now() - died, ttl + 1s);
    EXPECT_TRUE(lobby->registry.lease_held());
}

TEST_F(EtcdRegistryTest, a_silent_etcd_stops_nothing) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1"); }));
    etcd->send(SIGSTOP);
    ASSERT_TRUE(wait([&] { return !lobby->registry.lease_held(); }));
    EXPECT_FALSE(wait([&] { return !lobby->sees("battle_1"); }, 1s));
    try {
        loop.run_task(lobby->registry.is_alive("battle_1", battle->info.incarnation));
        FAIL() << "nobody can know";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), "unavailable");
    }
    etcd->send(SIGCONT);
    // etcd may end all leases before it hears of us: still nobody is taken for dead.
    EXPECT_TRUE(wait([&] {
        EXPECT_TRUE(lobby->sees("battle_1") && battle->sees("lobby_1"));
        return lobby->registry.lease_held() && battle->registry.lease_held();
    }));
    auto gate = start("gate_1");
    EXPECT_TRUE(wait([&] { return lobby->sees("gate_1"); }));
}

TEST_F(EtcdRegistryTest, nodes_outlive_a_restart_of_etcd_and_the_loss_of_its_data) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    ASSERT_TRUE(wait([&] { return lobby->sees("battle_1"); }));
    etcd->stop();
    ASSERT_TRUE(wait([&] { return !lobby->registry.lease_held(); }));
    etcd->start();
    ASSERT_TRUE(
        wait([&] { return lobby->registry.lease_held() && battle->registry.lease_held(); }));
    EXPECT_EQ(lobby->new_incarnations + battle->new_incarnations, 0);  // etcd renews its leases.

    etcd->stop();
    etcd->wipe();
    etcd->start();
    ASSERT_TRUE(wait([&] {
        EXPECT_TRUE(lobby->sees("battle_1") && battle->sees("lobby_1"));
        return lobby->new_incarnations == 1 && battle->new_incarnations == 1;
    }));
    ASSERT_TRUE(wait([&] {
        const auto seen = lobby->directory.find("battle_1");
        return seen && seen->incarnation == battle->registry.incarnation() &&
               battle->registry.lease_held();
    }));
}

TEST_F(EtcdRegistryTest, a_deleted_entry_is_a_lost_lease_and_a_bad_one_is_ignored) {
    auto lobby = start("lobby_1");
    auto battle = start("battle_1");
    EtcdClient client(loop, {.endpoints = {etcd->endpoint}});
    loop.run_task(client.put("/gyre/test/nodes/evil_1", "{\"name\":\"lobby_1\"}"));
    loop.run_task(client.put("/gyre/test/nodes/evil_2", "not JSON"));
    loop.run_task(client.put("/gyre/other/nodes/stranger", "{\"name\":\"stranger\"}"));
    EXPECT_TRUE(loop.run_task(client.remove("/gyre/test/nodes/battle_1")));
    ASSERT_TRUE(wait([&] {
        const auto seen = lobby->directory.find("battle_1");
        return battle->new_incarnations == 1 && seen &&
               seen->incarnation == battle->registry.incarnation();
    }));
    EXPECT_EQ(lobby->directory.view().size(), 2u);
    EXPECT_EQ(lobby->new_incarnations, 0);
}

}  // namespace
}  // namespace gyre::cluster

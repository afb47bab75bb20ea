#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gyre/io/loop.hpp>
#include <gyre/node/data_folder.hpp>

namespace gyre::node {
namespace {

class DataFolderTest : public testing::Test {
protected:
    DataFolderTest() {
        char name[] = "/tmp/gyre-data-XXXXXX";
        root_ = ::mkdtemp(name);
    }
    ~DataFolderTest() override { std::filesystem::remove_all(root_); }
    std::string root_;
};

int mode_of(const std::string& path) {
    struct stat found;
    return ::stat(path.c_str(), &found) == 0 ? static_cast<int>(found.st_mode & 0777) : -1;
}

TEST_F(DataFolderTest, is_made_for_its_owner_alone_and_has_an_absolute_path) {
    const auto folder = DataFolder::open(root_ + "/a/../b/c").value();
    EXPECT_EQ(folder.path(), std::filesystem::canonical(root_).string() + "/b/c");
    EXPECT_EQ(mode_of(folder.path()), 0700);
    EXPECT_EQ(DataFolder::open(root_ + "/b/c").value().path(), folder.path());
    const auto missing = DataFolder::find(root_ + "/none");
    ASSERT_FALSE(missing);
    EXPECT_TRUE(missing.error().is(errc::not_found));
    EXPECT_FALSE(std::filesystem::exists(root_ + "/none"));
}

TEST_F(DataFolderTest, what_cannot_be_a_folder_is_named) {
    std::ofstream(root_ + "/file") << "text";
    for (const auto& path : {root_ + "/file", root_ + "/file/below", std::string("/proc/gyre"), std::string()}) {
        const auto refused = DataFolder::open(path);
        ASSERT_FALSE(refused) << path;
        EXPECT_TRUE(refused.error().is(errc::bad_config));
        EXPECT_NE(refused.error().message().find(path), std::string::npos);
    }
}

TEST_F(DataFolderTest, keys_are_made_once_and_differ) {
    io::Loop loop;
    const auto folder = DataFolder::open(root_ + "/d").value();
    const auto first = folder.keys(loop).value(), again = folder.keys(loop).value();
    EXPECT_EQ(first.cluster, again.cluster);
    EXPECT_EQ(first.login, again.login);
    EXPECT_EQ(first.ticket, again.ticket);
    EXPECT_FALSE(first.cluster == first.login);
    EXPECT_FALSE(first.login == first.ticket);
    EXPECT_EQ(mode_of(folder.file("ticket.key")), 0600);
}

TEST_F(DataFolderTest, one_has_the_lock_until_it_lets_go) {
    const auto folder = DataFolder::open(root_ + "/d").value();
    EXPECT_FALSE(folder.locked_by());
    {
        const auto held = folder.lock();
        ASSERT_TRUE(held);
        EXPECT_EQ(folder.locked_by(), static_cast<std::uint64_t>(::getpid()));
        const auto second = folder.lock();
        ASSERT_FALSE(second);
        EXPECT_TRUE(second.error().is(errc::in_use));
        EXPECT_NE(second.error().message().find(std::to_string(::getpid())), std::string::npos);
    }
    EXPECT_FALSE(folder.locked_by());
    EXPECT_TRUE(folder.lock());
}

TEST_F(DataFolderTest, the_cluster_file_is_read_as_it_was_written) {
    const auto folder = DataFolder::open(root_ + "/d").value();
    EXPECT_TRUE(folder.cluster().error().is(errc::not_found));
    ClusterFile file;
    file.name = "gyre-1";
    file.pid = 77;
    file.mode = "process";
    file.config = {{"gate_0", "gate", 1, 2, 3}};
    cluster::NodeInfo node;
    node.name = "gate_0";
    node.address = {"127.0.0.1", 4001};
    node.incarnation = 0xfedc'ba98'7654'3210;  // More than a double holds.
    file.nodes = {node};
    folder.write(file).value();
    folder.write(node).value();

    const auto read = folder.cluster().value();
    EXPECT_EQ(read.name, "gyre-1");
    EXPECT_EQ(read.pid, 77u);
    ASSERT_EQ(read.nodes.size(), 1u);
    EXPECT_EQ(read.nodes[0], node);
    ASSERT_EQ(read.config.size(), 1u);
    EXPECT_EQ(read.config[0].client_port, 2);
    EXPECT_TRUE(std::filesystem::exists(folder.file("nodes/gate_0.json")));

    std::ofstream(folder.file("cluster.json")) << "{\"pid\": \"me\"}";
    EXPECT_TRUE(folder.cluster().error().is(errc::bad_data));
    folder.forget_cluster();
    EXPECT_TRUE(folder.cluster().error().is(errc::not_found));
    EXPECT_TRUE(std::filesystem::is_empty(folder.file("nodes")));
}

}  // namespace
}  // namespace gyre::node

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gyre/node/module_history.hpp>

namespace gyre::node {
namespace {

class NodeHistoryTest : public testing::Test {
protected:
    NodeHistoryTest() {
        char name[] = "/tmp/gyre-history-XXXXXX";
        root_ = ::mkdtemp(name);
    }
    ~NodeHistoryTest() override { std::filesystem::remove_all(root_); }

    /// A build whose file exists.
    BuildFile build(const std::string& id) {
        const std::string path = root_ + "/arena-" + id + ".so";
        std::ofstream(path) << id;
        return {id, path, 1};
    }
    NodeHistory load(std::string* problem = nullptr) { return NodeHistory::load(root_ + "/lobby_0.json", problem); }
    /// A process that starts, and what it writes down.
    NodeHistory::Start start(const BuildFile& installed) {
        auto history = load();
        auto start = history.start("arena", installed, "engine");
        EXPECT_TRUE(history.save());
        return start;
    }
    void reload(const BuildFile& to, bool confirmed, const std::string& installed = "a") {
        auto history = load();
        history.begin("arena", to, "ann@host", installed, 3);
        if (confirmed) history.confirm("arena");
        EXPECT_TRUE(history.save());
    }
    std::string root_;
};

TEST_F(NodeHistoryTest, a_restart_runs_the_build_that_was_reloaded) {
    const auto a = build("a"), b = build("b");
    EXPECT_EQ(start(a).use, a);
    reload(b, true);
    const auto again = start(a);
    EXPECT_EQ(again.use, b);
    EXPECT_FALSE(again.died);
    EXPECT_EQ(start(a).use, b);
}

TEST_F(NodeHistoryTest, an_installed_file_that_changed_since_is_taken) {
    const auto a = build("a"), b = build("b"), c = build("c");
    start(a);
    reload(b, true);
    EXPECT_EQ(start(c).use, c);
    EXPECT_EQ(load().find("arena")->previous.front(), b);
}

TEST_F(NodeHistoryTest, a_build_that_died_in_probation_is_left_and_not_started_again) {
    const auto a = build("a"), b = build("b");
    start(a);
    reload(b, false, "b");  // the installed file was reloaded
    const auto back = start(b);
    EXPECT_EQ(back.use, a);
    ASSERT_TRUE(back.died);
    EXPECT_EQ(back.died->build, "b");
    const auto again = start(b);
    EXPECT_EQ(again.use, a);
    EXPECT_FALSE(again.died) << "told once";
    // Installed anew after another one it stays bad, until somebody asks for it.
    const auto c = build("c");
    EXPECT_EQ(start(c).use, c);
    EXPECT_EQ(start(b).use, c);
    reload(b, true, "b");
    EXPECT_EQ(start(b).use, b);
}

TEST_F(NodeHistoryTest, a_build_that_replaces_one_in_probation_falls_back_to_the_confirmed_one) {
    const auto a = build("a"), b = build("b"), c = build("c");
    start(a);
    reload(b, false);
    reload(c, false);
    EXPECT_EQ(load().find("arena")->previous.front(), b) << "for who asks for it";
    EXPECT_EQ(start(a).use, a);
}

TEST_F(NodeHistoryTest, keeps_so_many) {
    start(build("a"));
    for (const char* id : {"b", "c", "d", "e"}) reload(build(id), true);
    auto history = load();
    ASSERT_EQ(history.find("arena")->previous.size(), 3u);
    EXPECT_EQ(history.find("arena")->previous.front().build, "d");
    EXPECT_EQ(history.find("arena")->previous.back().build, "b");
}

TEST_F(NodeHistoryTest, another_engine_starts_with_the_installed_build) {
    const auto a = build("a"), b = build("b");
    start(a);
    reload(b, true);
    EXPECT_EQ(load().start("arena", a, "another engine").use, a);
}

TEST_F(NodeHistoryTest, a_kept_file_that_is_gone_is_replaced_by_the_installed_one) {
    const auto a = build("a"), b = build("b");
    start(a);
    reload(b, true);
    std::filesystem::remove(b.file);
    EXPECT_EQ(start(a).use, a);
}

TEST_F(NodeHistoryTest, a_torn_file_is_told_and_starts_anew_wherever_it_is_cut) {
    start(build("a"));
    reload(build("b"), false);
    const std::string path = root_ + "/lobby_0.json";
    std::string whole;
    std::getline(std::ifstream(path), whole, '\0');
    const std::size_t end = whole.find_last_of(']');
    for (std::size_t cut = 0; cut < end; cut += 7) {
        std::ofstream(path, std::ios::trunc) << whole.substr(0, cut);
        std::string problem;
        auto history = load(&problem);
        EXPECT_NE(problem.find("lobby_0.json"), std::string::npos) << "cut at " << cut;
        EXPECT_EQ(history.start("arena", build("a"), "engine").use.build, "a");
    }
}

TEST_F(NodeHistoryTest, a_disk_that_refuses_leaves_the_file_before) {
    const auto a = build("a"), b = build("b");
    start(a);
    std::filesystem::create_directory(root_ + "/lobby_0.json.new");
    auto history = load();
    history.begin("arena", b, "ann@host", "a", 3);
    const auto saved = history.save();
    ASSERT_FALSE(saved);
    EXPECT_NE(saved.error().message().find("lobby_0.json"), std::string::npos);
    EXPECT_EQ(load().find("arena")->current, a);
}

}  // namespace
}  // namespace gyre::node

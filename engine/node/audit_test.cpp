#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gyre/node/audit.hpp>

namespace gyre::node {
namespace {

class AuditTest : public testing::Test {
protected:
    AuditTest() {
        char name[] = "/tmp/gyre-audit-XXXXXX";
        root_ = ::mkdtemp(name);
    }
    ~AuditTest() override { std::filesystem::remove_all(root_); }
    std::string root_;
};

AuditEntry entry(std::int64_t at, std::string reason = "") {
    AuditEntry entry;
    entry.at_ms = at;
    entry.who = "ann@host";
    entry.action = "reload";
    entry.reason = std::move(reason);
    return entry;
}

TEST_F(AuditTest, keeps_what_happened_in_order) {
    const AuditLog log(root_ + "/audit.log");
    EXPECT_TRUE(log.read(10).empty());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(log.append(entry(i, "a \"quoted\"\nreason")));
    const auto last = log.read(3);
    ASSERT_EQ(last.size(), 3u);
    EXPECT_EQ(last.front().at_ms, 2);
    EXPECT_EQ(last.back().at_ms, 4);
    EXPECT_EQ(last.back().reason, "a \"quoted\"\nreason");
    EXPECT_EQ(last.back().who, "ann@host");
}

TEST_F(AuditTest, half_a_line_costs_that_line_alone) {
    const AuditLog log(root_ + "/audit.log");
    ASSERT_TRUE(log.append(entry(1)));
    std::ofstream(log.path(), std::ios::app) << R"({"at_ms": 2, "wh)";
    ASSERT_TRUE(log.append(entry(3)));
    const auto all = log.read(10);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].at_ms, 1);
    EXPECT_EQ(all[1].at_ms, 3);
}

TEST_F(AuditTest, a_file_that_cannot_be_written_is_named) {
    const auto done = AuditLog(root_ + "/missing/audit.log").append(entry(1));
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message().find("missing/audit.log: No such file"), std::string::npos);
}

}  // namespace
}  // namespace gyre::node

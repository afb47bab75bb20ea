#include <gtest/gtest.h>

#include <gyre/base/error.hpp>
#include <gyre/log/capture.hpp>
#include <gyre/task/sync.hpp>
#include <gyre/trace/failed.hpp>
#include <gyre/trace/symbols.hpp>
#include <gyre/trace/throw.hpp>
#include <stdexcept>

namespace gyre::trace {
namespace {

volatile int one = 1;

/// Each a place of its own: turns last for a minute.
template <int place>
[[gnu::noinline]] void throw_foreign() {
    if (one) throw std::runtime_error("number " + std::to_string(place));
    asm volatile("");
}
template <int place>
[[gnu::noinline]] void throw_error() {
    if (one) throw Error(errc::not_found, "number " + std::to_string(place));
    asm volatile("");
}
void fail_by(void (*thrower)()) {
    try {
        thrower();
    } catch (...) {
        failed("test.failed", std::current_exception(), {{"shop", 7}});
    }
}

class FailedTest : public testing::Test {
protected:
    FailedTest() { index(); }
    ~FailedTest() override {
        stop_reports();
        set_trace_errors(false);
    }
    std::string fields() const { return log.lines().back().fields; }
    log::Capture log{log::Level::warn};
};
bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

TEST_F(FailedTest, a_foreign_exception_is_told_with_type_and_stack) {
    fail_by(&throw_foreign<1>);
    ASSERT_EQ(log.count("test.failed"), 1u);
    const auto line = log.lines().back();
    EXPECT_TRUE(has(line.fields, "number 1")) << line.fields;
    EXPECT_TRUE(has(line.fields, "type=std::runtime_error")) << line.fields;
    EXPECT_TRUE(has(line.fields, "shop=7")) << line.fields;
    EXPECT_TRUE(has(line.fields, "throw_foreign<1>")) << line.fields;
    EXPECT_TRUE(has(line.fields, "failed_test.cpp:")) << line.fields;
    EXPECT_LT(line.fields.find("throw_foreign<1>"), line.fields.find("fail_by"));
    EXPECT_TRUE(has(line.at, "failed_test.cpp:")) << line.at;
}

TEST_F(FailedTest, the_same_place_within_a_minute_is_counted) {
    for (int i = 0; i < 3; ++i) fail_by(&throw_foreign<2>);
    const auto lines = log.lines();
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_FALSE(has(lines[0].fields, "again="));
    EXPECT_TRUE(has(lines[0].fields, "\n    gyre::trace::"));
    EXPECT_TRUE(has(lines[1].fields, "again=1")) << lines[1].fields;
    EXPECT_TRUE(has(lines[2].fields, "again=2")) << lines[2].fields;
    EXPECT_FALSE(has(lines[1].fields, "\n    gyre::trace::"));
}

TEST_F(FailedTest, what_is_caught_and_expected_uses_up_no_turn) {
    for (int i = 0; i < 100; ++i) {
        try {
            throw_foreign<3>();
        } catch (const std::exception&) {
        }
    }
    fail_by(&throw_foreign<3>);
    EXPECT_TRUE(has(fields(), "\n    gyre::trace::")) << fields();
    EXPECT_FALSE(has(fields(), "again=")) << fields();
}

TEST_F(FailedTest, an_error_has_its_place_and_on_demand_a_stack) {
    fail_by(&throw_error<4>);
    EXPECT_TRUE(has(fields(), "not_found")) << fields();
    EXPECT_TRUE(has(fields(), "thrown_at=")) << fields();
    EXPECT_FALSE(has(fields(), "\n    gyre::trace::")) << fields();
    set_trace_errors(true);
    fail_by(&throw_error<4>);
    EXPECT_TRUE(has(fields(), "throw_error<4>")) << fields();
    fail_by(&throw_error<4>);
    EXPECT_TRUE(has(fields(), "again=1")) << fields();
    EXPECT_FALSE(has(fields(), "\n    gyre::trace::")) << fields();
}

TEST_F(FailedTest, a_line_of_the_reports_thread_is_of_the_task_that_failed) {
    start_reports();
    {
        NodeIdentity node;
        node.name = "shop_3";
        node.role = "shop";
        Executor executor;
        Context context;
        context.node = &node;
        context.executor = &executor;
        context.entity = 41;
        context.session = 42;
        context.call = 43;
        context.trace = 44;
        const ContextGuard guard(&context);
        fail_by(&throw_foreign<5>);
    }
    stop_reports();  // writes what waits
    ASSERT_EQ(log.count("test.failed"), 1u);
    const auto line = log.lines().back();
    EXPECT_EQ(line.node, "shop_3");
    EXPECT_EQ(line.role, "shop");
    EXPECT_EQ(line.entity, 41u);
    EXPECT_EQ(line.session, 42u);
    EXPECT_EQ(line.call, 43u);
    EXPECT_EQ(line.trace, 44u);
    EXPECT_TRUE(has(line.fields, "throw_foreign<5>")) << line.fields;
}

TEST_F(FailedTest, nothing_is_lost_when_more_fail_than_are_looked_up) {
    start_reports();
    for (int i = 0; i < 1'000; ++i) fail_by(&throw_foreign<6>);
    stop_reports();
    EXPECT_EQ(log.count("test.failed"), 1'000u);
}

}  // namespace
}  // namespace gyre::trace

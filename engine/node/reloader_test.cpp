#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gyre/io/loop.hpp>
#include <gyre/node/fake_workshop_test.hpp>
#include <gyre/task/compose.hpp>

namespace gyre::node {
namespace {

class ReloaderTest : public testing::Test {
protected:
    ReloaderTest()
        : root_(temporary()),
          workshop_(root_),
          audit_(root_ + "/audit.log"),
          lane_(loop_.make_lane({.name = "modules"})),
          scope_(loop_.executor(), "node") {
        config_.probation = 200ms;
        auto history = load();
        history.start("arena", {"a", file("a"), 0}, "engine");
        EXPECT_TRUE(history.save());
        reloader_ = std::make_unique<Reloader>(ReloaderParts{loop_, *lane_, "lobby_0", {"arena"}, [this] { return config_; },
                                                             workshop_, history, audit_});
        reloader_->adopt(std::make_shared<FakeCode>("a", workshop_.alive), {"a", file("a"), 0});
        (void)go(scope_, reloader_->run());
    }
    ~ReloaderTest() override {
        scope_.cancel();
        loop_.run_until([this] { return scope_.running() == 0; });
        reloader_.reset();
        lane_.reset();
        std::filesystem::remove_all(root_);
    }
    static std::string temporary() {
        char name[] = "/tmp/gyre-reloader-XXXXXX";
        return ::mkdtemp(name);
    }
    std::string file(const std::string& build) {
        std::ofstream(root_ + "/" + build) << build;
        return root_ + "/" + build;
    }
    NodeHistory load() { return NodeHistory::load(root_ + "/lobby_0.json"); }
    ReloadRequest request(const std::string& build, ReloadMode mode = ReloadMode::automatic) {
        ReloadRequest request;
        request.file = file(build);
        request.mode = mode;
        request.who = "ann@host";
        return request;
    }
    Result<ReloadReport> reload(const std::string& build, ReloadMode mode = ReloadMode::automatic) {
        return loop_.run_task(as_result(reloader_->reload(request(build, mode))));
    }
    ModuleState state() { return reloader_->states().at(0); }
    void until(const std::function<bool()>& done) { ASSERT_TRUE(loop_.run_until(done)); }
    void expect_left_alone(const std::string& build) {
        loop_.run_until([] { return false; }, 250ms);
        EXPECT_EQ(workshop_.running, build);
    }
    void until_taken_back(const std::string& reason) {
        until([this] { return audit_.read(1).back().result == "rolled_back"; });
        EXPECT_EQ(workshop_.running, "a");
        EXPECT_EQ(audit_.read(1).back().reason, reason);
        EXPECT_EQ(load().find("arena")->current.build, "a");
        EXPECT_EQ(state().bad, std::vector<std::string>{"b"});
        EXPECT_EQ(state().probation_ms, 0);
    }
    void until_trusted() {
        until([this] { return audit_.read(100).back().action == "confirm"; });
    }

    std::string root_;
    io::Loop loop_;
    FakeWorkshop workshop_;
    AuditLog audit_;
    std::unique_ptr<io::Lane> lane_;
    Scope scope_;
    ReloadConfig config_;
    std::unique_ptr<Reloader> reloader_;
};

TEST_F(ReloaderTest, swaps_then_trusts_and_unloads_what_nothing_holds) {
    const auto report = reload("b");
    ASSERT_TRUE(report) << report.error().what();
    EXPECT_EQ(report->from, "a");
    EXPECT_EQ(report->to, "b");
    EXPECT_EQ(report->mode, "incremental");
    EXPECT_EQ(workshop_.running, "b");
    EXPECT_GT(state().probation_ms, 0);
    EXPECT_TRUE(load().find("arena")->probation) << "on the disk before the swap";
    (void)workshop_.last();
    until_trusted();
    EXPECT_FALSE(load().find("arena")->probation);
    EXPECT_EQ(state().probation_ms, 0);
    EXPECT_EQ(state().previous, std::vector<std::string>{"a"});
    EXPECT_EQ(workshop_.kept_at_last, (std::vector<std::string>{"b", "a"}));
    until([this] { return workshop_.alive == 1; });
    const auto told = audit_.read(10);
    ASSERT_EQ(told.size(), 2u);
    EXPECT_EQ(told[0].action + " " + told[0].who + " " + told[0].result, "reload ann@host ok");
    EXPECT_EQ(told[1].action + " " + told[1].who, "confirm probation");
}

TEST_F(ReloaderTest, an_old_build_stays_while_something_holds_it_and_is_told) {
    ASSERT_TRUE(reload("b"));
    auto b = workshop_.last();
    b->frames_ = 1;
    until_trusted();
    ASSERT_TRUE(reload("c"));
    (void)workshop_.last();
    until_trusted();
    until([this] { return workshop_.alive == 2; });
    const auto held = state().held;
    ASSERT_EQ(held.size(), 1u);
    EXPECT_EQ(held[0].build, "b");
    EXPECT_EQ(held[0].frames, 1u);
    EXPECT_EQ(held[0].held_by, std::vector<std::string>{"Match/12: task at match.cpp:88"});
    b->frames_ = 0;
    b.reset();
    until([this] { return workshop_.alive == 1; });
}

TEST_F(ReloaderTest, the_same_build_is_nothing_to_do) {
    const auto report = reload("a");
    ASSERT_TRUE(report);
    EXPECT_EQ(report->mode, "");
    EXPECT_TRUE(workshop_.swaps.empty());
    EXPECT_TRUE(audit_.read(10).empty());
}

TEST_F(ReloaderTest, what_fails_leaves_the_old_one_and_says_why) {
    const auto expect = [this](const char* build, std::string_view code, const char* why) {
        const auto report = reload(build);
        ASSERT_FALSE(report) << build;
        EXPECT_TRUE(report.error().is(code)) << report.error().what();
        EXPECT_NE(report.error().message().find(why), std::string::npos) << report.error().what();
        EXPECT_EQ(workshop_.running, "a");
        EXPECT_EQ(state().build, "a");
        EXPECT_EQ(load().find("arena")->current.build, "a");
        EXPECT_FALSE(load().find("arena")->probation);
        EXPECT_EQ(audit_.read(1).back().result, "refused");
        EXPECT_NE(audit_.read(1).back().reason.find(why), std::string::npos);
    };
    expect("b broken", errc::bad_data, "undefined symbol");
    expect("b fails", errc::refused, "on_after_reload threw");
    workshop_.start_failure = "cracked";
    expect("b", "cracked", "does not start");
    EXPECT_EQ(workshop_.swaps, (std::vector<std::string>{"b", "a"})) << "and back";
    workshop_.start_failure.clear();
    ReloadRequest missing = request("b");
    missing.file += ".so";
    EXPECT_FALSE(loop_.run_task(as_result(reloader_->reload(missing))));
    std::filesystem::create_directory(root_ + "/lobby_0.json.new");  // the disk refuses
    expect("b", errc::refused, "lobby_0.json");
}

TEST_F(ReloaderTest, layouts_are_carried_over_unless_only_incremental_was_asked) {
    const auto refused = reload("b layout", ReloadMode::incremental);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(errc::conflict));
    EXPECT_NE(refused.error().message().find("Bag: gold: long -> short"), std::string::npos);
    const auto report = reload("b layout");
    ASSERT_TRUE(report) << report.error().what();
    EXPECT_EQ(report->mode, "full");
    EXPECT_EQ(report->objects, 3u);
    EXPECT_EQ(report->waited, 1u);
    EXPECT_EQ(workshop_.swaps, std::vector<std::string>{"carried b layout"});
}

TEST_F(ReloaderTest, a_check_changes_nothing) {
    ReloadRequest asked = request("b layout");
    asked.check_only = true;
    const auto report = loop_.run_task(reloader_->reload(asked));
    EXPECT_EQ(report.mode, "full");
    EXPECT_EQ(report.changes.types.at(0).type, "Bag");
    EXPECT_EQ(workshop_.running, "a");
    EXPECT_TRUE(audit_.read(10).empty());
    EXPECT_EQ(load().find("arena")->current.build, "a");
}

TEST_F(ReloaderTest, two_at_once_one_is_refused_and_told_whose) {
    std::optional<Result<ReloadReport>> first, second;
    const auto keep = [](Task<ReloadReport> task, std::optional<Result<ReloadReport>>* out) -> Task<> {
        out->emplace(co_await as_result(std::move(task)));
    };
    ReloadRequest other = request("c");
    other.who = "bob@host";
    (void)go(scope_, keep(reloader_->reload(request("b")), &first));
    (void)go(scope_, keep(reloader_->reload(other), &second));
    until([&] { return first && second; });
    EXPECT_TRUE(*first);
    ASSERT_FALSE(*second);
    EXPECT_TRUE(second->error().is(errc::in_use));
    EXPECT_NE(second->error().message().find("ann@host is at a reload of"), std::string::npos);
    EXPECT_EQ(workshop_.running, "b");
}

TEST_F(ReloaderTest, a_build_whose_calls_fail_is_taken_back_and_is_bad) {
    auto& take = workshop_.now.methods[1];
    take.calls = 1'000;
    take.failed = 100;  // a tenth is usual here
    config_.probation = 10s;
    ASSERT_TRUE(reload("b"));
    workshop_.now.methods[0].calls += 100'000;  // a timer that never fails hides nothing
    take.calls += 50;
    take.failed += 8;
    expect_left_alone("b");
    take.calls += 50;
    take.failed += 40;
    until_taken_back("failed calls of Bag.take rose from 10.0 % to 48.0 % of 100");
}

TEST_F(ReloaderTest, a_build_whose_ticks_are_late_is_taken_back_and_is_bad) {
    auto& now = workshop_.now;
    now.ticks = 10'000;
    now.overruns = 500;
    config_.probation = 10s;
    ASSERT_TRUE(reload("b"));
    now.ticks += 29;
    now.overruns += 29;
    expect_left_alone("b");  // too few to say
    now.ticks += 71;
    now.overruns += 1;
    until_taken_back("late ticks rose from 5.0 % to 30.0 % of 100");
}

TEST_F(ReloaderTest, calls_that_the_reload_cancelled_are_not_the_fault_of_the_build) {
    config_.probation = 10s;
    workshop_.cancelled = 30;
    ASSERT_TRUE(reload("b layout"));
    workshop_.now.methods[0].calls += 30;
    expect_left_alone("b layout");
}

TEST_F(ReloaderTest, rolling_back_brings_a_former_build) {
    ASSERT_TRUE(reload("b"));
    until_trusted();
    ASSERT_TRUE(reload("c"));
    until_trusted();
    EXPECT_FALSE(loop_.run_task(as_result(reloader_->roll_back("arena", 3, "ann@host")))) << "there are two";
    const auto report = loop_.run_task(reloader_->roll_back("arena", 2, "ann@host"));
    EXPECT_EQ(report.to, "a");
    EXPECT_EQ(workshop_.running, "a");
    EXPECT_GT(state().probation_ms, 0);
    EXPECT_EQ(audit_.read(1).back().action, "rollback");
    EXPECT_EQ(load().find("arena")->previous.front().build, "c");
    EXPECT_FALSE(loop_.run_task(as_result(reloader_->roll_back("nobody", 1, "ann@host"))));
}

TEST_F(ReloaderTest, coming_back_from_a_build_on_probation_is_trusted_at_once) {
    config_.probation = 10s;
    ASSERT_TRUE(reload("b"));
    (void)workshop_.last();
    EXPECT_EQ(loop_.run_task(reloader_->roll_back("arena", 1, "ann@host")).to, "a");
    EXPECT_EQ(state().probation_ms, 0);
    EXPECT_FALSE(load().find("arena")->probation);
    (void)workshop_.last();
    until([this] { return workshop_.alive == 1; });
}

TEST_F(ReloaderTest, a_process_that_dies_in_probation_starts_with_the_build_before) {
    config_.probation = 10s;
    ASSERT_TRUE(reload("b"));
    auto history = load();  // as the next process does
    const auto start = history.start("arena", {"a", file("a"), 0}, "engine");
    EXPECT_EQ(start.use.build, "a");
    ASSERT_TRUE(start.died);
    EXPECT_EQ(start.died->build, "b");
}

TEST_F(ReloaderTest, a_node_that_ends_in_order_keeps_the_build) {
    config_.probation = 10s;
    ASSERT_TRUE(reload("b"));
    loop_.run_task(reloader_->end());
    auto history = load();
    EXPECT_EQ(history.start("arena", {"a", file("a"), 0}, "engine").use.build, "b");
}

}  // namespace
}  // namespace gyre::node

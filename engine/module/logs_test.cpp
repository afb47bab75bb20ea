#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/module/logs.hpp>
#include <gyre/module/manifest.hpp>
#include <gyre/module/node_test.hpp>

namespace gyre::module {
namespace {

/// Sends errors to a chat, and counts warnings. The code of a later version has the same data.
template <int version>
struct ReporterOf : Service<ReporterOf<version>> {
    using Reporter = ReporterOf;
    std::vector<std::string> chat;
    std::uint32_t warnings = 0, throws = 0, running = 0, running_max = 0;
    std::int64_t at_ms = 0;
    Duration takes{};
    bool logs_itself = false;

    Task<> on_start() {
        logs().on_line<&Reporter::report>(log::Level::error);
        logs().on_line<&Reporter::count>(log::Level::warn, log::Level::warn);
        co_return;
    }
    Task<> report(LogLine line) {
        running_max = std::max(running_max, ++running);
        at_ms = line.at_ms;
        if (takes > Duration::zero()) co_await sleep(takes);
        --running;
        if (logs_itself) log::error("chat.not_sent", {{"why", "it is closed"}});
        if (throws > 0) {
            --throws;
            throw Error(errc::unavailable, "the chat is closed");
        }
        chat.push_back((version > 1 ? "new: " : "") + std::string(log::name(line.level)) + " " + line.event + " " + line.fields);
    }
    void count(LogLine) { ++warnings; }
    static consteval auto describe() {
        return type<Reporter>("Reporter", field<&Reporter::chat>(), field<&Reporter::warnings>(), field<&Reporter::throws>(),
                              field<&Reporter::running>(), field<&Reporter::running_max>(), field<&Reporter::at_ms>(),
                              field<&Reporter::takes>(), field<&Reporter::logs_itself>(), method<&Reporter::report>(),
                              method<&Reporter::count>());
    }
};
using Reporter = ReporterOf<1>;
using NewReporter = ReporterOf<2>;

constexpr const world::TypeTable* types[] = {&world::table<Reporter>};
constexpr const world::TypeTable* new_types[] = {&world::table<NewReporter>};

class LogsTest : public ::testing::Test {
protected:
    LogsTest() { node_->start(types, "shop"); }

    Reporter& reporter() { return node_->service<Reporter>(); }
    void run(Task<> task) { node_->run(std::move(task)); }
    template <class Done>
    void wait_for(Done done) {
        ASSERT_TRUE(world_.run_until(std::move(done), 1h));
    }

    log::Capture log_;
    sim::World world_;
    sim::Machine& machine_ = world_.machine("front", "10.0.0.1");
    cluster::EmbeddedRegistryServer registry_{machine_.executor()};
    std::unique_ptr<store::Store> store_ = world_.run(machine_, store::open(machine_, {}));
    std::unique_ptr<TestNode> node_ = std::make_unique<TestNode>(world_, machine_, registry_, *store_, TestNodeConfig{});
};

Task<> write_line(log::Level level, std::string event, int number) {
    log::write(level, event, {{"number", number}});
    co_return;
}

TEST_F(LogsTest, a_plain_and_a_coroutine_method_get_the_lines_of_their_levels) {
    run(write_line(log::Level::info, "shop.opened", 1));
    run(write_line(log::Level::warn, "shop.empty", 2));
    run(write_line(log::Level::error, "shop.burns", 3));
    wait_for([this] { return reporter().chat.size() == 1 && reporter().warnings == 1; });
    EXPECT_EQ(reporter().chat[0].substr(0, 26), "error shop.burns number=3");
    EXPECT_EQ(reporter().at_ms, machine_.wall_now().time_since_epoch() / 1ms);
}

TEST_F(LogsTest, they_come_one_at_a_time_and_in_order) {
    reporter().takes = 2s;
    for (int i = 0; i < 5; ++i) run(write_line(log::Level::error, "shop.burns", i));
    wait_for([this] { return reporter().chat.size() == 5; });
    for (std::size_t i = 0; i < 5; ++i)
        EXPECT_NE(reporter().chat[i].find("number=" + std::to_string(i)), std::string::npos) << reporter().chat[i];
    EXPECT_EQ(reporter().running_max, 1u);
}

TEST_F(LogsTest, one_that_throws_is_told_once_a_minute_and_goes_on) {
    reporter().throws = 3;
    for (int i = 0; i < 4; ++i) run(write_line(log::Level::error, "shop.burns", i));
    wait_for([this] { return reporter().chat.size() == 1; });
    EXPECT_EQ(log_.count("log.callback_failed"), 1u);
    EXPECT_TRUE(log_.has("log.callback_failed", "method=Reporter.report"));
    EXPECT_TRUE(log_.has("log.callback_failed", "the chat is closed"));
    EXPECT_NE(reporter().chat[0].find("number=3"), std::string::npos);
}

TEST_F(LogsTest, what_it_logs_itself_does_not_come_back) {
    reporter().logs_itself = true;
    run(write_line(log::Level::error, "shop.burns", 1));
    wait_for([this] { return log_.count("chat.not_sent") == 1; });
    world_.run_for(1min);
    EXPECT_EQ(log_.count("chat.not_sent"), 1u);
    EXPECT_EQ(reporter().chat.size(), 1u);
}

TEST_F(LogsTest, one_that_never_ends_loses_lines_and_says_how_many) {
    reporter().takes = 1h;
    const int lines = static_cast<int>(Logs::waiting_max) + 44;
    run(write_line(log::Level::error, "shop.burns", 0));
    wait_for([this] { return reporter().running == 1; });
    for (int i = 0; i < lines; ++i) run(write_line(log::Level::error, "shop.burns", i));
    world_.run_for(1min);
    EXPECT_EQ(log_.count("log.callback_slow"), 1u);
    EXPECT_EQ(reporter().running_max, 1u) << "the next waits for it";
    reporter().takes = {};
    wait_for([this] { return reporter().chat.size() == 1 + Logs::waiting_max; });
    world_.run_for(1s);
    EXPECT_TRUE(log_.has("log.callback_dropped", "method=Reporter.report count=44"));
}

TEST_F(LogsTest, new_code_gets_them_after_a_reload) {
    node_->inside().host.swap("shop", new_types).value();
    run(write_line(log::Level::error, "shop.burns", 7));
    wait_for([this] { return reporter().chat.size() == 1; });
    EXPECT_EQ(reporter().chat[0].substr(0, 5), "new: ");
}

TEST_F(LogsTest, none_comes_after_its_end) {
    reporter().takes = 1h;
    run(write_line(log::Level::error, "shop.burns", 1));
    wait_for([this] { return reporter().running == 1; });
    node_.reset();
    log::error("shop.burns");
    world_.run_for(1min);
    EXPECT_EQ(log_.count("log.callback_failed"), 0u);
}

}  // namespace
}  // namespace gyre::module

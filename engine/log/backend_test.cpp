#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <gyre/log/backend.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "detail/test_files.hpp"

namespace gyre::log {
namespace {

TEST(LogBackend, writes_to_the_file_in_the_order_of_the_calls) {
    const Folder folder;
    start(to_file(folder)).value();
    for (int i = 0; i < 1'000; ++i) info("test.event", {{"i", i}});
    EXPECT_TRUE(flush());
    std::istringstream lines(read(folder.path + "/logs/gyre.log"));
    int next = 0;
    for (std::string line; std::getline(lines, line); ++next) {
        ASSERT_TRUE(line.ends_with(" i=" + std::to_string(next))) << line;
    }
    EXPECT_EQ(next, 1'000);
    stop();
    stop();
    start(to_file(folder)).value();
    info("test.again");
    stop();
    EXPECT_EQ(count(read(folder.path + "/logs/gyre.log"), "\n"), 1'001u);
}

TEST(LogBackend, without_a_start_lines_go_to_stderr_at_once) {
    stop();
    ::testing::internal::CaptureStderr();
    warn("test.early", {{"n", 1}});
    const std::string text = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(text.find("test.early"), std::string::npos);
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << "colours on what is no terminal";
}

TEST(LogBackend, threads_in_a_storm_lose_nothing_but_what_is_counted) {
    const Folder folder;
    Config config = to_file(folder);
    config.ring_bytes = 1 << 20;
    start(config).value();
    const Stats before = stats();
    constexpr int thread_count = 4, lines_each = 20'000;
    std::vector<std::thread> threads;
    for (int t = 0; t < thread_count; ++t) {
        threads.emplace_back([t] {
            for (int i = 0; i < lines_each; ++i) {
                const std::string text(static_cast<std::size_t>(i % 97),
                                       static_cast<char>('a' + t));
                info("test.storm", {{"thread", t}, {"i", i}, {"text", text}});
            }
        });
    }
    for (auto& thread : threads) thread.join();
    stop();
    const auto dropped = stats().dropped - before.dropped;
    EXPECT_EQ(stats().written - before.written + dropped, 1u * thread_count * lines_each);

    std::array<int, thread_count> last;
    last.fill(-1);
    std::istringstream lines(read(config.file));
    std::size_t seen = 0;
    for (std::string line; std::getline(lines, line);) {
        int t = 0, i = 0;
        char text[128] = "";
        if (line.find("log.dropped") != line.npos) continue;
        const auto at = line.find("thread=");
        ASSERT_NE(at, line.npos) << line;
        ASSERT_GE(std::sscanf(line.c_str() + at, "thread=%d i=%d text=%127s", &t, &i, text), 3)
            << line;
        const std::string expected(static_cast<std::size_t>(i % 97), static_cast<char>('a' + t));
        ASSERT_EQ(text, expected.empty() ? "\"\"" : expected) << line;
        ASSERT_GT(i, last.at(static_cast<std::size_t>(t))) << "out of order: " << line;
        last.at(static_cast<std::size_t>(t)) = i;
        ++seen;
    }
    EXPECT_EQ(seen + dropped, 1u * thread_count * lines_each);
    EXPECT_EQ(read(config.file).find("log.dropped") != std::string::npos, dropped > 0);
}

TEST(LogBackend, starting_and_stopping_in_a_storm_loses_nothing) {
    const Folder folder;
    Config config = to_file(folder);
    start(config).value();
    const Stats before = stats();
    std::atomic<bool> done = false;
    std::atomic<std::uint64_t> sent = 0;
    std::vector<std::thread> threads;
    ::testing::internal::CaptureStderr();
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&] {
            while (!done) {
                info("test.storm");
                ++sent;
            }
        });
    }
    for (int i = 0; i < 20; ++i) {
        stop();
        start(config).value();
    }
    done = true;
    for (auto& thread : threads) thread.join();
    stop();
    ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(stats().written - before.written + stats().dropped - before.dropped, sent.load());
}

TEST(LogBackend, a_start_while_it_runs_goes_on_without_a_gap) {
    const Folder folder;
    Config config = to_file(folder);
    config.file_bytes_max = std::uint64_t{1} << 40;
    start(config).value();
    const Stats before = stats();
    std::atomic<bool> done = false;
    std::atomic<std::uint64_t> sent = 0;
    ::testing::internal::CaptureStderr();
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&] {
            while (!done) {
                info("test.storm");
                ++sent;
            }
        });
    }
    for (int i = 0; i < 20; ++i) {
        config.file = folder.path + "/logs/" + (i % 3 ? "a.log" : "b.log");
        config.json = i % 2 == 0;
        start(config).value();
    }
    done = true;
    for (auto& thread : threads) thread.join();
    stop();
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
    std::size_t lines = 0;
    for (const char* name : {"a.log", "b.log", "gyre.log"})
        lines += count(read(folder.path + "/logs/" + name), "test.storm");
    EXPECT_EQ(lines + stats().dropped - before.dropped, sent.load());
}

TEST(LogBackend, a_full_ring_drops_the_newest_says_so_and_keeps_room_for_errors) {
    Pipe pipe;
    // The file is a pipe: nothing else holds the writer.
    start({.console = false,
           .file = "/dev/fd/" + std::to_string(pipe.ends[1]),
           .ring_bytes = 64 << 10})
        .value();
    const Stats before = stats();
    std::uint64_t sent = 0, dropped = 0;
    bool last_dropped = false;
    while (sent < 10'000 || !last_dropped) {  // each call returns though nobody reads
        info("test.flood", {{"i", sent++}});
        last_dropped = stats().dropped - before.dropped > dropped;
        dropped = stats().dropped - before.dropped;
    }
    for (int i = 0; i < 20; ++i) error("test.failed", {{"i", i}});
    EXPECT_EQ(stats().errors_dropped, before.errors_dropped);
    std::string text;
    std::thread reader([&] { text = pipe.read_all(); });
    stop();
    pipe.close(1);
    reader.join();
    EXPECT_EQ(count(text, "test.failed"), 20u);
    EXPECT_EQ(count(text, "test.flood") + dropped, sent);
    EXPECT_NE(text.find("i=0\n"), text.npos);
    EXPECT_EQ(text.find("i=" + std::to_string(sent - 1) + "\n"), text.npos);
    const auto told = text.find("log.dropped");
    ASSERT_NE(told, text.npos);
    EXPECT_NE(text.find("count=", told), text.npos);
}

TEST(LogBackend, stop_does_not_wait_for_ever_for_a_console_nobody_reads) {
    Pipe pipe;
    start({.console_fd = pipe.ends[1]}).value();
    for (int i = 0; i < 10'000; ++i) info("test.flood", {{"i", i}});
    stop();  // the time-out of the test is the check
    EXPECT_GT(stats().console_dropped, 0u);
}

TEST(LogBackend, a_console_may_show_less_than_the_file) {
    const Folder folder;
    Pipe pipe;
    Config config = to_file(folder);
    config.console = true;
    config.console_fd = pipe.ends[1];
    config.console_level = Level::warn;
    start(config).value();
    info("test.quiet");
    warn("test.loud");
    stop();
    pipe.close(1);
    const std::string shown = pipe.read_all();
    EXPECT_EQ(count(shown, "test.quiet"), 0u);
    EXPECT_EQ(count(shown, "test.loud"), 1u);
    EXPECT_EQ(count(read(config.file), "test.quiet"), 1u);
}

TEST(LogBackend, a_closed_console_is_survived_and_told_to_the_file) {
    const Folder folder;
    Pipe pipe;
    Config config = to_file(folder);
    config.console = true;
    config.console_fd = pipe.ends[1];
    start(config).value();
    pipe.close(0);
    info("test.first");
    EXPECT_TRUE(flush());
    info("test.second");
    stop();
    const std::string text = read(config.file);
    EXPECT_EQ(count(text, "log.sink_failed"), 1u) << text;
    EXPECT_EQ(count(text, "test."), 2u);
}

/// A terminal and what it was shown.
struct Terminal {
    Terminal() : master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
        EXPECT_EQ(::grantpt(master) | ::unlockpt(master), 0);
        fd = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    ~Terminal() {
        ::close(fd);
        ::close(master);
    }
    std::string shown_of(Level level) const {
        start({.level = Level::trace, .console_fd = fd}).value();
        write(level, "test.event", {{"i", 1}});
        stop();
        std::array<char, 4'096> text{};
        const ssize_t n = ::read(master, text.data(), text.size());
        return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
    }
    int master, fd = -1;
};

TEST(LogBackend, a_terminal_is_shown_the_level_in_colour_and_the_place_without) {
    const Terminal terminal;
    ::unsetenv("NO_COLOR");
    ::setenv("TERM", "xterm", 1);
    const std::pair<Level, const char*> colors[] = {{Level::trace, "90"}, {Level::debug, "36"},
                                                    {Level::info, "32"},  {Level::warn, "33"},
                                                    {Level::error, "1;31"}};
    for (const auto& [level, color] : colors) {
        const std::string text = terminal.shown_of(level);
        const std::string name(log::name(level));
        EXPECT_NE(text.find("\x1b[" + std::string(color) + "m" + name), text.npos) << text;
        const auto place = text.find(" engine/log/backend_test.cpp:");
        ASSERT_EQ(place != text.npos, level >= Level::warn) << text;
        if (level < Level::warn) continue;
        EXPECT_EQ(text.find('\x1b', place), text.npos) << text;
        EXPECT_EQ(text.find(' ', place + 1), text.find_last_of(' ')) << text;
    }
    ::setenv("NO_COLOR", "1", 1);
    EXPECT_EQ(terminal.shown_of(Level::error).find('\x1b'), std::string::npos);
    ::setenv("NO_COLOR", "", 1);
    EXPECT_NE(terminal.shown_of(Level::error).find('\x1b'), std::string::npos);
    ::setenv("TERM", "dumb", 1);
    EXPECT_EQ(terminal.shown_of(Level::error).find('\x1b'), std::string::npos);
    ::unsetenv("NO_COLOR");
}

TEST(LogBackend, levels_of_modules_change_while_threads_log) {
    const Folder folder;
    start(to_file(folder)).value();
    set_level("steady", Level::debug);
    set_level("rpc", Level::error);
    std::atomic<bool> done = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            while (!done) {
                debug("world.now_and_then");
                debug("steady.always");
                info("rpc.never");
                debug("other.never");
            }
        });
    }
    const auto begin = stats().written;
    for (int i = 0; i < 10'000 || stats().written < begin + 1'000; ++i)
        set_level("world", i % 2 ? std::optional(Level::debug) : std::nullopt);
    done = true;
    for (auto& thread : threads) thread.join();
    stop();
    for (const char* module : {"world", "steady", "rpc"}) set_level(module, std::nullopt);
    const std::string text = read(to_file(folder).file);
    EXPECT_GT(count(text, "steady.always"), 0u);
    EXPECT_EQ(count(text, "never"), 0u);
}

TEST(LogBackend, refuses_what_it_cannot_do_by_name) {
    const Folder folder;
    Config config = to_file(folder);
    config.ring_bytes = 100'000;
    EXPECT_TRUE(start(config).error().is(errc::bad_config));
    EXPECT_NE(start(config).error().message().find("log.ring_bytes: 100000"), std::string::npos);
    config = to_file(folder);
    config.file = folder.path;  // a folder
    const Error error = start(config).error();
    EXPECT_TRUE(error.is(errc::refused));
    EXPECT_NE(error.message().find(folder.path), std::string::npos);
}

TEST(LogBackend, a_tap_is_given_what_the_writer_writes_and_what_is_written_without_one) {
    const Folder folder;
    std::atomic<int> woken = 0;
    Tap tap({.wake = [&woken] {
        ++woken;
        error("test.within_wake");
    }});
    start(to_file(folder)).value();
    info("test.quiet");
    error("test.loud");
    EXPECT_TRUE(flush());
    auto lines = tap.take();
    ASSERT_EQ(lines.size() >= 1u, true);
    EXPECT_EQ(lines[0].event, "test.loud");
    stop();
    tap.take();
    woken = 0;
    ::testing::internal::CaptureStderr();
    error("test.late");
    ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(woken, 1);
    lines = tap.take();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].event, "test.late");
}

TEST(LogBackend, json_goes_to_the_file) {
    const Folder folder;
    Config config = to_file(folder);
    config.json = true;
    start(config).value();
    error("test.event", {{"i", 1}});
    stop();
    const std::string text = read(config.file);
    EXPECT_TRUE(text.starts_with("{\"ts\":\"")) << text;
    EXPECT_NE(text.find("\"at\":\"engine/log/backend_test.cpp:"), text.npos) << text;
    EXPECT_TRUE(text.ends_with("}\n"));
}

}  // namespace
}  // namespace gyre::log

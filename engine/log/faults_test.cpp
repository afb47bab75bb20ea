#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <gyre/base/context.hpp>

#include "detail/test_files.hpp"

namespace gyre::log {
namespace {

namespace fs = std::filesystem;

/// Every line is whole: begins with a time, ends with the field `end`.
void expect_whole(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        ASSERT_TRUE(std::isdigit(line[0]) && std::isdigit(line[1])) << line;
        if (line.find("test.event") != line.npos) ASSERT_TRUE(line.ends_with(" end=1")) << line;
    }
    EXPECT_TRUE(text.empty() || text.back() == '\n');
}

/// The log's file may not grow beyond so many bytes; the same to a writer as a disk that is full.
struct FileLimit {
    explicit FileLimit(rlim_t bytes) {
        ::getrlimit(RLIMIT_FSIZE, &before);
        const rlimit limit{bytes, before.rlim_max};
        EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
    ~FileLimit() { ::setrlimit(RLIMIT_FSIZE, &before); }
    rlimit before{};
};

TEST(LogFaults, a_file_that_may_not_grow_keeps_whole_lines_and_goes_on_when_it_may) {
    const Folder folder;
    const Config config = to_file(folder);
    start(config).value();
    const Stats before = stats();
    {
        const FileLimit limit(10'000);
        for (int i = 0; i < 1'000; ++i) info("test.event", {{"i", i}, {"end", 1}});
        EXPECT_FALSE(flush(50ms));
        EXPECT_GT(stats().sink_failures, before.sink_failures);
        const std::string full = read(config.file);
        EXPECT_LE(full.size(), 10'000u);
        EXPECT_GT(full.size(), 9'000u);
        expect_whole(full);
    }
    EXPECT_TRUE(flush());  // what waited is not lost
    stop();
    const std::string text = read(config.file);
    expect_whole(text);
    EXPECT_EQ(count(text, "test.event"), 1'000u);
    EXPECT_EQ(count(text, "log.sink_failed"), 1u);
    EXPECT_EQ(stats().file_dropped, before.file_dropped);
}

TEST(LogFaults, lines_for_which_there_is_no_room_are_counted_and_told) {
    const Folder folder;
    const Config config = to_file(folder);
    const Stats before = stats();
    constexpr int sent = 60'000;
    start(config).value();
    {
        const FileLimit limit(10'000);
        const std::string text(200, 'x');
        for (int i = 0; i < sent; ++i) {
            info("test.event", {{"i", i}, {"text", text}, {"end", 1}});
            if (i % 1'000 == 0) soon([&] { return stats().waiting_bytes < 100'000; });
        }
        EXPECT_TRUE(soon([&] { return stats().waiting_bytes == 0; }));
        EXPECT_TRUE(soon([&] { return stats().file_dropped > before.file_dropped; }));
    }
    EXPECT_TRUE(flush());
    stop();
    const std::string text = read(config.file);
    expect_whole(text);
    const auto lost = stats().file_dropped - before.file_dropped;
    EXPECT_EQ(stats().dropped, before.dropped);
    EXPECT_EQ(count(text, "test.event") + lost, 1u * sent);
    EXPECT_EQ(count(text, "log.sink_dropped         sink=file count=" + std::to_string(lost)), 1u);
}

TEST(LogFaults, a_device_that_is_full_costs_lines_and_nothing_else) {
    const Stats before = stats();
    start({.console = false, .file = "/dev/full"}).value();
    for (int i = 0; i < 100; ++i) info("test.event");
    EXPECT_FALSE(flush(20ms));
    EXPECT_GT(stats().sink_failures, before.sink_failures);
    stop();
    EXPECT_GE(stats().file_dropped - before.file_dropped, 100u);
}

/// In a process of its own, where namespaces of users and mounts are allowed; true when they are.
template <class F>
bool on_small_disk(const std::string& at, F&& run) {
    const pid_t child = ::fork();
    if (child == 0) {
        const auto identity = [](const char* file, const std::string& text) {
            std::ofstream(file) << text;
        };
        const auto user = ::geteuid(), group = ::getegid();
        if (user != 0) {
            if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ::_exit(77);
            identity("/proc/self/setgroups", "deny");
            identity("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
            identity("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
        } else if (::unshare(CLONE_NEWNS) != 0) {
            ::_exit(77);
        }
        if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=256k") != 0)
            ::_exit(77);
        run();
        ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77)) << status;
    return status == 0;
}

TEST(LogFaults, a_full_disk_keeps_whole_lines_and_is_used_again_when_there_is_room) {
    stop();
    const Folder folder;
    const bool tested = on_small_disk(folder.path, [&] {
        const Config config = to_file(folder);
        const std::string ballast = folder.path + "/ballast";
        std::ofstream(ballast) << std::string(200'000, 'b');
        start(config).value();
        for (int i = 0; i < 2'000; ++i) info("test.event", {{"i", i}, {"end", 1}});
        EXPECT_FALSE(flush(50ms));
        expect_whole(read(config.file));
        EXPECT_LT(count(read(config.file), "test.event"), 2'000u);
        fs::remove(ballast);
        EXPECT_TRUE(flush());
        const std::string text = read(config.file);
        expect_whole(text);
        EXPECT_EQ(count(text, "test.event"), 2'000u);
        stop();
    });
    if (!tested) GTEST_LOG_(INFO) << "no mounts here; the limit of the file's size stands for it";
}

TEST(LogFaults, a_folder_that_is_removed_is_made_again) {
    const Folder folder;
    const Config config = to_file(folder);
    start(config).value();
    info("test.first");
    ASSERT_TRUE(flush());
    fs::remove_all(folder.path + "/logs");
    info("test.second");
    ASSERT_TRUE(flush());
    EXPECT_EQ(count(read(config.file), "test.second"), 1u);
    stop();
}

TEST(LogFaults, a_file_that_somebody_else_moves_is_followed_by_a_new_one) {
    const Folder folder;
    const Config config = to_file(folder);
    start(config).value();
    for (int i = 0; i < 10; ++i) {
        info("test.event", {{"i", i}});
        ASSERT_TRUE(flush());
        const std::string moved = config.file + ".moved_" + std::to_string(i);
        fs::rename(config.file, moved);
        if (i % 2) std::ofstream(config.file).flush();  // as logrotate's "create"
        EXPECT_EQ(count(read(moved), "i=" + std::to_string(i) + "\n"), 1u);
    }
    info("test.last");
    stop();
    EXPECT_EQ(count(read(config.file), "\n"), 1u);
    // copytruncate: goes on at the begin.
    start(config).value();
    fs::resize_file(config.file, 0);
    info("test.event");
    stop();
    EXPECT_TRUE(read(config.file).starts_with("20"));
}

TEST(LogFaults, a_file_that_cannot_be_opened_is_refused_at_the_start_by_name) {
    const Folder folder;
    std::ofstream(folder.path + "/logs") << "a file where the folder should be";
    const auto started = start(to_file(folder));
    ASSERT_FALSE(started.ok());
    EXPECT_TRUE(started.error().is(errc::refused));
    EXPECT_NE(started.error().message().find(folder.path + "/logs/gyre.log"), std::string::npos);
}

TEST(LogFaults, a_file_that_cannot_be_opened_while_it_runs_is_tried_again) {
    const Folder folder;
    Pipe pipe;
    Config config = to_file(folder);
    config.console = true;
    config.console_fd = pipe.ends[1];
    start(config).value();
    info("test.event", {{"i", 0}});
    ASSERT_TRUE(flush());
    fs::rename(folder.path + "/logs", folder.path + "/gone");
    std::ofstream(folder.path + "/logs") << "no folder";
    info("test.event", {{"i", 1}});
    EXPECT_FALSE(flush(50ms));
    fs::remove(folder.path + "/logs");
    EXPECT_TRUE(flush());
    stop();
    pipe.close(1);
    EXPECT_EQ(count(read(config.file), "i=1"), 1u);
    EXPECT_EQ(count(pipe.read_all(), "log.sink_failed          sink=file"), 1u);
}

TEST(LogFaults, a_rotation_that_cannot_rename_goes_on_in_the_file) {
    const Folder folder;
    TestClock clock(1'795'435'200);
    Config config = to_file(folder);
    config.gzip = false;
    config.file_bytes_max = 4'096;
    start(config).value();
    info("test.event", {{"end", 1}});
    ASSERT_TRUE(flush());
    // All names of the day are taken by folders, which nobody counts.
    fs::create_directories(folder.path + "/logs/gyre.2026-11-23.log");
    for (int i = 0; i < 200; ++i) info("test.event", {{"end", 1}});
    stop();
    EXPECT_EQ(count(read(config.file), "test.event"), 201u);
    EXPECT_GE(count(read(config.file), "log.sink_failed"), 1u);
    expect_whole(read(config.file));
}

TEST(LogFaults, ten_threads_in_a_storm_write_whole_lines_and_lose_no_error) {
    const Folder folder;
    Config config = to_file(folder);
    config.ring_bytes = 1 << 20;
    config.file_bytes_max = 1 << 20;
    config.files_kept = 1'000;
    config.gzip = false;
    start(config).value();
    const Stats before = stats();
    constexpr int thread_count = 10, lines_each = 10'000, errors_each = 10;
    std::vector<std::thread> threads;
    for (int t = 0; t < thread_count; ++t) {
        threads.emplace_back([t] {
            for (int i = 0; i < lines_each; ++i) {
                const std::string text(static_cast<std::size_t>(i % 97), static_cast<char>('a' + t));
                if (i % (lines_each / errors_each) == 0)
                    error("test.failed", {{"thread", t}, {"i", i}});
                else
                    info("test.event", {{"thread", t}, {"i", i}, {"text", text}, {"end", 1}});
            }
        });
    }
    for (auto& thread : threads) thread.join();
    stop();
    const Stats after = stats();
    EXPECT_EQ(after.written - before.written + after.dropped - before.dropped, 1u * thread_count * lines_each);
    EXPECT_EQ(after.errors_dropped, before.errors_dropped);
    EXPECT_EQ(after.file_dropped, before.file_dropped);
    std::string all;
    for (const auto& entry : fs::directory_iterator(folder.path + "/logs")) {
        const std::string part = read(entry.path());
        EXPECT_LE(part.size(), 1u << 20) << entry.path();
        all += part;
    }
    expect_whole(all);
    EXPECT_EQ(count(all, "test.failed"), 1u * thread_count * errors_each);
    EXPECT_EQ(count(all, "test.event") + count(all, "test.failed"), after.written - before.written);
}

TEST(LogFaults, no_terminal_escape_gets_through_anywhere) {
    const std::string evil = "\x1b[31m\x1b]0;t\x07\r\b\x7f\xc2\x9b\xe2\x80\xae\xd8\x9c\xf3\xa0\x81\x81\xff\n\"end";
    for (const bool json : {false, true}) {
        const Folder folder;
        Pipe pipe;
        Config config = to_file(folder);
        config.console = true;
        config.console_fd = pipe.ends[1];
        config.json = json;
        start(config).value();
        {
            NodeIdentity node{.name = evil, .role = evil, .build = {}};
            Context context{.node = &node, .entity = 1};
            const ContextGuard guard(&context);
            error("test." + evil, {{evil, evil}, {"lines", Lines(evil)}});
        }
        stop();
        pipe.close(1);
        for (const std::string& text : {read(config.file), pipe.read_all()}) {
            EXPECT_NE(text.find("test."), text.npos);
            for (const char c : text) EXPECT_TRUE((c >= ' ' && c < 0x7f) || c == '\n') << static_cast<int>(c) << text;
            EXPECT_EQ(count(text, "\n"), json ? 1u : 3u) << text;
        }
    }
}

TEST(LogFaults, a_console_nobody_reads_holds_neither_the_callers_nor_the_file) {
    const Folder folder;
    Pipe pipe;
    Config config = to_file(folder);
    config.console = true;
    config.console_fd = pipe.ends[1];
    config.ring_bytes = 1 << 20;
    start(config).value();
    const Stats before = stats();
    constexpr int sent = 40'000;  // 3 MB: more than pipe, console buffer and ring together
    for (int i = 0; i < sent; ++i) {
        info("test.event", {{"i", i}, {"end", 1}});
        if (i % 1'000 == 0) EXPECT_TRUE(soon([&] { return stats().waiting_bytes < 200'000; }));
    }
    EXPECT_TRUE(soon([&] { return count(read(config.file), "i=" + std::to_string(sent - 1) + " ") == 1; }));
    EXPECT_TRUE(flush());  // does not wait for the console for ever
    EXPECT_EQ(stats().dropped, before.dropped);
    EXPECT_EQ(stats().file_dropped, before.file_dropped);
    const auto lost = stats().console_dropped - before.console_dropped;
    EXPECT_GT(lost, 0u);
    std::string shown;
    std::thread reader([&] { shown = pipe.read_all(); });
    EXPECT_TRUE(soon([&] { return count(read(config.file), "log.sink_dropped         sink=console") == 1; }));
    stop();
    pipe.close(1);
    reader.join();
    expect_whole(shown);
    EXPECT_EQ(count(shown, "test.event") + lost, 1u * sent);
    const std::string file = read(config.file);
    EXPECT_EQ(count(file, "test.event"), 1u * sent);
    EXPECT_EQ(count(file, "log.sink_failed          sink=console"), 1u);
}

TEST(LogFaults, a_killed_process_leaves_what_was_flushed_in_whole_lines) {
    stop();
    const Folder folder;
    const Config config = to_file(folder);
    std::array<int, 2> ready{};
    ASSERT_EQ(::pipe(ready.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        start(config).value();
        for (int i = 0; i < 1'000; ++i) info("test.event", {{"i", i}, {"end", 1}});
        const bool flushed = flush();
        (void)!::write(ready[1], &flushed, 1);
        for (int i = 1'000;; ++i) info("test.event", {{"i", i}, {"end", 1}});
    }
    ::close(ready[1]);
    bool flushed = false;
    ASSERT_EQ(::read(ready[0], &flushed, 1), 1);
    EXPECT_TRUE(flushed);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    // What the kill tore, if anything, the next start cuts.
    std::ofstream(config.file, std::ios::app) << "2026-01-01T00:00:00.000Z info  torn";
    start(config).value();
    info("test.event", {{"last", 1}, {"end", 1}});
    stop();
    const std::string text = read(config.file);
    expect_whole(text);
    EXPECT_EQ(text.find("torn"), text.npos);
    EXPECT_EQ(count(text, "last=1"), 1u);
    for (int i = 0; i < 1'000; ++i) ASSERT_EQ(count(text, " i=" + std::to_string(i) + " "), 1u);
}

}  // namespace
}  // namespace gyre::log

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <map>
#include <set>

#include "detail/test_files.hpp"

namespace gyre::log {
namespace {

constexpr std::int64_t hour = 3'600, day = 24 * hour;

std::set<std::string> names(const Folder& folder) {
    std::set<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path + "/logs"))
        all.insert(entry.path().filename());
    return all;
}

/// By the command gzip.
std::string unpacked(const std::string& path) {
    std::string text;
    FILE* const packed = ::popen(("gzip -dc " + path).c_str(), "r");
    std::array<char, 4'096> part;
    for (std::size_t n = 0; (n = ::fread(part.data(), 1, part.size(), packed)) > 0;)
        text.append(part.data(), n);
    EXPECT_EQ(::pclose(packed), 0) << path;
    return text;
}

Config plain(const Folder& folder) {
    Config config = to_file(folder);
    config.gzip = false;
    return config;
}

using Names = std::set<std::string>;
constexpr std::int64_t noon = 1'795'435'200;  // 2026-11-23T12:00:00Z, a Monday

TEST(LogRotation, a_day_ends_and_its_file_gets_its_date) {
    const Folder folder;
    TestClock clock(noon);
    start(plain(folder)).value();
    info("test.first");
    info("test.second");
    clock.now_s = noon + day;
    info("test.third");
    stop();
    EXPECT_EQ(names(folder), (Names{"gyre.log", "gyre.2026-11-23.log"}));
    EXPECT_EQ(count(read(folder.path + "/logs/gyre.2026-11-23.log"), "\n"), 2u);
    EXPECT_TRUE(read(folder.path + "/logs/gyre.log").starts_with("2026-11-24T12:00:00.000Z info"));
}

TEST(LogRotation, every_unit_has_its_names) {
    const std::pair<const char*, Names> expected[] = {
        {"S", {"gyre.log", "gyre.2026-11-23_12-00-00.log"}},
        {"M", {"gyre.log", "gyre.2026-11-23_12-00.log"}},
        {"H", {"gyre.log", "gyre.2026-11-23_12.log"}},
        {"6H", {"gyre.log", "gyre.2026-11-23_12.log"}},
        {"D", {"gyre.log", "gyre.2026-11-23.log"}},
        {"W0", {"gyre.log", "gyre.2026-11-23.log"}},
        {"W6", {"gyre.log", "gyre.2026-11-22.log"}},
        {"", {"gyre.log"}}};
    for (const auto& [rotate, files] : expected) {
        const Folder folder;
        TestClock clock(noon);
        Config config = plain(folder);
        config.rotate = rotate;
        start(config).value();
        info("test.first");
        clock.now_s = noon + 8 * day;
        info("test.second");
        info("test.third");
        stop();
        EXPECT_EQ(names(folder), files) << rotate;
    }
}

TEST(LogRotation, by_size_within_a_period_the_files_are_numbered) {
    const Folder folder;
    TestClock clock(noon);
    Config config = plain(folder);
    config.file_bytes_max = 4'096;
    config.files_kept = 100;
    start(config).value();
    for (int i = 0; i < 200; ++i) info("test.event", {{"i", i}});
    clock.now_s = noon + day;
    info("test.event", {{"i", 200}});
    stop();
    std::string all;
    std::size_t files = 0;
    for (std::uint32_t n = 1;; ++n, ++files) {
        const std::string part = read(folder.path + "/logs/gyre.2026-11-23" +
                                      (n == 1 ? "" : "." + std::to_string(n)) + ".log");
        if (part.empty()) break;
        EXPECT_LE(part.size(), 4'096u);
        all += part;
    }
    EXPECT_GE(files, 3u);
    all += read(config.file);
    EXPECT_EQ(names(folder).size(), files + 1);
    std::istringstream lines(all);
    int next = 0;
    for (std::string line; std::getline(lines, line); ++next)
        ASSERT_TRUE(line.ends_with(" i=" + std::to_string(next))) << line;
    EXPECT_EQ(next, 201);
}

TEST(LogRotation, keeps_so_many_and_touches_no_foreign_file) {
    const Folder folder;
    TestClock clock(noon);
    Config config = plain(folder);
    config.files_kept = 2;
    const Names foreign = {"gyre.2026-01-01.txt",     "gyre.2026-01.log",        "gyre.log.1",
                           "gyre2.2026-01-01.log",    "gyre.2026-01-01.01.log",  "gyre.2026-01-01.1.log",
                           "gyre.2026-01-01.log.bak", "gyre.2026-01-01.log.bz2", "gyre_1.2026-01-01.log",
                           "gyre.2026-01-01_1.log",   "other.log"};
    std::filesystem::create_directories(folder.path + "/logs/gyre.2025-01-01.log");  // a folder
    for (const auto& name : foreign) std::ofstream(folder.path + "/logs/" + name) << "mine\n";
    std::filesystem::create_symlink("other.log", folder.path + "/logs/gyre.2025-01-02.log");
    for (const char* old : {"gyre.2026-11-01.log", "gyre.2026-11-02.log.gz"})
        std::ofstream(folder.path + "/logs/" + old) << "old\n";
    start(config).value();
    for (int i = 0; i < 5; ++i) {
        info("test.event");
        clock.now_s += day;
    }
    ASSERT_TRUE(flush());
    Names left = foreign;
    left.insert({"gyre.log", "gyre.2026-11-25.log", "gyre.2026-11-26.log", "gyre.2025-01-01.log", "gyre.2025-01-02.log"});
    EXPECT_TRUE(soon([&] { return names(folder) == left; }));
    EXPECT_EQ(names(folder), left);
    stop();
}

TEST(LogRotation, keeps_so_many_bytes) {
    const Folder folder;
    TestClock clock(noon);
    Config config = plain(folder);
    config.kept_bytes_max = 10'000;
    config.files_kept = 1'000;
    for (int i = 1; i <= 9; ++i) {
        std::ofstream(folder.path + "/gyre.2026-10-0" + std::to_string(i) + (i % 2 ? ".log" : ".log.gz"))
            << std::string(4'000, 'x');
    }
    config.file = folder.path + "/gyre.log";
    start(config).value();
    info("test.event");
    EXPECT_TRUE(flush());
    const auto there = [&](const char* name) { return std::filesystem::exists(folder.path + "/" + name); };
    EXPECT_TRUE(soon([&] { return !there("gyre.2026-10-07.log"); }));
    EXPECT_TRUE(there("gyre.2026-10-08.log.gz"));
    EXPECT_TRUE(there("gyre.2026-10-09.log"));
    EXPECT_TRUE(soon([&] { return !there("gyre.2026-10-01.log"); }));
    stop();
}

TEST(LogRotation, old_files_are_compressed_whole) {
    const Folder folder;
    TestClock clock(noon);
    Config config = to_file(folder);
    start(config).value();
    for (int i = 0; i < 20'000; ++i) info("test.event", {{"i", i}});
    ASSERT_TRUE(flush());
    const std::string before = read(config.file);
    clock.now_s += day;
    info("test.next");
    ASSERT_TRUE(flush());
    EXPECT_TRUE(soon([&] { return names(folder) == Names{"gyre.log", "gyre.2026-11-23.log.gz"}; }));
    stop();
    const std::string packed = folder.path + "/logs/gyre.2026-11-23.log.gz";
    EXPECT_EQ(unpacked(packed), before);
    EXPECT_LT(std::filesystem::file_size(packed), before.size() / 4);
}

TEST(LogRotation, what_a_killed_process_left_half_done_is_done_at_the_next_start) {
    const Folder folder;
    const std::string logs = folder.path + "/logs/";
    std::filesystem::create_directories(logs);
    std::ofstream(logs + "gyre.2026-11-20.log") << "a\n";
    std::ofstream(logs + "gyre.2026-11-20.log.gz.tmp") << "half";
    std::ofstream(logs + "gyre.2026-11-19.log.gz.tmp") << "half";
    std::ofstream(logs + "gyre.2026-11-21.log") << "b\n";
    std::ofstream(logs + "gyre.2026-11-21.log.gz") << "not what a complete one has";
    std::ofstream(logs + "other.2026-11-21.log.gz.tmp") << "not ours";
    TestClock clock(noon);
    start(to_file(folder)).value();
    info("test.event");
    ASSERT_TRUE(flush());
    EXPECT_TRUE(soon([&] {
        return names(folder) == Names{"gyre.log", "gyre.2026-11-20.log.gz", "gyre.2026-11-21.log.gz", "other.2026-11-21.log.gz.tmp"};
    }));
    stop();
    EXPECT_EQ(unpacked(logs + "gyre.2026-11-20.log.gz"), "a\n");
    EXPECT_EQ(unpacked(logs + "gyre.2026-11-21.log.gz"), "b\n");
}

/// Bytes that gzip does not make fewer.
std::string noise(std::size_t bytes) {
    std::string text(bytes, 0);
    std::uint64_t state = 1;
    for (char& c : text) {
        state = state * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
        c = static_cast<char>(state >> 56);
    }
    return text;
}

TEST(LogRotation, compressing_waits_for_everybody_else_and_ends_with_the_log) {
    const Folder folder;
    const std::string old = folder.path + "/gyre.2026-11-20.log";
    const std::size_t bytes = 64 << 20;
    std::ofstream(old) << noise(bytes);
    TestClock clock(noon);
    Config config = to_file(folder);
    config.file = folder.path + "/gyre.log";
    start(config).value();
    info("test.event");
    ASSERT_TRUE(flush());
    ASSERT_TRUE(soon([&] { return std::filesystem::exists(old + ".gz.tmp"); }));
    std::string nice = "no thread";
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        if (read(thread.path() / "comm") != "gyre-log-old\n") continue;
        std::istringstream fields(read(thread.path() / "stat"));
        for (int i = 0; i < 19; ++i) fields >> nice;
    }
    EXPECT_EQ(nice, "19");
    info("test.meanwhile");
    ASSERT_TRUE(flush());
    stop();
    EXPECT_FALSE(std::filesystem::exists(old + ".gz.tmp"));
    EXPECT_NE(std::filesystem::exists(old), std::filesystem::exists(old + ".gz"));
    EXPECT_EQ(count(read(config.file), "\n"), 2u);
}

TEST(LogRotation, a_file_that_cannot_be_compressed_stays_as_it_is) {
    const Folder folder;
    const std::string old = folder.path + "/gyre.2026-11-20.log";
    const std::string text = noise(200'000);
    std::ofstream(old) << text;
    std::filesystem::create_directories(old + ".gz");  // where the compressed one would be
    TestClock clock(noon);
    Config config = to_file(folder);
    config.file = folder.path + "/gyre.log";
    start(config).value();
    info("test.event");
    EXPECT_TRUE(soon([&] { return count(read(config.file), "log.compress_failed") == 1; }));
    stop();
    EXPECT_FALSE(std::filesystem::exists(old + ".gz.tmp"));
    EXPECT_EQ(read(old), text);
}

TEST(LogRotation, a_restart_within_the_period_appends_and_after_it_rotates) {
    for (const bool json : {false, true}) {
        for (const bool local : {false, true}) {
            const TestZone zone("Asia/Kolkata");
            const Folder folder;
            TestClock clock(noon);
            Config config = plain(folder);
            config.json = json;
            config.local_time = local;
            const auto run = [&](std::int64_t at) {
                clock.now_s = at;
                start(config).value();
                info("test.event");
                stop();
            };
            run(noon);
            run(noon + 5 * hour);
            std::ofstream(config.file, std::ios::app) << "2026-11-23T19:00:00.000Z info  torn";
            EXPECT_EQ(names(folder), Names{"gyre.log"});
            run(noon + 3 * day);
            EXPECT_EQ(names(folder), (Names{"gyre.log", "gyre.2026-11-23.log"}));
            EXPECT_EQ(count(read(folder.path + "/logs/gyre.2026-11-23.log"), "\n"), 2u);
            EXPECT_EQ(count(read(config.file), "\n"), 1u);
            if (local) EXPECT_NE(read(config.file).find("2026-11-26T17:30:00.000+05:30"), std::string::npos);
        }
    }
}

TEST(LogRotation, local_midnight_ends_the_day_of_the_zone) {
    const TestZone zone("America/New_York");
    const Folder folder;
    TestClock clock(noon);
    Config config = plain(folder);
    config.local_time = true;
    start(config).value();
    info("test.event");
    clock.now_s = noon + 16 * hour;  // 23:00 there
    info("test.event");
    clock.now_s = noon + 17 * hour;
    info("test.event");
    stop();
    EXPECT_EQ(names(folder), (Names{"gyre.log", "gyre.2026-11-23.log"}));
    EXPECT_EQ(count(read(config.file), "2026-11-24T00:00:00.000-05:00"), 1u);
}

TEST(LogRotation, a_clock_set_back_an_hour_rotates_once_and_overwrites_nothing) {
    for (const char* rotate : {"midnight", "H"}) {
        const Folder folder;
        TestClock clock(noon);
        Config config = plain(folder);
        config.rotate = rotate;
        start(config).value();
        const std::int64_t midnight = noon + 12 * hour;
        int i = 0;
        const auto log_at = [&](std::int64_t at) {
            clock.now_s = at;
            info("test.event", {{"i", i++}});
        };
        log_at(midnight - 1);
        log_at(midnight + 60);
        log_at(midnight + 60 - hour);  // set back
        log_at(midnight - 1);
        log_at(midnight);
        log_at(midnight + 120);
        stop();
        const bool days = rotate == std::string_view("midnight");
        EXPECT_EQ(names(folder), (Names{"gyre.log", days ? "gyre.2026-11-23.log" : "gyre.2026-11-23_23.log"}));
        EXPECT_EQ(count(read(config.file), "\n"), 5u);
    }
}

TEST(LogRotation, a_clock_that_jumps_days_ahead_and_back_loses_nothing) {
    const Folder folder;
    TestClock clock(noon);
    Config config = plain(folder);
    start(config).value();
    for (const std::int64_t at : {noon, noon + 400 * day, noon + 400 * day, noon + 60, noon + 120}) {
        clock.now_s = at;
        info("test.event");
    }
    stop();
    EXPECT_EQ(names(folder), (Names{"gyre.log", "gyre.2026-11-23.log", "gyre.2027-12-28.log"}));
    EXPECT_EQ(count(read(config.file), "2026-11-23T12:0"), 2u);
    // The same period again: a number, not the file that is there.
    start(config).value();
    clock.now_s = noon + day;
    info("test.event");
    stop();
    EXPECT_EQ(names(folder), (Names{"gyre.log", "gyre.2026-11-23.log", "gyre.2026-11-23.2.log", "gyre.2027-12-28.log"}));
}

/// Follows the log as tail does: reads each file once by its inode, the oldest first.
struct Tail {
    explicit Tail(std::string folder) : folder_(std::move(folder)) {}
    ~Tail() {
        for (const auto& [inode, open] : files_) ::close(open.fd);
    }
    /// What came since; whole lines or the begin of one.
    void read_new(std::map<std::string, int>& lines) {
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
            struct stat info{};
            if (fd < 0 || ::fstat(fd, &info) != 0) continue;
            if (!files_.try_emplace(info.st_ino, File{fd, {}}).second) ::close(fd);
        }
        for (auto& [inode, file] : files_) {
            std::array<char, 65'536> part;
            for (ssize_t n = 0; (n = ::read(file.fd, part.data(), part.size())) > 0;)
                file.rest.append(part.data(), static_cast<std::size_t>(n));
            for (std::size_t end = 0; (end = file.rest.find('\n')) != std::string::npos;) {
                ++lines[file.rest.substr(0, end)];
                file.rest.erase(0, end + 1);
            }
        }
    }

private:
    struct File {
        int fd;
        std::string rest;
    };
    std::string folder_;
    std::map<ino_t, File> files_;
};

TEST(LogRotation, who_reads_while_files_change_sees_every_line_once_and_whole) {
    const Folder folder;
    Config config = plain(folder);
    config.file_bytes_max = 16 << 10;
    config.files_kept = 1'000;
    start(config).value();
    const Stats before = stats();
    constexpr int lines_sent = 20'000;
    std::atomic<bool> done = false;
    std::map<std::string, int> seen;
    std::thread reader([&] {
        Tail tail(folder.path + "/logs");
        while (!done) tail.read_new(seen);
        tail.read_new(seen);
    });
    const std::string text(50, 'x');
    for (int i = 0; i < lines_sent; ++i) info("test.event", {{"text", text}, {"i", i}});
    stop();
    done = true;
    reader.join();
    EXPECT_GT(names(folder).size(), 50u);
    EXPECT_EQ(stats().dropped, before.dropped);
    EXPECT_EQ(seen.size(), 1u * lines_sent);
    std::set<std::string> ends;
    for (const auto& [line, times] : seen) {
        ASSERT_EQ(times, 1) << line;
        const auto at = line.find("test.event               text=" + text + " i=");
        ASSERT_EQ(at, 42u) << line;
        ends.insert(line.substr(line.rfind('=')));
    }
    EXPECT_EQ(ends.size(), 1u * lines_sent);
}

}  // namespace
}  // namespace gyre::log

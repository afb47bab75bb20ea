#pragma once
#include <gtest/gtest.h>
#include <unistd.h>
#include <fcntl.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <gyre/log/backend.hpp>
#include <sstream>
#include <string>
#include <thread>

/// What the tests of files and consoles share.
namespace gyre::log {

struct Folder {
    Folder() {
        std::string name = ::testing::TempDir() + "gyre_log_XXXXXX";
        path = ::mkdtemp(name.data());
    }
    ~Folder() {
        stop();
        std::filesystem::remove_all(path);
    }
    std::string path;
};

inline std::string read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

inline std::size_t count(std::string_view text, std::string_view part) {
    std::size_t result = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
        ++result;
    return result;
}

inline Config to_file(const Folder& folder) {
    return {.console = false, .file = folder.path + "/logs/gyre.log"};
}

/// A console nobody reads until read_all().
struct Pipe {
    Pipe() { EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0); }
    ~Pipe() {
        for (const int end : ends) {
            if (end >= 0) ::close(end);
        }
    }
    void close(std::size_t end) { ::close(std::exchange(ends[end], -1)); }
    std::string read_all() {
        std::string text;
        std::array<char, 65'536> part;
        for (ssize_t n = 0; (n = ::read(ends[0], part.data(), part.size())) > 0;) {
            text.append(part.data(), static_cast<std::size_t>(n));
        }
        return text;
    }
    std::array<int, 2> ends{-1, -1};
};

/// Asks until it is so, for ten seconds at most.
template <class F>
bool soon(F&& is_so) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!is_so()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::yield();
    }
    return true;
}

/// The time of the lines, set by the test.
struct TestClock {
    explicit TestClock(std::int64_t utc_s) {
        now_s = utc_s;
        set_clock([] { return WallTime(std::chrono::seconds(now_s.load())); });
    }
    ~TestClock() { set_clock(nullptr); }
    static inline std::atomic<std::int64_t> now_s = 0;
};

/// TZ of the process while it lives.
struct TestZone {
    explicit TestZone(const char* name) {
        ::setenv("TZ", name, 1);
        ::tzset();
    }
    ~TestZone() {
        ::unsetenv("TZ");
        ::tzset();
    }
};

}  // namespace gyre::log

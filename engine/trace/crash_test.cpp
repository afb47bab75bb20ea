#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gyre/base/context.hpp>
#include <gyre/trace/crash.hpp>
#include <gyre/trace/symbols.hpp>
#include <iterator>
#include <regex>
#include <thread>

namespace gyre::trace {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#if __has_feature(thread_sanitizer)
constexpr bool tsan = true;  // its runtime needs the stack that is used up before any handler runs
#else
constexpr bool tsan = false;
#endif
#endif

volatile int* volatile nowhere = nullptr;
[[gnu::noinline]] void divide_by_zero() { asm volatile("xorl %%edx, %%edx\n\tidivl %0" : : "r"(0), "a"(1) : "edx"); }

[[gnu::noinline]] void write_to_nowhere() { *nowhere = 1; }
[[gnu::noinline]] void crash_in_a_helper() {
    write_to_nowhere();
    asm volatile("");  // no tail call
}
volatile bool deeper = true;
[[gnu::noinline]] int recurse(int depth) {
    volatile char room[4096];
    room[0] = static_cast<char>(depth);
    return (deeper ? recurse(depth + 1) : 0) + room[0];
}

class CrashTest : public testing::Test {
protected:
    CrashTest() {
        char made[] = "/tmp/gyre-crash-XXXXXX";
        folder_ = ::mkdtemp(made);
    }
    ~CrashTest() override { std::filesystem::remove_all(folder_); }

    /// Runs it in a process of its own until that ends.
    void crash(const std::function<void()>& how, bool before_folder_is_gone = false) {
        const pid_t child = ::fork();
        if (child == 0) {
            (void)!::freopen((folder_ + "/stderr").c_str(), "w", stderr);
            if (!install_crash_handler({folder_ + "/crashes", "battle_1"})) ::_exit(77);
            if (before_folder_is_gone) std::filesystem::remove_all(folder_ + "/crashes");
            how();
            ::_exit(0);
        }
        ASSERT_EQ(::waitpid(child, &status_, 0), child);
    }
    /// As the process would have ended without the handler.
    bool ended_by(int number) const {
        if (sanitized && WIFEXITED(status_)) return WEXITSTATUS(status_) != 0 && WEXITSTATUS(status_) != 77;
        return WIFSIGNALED(status_) && WTERMSIG(status_) == number;
    }
    std::string file() const {
        std::string text;
        std::error_code ignored;
        for (const auto& file : std::filesystem::directory_iterator(folder_ + "/crashes", ignored)) text += read(file.path());
        return text;
    }
    std::string told() const { return read(folder_ + "/stderr"); }
    /// Functions of the frames in the section that begins with this line, innermost first.
    std::vector<std::string> functions(const std::string& section) const {
        const std::string text = file();
        std::vector<std::string> found;
        const auto begin = text.find(section + "\n");
        if (begin == text.npos) return found;
        std::istringstream lines(text.substr(begin + section.size() + 1));
        const std::regex frame(R"(#\d+ (\S+)\+0x([0-9a-f]+) build ([0-9a-f]+))");
        std::smatch parts;
        for (std::string line; std::getline(lines, line) && std::regex_match(line, parts, frame);) {
            const auto object = Object::open(parts[1]);
            if (!object) continue;
            EXPECT_EQ(object->build_id(), parts[3]);
            for (const auto& place : object->resolve(std::stoull(parts[2], nullptr, 16))) found.push_back(place.function);
        }
        return found;
    }
    static bool in_order(const std::vector<std::string>& functions, const std::vector<std::string>& parts) {
        std::size_t at = 0;
        for (const auto& function : functions) at += at < parts.size() && function.find(parts[at]) != function.npos;
        return at == parts.size();
    }

    std::string folder_;
    int status_ = 0;

private:
    static std::string read(const std::filesystem::path& path) {
        std::ifstream in(path);
        return {std::istreambuf_iterator<char>(in), {}};
    }
};

std::string listed(const std::vector<std::string>& names) {
    std::string all;
    for (const auto& name : names) all += name + "\n";
    return all;
}

TEST_F(CrashTest, frames_are_written_and_the_process_ends_as_before) {
    crash(crash_in_a_helper);
    EXPECT_TRUE(ended_by(SIGSEGV)) << status_;
    const std::string text = file();
    EXPECT_NE(text.find("signal SIGSEGV 11 code 1 address 0x0\n"), std::string::npos) << text;
    EXPECT_NE(text.find("process battle_1 "), std::string::npos) << text;
    for (const auto section : {"by frame pointers", "by unwinding"}) {
        const auto found = functions(section);
        EXPECT_TRUE(in_order(found, {"write_to_nowhere", "crash_in_a_helper", "TestBody"})) << section << ":\n" << listed(found) << text;
    }
    EXPECT_TRUE(in_order(functions("by unwinding"), {"TestBody", "main"})) << "through code without frame pointers";
    EXPECT_NE(told().find("gyre: battle_1 crashed: SIGSEGV; gyre symbolize " + folder_ + "/crashes/battle_1-"), std::string::npos) << told();
}

TEST_F(CrashTest, an_assertion_and_a_division) {
    crash([] { std::abort(); });
    EXPECT_TRUE(ended_by(SIGABRT)) << status_;
    EXPECT_NE(file().find("signal SIGABRT"), std::string::npos);
    EXPECT_TRUE(in_order(functions("by unwinding"), {"main"})) << file();
    crash(divide_by_zero);
    EXPECT_TRUE(ended_by(SIGFPE)) << status_;
    EXPECT_NE(file().find("signal SIGFPE"), std::string::npos);
}

TEST_F(CrashTest, a_signal_that_was_sent) {
    crash([] {
        ::kill(::getpid(), SIGSEGV);
        for (;;) ::pause();
    });
    EXPECT_TRUE(ended_by(SIGSEGV)) << status_;
    EXPECT_NE(file().find("code 0"), std::string::npos) << file();
}

TEST_F(CrashTest, a_stack_that_is_used_up) {
    if (tsan) GTEST_SKIP() << "runs in release and asan";
    crash([] { ::_exit(recurse(0)); });
    EXPECT_TRUE(ended_by(SIGSEGV)) << status_;
    EXPECT_NE(file().find("signal SIGSEGV"), std::string::npos);
    EXPECT_TRUE(in_order(functions("by frame pointers"), {"recurse", "recurse", "recurse"})) << file();
}

TEST_F(CrashTest, the_stack_of_another_thread) {
    if (tsan) GTEST_SKIP() << "runs in release and asan";
    crash([] {
        std::thread([] {
            ::pthread_setname_np(::pthread_self(), "worker 7");
            use_crash_stack();
            (void)recurse(0);
        }).join();
    });
    EXPECT_TRUE(ended_by(SIGSEGV)) << status_;
    EXPECT_NE(file().find("thread worker?7\n"), std::string::npos) << file();
}

TEST_F(CrashTest, the_task_that_ran_is_told) {
    crash([] {
        NodeIdentity node{.name = "lobby_0", .role = "lobby", .build = {}};
        Context context{.node = &node, .entity = 12, .session = 34, .call = 56, .trace = 78};
        const ContextGuard guard(&context);
        crash_in_a_helper();
    });
    EXPECT_NE(file().find("node lobby_0\nentity 12\nsession 34\ncall 56\ntrace 78\n"), std::string::npos) << file();
}

TEST_F(CrashTest, a_context_that_is_broken_too) {
    crash([] {
        Context context{.node = reinterpret_cast<NodeIdentity*>(16), .entity = 12};
        const ContextGuard guard(&context);
        crash_in_a_helper();
    });
    EXPECT_TRUE(ended_by(SIGSEGV)) << status_;
    EXPECT_NE(file().find("entity 12\n"), std::string::npos) << file();
}

TEST_F(CrashTest, a_call_to_nowhere) {
    crash([] {
        asm volatile("call *%0" : : "r"(std::uintptr_t{16}) : "memory");
    });
    EXPECT_TRUE(ended_by(SIGSEGV)) << status_;
    EXPECT_NE(file().find("#0 0x10 in no file\n"), std::string::npos) << file();
}

TEST_F(CrashTest, a_folder_that_is_gone_is_told) {
    crash(crash_in_a_helper, true);
    EXPECT_TRUE(ended_by(SIGSEGV)) << status_;
    EXPECT_NE(told().find("could not be written to " + folder_ + "/crashes/battle_1-"), std::string::npos) << told();
}

TEST_F(CrashTest, many_threads_at_once_write_one_file) {
    crash([] {
        std::vector<std::thread> all;
        for (int i = 0; i < 8; ++i) all.emplace_back(crash_in_a_helper);
        for (auto& one : all) one.join();
    });
    EXPECT_TRUE(ended_by(SIGSEGV)) << status_;
    const std::string text = file();
    EXPECT_EQ(text.find("gyre crash 1"), text.rfind("gyre crash 1"));
}

TEST_F(CrashTest, old_files_go) {
    std::filesystem::create_directory(folder_ + "/crashes");
    for (int i = 0; i < 40; ++i) std::ofstream(folder_ + "/crashes/old-" + std::to_string(i) + ".crash") << "x";
    crash([] {});
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ + "/crashes"), {}), 20);
    const auto refused = install_crash_handler({folder_ + "/stderr/no", "x"});
    ASSERT_FALSE(refused);
    EXPECT_NE(std::string(refused.error().what()).find(folder_ + "/stderr/no"), std::string::npos);
}

}  // namespace
}  // namespace gyre::trace

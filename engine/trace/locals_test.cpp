#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <gyre/trace/frames.hpp>
#include <gyre/trace/locals.hpp>
#include <gyre/trace/symbols.hpp>
#include <thread>

#include "fixtures/fixture.hpp"

namespace gyre::trace {
namespace {

using namespace std::chrono_literals;

struct Frame {
    std::string function, locals, file;
    std::uint32_t line;
    Duration time;
};
std::vector<std::vector<Frame>> looks;
LocalsLimits limits;

[[gnu::noinline]] void look() {
    std::array<FrameState, 16> states;
    const std::size_t count = capture(states);
    auto& frames = looks.emplace_back();
    for (std::size_t i = 0; i < count; ++i) {
        const auto place = resolve(states[i].pc).back();
        const auto begin = std::chrono::steady_clock::now();
        std::string text = locals(states[i], limits);
        frames.push_back({place.function, std::move(text), place.file, place.line,
                          std::chrono::steady_clock::now() - begin});
    }
}

class Locals : public testing::Test {
protected:
    Locals() {
        index();
        looks.clear();
        limits = {.time = 1s};  // a loaded machine may take its time
        trace_fixture_look = &look;
    }
    static std::string seen_in_library(std::size_t n) {
        const std::string text = seen("trace_library_run", n);
        return text.starts_with("look=0x") ? text.substr(text.find(' ') + 1) : text;
    }
    /// Of the innermost frame of this function, when it was looked the n-th time.
    static Frame frame(std::string_view function, std::size_t n = 0) {
        if (n >= looks.size()) return {"not looked", {}, {}, 0, {}};
        for (const auto& frame : looks[n])
            if (frame.function == function) return frame;
        std::string all;
        for (const auto& frame : looks[n]) all += frame.function + "\n";
        ADD_FAILURE() << function << " is not among\n" << all;
        return {};
    }
    static std::string seen(std::string_view function, std::size_t n = 0) {
        return frame(function, n).locals;
    }
};

std::string address(const void* of) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", of);
    return text;
}

TEST_F(Locals, numbers) {
    fixture::numbers(-7, 200);
    EXPECT_EQ(seen("fixture::numbers"),
              "count=-7 small=200 negative=-3 thousand=-1000 large=18446744073709551615 yes=true "
              "letter='x' quote='\\'' bell='\\x07' "
              "half=0.5 tenth=0.1 color=green unnamed=9 sign=below fixed=4 nothing=nullptr "
              "alias=-7 grid=[[1, 2, 3], [4, 5, 6]] kept=77 "
              "wide=0x10000000000000002 flags={open=1, level=-3, rest=123456789012}");
    EXPECT_EQ(frame("fixture::numbers").file, "engine/trace/fixtures/fixture.cpp");
}

TEST_F(Locals, types_of_the_library) {
    fixture::library_types();
    std::string text = seen("fixture::library_types");
    const auto at = text.find("shared=0x");
    ASSERT_NE(at, text.npos) << text;
    text.erase(at + 7, text.find(' ', at) - at - 7);
    EXPECT_EQ(
        text,
        R"(name="bob" long_name="a name that is too long to lie within its own string object" view="seen" list=[1, 2, 3] )"
        R"(names=["n", "n", "n", "n", "n", "n", "n", "n", ... 20 in all] empty=[] some=5 none=none owned=nullptr )"
        R"(shared= -> 9 pause=1500ms fraction=0.25s minutes=3min when=42ns id=12345 three=[1, 2, 3] )"
        R"(map=[... 2 in all] pair={first=1, second='p'} tuple={1, "two", true} variant={alternative 1} atomic=6 path="/tmp/x")");
}

TEST_F(Locals, structures) {
    fixture::structures();
    std::string text = seen("fixture::structures");
    const auto at = text.find("next=0x");
    ASSERT_NE(at, text.npos) << text;
    text.erase(at + 5, text.find(' ', at) - at - 5);
    EXPECT_EQ(
        text,
        R"(derived={inherited=1, color=green, bag={gold=5, owner="eve", session_token=(secret)}} )"
        R"(deep={inner={innermost={last={...}}}} last={value=2, next=nullptr} )"
        R"(node={value=1, next= -> {value=2, next=nullptr}} pointer=nullptr )"
        R"(bags=[{gold=1, owner="a", session_token=(secret)}, {gold=2, owner="b", session_token=(secret)}])");
}

TEST_F(Locals, only_what_is_in_scope) {
    fixture::in_a_loop();
    EXPECT_EQ(seen("fixture::in_a_loop", 0), "i=3");
    EXPECT_EQ(seen("fixture::in_a_loop", 1), "j=1 square=1 i=30");
}

TEST_F(Locals, nothing_of_what_is_being_made) {
    fixture::not_declared_yet();
    EXPECT_EQ(seen("fixture::not_declared_yet"), "before=1");
}

TEST_F(Locals, secrets_are_not_shown) {
    fixture::secrets("hidden", 99);
    const std::string text = seen("fixture::secrets");
    EXPECT_EQ(
        text,
        R"(password=(secret) key=(secret) bag={gold=1, owner="eve", session_token=(secret)} access_token=(secret) Credentials=(secret))");
}

TEST_F(Locals, members_of_this) {
    fixture::Market market;
    market.sell(5);
    EXPECT_EQ(seen("fixture::Market::sell"),
              "this=" + address(&market) +
                  R"( -> {stock_=12, name_="north", bag_={...}} count=5 left=7)");
}

TEST_F(Locals, captures_of_a_lambda) {
    fixture::in_a_lambda(6);
    for (const auto& frame : looks.at(0))
        if (frame.function.find("operator()") != std::string::npos)
            EXPECT_EQ(frame.locals, R"(outside=6 copied="copy" moved=2.5 argument=4 within=10)")
                << frame.function;
    EXPECT_EQ(seen("fixture::in_a_lambda").substr(0, 23), R"(outside=6 copied="copy")");
}

TEST_F(Locals, a_coroutine_after_two_awaits) {
    fixture::after_two_awaits(21, "a player whose name does not fit into the object");
    EXPECT_EQ(
        seen("fixture::(anonymous namespace)::trade"),
        R"(amount=21 player="a player whose name does not fit into the object" doubled=42 goods=["bread", "salt"] good="bread" length=5)");
    EXPECT_NE(seen("fixture::after_two_awaits").find("amount=21 player="), std::string::npos);
}

TEST_F(Locals, a_member_that_awaits) {
    fixture::member_that_awaits(30);
    const std::string text = seen("fixture::(anonymous namespace)::Shop::sell");
    EXPECT_TRUE(text.starts_with("this=0x")) << text;
    EXPECT_TRUE(text.ends_with(R"( -> {stock=3, name="corner"} price=30 before=4)")) << text;
}

TEST_F(Locals, each_frame_has_its_own) {
    fixture::called_by_a_helper(3);
    int depth = 0;
    for (const auto& frame : looks.at(0))
        if (frame.function == "fixture::called_by_a_helper")
            EXPECT_EQ(frame.locals, "depth=" + std::to_string(depth++));
    EXPECT_EQ(depth, 4);
}

TEST_F(Locals, text_is_escaped_and_bounded) {
    fixture::text("plain\n\t\"quoted\"", "\x1b[31mred \xff\xc3\x28 \xe2\x82\xac \xe2\x80\xae",
                  std::string(5'000, 'y'));
    EXPECT_EQ(seen("fixture::text"), R"(plain="plain\n\t\"quoted\"" odd="\x1b[31mred \xff\xc3( )"
                                     "\xe2\x82\xac"
                                     R"( \xe2\x80\xae" large=")" +
                                         std::string(96, 'y') +
                                         R"("... (5000 bytes) inside="abc")");
}

TEST_F(Locals, hostile_values_end_within_time_and_bytes) {
    std::string huge(100, 'h');
    const std::uint64_t size = std::uint64_t{1} << 60;
    std::uint64_t was;
    std::memcpy(&was, reinterpret_cast<char*>(&huge) + 8, sizeof was);
    std::memcpy(reinterpret_cast<char*>(&huge) + 8, &size, sizeof size);
    fixture::Node first{1, nullptr}, second{2, &first};
    first.next = &second;
    void* gone = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fixture::hostile(huge, static_cast<fixture::Node*>(gone), &first, static_cast<char*>(gone) + 8);
    std::memcpy(reinterpret_cast<char*>(&huge) + 8, &was, sizeof was);
    EXPECT_EQ(seen("fixture::hostile"),
              "huge=\"" + std::string(96, 'h') + "\"... (1152921504606846976 bytes) dangling=" +
                  address(gone) + " -> <unreadable> cyclic=" + address(&first) +
                  " -> {value=1, next=" + address(&second) +
                  "} wild=<unreadable> nowhere=<unreadable> missing=<unreadable>");
    ::munmap(gone, 4096);
}

TEST_F(Locals, vectors_of_any_bytes) {
    std::uint64_t random = 88172645463325252ull;
    limits = {};
    for (int round = 0; round < 200; ++round) {
        std::uint64_t words[12];
        for (auto& word : words) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            const std::uint64_t kinds[] = {random, random % 4096,
                                           reinterpret_cast<std::uint64_t>(&words) + random % 256,
                                           random >> 17};
            word = kinds[random >> 20 & 3];
        }
        looks.clear();
        fixture::uninitialised(words);
        const auto frame = this->frame("fixture::uninitialised");
        ASSERT_LE(frame.locals.size(), limits.bytes);
        ASSERT_LT(frame.time, 1s);
        ASSERT_EQ(frame.locals.find("room="), frame.locals.find(" ") + 1) << frame.locals;
    }
}

TEST_F(Locals, limits_hold) {
    limits.bytes = 100;
    fixture::library_types();
    const std::string text = seen("fixture::library_types");
    EXPECT_LE(text.size(), 100u);
    EXPECT_EQ(text.substr(0, 10), "name=\"bob\"");
    EXPECT_TRUE(text.ends_with("...")) << text;
    limits = {.elements = 2, .time = 1s};
    fixture::library_types();
    EXPECT_NE(seen("fixture::library_types", 1).find("list=[1, 2, ... 3 in all]"),
              std::string::npos)
        << seen("fixture::library_types", 1);
    limits = {.time = 0s};
    fixture::library_types();
    EXPECT_EQ(seen("fixture::library_types", 2), "...");
}

TEST_F(Locals, what_is_true_of_optimized_code) {
    fixture::optimized({5, "bob", "t"}, 7);
    const std::string text = seen("fixture::optimized");
    EXPECT_NE(text.find("count=7"), std::string::npos) << text;
    EXPECT_NE(text.find("fixture::clamped/value=7"), std::string::npos) << text;
}

TEST_F(Locals, builds_of_a_module_that_come_and_go) {
    struct Library {
        explicit Library(const std::string& name) {
            // As the loader of modules does: a copy of its own.
            copy = std::filesystem::temp_directory_path() /
                   (name + std::to_string(::getpid()) + ".so");
            std::filesystem::copy_file(std::string(TEST_MODULES) + "/" + name + ".so", copy,
                                       std::filesystem::copy_options::overwrite_existing);
            handle = ::dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
            if (!handle) throw std::runtime_error(::dlerror());
            modules_changed();
        }
        ~Library() {
            ::dlclose(handle);
            modules_changed();
            std::filesystem::remove(copy);
        }
        void run(int argument) const {
            reinterpret_cast<int (*)(void (*)(), int)>(::dlsym(handle, "trace_library_run"))(
                &look, argument);
        }
        std::filesystem::path copy;
        void* handle;
    };
    {
        const Library first("trace_library_1");
        EXPECT_FALSE(indexed());
        first.run(4);
        EXPECT_EQ(looks.back().at(1).locals, "") << "not indexed";
        EXPECT_EQ(looks.back().at(1).function, "");
        index();
        EXPECT_TRUE(indexed());
        first.run(5);
        EXPECT_EQ(seen_in_library(1), R"(argument=5 build="first" one=5)");
        const Library second("trace_library_2");
        index();
        second.run(6);
        EXPECT_EQ(seen_in_library(2), R"(argument=6 before=1000 two=12 build="the second")");
        first.run(7);
        EXPECT_EQ(seen_in_library(3), R"(argument=7 build="first" one=7)");
    }
    // Where the first one lay there may be another one now.
    for (int round = 0; round < 3; ++round) {
        const Library second("trace_library_2");
        index();
        std::filesystem::remove(second.copy);
        second.run(round);
        EXPECT_EQ(seen_in_library(4 + static_cast<std::size_t>(round)),
                  "argument=" + std::to_string(round) +
                      " before=1000 two=" + std::to_string(2 * round) + R"( build="the second")");
    }
    const Library gone("trace_library_1");
    std::filesystem::remove(gone.copy);
    index();
    gone.run(8);
    EXPECT_EQ(looks.back().at(1).locals, "") << "its file was deleted before it was read";
}

TEST_F(Locals, threads_at_once) {
    std::vector<std::thread> threads;
    std::array<FrameState, 8> states;
    const std::size_t count = capture(states);
    const auto expected = locals(states[0]);
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int round = 0; round < 20; ++round) {
                for (std::size_t f = 0; f < count; ++f) EXPECT_FALSE(resolve(states[f].pc).empty());
                modules_changed();
                index();
                (void)locals(states[0]);
            }
        });
    for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace gyre::trace

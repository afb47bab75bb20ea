#include <gtest/gtest.h>

#include <gyre/base/error.hpp>
#include <gyre/task/sync.hpp>
#include <gyre/trace/symbols.hpp>
#include <gyre/trace/throw.hpp>
#include <stdexcept>
#include <thread>

namespace gyre::trace {
namespace {

constexpr bool sanitized() {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

struct Odd {  // of no library's family
    int number;
};
volatile int one = 1;

[[gnu::noinline]] void throw_deep(int number) {
    if (number) throw std::runtime_error("deep");
    asm volatile("");
}
[[gnu::noinline]] void throw_middle(int number) {
    throw_deep(number);
    asm volatile("");
}
[[gnu::noinline]] void throw_outer(int number) {
    throw_middle(number);
    asm volatile("");
}
[[gnu::noinline]] int past_the_end(std::vector<int>& values) {
    const int value = values.at(static_cast<std::size_t>(one) * 7);
    asm volatile("");  // no tail call
    return value;
}
[[gnu::noinline]] void throw_odd() {
    if (one) throw Odd{3};
}
[[gnu::noinline]] void throw_error() {
    if (one) throw Error(errc::not_found, "it");
}
[[gnu::noinline]] void throw_in_a_destructor() {
    struct Careful {
        ~Careful() {
            try {
                throw_odd();
            } catch (const Odd&) {
                odd = thrown(std::current_exception());
            }
        }
        Thrown& odd;
    };
    static Thrown odd;
    odd = {};
    try {
        const Careful careful{odd};
        throw_outer(one);
    } catch (...) {
        EXPECT_FALSE(odd.stack.empty());
        throw;
    }
}

template <class F>
std::exception_ptr caught(F&& f) {
    try {
        f();
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}
/// Functions of this file, innermost first.
std::vector<std::string> functions(const Thrown& of) {
    std::vector<std::string> names;
    for (const auto pc : of.stack)
        for (const auto& place : resolve(pc)) {
            if (!place.file.ends_with("throw_test.cpp")) continue;
            std::string name = shortened(place.function);
            name.erase(0, name.rfind("::") == name.npos ? 0 : name.rfind("::") + 2);
            EXPECT_GT(place.line, 0u);
            names.push_back(std::move(name));
        }
    return names;
}
bool begins(const std::vector<std::string>& all, const std::vector<std::string>& with) {
    return all.size() >= with.size() && std::equal(with.begin(), with.end(), all.begin());
}

class ThrowTest : public testing::Test {
protected:
    ThrowTest() { index(); }
    ~ThrowTest() override {
        Scope closer(executor, "closer");
        (void)go(closer, scope.close());
        run();
        set_trace_errors(false);
    }
    void run() {
        while (!executor.idle()) executor.turn(executor.now());
    }
    std::exception_ptr failure_of(Task<> task) {
        std::exception_ptr failure;
        (void)go(scope, keep(std::move(task), &failure));
        run();
        return failure;
    }
    static Task<> keep(Task<> task, std::exception_ptr* failure) {
        try {
            co_await std::move(task);
        } catch (...) {
            *failure = std::current_exception();
        }
    }
    Executor executor;
    Scope scope{executor, "test"};
};

constexpr unsigned first_line = __LINE__;
Task<> innermost(bool foreign) {
    co_await yield();
    if (foreign) throw_outer(one);
    throw_error();
}
Task<> middle(bool foreign) {
    co_await innermost(foreign);  // + 7
}
Task<> outermost(bool foreign) {
    co_await middle(foreign);  // + 10
}
Task<> joins(bool at_once) {
    auto job = go(at_once ? []() -> Task<> { throw_error(); co_return; }() : innermost(false));
    co_await job;  // + 14
}
Task<> joins_twice(bool at_once) {
    co_await joins(at_once);  // + 17
}
constexpr unsigned await_lines[] = {first_line + 7, first_line + 10, first_line + 14, first_line + 17};

std::string line_of(const std::string& await) {
    EXPECT_NE(await.find("throw_test.cpp:"), await.npos) << await;
    const std::string rest = await.substr(await.find("throw_test.cpp:") + 15);
    EXPECT_NE(rest.find(':'), rest.npos) << "no column: " << await;
    return rest.substr(0, rest.find(':'));
}

TEST_F(ThrowTest, the_stack_is_that_of_the_throw_innermost_first) {
    const auto failure = caught([] { throw_outer(one); });
    const auto names = functions(thrown(failure));
    EXPECT_TRUE(begins(names, {"throw_deep", "throw_middle", "throw_outer"})) << testing::PrintToString(names);
    EXPECT_EQ(type_name(failure), "std::runtime_error");
}

TEST_F(ThrowTest, awaits_are_kept_in_their_order) {
    for (const bool foreign : {false, true}) {
        const Thrown of = thrown(failure_of(outermost(foreign)));
        ASSERT_EQ(of.awaits.size(), 3u) << foreign;
        EXPECT_EQ(line_of(of.awaits[0]), std::to_string(await_lines[0]));
        EXPECT_EQ(line_of(of.awaits[1]), std::to_string(await_lines[1]));
        EXPECT_NE(line_of(of.awaits[2]), "0");
        EXPECT_EQ(of.stack.empty(), !foreign);
    }
}

TEST_F(ThrowTest, who_joins_a_job_is_among_the_awaits) {
    for (const bool at_once : {false, true}) {
        const Thrown of = thrown(failure_of(joins_twice(at_once)));
        ASSERT_GE(of.awaits.size(), 2u) << at_once;
        EXPECT_EQ(line_of(of.awaits[0]), std::to_string(await_lines[2])) << at_once;
        EXPECT_EQ(line_of(of.awaits[1]), std::to_string(await_lines[3])) << at_once;
    }
}

TEST_F(ThrowTest, thrown_again_on_another_thread_it_is_the_same) {
    const auto failure = caught([] { throw_outer(one); });
    const Thrown before = thrown(failure);
    Thrown after;
    std::thread([&] { after = thrown(caught([&] { std::rethrow_exception(failure); })); }).join();
    EXPECT_FALSE(before.stack.empty());
    EXPECT_EQ(after.stack, before.stack);
}

TEST_F(ThrowTest, what_the_standard_library_throws_names_its_caller) {
    std::vector<int> three(3);
    const auto failure = caught([&] { (void)past_the_end(three); });
    const Thrown of = thrown(failure);
    EXPECT_EQ(type_name(failure), "std::out_of_range");
    EXPECT_TRUE(begins(functions(of), {"past_the_end"})) << testing::PrintToString(functions(of));
    // A sanitizer's build may not inline at(): then the place is in the header's function.
    const std::string place = resolve(of.place).back().function;
    EXPECT_TRUE(place.find("past_the_end") != std::string::npos || (sanitized() && place.ends_with("::at"))) << place;
}

TEST_F(ThrowTest, any_type_can_be_thrown) {
    const auto failure = caught(throw_odd);
    EXPECT_EQ(type_name(failure), "gyre::trace::(anonymous namespace)::Odd");
    EXPECT_TRUE(begins(functions(thrown(failure)), {"throw_odd"}));
}

TEST_F(ThrowTest, a_throw_while_unwinding_takes_nothing_from_the_one_in_the_air) {
    const auto names = functions(thrown(caught(throw_in_a_destructor)));
    EXPECT_TRUE(begins(names, {"throw_deep", "throw_middle", "throw_outer"})) << testing::PrintToString(names);
}

TEST_F(ThrowTest, an_error_has_a_stack_when_asked_only) {
    EXPECT_TRUE(thrown(caught(throw_error)).stack.empty());
    set_trace_errors(true);
    const auto names = functions(thrown(caught(throw_error)));
    EXPECT_TRUE(begins(names, {"throw_error"})) << testing::PrintToString(names);
}

TEST_F(ThrowTest, one_that_was_made_has_nothing_of_the_one_that_was_there) {
    const void* before = nullptr;
    (void)caught([&] {
        try {
            throw_outer(one);
        } catch (const std::exception& error) {
            before = &error;
            throw;
        }
    });
    const auto made = std::make_exception_ptr(std::runtime_error("made"));
    const void* now = nullptr;
    try {
        std::rethrow_exception(made);
    } catch (const std::exception& error) {
        now = &error;
    }
    ASSERT_TRUE(sanitized() || now == before) << "the allocator gave another place: this test says nothing";
    EXPECT_TRUE(thrown(made).stack.empty());
    const auto rethrows = [](std::exception_ptr why) -> Task<> {
        std::rethrow_exception(why);
        co_return;
    };
    const Thrown passed = thrown(failure_of(rethrows(made)));
    EXPECT_TRUE(passed.stack.empty());
    EXPECT_EQ(passed.awaits.size(), 1u);
}

TEST_F(ThrowTest, places_take_turns_each_for_itself) {
    // Four share a set of the table at least: none takes another's turn.
    for (std::uintptr_t place = 1; place <= 64; ++place) EXPECT_EQ(told_again(place << 40), 0u);
    std::size_t kept = 0;
    for (std::uintptr_t place = 1; place <= 64; ++place) kept += told_again(place << 40) == 1;
    EXPECT_GE(kept, 60u);
}

}  // namespace
}  // namespace gyre::trace

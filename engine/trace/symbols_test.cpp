#include <elf.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gyre/trace/frames.hpp>
#include <gyre/trace/symbols.hpp>
#include <iterator>

#include "detail/image.hpp"

namespace gyre::trace {
namespace {

using namespace std::chrono_literals;

template <class T>
struct Holder {
    [[gnu::noinline]] static std::array<FrameState, 4> here(const T&) {
        std::array<FrameState, 4> states;
        capture(states);
        asm volatile("");
        return states;
    }
};

[[gnu::always_inline]] inline std::array<FrameState, 4> within() { return Holder<int>::here(1); }
[[gnu::noinline]] std::array<FrameState, 4> around(std::uint32_t& line) {
    line = __LINE__ + 1;
    auto states = within();
    asm volatile("");
    return states;
}

TEST(Symbols, functions_lines_columns_and_what_was_inlined) {
    index();
    ASSERT_TRUE(indexed());
    std::uint32_t line = 0;
    const auto states = around(line);
    const auto own = resolve(states[0].pc);
    EXPECT_TRUE(own.back().function.ends_with("Holder<int>::here")) << own.back().function;
    const auto places = resolve(states[1].pc);
    ASSERT_EQ(places.size(), 2u);
    EXPECT_TRUE(places[0].inlined);
    EXPECT_TRUE(places[0].function.find("within") != std::string::npos) << places[0].function;
    EXPECT_EQ(places[0].line, line - 3);
    EXPECT_GT(places[0].column, 0u);
    EXPECT_FALSE(places[1].inlined);
    EXPECT_TRUE(places[1].function.ends_with("::around")) << places[1].function;
    EXPECT_EQ(places[1].line, line);
    EXPECT_EQ(places[1].column, 19u);
    for (const auto& place : places) {
        EXPECT_TRUE(place.file.ends_with("engine/trace/symbols_test.cpp")) << place.file;
        EXPECT_TRUE(place.object.ends_with("/trace_test")) << place.object;
        EXPECT_FALSE(place.build_id.empty());
    }
    // The same from the file.
    const auto object = Object::open(places[0].object);
    ASSERT_TRUE(object.ok()) << object.error().what();
    EXPECT_EQ(object->build_id(), places[0].build_id);
    const auto again = object->resolve(places[0].offset);
    ASSERT_EQ(again.size(), 2u);
    EXPECT_EQ(again[1].line, line);
    EXPECT_EQ(again[1].function, places[1].function);
}

TEST(Symbols, libraries_of_the_system_have_symbols) {
    index();
    const auto places = resolve(reinterpret_cast<std::uintptr_t>(&::getpid) + 1);
    ASSERT_EQ(places.size(), 1u);
    EXPECT_TRUE(places[0].function.find("getpid") != std::string::npos ||
                places[0].object.ends_with("/trace_test"))
        << raw(places[0]);
    const auto nowhere = resolve(42);
    ASSERT_EQ(nowhere.size(), 1u);
    EXPECT_EQ(raw(nowhere[0]), "?+0x2a build unknown");
}

TEST(Symbols, names_as_people_say_them) {
    const std::pair<const char*, const char*> names[] = {
        {"_ZN4gyre5trace5indexEv", "gyre::trace::index"},
        {"_Z3foolIiEvT_", "_Z3foolIiEvT_"},
        {"_Z3fooIiEvT_", "foo<int>"},
        {"_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back"},
        {"_ZN1AlsERKS_", "A::operator<<"},
        {"_ZN1AclEi", "A::operator()"},
        {"_ZN1AcvbEv", "A::operator bool"},
        {"_ZNK1AptEv", "A::operator->"},
        {"_ZN1AgtERKS_", "A::operator>"},
        {"_Z3runI1AEN1A4typeEPFviE", "run<A>"},
        {"_ZZ3foovENK3$_0clEi", "foo()::$_0::operator()"},
        {"_ZN12_GLOBAL__N_15tradeEi.resume", "(anonymous namespace)::trade"},
        {"_ZN12_GLOBAL__N_15tradeEi.destroy", "(anonymous namespace)::trade [destroy]"},
        {"main", "main"},
    };
    for (const auto& [linkage, name] : names)
        EXPECT_EQ(detail::function_name(linkage), name) << linkage;
}

class SymbolsOfFile : public testing::Test {
protected:
    SymbolsOfFile() {
        char made[] = "/tmp/gyre-symbols-XXXXXX";
        folder_ = std::string(::mkdtemp(made)) + "/";
        bytes_ = read(library_);
    }
    ~SymbolsOfFile() override { std::filesystem::remove_all(folder_); }
    static std::string read(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    std::string write(const std::string& name, std::string_view bytes) const {
        std::ofstream(folder_ + name, std::ios::binary) << bytes;
        return folder_ + name;
    }
    /// Of trace_library_run, in the whole file.
    std::uint64_t offset() const {
        const auto object = Object::open(library_);
        for (std::uint64_t at = 0; object && at < bytes_.size(); ++at)
            for (const auto& place : object->resolve(at))
                if (place.function == "trace_library_run" && place.line > 9) return at;
        return 0;
    }
    /// Opens and asks for each address; false: it ended by a signal or took long.
    static bool ends_well(const std::string& path, std::uint64_t size) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(20);
            if (const auto object = Object::open(path))
                for (std::uint64_t at = 0; at < size; at += 7) (void)object->resolve(at);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    const std::string modules_ = std::string(TEST_MODULES) + "/",
                      library_ = modules_ + "trace_library_1.so";
    std::string folder_, bytes_;
};

TEST_F(SymbolsOfFile, debug_information_beside_the_file) {
    const std::uint64_t at = offset();
    ASSERT_NE(at, 0u);
    const auto stripped = write("module.so", read(modules_ + "trace_stripped.so"));
    auto object = Object::open(stripped);
    ASSERT_TRUE(object.ok());
    EXPECT_EQ(object->resolve(at).at(0).function, "trace_library_run") << "exported";
    EXPECT_EQ(object->resolve(at).at(0).line, 0u);
    for (const std::string name : {"module.so.debug", ".debug/module.so.debug"}) {
        std::filesystem::create_directories(folder_ + ".debug");
        write(name, read(modules_ + "trace_stripped.so.debug"));
        object = Object::open(stripped);
        ASSERT_TRUE(object.ok());
        EXPECT_EQ(object->resolve(at).at(0).file, "engine/trace/fixtures/library.cpp") << name;
        EXPECT_GT(object->resolve(at).at(0).line, 9u);
        write(name, read(modules_ + "trace_library_2.so"));
        EXPECT_EQ(Object::open(stripped)->resolve(at).at(0).line, 0u) << "of another build";
        std::filesystem::remove(folder_ + name);
    }
    EXPECT_TRUE(object->resolve(std::uint64_t{1} << 40).empty());
}

TEST_F(SymbolsOfFile, no_file_or_none_of_ours) {
    EXPECT_EQ(Object::open(folder_ + "none").error().code(), errc::not_found);
    EXPECT_EQ(Object::open(write("empty", "")).error().code(), errc::bad_data);
    const auto text = Object::open(write("text", "#!/bin/sh\n"));
    ASSERT_FALSE(text.ok());
    EXPECT_EQ(text.error().code(), errc::bad_data);
    EXPECT_NE(text.error().message().find(folder_ + "text"), std::string::npos);
    EXPECT_FALSE(Object::open(folder_).ok());
}

TEST_F(SymbolsOfFile, cut_at_any_byte) {
    for (std::size_t size = 0; size < bytes_.size(); size += bytes_.size() / 50 + 1)
        EXPECT_TRUE(ends_well(write("cut.so", std::string_view(bytes_).substr(0, size)), 20'000))
            << size;
}

TEST_F(SymbolsOfFile, broken_anywhere) {
    std::uint64_t random = 88172645463325252ull;
    const auto next = [&random] {
        return random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    };
    for (int round = 0; round < 150; ++round) {
        std::string broken = bytes_;
        // The headers, or the second half, where the debug information is.
        for (std::uint64_t n = next() % 20; n < 21; ++n) {
            const std::size_t at = round % 4 == 0
                                       ? next() % sizeof(Elf64_Ehdr)
                                       : broken.size() / 4 + next() % (broken.size() / 4 * 3);
            broken[at] = static_cast<char>(next());
        }
        EXPECT_TRUE(ends_well(write("broken.so", broken), 20'000)) << "round " << round;
    }
}

}  // namespace
}  // namespace gyre::trace

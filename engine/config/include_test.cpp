#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <gyre/config/config.hpp>

namespace gyre::config {
namespace {

struct Files : std::map<std::string, std::string> {
    using map::map;
    LoadOptions options(std::string profile = {}) const {
        return {.profile = std::move(profile),
                .read_file = [this](const std::string& path, std::size_t) -> Result<std::string> {
                    const auto found = find(path);
                    if (found == end()) return Error(errc::bad_config, "cannot be read: No such file or directory");
                    return found->second;
                },
                .variable = [](const std::string& name) {
                    return name == "ROLE" ? std::optional<std::string>("battle") : std::nullopt;
                }};
    }
    /// What `main` comes to as JSON, or the first line of each problem without its place in the text.
    std::string read(std::string_view main, std::string profile = {}) const {
        const auto document = Document::from_text(main, "main", options(std::move(profile)));
        const auto json = document ? document->to_json() : Result<std::string>(document.error());
        std::string compact;
        if (!json) return json.error().message();
        for (const char c : *json)
            if (c != '\n' && c != ' ') compact += c;
        return compact;
    }
    std::string head(std::string_view main, std::string profile = {}) const {
        const std::string all = read(main, std::move(profile));
        return all.substr(0, all.find('\n'));
    }
};

TEST(ConfigInclude, what_the_object_says_is_stronger_and_later_files_are_stronger) {
    const Files files{{"a", R"({"x": 1, "y": {"p": 1, "q": 1}, "z": 1})"}, {"b", R"({"x": 2, "y": {"q": 2}})"}};
    EXPECT_EQ(files.read(R"({"$include": ["a", "b"], "y": {"r": 3}})"), R"({"x":2,"y":{"p":1,"q":2,"r":3},"z":1})");
    EXPECT_EQ(files.read(R"({"in": {"x": 9, "$include": "a"}, "list": [{"$include": "b"}]})"),
              R"({"in":{"x":9,"y":{"p":1,"q":1},"z":1},"list":[{"x":2,"y":{"q":2}}]})");
    EXPECT_EQ(files.read(R"({"a": {"$include": "b"}, "b": {"$include": "b"}})"), R"({"a":{"x":2,"y":{"q":2}},"b":{"x":2,"y":{"q":2}}})")
        << "twice is no cycle";
}

TEST(ConfigInclude, paths_are_relative_to_the_file_that_says_them) {
    const Files files{{"conf/a", R"({"$include": "sub/b"})"}, {"conf/sub/b", R"({"$include": "../c", "s": "${file:s}"})"},
                      {"conf/c", R"({"c": 1})"}, {"conf/sub/s", "text\r\n"}, {"conf/battle.json", R"({"battle": 1})"}};
    EXPECT_EQ(files.read(R"({"$include": "conf/a"})"), R"({"c":1,"s":"text"})");
    EXPECT_EQ(files.read(R"({"$include": "conf/${env:ROLE}.json"})"), R"({"battle":1})");
}

TEST(ConfigInclude, macros_hold_in_both_directions) {
    const Files files{{"uses", R"({"url": "tcp://$HOST$:$PORT$"})"}, {"defines", R"({"$MACRO$": {"HOST": "a", "PORT": 1}})"}};
    EXPECT_EQ(files.read(R"({"$MACRO$": {"HOST": "b", "PORT": 2}, "$include": "uses"})"), R"({"url":"tcp://b:2"})");
    EXPECT_EQ(files.read(R"({"$include": "defines", "$MACRO$": {"PORT": 3}, "url": "$HOST$:$PORT$"})"), R"({"url":"a:3"})");
}

TEST(ConfigInclude, cycles_depth_and_bombs_are_named) {
    const Files loop{{"a", R"({"$include": "d/../b"})"}, {"b", "{\n\"$include\": \"a\"}"}, {"self", R"({"x": {"$include": "self"}})"}};
    EXPECT_EQ(loop.head(R"({"$include": "a"})"), "b:2:13: $include: a includes itself: a -> b -> a");
    EXPECT_EQ(loop.head(R"({"$include": "self"})"), "self:1:20: x.$include: self includes itself: self -> self");
    EXPECT_EQ(loop.head(R"({"$include": "main"})"), "main:1:14: $include: main includes itself: main -> main");
    Files chain, bomb;
    for (int i = 0; i < 40; ++i) {
        const std::string next = std::to_string(i + 1);
        chain[std::to_string(i)] = R"({"$include": ")" + next + "\"}";
        bomb[std::to_string(i)] = R"({"a": {"$include": ")" + next + R"("}, "b": {"$include": ")" + next + "\"}}";
    }
    EXPECT_EQ(chain.head(R"({"$include": "0"})"), "15:1:14: $include: more than 16 files within each other, from main");
    EXPECT_NE(bomb.read(R"({"$include": "0"})").find("more than 16 files"), std::string::npos) << "two to the 16th would be too many";
    chain["40"] = "{}";
    std::string wide = R"({"$include": [)";
    for (int i = 0; i < 1'030; ++i) wide += R"("40",)";
    EXPECT_NE(chain.read(wide + "]}").find("more than 1024 includes"), std::string::npos);
    Files deep{{"deep", "{\"a\": " + std::string(60, '[') + std::string(60, ']') + "}"}};
    EXPECT_EQ(deep.read(R"({"a": {"$include": "deep"}})").find("deeper"), std::string::npos);
    EXPECT_NE(deep.read(R"({"a": {"a": {"a": {"a": {"$include": "deep"}}}}})").find("nested deeper than 64"), std::string::npos);
}

TEST(ConfigInclude, what_cannot_be_read_is_told_with_its_chain) {
    const Files files{{"a", "{\n  \"$include\": \"none\"\n}"}, {"bad", "{\n  \"x\" 1}"}, {"list", "[1]"}};
    EXPECT_EQ(files.read(R"({"$include": "a"})"),
              "a:2:15: $include: none cannot be read: No such file or directory\n    2 |   \"$include\": \"none\"\n"
              "      |               ^~~~~~\nincluded from main:1:14");
    EXPECT_EQ(files.read(R"({"$include": "bad"})"),
              "bad:2:6: x: expected ':' after the key \"x\", found 1\n    2 |   \"x\" 1}\n      |      ^\nincluded from main:1:14");
    EXPECT_EQ(files.head(R"({"$include": "list"})"), "list:1:1: must be an object: { ... }, found '['");
    EXPECT_EQ(files.head(R"({"$include": 5})"), "main:1:14: $include: expected the path of a file or a list of them, found 5");
    EXPECT_EQ(files.head(R"({"$include": [""]})"), "main:1:15: $include[0]: expected the path of a file, found an empty text");
    EXPECT_EQ(files.head(R"({"$include": "$X$"})"), "main:1:15: $include: macros do not hold here: $X$; ${env:NAME} does");
    EXPECT_EQ(files.head(R"({"$incldue": 1})"), "main:1:2: $incldue: unknown key; keys with a $ are the format's own: $MACRO$, $include, $profiles, $schema");
    EXPECT_EQ(files.read(R"({"$schema": "gyre.schema.json"})"), "{}");
}

TEST(ConfigProfile, lies_over_its_file_and_is_chosen_by_name) {
    const Files files{{"base", R"({"level": "info", "a": 1, "$profiles": {"prod": {"level": "warn", "a": 2}}})"},
                      {"more", R"({"m": 1})"}};
    const char* main = R"({"$include": "base", "a": 0, "n": "$N$", "$MACRO$": {"N": 1},
        "$profiles": {"prod": {"$include": "more", "$MACRO$": {"N": 2}}, "dev": {"level": "debug"}}})";
    EXPECT_EQ(files.read(main), R"({"level":"info","a":0,"n":1})");
    EXPECT_EQ(files.read(main, "prod"), R"({"level":"warn","a":0,"n":2,"m":1})");
    EXPECT_EQ(files.read(main, "dev"), R"({"level":"debug","a":0,"n":1})");
    EXPECT_EQ(files.head(main, "prdo"), "main:2:9: $profiles: there is no profile \"prdo\", only prod, dev; did you mean \"prod\"?");
    EXPECT_EQ(files.head(R"({"a": 1})", "prod"), "main:1:1: there is no profile \"prod\": the file has no $profiles");
    EXPECT_EQ(files.head(R"({"x": {"$profiles": {}}})"), "main:1:8: x.$profiles: stands at the root of a file only");
    EXPECT_EQ(files.head(R"({"$profiles": [1]})"), "main:1:15: $profiles: expected an object of profiles, found a list of 1");
    EXPECT_EQ(files.head(R"({"$profiles": {"a": 1}})"), "main:1:21: $profiles.a: expected an object, found 1");
}

TEST(ConfigFile, only_regular_files_of_bounded_size_are_read) {
    const std::string folder = ::testing::TempDir() + "gyre_config_files." + std::to_string(::getpid());
    std::filesystem::create_directories(folder);
    const auto told = [&](const std::string& path) {
        const auto read = Document::from_file(path);
        return read ? "ok" : read.error().message().substr(0, read.error().message().find('\n'));
    };
    EXPECT_EQ(told(folder), folder + ": is a folder, not a file");
    const std::string pipe = folder + "/pipe", large = folder + "/large", closed = folder + "/closed", good = folder + "/good.json";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(told(pipe), pipe + ": is a pipe; only regular files are read");
    EXPECT_EQ(told("/dev/zero"), "/dev/zero: is a device; only regular files are read");
    EXPECT_EQ(told(folder + "/none"), folder + "/none: cannot be read: No such file or directory");
    std::ofstream(large) << "{}";
    std::filesystem::resize_file(large, 1u << 30);
    EXPECT_EQ(told(large), large + ": is too large: 1073741824 bytes, at most 16777216");
    std::ofstream(closed) << "{}";
    ASSERT_EQ(::chmod(closed.c_str(), 0), 0);
    if (::geteuid() != 0) EXPECT_EQ(told(closed), closed + ": cannot be read: Permission denied");
    std::ofstream(good) << R"({"a": 1, "s": "${file:secret}"})";
    EXPECT_EQ(told(good), "ok");
    std::ofstream(folder + "/secret") << "from a file\n";
    EXPECT_EQ(*Document::from_file(good)->to_json(), "{\n  \"a\": 1,\n  \"s\": \"from a file\"\n}");
    std::filesystem::resize_file(folder + "/secret", 70'000);
    EXPECT_NE(Document::from_file(good)->to_json().error().message().find("/secret is too large: 70000 bytes, at most 65536"), std::string::npos);
    EXPECT_EQ(read_regular_file("/proc/self/status", 1u << 20)->substr(0, 5), "Name:") << "files that say they have 0 bytes";
    EXPECT_NE(read_regular_file("/proc/self/status", 10).error().message().find("more than 10 bytes"), std::string::npos);
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gyre::config

#include <gtest/gtest.h>

#include <gyre/config/config.hpp>

namespace gyre::config {
namespace {

LoadOptions outside() {
    return {.read_file = [](const std::string& path, std::size_t) -> Result<std::string> {
                if (path == "list") return std::string("[1, 2]\n");
                if (path == "lines") return std::string("a\nb\r\n");
                return Error(errc::bad_config, "cannot be read: No such file or directory");
            },
            .variable = [](const std::string& name) -> std::optional<std::string> {
                if (name == "PORT") return "8000";
                if (name == "EMPTY") return "";
                if (name == "COMMENT") return "1 // x";
                if (name == "BOMB") return std::string(300'000, 'x');
                return {};
            }};
}

/// The value of "x" as JSON, or the first line of every problem.
std::string x(std::string_view text) {
    const auto document = Document::from_text(text, "f", outside());
    if (!document) return document.error().message();
    if (document->problems().empty()) return document->explain("x").value;
    std::string heads;
    for (const Problem& problem : document->problems())
        heads += (heads.empty() ? "" : "\n") + std::to_string(problem.line) + ":" + std::to_string(problem.column) + " " + problem.key + ": " + problem.message;
    return heads;
}

TEST(ConfigMacros, the_whole_text_keeps_the_type) {
    EXPECT_EQ(x(R"({"$MACRO$": {"M": 1}, "x": "$M$"})"), "1");
    EXPECT_EQ(x(R"({"$MACRO$": {"M": 1.5}, "x": ["$M$", "$M$$M$", "a$M$"]})"), R"([1.5,"1.51.5","a1.5"])");
    EXPECT_EQ(x(R"({"$MACRO$": {"M": {"a": [null, true]}}, "x": "$M$"})"), R"({"a":[null,true]})");
    EXPECT_EQ(x(R"({"$MACRO$": {"M": "x"}, "x": "$M"})"), R"("$M")");
    EXPECT_EQ(x(R"({"$MACRO$": {"M": "x"}, "x": "$$M$$ $5 $$ $ $"})"), R"("$M$ $5 $ $ $")");
    EXPECT_EQ(x(R"({"x": "$M$", "y": {"$MACRO$": {"M": 1}}})"), "1:8 x: unknown macro $M$; there is no $MACRO$ here or around");
}

TEST(ConfigMacros, the_nearest_definition_holds_and_sees_what_is_around_it) {
    EXPECT_EQ(x(R"({"$MACRO$": {"A": 1, "B": "$A$"}, "x": {"$MACRO$": {"A": 2}, "a": "$A$", "b": "$B$"}})"), R"({"a":2,"b":1})");
    EXPECT_EQ(x(R"({"$MACRO$": {"A": 1}, "x": {"$MACRO$": {"B": "$A$-$A$"}, "b": "$B$"}})"), R"({"b":"1-1"})");
}

TEST(ConfigMacros, cycles_and_chains_are_named) {
    EXPECT_EQ(x("{\"$MACRO$\": {\"A\": \"$B$\",\n\"B\": \"$A$\"},\n\"x\": \"$A$\"}"),
              "2:7 x: macro $A$ contains itself: $A$ -> $B$ -> $A$ (within $B$, used at f:3:7)");
    EXPECT_EQ(x(R"({"$MACRO$": {"A": ["$A$"]}, "x": "$A$", "y": "$A$"})"),
              "1:21 x[0]: macro $A$ contains itself: $A$ -> $A$ (within $A$, used at f:1:35)") << "once";
    EXPECT_EQ(x(R"({"$MACRO$": {"A": 1}, "x": {"$MACRO$": {"A": "$A$"}, "y": "$A$"}})").substr(0, 54),
              "1:47 x.y: macro $A$ contains itself: $A$ -> $A$ (withi");
    std::string chain = R"({"$MACRO$": {"M0": 1)";
    for (int i = 1; i < 20; ++i) chain += ", \"M" + std::to_string(i) + "\": \"$M" + std::to_string(i - 1) + "$\"";
    EXPECT_EQ(x(chain + R"(}, "x": "$M15$"})"), "1");
    EXPECT_NE(x(chain + R"(}, "x": "$M16$"})").find("more than 16 macros within each other: $M16$ -> $M15$"), std::string::npos);
}

TEST(ConfigMacros, what_they_grow_to_is_bounded) {
    std::string laughs = R"({"$MACRO$": {"M0": "lol")";
    for (int i = 1; i < 15; ++i) {
        const std::string before = "$M" + std::to_string(i - 1) + "$";
        laughs += ", \"M" + std::to_string(i) + "\": \"";
        for (int k = 0; k < 10; ++k) laughs += before;
        laughs += '"';
    }
    EXPECT_NE(x(laughs + R"(}, "x": "$M14$"})").find(" x: macros make this too large"), std::string::npos);
    EXPECT_NE(x(R"({"x": "${env:BOMB}"})").find("x: macros make this too large"), std::string::npos);
    const std::string deep = "{\"$MACRO$\": {\"D\": " + std::string(60, '[') + std::string(60, ']') + "}, ";
    EXPECT_NE(x(deep + R"("x": [[[[[["$D$"]]]]]]})").find("nest this deeper than 64"), std::string::npos);
}

TEST(ConfigMacros, variables_and_files) {
    EXPECT_EQ(x(R"({"x": ["${env:PORT}", ":${env:PORT}", "${env:NONE:-7}", "${env:NONE:-}", "${env:EMPTY}", "${env:EMPTY:-7}"]})"),
              R"([8000,":8000",7,"","",""])");
    EXPECT_EQ(x(R"({"x": "${env:COMMENT}"})"), R"("1 // x")");
    EXPECT_EQ(Document::from_text(R"({"x": ["${file:list}", "${file:lines}", "${file:none:-d}"]})", "f", outside())->to_json().value(),
              "{\n  \"x\": [\n    [\n      1,\n      2\n    ],\n    \"a\\nb\",\n    \"d\"\n  ]\n}");
    EXPECT_EQ(x(R"({"x": "a${env:NONE}"})"), "1:9 x: environment variable NONE is not set (a default: ${env:NONE:-default})");
    EXPECT_EQ(x(R"({"x": "${file:none}"})"), "1:8 x: file none cannot be read: No such file or directory");
    EXPECT_EQ(x(R"({"x": "${HOME}/x"})"), "1:8 x: unknown reference ${HOME}; did you mean ${env:HOME}?");
    EXPECT_EQ(x(R"({"x": "${what:x}"})"), "1:8 x: unknown reference ${what:x}; known: ${env:NAME}, ${file:PATH}, and $$ for a $");
    EXPECT_EQ(x(R"({"x": "${env:NONE"})"), "1:8 x: '}' is missing behind ${; a plain $ is written $$");
    EXPECT_EQ(x(R"({"x": "${env:}"})"), "1:8 x: a name is missing in ${env:}");
    EXPECT_EQ(x(R"({"x": "$${env:PORT}"})"), R"("${env:PORT}")");
}

TEST(ConfigMacros, names_and_types_are_checked) {
    EXPECT_EQ(x(R"({"$MACRO$": [], "x": 1})"), "1:13 $MACRO$: expected an object of macros, found an empty list");
    EXPECT_EQ(x(R"({"$MACRO$": {"MY-HOST": 1}, "x": 1})"), "1:14 $MACRO$: a macro is named with letters, digits and _, and begins with no digit");
    EXPECT_EQ(x(R"({"$MACRO$": {"HOST": [1, 2]}, "x": "a$HOST$"})"), "1:38 x: $HOST$ is a list of 2; within a text only numbers and texts are");
    EXPECT_EQ(x(R"({"$MACRO$": {"HOST": 1}, "x": "$HOTS$"})"), "1:32 x: unknown macro $HOTS$; did you mean \"HOST\"? (macros are defined at f:1:2)");
}

}  // namespace
}  // namespace gyre::config

#include <gtest/gtest.h>

#include <gyre/config/config.hpp>

namespace gyre::config {
namespace {

/// "line:column: key: message" of every problem, a line each.
std::string problems(std::string_view text, const LoadOptions& options = {}) {
    const auto document = Document::from_text(text, "f", options);
    std::string all = document ? "" : document.error().message();
    if (document)
        for (const Problem& problem : document->problems()) all += (all.empty() ? "" : "\n\n") + print(problem);
    std::string heads;
    bool first = true;
    for (std::size_t at = 0; at < all.size(); ++at) {
        if (all.compare(at, 2, "\n\n") == 0) first = true, ++at;
        else if (all[at] == '\n') first = false;
        else if (first) heads += (!heads.empty() && all[at - 1] == '\n' ? "\n" : "") + std::string(1, all[at]);
    }
    return heads.starts_with("f:") ? heads.replace(0, 2, "") : heads;
}

std::string json(std::string_view text) {
    const auto document = Document::from_text(text, "f");
    if (!document) return document.error().message();
    auto json = document->to_json();
    if (!json) return json.error().message();
    std::string compact;
    for (const char c : *json)
        if (c != '\n' && c != ' ') compact += c;
    return compact;
}

TEST(ConfigParser, takes_comments_trailing_commas_a_byte_order_mark_and_any_line_end) {
    EXPECT_EQ(json("\xef\xbb\xbf{\r\n// a\r\n\"a\": 1, # b\r\n/* c\n\"x\": 2 */ \"b\": [1, 2,],\r\n}\r\n# end"), R"({"a":1,"b":[1,2]})");
    EXPECT_EQ(json(R"({"a": "//no #comment /* */", "b": {}})"), R"({"a":"//no#comment/**/","b":{}})");
    EXPECT_EQ(json(R"({"a": -1, "b": 1.5e3, "c": 18446744073709551615, "d": -9223372036854775808, "e": 1e-400, "f": 100000000000000000000})"),
              R"({"a":-1,"b":1500.0,"c":"18446744073709551615","d":"-9223372036854775808","e":0.0,"f":1e+20})");
    EXPECT_EQ(json(R"({"a": "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00", "b": [true, false, null]})"),
              "{\"a\":\"\\\"\\\\/\\u0008\\u000c\\n\\u000d\\t\xc3\xa9\xf0\x9f\x98\x80\",\"b\":[true,false,null]}");
}

TEST(ConfigParser, columns_count_characters) {
    EXPECT_EQ(problems("\xef\xbb\xbf{\"\xc3\xa4\xe6\x97\xa5\": oops}"), "1:8: \xc3\xa4\xe6\x97\xa5: text needs double quotes: \"oops\"");
    EXPECT_EQ(problems("{\r\n\t\"a\": oops}"), "2:7: a: text needs double quotes: \"oops\"");
}

TEST(ConfigParser, a_missing_comma_is_told_behind_the_value_before_it) {
    EXPECT_EQ(problems("{\n\"a\": 1\n\"b\": 2 // x\n  \"c\": [1 [2]]}"),
              "2:7: expected ',' after this value\nf:3:7: expected ',' after this value\nf:4:10: c: expected ',' after this value");
}

TEST(ConfigParser, a_text_without_an_end_is_told_where_it_begins) {
    EXPECT_EQ(problems("{\n  \"a\": \"abc,\n  \"b\": 1\n}"), "2:8: a: this text never ends: its closing \" is missing on this line");
    EXPECT_EQ(problems("{\n  \"a: 1,\n  \"b\": 1\n}"), "2:3: this text never ends: its closing \" is missing on this line");
    EXPECT_EQ(problems("{\"a\": \"abc"), "1:1: this '{' is never closed\nf:1:7: a: this text never ends: its closing \" is missing on this line");
    EXPECT_EQ(problems("{ /* a"), "1:3: this comment never ends: */ is missing");
}

TEST(ConfigParser, names_what_is_not_json_and_what_to_write) {
    const std::pair<const char*, const char*> values[] = {
        {"'x'", "text has double quotes: \"...\""},
        {"NaN", "NaN is no number here; all are finite"},
        {"-Infinity", "-Infinity is no number here; all are finite"},
        {"010", "a leading zero: write 10"},
        {"-007", "a leading zero: write -7"},
        {"+5", "a number has no '+': write 5"},
        {".5", "a digit is missing before '.': write 0.5"},
        {"5.", "a digit is missing after '.': write 5.0"},
        {"0x1F", "numbers are decimal: write 31"},
        {"1_000", "a number has no '_': write 1000"},
        {"10ms", "text needs double quotes: \"10ms\""},
        {"-", "digits are missing after '-'"},
        {"1e999", "this number is larger than any that fits 64 bits"},
        {"True", "True is written true"},
        {"None", "None is written null"},
        {"", "expected a value, found '}'"},
        {",", "expected a value, found ','"},
        {"\xe2\x80\x9cx\xe2\x80\x9d", "expected a value, found '\xe2\x80\x9c', a quote of another kind than \""},
        {"\x01", "expected a value, found U+0001"},
        {"\xff", "expected a value, found a byte 0xFF that is not UTF-8"},
    };
    for (const auto& [value, told] : values)
        EXPECT_EQ(problems("{\"a\": " + std::string(value) + "}"), "1:7: a: " + std::string(told));
    EXPECT_EQ(problems("{\"a\": \"b\\qc\"}"), "1:9: a: unknown escape; a backslash is written \\\\");
    EXPECT_EQ(problems("{\"a\": \"\tb\"}"), "1:8: a: a tab within a text; write \\t");
    EXPECT_EQ(problems("{\"a\": \"\x1b[1m\"}"), "1:8: a: a control character within a text: U+001B; write it as \\u00XX");
    EXPECT_EQ(problems("{\"a\": \"\xc0\x80\"}"), "1:8: a: a byte 0xC0 that is not UTF-8 within a text\nf:1:9: a: a byte 0x80 that is not UTF-8 within a text");
    for (const char* half : {"\\ud800", "\\ud800\\u0041", "\\udc00"})
        EXPECT_EQ(problems("{\"a\": \"" + std::string(half) + "\"}"), "1:8: a: half of a character: \\ud8XX needs \\udcXX behind it");
    EXPECT_EQ(problems("{\"a\": \"\\u12g4\"}"), "1:8: a: \\u needs four hexadecimal digits");
    EXPECT_EQ(problems("{\"a\": \"\\u0000\"}"), "1:8: a: \\u0000 has no place in a configuration");
    EXPECT_EQ(problems("{a: 1, \"b\" = 2, \"c\" 3}"), "1:2: a key needs double quotes: \"a\"\nf:1:12: b: expected ':' after a key, found '='\nf:1:20: c: expected ':' after the key \"c\", found 3");
    EXPECT_EQ(problems(""), "1:1: there is nothing; the least is {}");
    EXPECT_EQ(problems("\"a\": 1"), "1:1: must be an object: { ... }, found text");
    EXPECT_EQ(problems("\xff\xfe{"), "1:1: this is UTF-16; save it as UTF-8");
    EXPECT_EQ(problems("{} {}"), "1:4: expected the end, found '{'");
    EXPECT_EQ(problems("{}}"), "1:3: this '}' closes nothing");
}

TEST(ConfigParser, brackets_that_do_not_fit_are_told_once) {
    EXPECT_EQ(problems("{\n  \"a\": {\n    \"b\": 1,\n  \"c\": 2\n}\n"),
              "1:1: this '{' is never closed; or is it the one of line 2, which ends at line 5?");
    EXPECT_EQ(problems("{\"a\": [1, 2}, \"b\": 1}"), "1:7: a: this '[' is not closed before the '}' of line 1");
    EXPECT_EQ(problems("{\"a\": {\"b\": 1], \"c\": 1}"), "1:14: a: found ']', but the '{' of line 1 ends with '}'");
}

TEST(ConfigParser, goes_on_after_an_error_without_nonsense) {
    EXPECT_EQ(problems("{\n\"a\": oops more,\n\"b\": 01,\n\x07 \"c\": 1,\n\"d\": 'x'\n}"),
              "2:6: a: text needs double quotes: \"oops\"\nf:3:6: b: a leading zero: write 1\n"
              "f:4:1: expected a key in double quotes, found U+0007\nf:5:6: d: text has double quotes: \"...\"");
    std::string many = "{";
    for (int i = 0; i < 80; ++i) many += "\"k" + std::to_string(i) + "\": oops,\n";
    const std::string told = problems(many + "}");
    EXPECT_TRUE(told.starts_with("1:8: k0: ")) << told;
    EXPECT_TRUE(told.ends_with("\nand 30 more")) << told;
}

TEST(ConfigParser, a_key_given_twice_is_told_with_both_places) {
    EXPECT_EQ(problems("{\"a\": {\"b\": 1,\n\"c\": 2, \"b\": 3}}"), "2:9: a.b: given twice, first at line 1");
    std::string large = "{";
    for (int i = 0; i < 3'000; ++i) large += "\"k" + std::to_string(i) + "\": 1,";
    EXPECT_EQ(problems(large + "}"), "");
    EXPECT_TRUE(problems(large + "\n\"k2999\": 2}").starts_with("2:1: k2999: given twice, first at line 1"));
}

TEST(ConfigParser, has_limits) {
    const std::string deep(63, '[');
    EXPECT_EQ(problems("{\"a\": " + deep + std::string(63, ']') + "}"), "");
    EXPECT_NE(problems("{\"a\": [" + deep + "]" + std::string(63, ']') + "}").find("nested deeper than 64"), std::string::npos);
    EXPECT_NE(problems("{\"a\": " + std::string(1'000'000, '[')).find("nested deeper than 64"), std::string::npos);
    std::string wide = "{\"a\": [";
    for (int i = 0; i < 262'144; ++i) wide += "1,";
    EXPECT_NE(problems(wide + "]}").find("more than 262144 values"), std::string::npos);
    EXPECT_EQ(problems(std::string((16u << 20) + 1, ' ')), " is too large: 16777217 bytes, at most 16777216");
}

TEST(ConfigParser, bad_input_of_megabytes_takes_no_longer_than_good) {
    for (const std::string& part : {std::string("{]"), std::string("[},"), std::string("\"a\":1 "), std::string("\"a\": oops,"), std::string("  ]\n"), std::string("'")}) {
        std::string text = "{";
        while (text.size() < (4u << 20)) text += part;
        EXPECT_NE(problems(text), "");
    }
}

}  // namespace
}  // namespace gyre::config

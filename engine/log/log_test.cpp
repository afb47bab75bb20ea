#include <gtest/gtest.h>

#include <gyre/base/context.hpp>
#include <gyre/base/error.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/log/capture.hpp>
#include <limits>
#include <regex>
#include <thread>

#include "detail/format.hpp"

namespace gyre::log {
namespace {

WallTime fixed_time() { return WallTime(Duration(1'767'366'245'123'456'789)); }

struct FixedClock {
    FixedClock() { set_clock(&fixed_time); }
    ~FixedClock() { set_clock(nullptr); }
};

std::string fields_of(Fields fields) {
    Capture log;
    info("test.event", fields);
    return log.lines().at(0).fields;
}

std::string text_of(Level level, std::string_view event, Fields fields) {
    detail::Record record;
    detail::gather(record, level, event, fields, std::source_location::current());
    record.time_ns = fixed_time().time_since_epoch().count();
    detail::Buffer text;
    detail::Formatter({}).append(text, record);
    return std::string(text.view());
}

TEST(Log, prints_every_kind_of_value) {
    const std::string owned = "owned";
    const char* nothing = nullptr;
    EXPECT_EQ(fields_of({{"a", -7}, {"b", std::numeric_limits<std::uint64_t>::max()}, {"c", true}}),
              "a=-7 b=18446744073709551615 c=true");
    EXPECT_EQ(fields_of({{"d", 0.5}, {"e", 1e300}, {"f", 100'000.0}, {"g", 0.1f * 0}}),
              "d=0.5 e=1e+300 f=100000 g=0");
    EXPECT_EQ(
        fields_of(
            {{"s", owned}, {"l", "literal"}, {"v", std::string_view("view")}, {"n", nothing}}),
        "s=owned l=literal v=view n=null");
    EXPECT_EQ(fields_of({{"rtt_ms", 81'250us}, {"took", 2s}, {"id", Id<int>{42}}}),
              "rtt_ms=81.25 took=2000ms id=42");
    EXPECT_EQ(fields_of({{"error", Error(errc::closed, "by peer")}}), "error=\"closed: by peer\"");
    EXPECT_EQ(fields_of({}), "");
    EXPECT_EQ(fields_of({{"one", "two"}}), "one=two");
}

TEST(Log, copies_what_it_is_given) {
    Capture log;
    {
        std::string gone(100, 'x');
        info("test.event", {{"text", gone}});
        gone.assign(100, 'y');
    }
    EXPECT_TRUE(log.has("test.event", "text=" + std::string(100, 'x')));
}

TEST(Log, adds_the_fields_of_the_running_task) {
    Capture log;
    NodeIdentity node{.name = "battle_1", .role = "battle", .build = {}};
    Context context{.node = &node, .entity = 12, .session = 13, .call = 14, .trace = 15};
    {
        const ContextGuard guard(&context);
        info("test.inside", {{"hp", 3}});
        info("test.named", {{"entity", 99}});
    }
    info("test.outside");
    const auto lines = log.lines();
    EXPECT_EQ(lines[0].node, "battle_1");
    EXPECT_EQ(lines[0].fields, "hp=3 entity=12 session=13 call=14 trace=15");
    EXPECT_EQ(lines[1].fields, "entity=99 session=13 call=14 trace=15");
    EXPECT_EQ(lines[2].fields, "");
    EXPECT_NE(lines[0].json.find(R"("node":"battle_1","role":"battle","event":"test.inside")"),
              std::string::npos);
    EXPECT_NE(lines[0].json.find(R"("hp":3,"entity":"12")"), std::string::npos);
}

TEST(Log, adds_the_build_of_the_code_that_runs) {
    Capture log;
    NodeIdentity node{.name = "battle_1", .role = "battle", .build = {}};
    Context context{.node = &node, .entity = 12};
    set_build_lookup([](const Context& c) { return c.entity ? std::string_view("75295b7b") : std::string_view(); });
    {
        const ContextGuard guard(&context);
        info("test.inside", {{"hp", 3}});
        info("test.named", {{"build", "mine"}});
        context.entity = 0;
        info("test.engine");
    }
    set_build_lookup(nullptr);
    const auto lines = log.lines();
    EXPECT_EQ(lines[0].fields, "hp=3 entity=12 build=75295b7b");
    EXPECT_EQ(lines[1].fields, "build=mine entity=12");
    EXPECT_EQ(lines[2].fields, "");
    EXPECT_NE(lines[0].json.find(R"("build":"75295b7b")"), std::string::npos);
}

TEST(Log, escapes_what_would_forge_lines_or_drive_a_terminal) {
    EXPECT_EQ(fields_of({{"v", "two words"}}), R"(v="two words")");
    EXPECT_EQ(fields_of({{"v", ""}}), R"(v="")");
    EXPECT_EQ(fields_of({{"v", "a\nb\r\t\"\\"}}), R"(v="a\nb\u000d\t\"\\")");
    EXPECT_EQ(fields_of({{"v", "\x1b[31m"}}), R"(v="\u001b[31m")");
    EXPECT_EQ(fields_of({{"v", std::string_view("\0x", 2)}}), R"(v="\u0000x")");
    EXPECT_EQ(fields_of({{"v", "h\xc3\xa9llo"}}), "v=\"h\xc3\xa9llo\"");
    EXPECT_EQ(fields_of({{"v", "\xe4\xb8\xad\xf0\x9f\x8e\xae"}}),
              "v=\"\xe4\xb8\xad\xf0\x9f\x8e\xae\"");
    EXPECT_EQ(fields_of({{"v", "\xc2\x9b"}}), R"(v="\u009b")");            // C1 control sequence
    EXPECT_EQ(fields_of({{"v", "\xe2\x80\xae"}}), R"(v="\u202e")");        // right-to-left override
    EXPECT_EQ(fields_of({{"v", "\xff\xc3"}}), R"(v="\xff\xc3")");          // not UTF-8, cut off
    EXPECT_EQ(fields_of({{"v", "\xc0\xaf"}}), R"(v="\xc0\xaf")");          // overlong
    EXPECT_EQ(fields_of({{"v", "\xed\xa0\x80"}}), R"(v="\xed\xa0\x80")");  // surrogate
    EXPECT_EQ(fields_of({{"k v=\n", 1}}),
              "k?v?"
              "?=1");
}

TEST(Log, bounds_what_one_line_takes) {
    const std::string large(1 << 20, 'a');
    const std::string fields = fields_of({{"v", large}, {"w", 1}});
    EXPECT_EQ(fields, "v=" + large.substr(0, 4'096) + "...(+1044480 bytes) w=1");
    Capture log;
    info("test.event",
         {{"a", large}, {"b", large}, {"c", large}, {"d", large}, {"e", large}, {"f", 6}});
    EXPECT_LT(log.lines()[0].fields.size(), 17'000u);
    EXPECT_TRUE(log.has("test.event", "e=\"\"...(+1048576 bytes) f=6"));
}

TEST(Log, text_is_aligned_and_names_its_place_from_warn_on) {
    EXPECT_EQ(text_of(Level::info, "gate.listening", {{"port", 7000}}),
              "15:04:05.123 info  -          gate.listening           port=7000\n");
    const std::string text = text_of(Level::warn, "net.slow", {});
    EXPECT_TRUE(
        text.starts_with("15:04:05.123 warn  -          net.slow at engine/log/log_test.cpp:"))
        << text;
    EXPECT_TRUE(std::regex_search(text, std::regex(" engine/log/log_test\\.cpp:[1-9][0-9]*:[1-9][0-9]* \n$")))
        << text;
}

TEST(Log, json_is_one_object_a_line) {
    const FixedClock clock;
    Capture log;
    info("test.event", {{"level", "mine"},
                        {"wait", 3ms},
                        {"nan", std::numeric_limits<double>::quiet_NaN()},
                        {"text", "a\"\n\xff"}});
    EXPECT_EQ(
        log.lines()[0].json,
        R"({"ts":"2026-01-02T15:04:05.123Z","level":"info","event":"test.event","_level":"mine",)"
        R"("wait_ms":3,"nan":"nan","text":"a\"\n\\xff"})");
}

TEST(Log, lines_follow_the_line_and_are_an_array_in_json) {
    const std::string text =
        text_of(Level::info, "test.event", {{"stack", Lines("a \"b\"\n\x1b[31m\n\nlast\n")}, {"n", 1}});
    EXPECT_EQ(text,
              "15:04:05.123 info  -          test.event               n=1\n"
              "    a \"b\"\n    \\u001b[31m\n    \n    last\n");
    Capture log;
    info("test.event", {{"stack", Lines("a \"b\"\n\x1b[31m")}, {"n", 1}});
    EXPECT_EQ(log.lines()[0].fields, "n=1\n    a \"b\"\n    \\u001b[31m");
    EXPECT_NE(log.lines()[0].json.find(R"("stack":["a \"b\"","\u001b[31m"],"n":1)"), std::string::npos)
        << log.lines()[0].json;
    const std::string large(40'000, 'x'), texts(10'000, 'y');
    info("test.large", {{"a", Lines(large)}, {"b", Lines(large)}, {"t", texts}});
    EXPECT_NE(log.lines()[1].fields.find("t=yyy"), std::string::npos);
    EXPECT_NE(log.lines()[1].fields.find("\n    ...(+23616 bytes)"), std::string::npos);
    EXPECT_LT(log.lines()[1].fields.size(), 40'000u);
}

TEST(Log, a_module_may_have_its_own_level) {
    Capture log(Level::info);
    EXPECT_TRUE(set_level("world", Level::debug));
    EXPECT_TRUE(set_level("net", Level::error));
    debug("world.ticked");
    debug("worlds.ticked");
    debug("world");
    warn("net.slow");
    error("net.failed");
    info("rpc.called");
    debug("rpc.detail");
    EXPECT_TRUE(enabled(Level::debug));
    EXPECT_FALSE(enabled(Level::debug, "rpc.detail"));
    EXPECT_TRUE(enabled(Level::debug, "world.x"));
    EXPECT_EQ(module_levels(), (std::vector<std::pair<std::string, Level>>{{"net", Level::error},
                                                                           {"world", Level::debug}}));
    set_level("world", std::nullopt);
    set_level("net", std::nullopt);
    EXPECT_FALSE(enabled(Level::debug));
    debug("world.ticked");
    warn("net.slow");
    std::string seen;
    for (const auto& line : log.lines()) seen += line.event + " ";
    EXPECT_EQ(seen, "world.ticked world net.failed rpc.called net.slow ");
    EXPECT_FALSE(set_level("", Level::debug));
    EXPECT_FALSE(set_level("a.b", Level::debug));
}

TEST(Log, sixty_four_modules_have_their_own_level_and_no_more) {
    const auto module = [](int i) { return "module_" + std::to_string(i); };
    for (int i = 0; i < 64; ++i) EXPECT_TRUE(set_level(module(i), i % 2 ? Level::trace : Level::error));
    EXPECT_FALSE(set_level("one_more", Level::trace));
    EXPECT_TRUE(set_level(module(5), Level::debug));
    for (int i = 0; i < 64; ++i)
        EXPECT_EQ(enabled(Level::debug, module(i) + ".event"), i % 2 == 1) << i;
    EXPECT_FALSE(enabled(Level::trace, "module_5.event"));
    EXPECT_TRUE(enabled(level(), "one_more.event"));
    for (int i = 0; i < 64; ++i) set_level(module(i), std::nullopt);
    EXPECT_TRUE(module_levels().empty());
}

TEST(Log, a_tap_is_given_lines_of_its_level_and_is_bounded) {
    Capture log;
    int woken = 0;
    Tap tap({.level = Level::warn, .capacity = 3, .ignore_trace = 9, .wake = [&woken] {
                 ++woken;
                 error("test.within_wake");  // is not given again
             }});
    NodeIdentity node{.name = "battle_1", .role = "battle", .build = {}};
    Context context{.node = &node, .entity = 12, .session = 13, .call = 14, .trace = 15};
    info("test.quiet");
    {
        const ContextGuard guard(&context);
        warn("test.first", {{"n", 1}});
        context.trace = 9;
        error("test.own");
    }
    for (int i = 0; i < 4; ++i) error("test.more", {{"i", i}});
    EXPECT_EQ(woken, 1);
    EXPECT_EQ(tap.dropped(), 2u);
    const auto lines = tap.take();
    ASSERT_EQ(lines.size(), 3u);
    const Line& line = lines[0];
    EXPECT_EQ(line.event, "test.first");
    EXPECT_EQ(line.fields, "n=1 entity=12 session=13 call=14 trace=15");
    EXPECT_EQ(line.node + line.role, "battle_1battle");
    EXPECT_EQ(line.entity * line.session * line.call * line.trace, 12u * 13 * 14 * 15);
    EXPECT_TRUE(line.at.starts_with("engine/log/log_test.cpp:")) << line.at;
    EXPECT_TRUE(line.json.ends_with("\"at\":\"" + line.at + "\"}")) << line.json;
    EXPECT_EQ(lines[2].fields, "i=1");
    EXPECT_TRUE(tap.take().empty());
    warn("test.again");
    EXPECT_EQ(woken, 2);
}

TEST(Log, a_level_that_is_off_costs_and_writes_nothing) {
    Capture log(Level::warn);
    info("test.event");
    write(Level::debug, "test.event");
    write(Level::error, "test.event");
    EXPECT_EQ(log.count("test.event"), 1u);
    EXPECT_FALSE(enabled(Level::info));
    EXPECT_EQ(parse_level("warn"), Level::warn);
    EXPECT_EQ(parse_level("loud"), std::nullopt);
}

TEST(Log, captures_nest_and_take_lines_of_all_threads) {
    Capture outer;
    {
        Capture inner;
        std::thread([] { info("test.event"); }).join();
        EXPECT_EQ(inner.count("test.event"), 1u);
    }
    EXPECT_EQ(outer.count("test.event"), 0u);
    info("test.event");
    EXPECT_EQ(outer.count("test.event"), 1u);
}

}  // namespace
}  // namespace gyre::log

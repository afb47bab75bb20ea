#include <elf.h>
#include <fcntl.h>
#include <gyre/codec/json.hpp>
#include <gyre/module/check_process.hpp>
#include <gyre/module/files_test.hpp>
#include <gyre/module/loader.hpp>

#include <chrono>
#include <cstring>
#include <random>
#include <thread>

namespace gyre::module {
namespace {

std::string checker() { return bin_folder() + "gyre"; }

CheckReport check_fresh(const std::string& file, const Expectations& expected = {}, Duration limit = 60s) {
    auto report = check_in_process(checker(), file, expected, limit);
    if (report) return *std::move(report);
    ADD_FAILURE() << report.error().what();
    return {};
}
std::string all(const CheckReport& report) {
    std::string text;
    for (const auto& error : report.errors) text += error + "\n";
    return text;
}
/// Refused for one reason alone, which says all the parts.
void expect_refused(const CheckReport& report, std::initializer_list<std::string_view> parts) {
    EXPECT_FALSE(report.ok) << report.file;
    EXPECT_EQ(report.errors.size(), 1u) << all(report);
    for (const auto part : parts) EXPECT_TRUE(has(all(report), part)) << "no \"" << part << "\" in " << all(report);
}
const TypeReport& type_of(const CheckReport& report, std::string_view name) {
    static const TypeReport none;
    for (const auto& type : report.types)
        if (type.name == name) return type;
    ADD_FAILURE() << "no type " << name << " in\n" << readable(report);
    return none;
}
/// As a node gives them: what it runs.
Expectations running(const std::string& module) {
    const auto build = load_build(test_module(module)).value();
    return {build->name(), report_types(build->types()), {}, {}};
}

// -- the file alone ------------------------------------------------------------------------------

TEST(CheckFile, modules_as_games_build_them_pass) {
    for (const char* name : {"good", "types", "calls_other"}) {
        const auto report = check_file(test_module(name));
        EXPECT_TRUE(report.ok) << all(report);
        EXPECT_EQ(report.warnings.size(), 0u);
        EXPECT_EQ(report.name, name);
        EXPECT_GE(report.build.size(), 16u);
    }
}

TEST(CheckFile, mutable_statics_are_named_and_constants_pass) {
    const auto report = check_file(test_module("statics"));
    ASSERT_EQ(report.errors.size(), 2u) << all(report);
    EXPECT_TRUE(has(report.errors[0], "mutable statics: ")) << all(report);
    for (const char* name : {"street::lamps (", "street::lamps_lit (", "Lamp::brightness()::times (", "Lamp::brightness()::name",
                             " bytes)"})
        EXPECT_TRUE(has(report.errors[0], name)) << report.errors[0];
    for (const char* constant : {"watts", "colours", "guard variable", "field_table", "dso_handle", "code_uses"})
        EXPECT_FALSE(has(report.errors[0], constant)) << report.errors[0];
    EXPECT_TRUE(has(report.errors[1], "static initializers in statics.cpp")) << report.errors[1];
}

TEST(CheckFile, what_cannot_be_replaced_is_refused_by_name) {
    expect_refused(check_file(test_module("thread_locals")), {"thread_local: street::nearest"});
    expect_refused(check_file(test_module("iostreams")), {"#include <iostream> in iostreams.cpp", "gyre::log"});
    expect_refused(check_file(test_module("threads")), {"starts threads or processes: std::thread, system;"});
    expect_refused(check_file(test_module("initializer")), {"code that runs when it is loaded", "at_load()"});
}

TEST(CheckFile, all_symbols_that_are_missing_are_named_at_once) {
    expect_refused(check_file(test_module("unresolved")), {"undefined symbols: nowhere::one(), nowhere::two(int);"});
}

TEST(CheckFile, a_module_that_only_calls_the_types_of_another_needs_none_of_their_symbols) {
    const auto build = load_build(test_module("calls_other"));  // built without optimization
    ASSERT_TRUE(build) << build.error().what();
    EXPECT_EQ((*build)->types()[0]->name, "Caller");
}

TEST(CheckFile, a_stripped_module_is_held_against_its_sizes) {
    const auto good = check_file(test_module("good_stripped"));
    EXPECT_TRUE(good.ok) << all(good);
    ASSERT_EQ(good.warnings.size(), 1u);
    EXPECT_TRUE(has(good.warnings[0], "stripped"));
    EXPECT_EQ(good.build, check_file(test_module("good")).build);
#ifndef GYRE_SANITIZED
    const auto bad = check_file(test_module("statics_stripped"));
    EXPECT_TRUE(has(all(bad), "mutable statics: it is stripped of their names")) << all(bad);
    EXPECT_TRUE(has(all(bad), "static initializers: 1, and it is stripped")) << all(bad);
#endif
}

TEST(CheckFile, a_file_without_a_manifest_or_with_more_to_see_is_refused) {
    const auto report = check_file(test_module("no_manifest"));
    EXPECT_TRUE(has(all(report), "exports no gyre_module")) << all(report);
    EXPECT_TRUE(has(all(report), "exports more than gyre_module: something_else")) << all(report);
}

TEST(CheckFile, no_damage_to_a_file_brings_the_check_down) {
    const auto symbol_is_known = [](const char*) { return true; };
    const std::string good = contents(test_module("good")), statics = contents(test_module("statics"));
    std::mt19937 random(7);
    std::size_t refused = 0;
    for (int i = 0; i < 1'500; ++i) {
        std::string text = i % 2 ? good : statics;
        for (std::uint32_t n = random() % 20 + 1; n != 0; --n) {
            // Half of them where it hurts: headers, and the tables at the end.
            const std::size_t place = random() % 4;
            const std::size_t at = place == 0   ? random() % 1'000
                                   : place == 1 ? text.size() - 1 - random() % 3'000
                                                : random() % text.size();
            text[at] = static_cast<char>(random());
        }
        if (random() % 8 == 0) text.resize(random() % text.size());
        refused += !check_bytes(as_bytes(text), symbol_is_known).ok;
    }
    EXPECT_GT(refused, 750u) << "all of the damaged statics";
}

TEST(CheckFile, a_section_of_any_kind_anywhere_is_not_looked_for_outside_of_the_file) {
    const std::string good = contents(test_module("good"));
    Elf64_Ehdr head;
    std::memcpy(&head, good.data(), sizeof head);
    for (std::size_t i = 0; i < head.e_shnum; ++i)
        for (const std::uint32_t type : {SHT_NULL, SHT_NOBITS, SHT_PROGBITS, SHT_SYMTAB, SHT_RELA, SHT_NOTE}) {
            std::string text = good;
            char* at = text.data() + head.e_shoff + i * sizeof(Elf64_Shdr);
            Elf64_Shdr section;
            std::memcpy(&section, at, sizeof section);
            section.sh_type = type;
            section.sh_offset = 1ull << 40;
            std::memcpy(at, &section, sizeof section);
            const auto report = check_bytes(as_bytes(text), [](const char*) { return true; });
            EXPECT_EQ(report.ok, report.errors.empty());
        }
}

// -- in a fresh process --------------------------------------------------------------------------

TEST(CheckModule, tells_what_is_in_a_module) {
    const auto report = check_fresh(test_module("types"));
    EXPECT_TRUE(report.ok) << all(report);
    EXPECT_EQ(report.name, "types");
    EXPECT_EQ(report.api, api_version);
    EXPECT_EQ(report.build, check_file(test_module("types")).build);
    const auto& lamp = type_of(report, "Lamp");
    EXPECT_EQ(lamp.kind, "component");
    ASSERT_EQ(lamp.fields.size(), 2u);
    EXPECT_EQ(lamp.fields[1].name, "hours");
    EXPECT_EQ(lamp.fields[1].type, "unsigned long");
    EXPECT_EQ(lamp.fields[1].offset, 16u);
    EXPECT_EQ(lamp.fields[1].size, 8u);
    EXPECT_EQ(lamp.size, 24u);
    EXPECT_EQ(lamp.change, "");
    const auto& street = type_of(report, "Street");
    EXPECT_EQ(street.methods, std::vector<std::string>{"number"});
    EXPECT_EQ(street.components, std::vector<std::string>{"Lamp"});
    EXPECT_EQ(type_of(check_fresh(test_module("good")), "Lamp").hooks, std::vector<std::string>{"on_start"});
}

TEST(CheckModule, what_the_file_alone_shows_comes_back_from_the_process) {
    expect_refused(check_fresh(test_module("iostreams")), {"#include <iostream>"});
    expect_refused(check_fresh(test_module("other_api")),
                   {"it was built for API " + std::to_string(api_version + 1) + ", this is " + std::to_string(api_version)});
    const TemporaryFolder folder;
    const std::string whole = contents(test_module("good"));
    for (const std::size_t parts : {1, 5, 9})
        expect_refused(check_fresh(folder.write("cut.so", std::string_view(whole).substr(0, whole.size() * parts / 10))),
                       {"cut short"});
}

TEST(CheckModule, members_that_are_not_described_are_named) {
    expect_refused(check_fresh(test_module("types_undescribed")),
                   {"Lamp: 8 bytes at offset 24 are in no described field"});
    expect_refused(check_fresh(test_module("types_hidden")), {"Lamp: a member at offset 12"});
    expect_refused(check_fresh(test_module("types_hidden_zero")), {"Lamp: a member at offset 12"});
}

TEST(CheckModule, what_kills_or_hangs_the_process_is_told_as_what_it_is) {
    expect_refused(check_fresh(test_module("types_throws")), {"Lamp: its constructor threw unavailable: the lamp is not"});
    expect_refused(check_fresh(test_module("types_crashes")), {"constructing Lamp: "});
    expect_refused(check_fresh(test_module("links_throws")), {"a static initializer threw internal: no such lamp"});
    expect_refused(check_fresh(test_module("links_terminates")), {"loading ", "no such lamp"});
#ifndef GYRE_SANITIZED  // it tells of both in its own words
    expect_refused(check_fresh(test_module("types_crashes")), {"it crashed: signal 11"});
    expect_refused(check_fresh(test_module("links_terminates")),
                   {"a static initializer threw: signal 6", "terminate called", "std::runtime_error"});
#endif
    expect_refused(check_fresh(test_module("types_hangs"), {}, 500ms), {"constructing Lamp: ", "hangs"});
    expect_refused(check_fresh(test_module("links_hangs"), {}, 500ms), {"loading ", "hangs"});
}

TEST(CheckModule, several_at_once_do_not_disturb_each_other) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([i] {
            const auto report = check_fresh(test_module(i % 2 ? "types" : "types_undescribed"));
            EXPECT_EQ(report.ok, i % 2 == 1) << all(report);
        });
    for (auto& thread : threads) thread.join();
}

TEST(CheckProcess, whatever_numbers_its_pipes_get) {
    std::vector<int> open_files;
    for (int first = -1; first < 110;) {
        open_files.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        first = open_files.back();
        if (first < 96) continue;
        const auto report = check_in_process(checker(), test_module("good"), {}, 10s);
        ASSERT_TRUE(report) << first << ": " << report.error().what();
        EXPECT_TRUE(report->ok);
    }
    for (const int one : open_files) ::close(one);
}

TEST(CheckModule, a_checker_that_is_none_is_a_named_error) {
    const auto missing = check_in_process("/nowhere/gyre", test_module("good"), {}, 1s);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), "io_failed");
    EXPECT_TRUE(has(missing.error().message(), "/nowhere/gyre"));
    EXPECT_EQ(check_in_process("/bin/echo", test_module("good"), {}, 10s).error().code(), errc::bad_data);
}

// -- against the running build -------------------------------------------------------------------

TEST(CheckModule, says_what_a_swap_would_change) {
    const auto same = check_fresh(test_module("types"), running("types"));
    EXPECT_TRUE(same.ok) << all(same);
    EXPECT_EQ(type_of(same, "Lamp").change, "same");
    const auto changed = check_fresh(test_module("types_changed"), running("types"));
    EXPECT_EQ(type_of(changed, "Lamp").change, "changed");
    EXPECT_EQ(type_of(changed, "Street").change, "changed") << "it holds a Lamp";
    EXPECT_TRUE(changed.ok) << "without live objects: " << all(changed);
    auto expected = running("good");
    expected.name = "types";
    const auto other = check_fresh(test_module("types"), expected);
    EXPECT_EQ(type_of(other, "Street").change, "new");
    EXPECT_EQ(check_fresh(test_module("good"), running("types")).errors.size(), 2u) << "another module, another kind";
}

TEST(CheckModule, a_layout_hash_that_collides_is_found_out) {
    EXPECT_TRUE(check_fresh(test_module("types_claims"), running("types_claims")).ok);
    expect_refused(check_fresh(test_module("types_collision"), running("types_claims")),
                   {"Lamp: its layout hash is that of the running build, its memory is not (field more instead of hours)"});
}

TEST(Compare, every_part_of_a_layout_counts) {
    TypeReport was{.name = "Lamp", .kind = "component", .layout = 42, .size = 24, .align = 8};
    was.fields = {{"light", "int", 1, 8, 4, 4}, {"hours", "long", 2, 16, 8, 8}};
    const auto difference = [&](auto change) {
        CheckReport report;
        report.types = {was};
        change(report.types[0]);
        compare(report, {"", {was}, {}, {}});
        return report.ok ? report.types[0].change : all(report);
    };
    EXPECT_EQ(difference([](TypeReport&) {}), "same");
    EXPECT_EQ(difference([](TypeReport& now) { now.layout = 43; }), "changed");
    EXPECT_TRUE(has(difference([](TypeReport& now) { now.align = 16; }), "align 16 instead of 8"));
    EXPECT_TRUE(has(difference([](TypeReport& now) { now.fields[1].offset = 12; }), "field hours: offset 12 instead of 16"));
    EXPECT_TRUE(has(difference([](TypeReport& now) { now.fields[0].size = 8; }), "field light: size 8 instead of 4"));
    EXPECT_TRUE(has(difference([](TypeReport& now) { now.fields[0].name = "lit"; }), "field lit instead of light"));
    EXPECT_TRUE(has(difference([](TypeReport& now) { now.fields.pop_back(); }), "fields: 1 instead of 2"));
    EXPECT_TRUE(has(difference([](TypeReport& now) { now.fields[0].layout = 3; }), "field light: int is laid out otherwise"));
    EXPECT_TRUE(has(difference([](TypeReport& now) { now.size = 32; }), "size 32 instead of 24"));
    EXPECT_TRUE(has(difference([](TypeReport& now) { now.kind = "entity"; }), "kind entity instead of component"));
}

/// The bytes of a Lamp as `types` has it.
Bytes lamp_bytes() {
    Writer writer(Form::names);
    writer.map(2);
    writer.text("light");
    writer.unsigned_integer(9u);
    writer.text("hours");
    writer.unsigned_integer(1000u);
    return writer.take();
}

TEST(CheckModule, live_objects_are_read_by_the_new_build) {
    auto expected = running("types");
    expected.samples = {{"Lamp", "entity 7", lamp_bytes()}};
    const auto same = check_fresh(test_module("types"), expected);
    EXPECT_TRUE(same.ok) << all(same);
    EXPECT_EQ(same.samples, 1u);
    expect_refused(check_fresh(test_module("types_changed"), expected),
                   {"cannot carry over Lamp of entity 7", "Lamp.light"});
}

TEST(CheckModule, a_type_of_two_modules_is_refused) {
    Expectations expected;
    expected.taken = {{"Street", "city"}};
    expect_refused(check_fresh(test_module("types"), expected), {"module city describes a type Street too"});
}

}  // namespace
}  // namespace gyre::module

#include <gyre/log/capture.hpp>
#include <gyre/module/loader.hpp>
#include <gyre/module/files_test.hpp>
#include <gyre/world/entity.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <dlfcn.h>

#include <csignal>

namespace gyre::module {
namespace {

std::string refusal(const std::string& path, std::string_view code) {
    const auto loaded = load(path);
    EXPECT_FALSE(loaded) << path;
    if (loaded) return {};
    EXPECT_EQ(loaded.error().code(), code);
    EXPECT_TRUE(has(loaded.error().message(), path)) << "names the file: " << loaded.error().message();
    return loaded.error().message();
}

/// Lines of /proc/self/maps that name a file of the folder.
std::size_t maps_of(const std::string& folder) {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) count += has(line, folder);
    return count;
}
std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

TEST(Loader, a_module_brings_types_that_live_here) {
    const auto loaded = load(test_module("good")).value();
    EXPECT_STREQ(loaded.manifest->name, "good");
    ASSERT_EQ(loaded.types().size(), 1u);
    EXPECT_GE(loaded.build.size(), 16u);
    EXPECT_EQ(loaded.build, build_id_of(loaded.types()[0]));
    EXPECT_NE(loaded.build, build_id_of(reinterpret_cast<const void*>(&load)));
    EXPECT_EQ(load(test_module("good")).value().code, loaded.code) << "again: the same";
    EXPECT_FALSE(loaded.code->in_use());

    Executor executor;
    NodeIdentity node;
    Scope scope(executor, "n", {.node = &node});
    world::Host host(executor, node, [] { return 5u; });
    node.scope = &scope, node.host = &host;
    EXPECT_TRUE(host.add_types(loaded.types()));
    EXPECT_EQ(host.add_types(loaded.types()).error().code(), errc::conflict);
    const auto& lamp = host.create(*host.find_type("Lamp"));
    EXPECT_TRUE(lamp.hosted.methods.contains(hash_method("Lamp", "brightness")));
    const auto field = lamp.type.fields[0];
    EXPECT_EQ(field.name, "light");
    EXPECT_EQ(*reinterpret_cast<const int*>(static_cast<const char*>(lamp.object) + field.offset()), 7);
    auto end = [](world::Host* h) -> Task<> { co_await h->destroy_all(); };
    (void)go(scope, end(&host));
    executor.turn(executor.now());
    EXPECT_FALSE(loaded.code->in_use()) << "on_start has ended: " << loaded.code->uses().all();
}

TEST(Loader, what_is_not_there_says_where_it_was_looked_for) {
    EXPECT_TRUE(has(load("no_such_game").error().message(), "/../lib/gyre/modules/no_such_game.so"));
    EXPECT_EQ(load("no_such_game").error().code(), errc::not_found);
    (void)refusal("/nowhere/x.so", errc::not_found);
}

TEST(Loader, what_is_no_module_is_refused_by_name) {
    const TemporaryFolder folder;
    EXPECT_TRUE(has(refusal(test_module("no_manifest"), errc::bad_data), "gyre_module"));
    EXPECT_TRUE(has(refusal(test_module("unresolved"), errc::bad_data), "nowhere::one(), nowhere::two(int)"));
    EXPECT_TRUE(has(refusal(test_module("other_api"), errc::bad_data),
                    "was built for API " + std::to_string(api_version + 1) + ", this is " +
                        std::to_string(api_version)));
    EXPECT_TRUE(has(refusal(test_module("types_undescribed"), errc::bad_data),
                    "Lamp: 8 bytes at offset 24 are in no described field"));
    (void)refusal(folder.path, errc::bad_data);
    for (const std::string_view text : {"", "x", "#!/bin/sh\necho a module\n", "\x7f" "ELF"})
        (void)refusal(folder.write("x.so", text), errc::bad_data);
    (void)refusal(folder.write("x.so", std::string(10'000, '\0')), errc::bad_data);
}

TEST(Loader, a_file_cut_short_is_refused_instead_of_killing_the_process) {
    const TemporaryFolder folder;
    const std::string whole = contents(test_module("good"));
    ASSERT_GT(whole.size(), 1000u);
    const auto cut_at = [&](std::size_t size) {
        (void)refusal(folder.write("cut.so", std::string_view(whole).substr(0, size)), errc::bad_data);
    };
    for (std::size_t i = 1; i < 200; ++i) cut_at(whole.size() * i / 200);
    for (std::size_t size = 0; size < 200; ++size) cut_at(size);
    cut_at(whole.size() - 1);
}

TEST(Build, a_copy_is_loaded_so_the_file_may_be_replaced) {
    const TemporaryFolder folder, source;
    const std::string file = source.write("anything.so", contents(test_module("good")));
    const std::string copies = folder.path + "/modules/copies";
    const auto build = load_build(file, copies).value();
    EXPECT_EQ(build->file(), copies + "/good-" + build->id() + ".so");
    EXPECT_EQ(contents(build->file()), contents(file));
    EXPECT_EQ(build->name(), "good");
    EXPECT_TRUE(build->address_range().contains(build->types()[0]));
    EXPECT_FALSE(build->address_range().contains(&build));
    (void)source.write("anything.so", "gone");  // in place: a mapped file would be changed under us
    EXPECT_EQ(build->types()[0]->name, "Lamp");
    EXPECT_EQ(load_build(build->file(), copies).value(), build) << "the copy is the same build";
    EXPECT_EQ(copy_build(build->file(), copies).value(), build->file());
}

TEST(Build, two_builds_of_a_module_live_side_by_side) {
    const auto one = load_build(test_module("good")).value(), two = load_build(test_module("good_next")).value();
    EXPECT_NE(one->id(), two->id());
    EXPECT_EQ(one->name(), two->name());
    EXPECT_NE(one->types()[0]->construct, two->types()[0]->construct);
    EXPECT_NE(&one->uses(), &two->uses());
    EXPECT_TRUE(one->address_range().contains(&one->uses()));
}

TEST(Build, a_good_copy_is_reused_and_a_damaged_one_replaced) {
    const TemporaryFolder folder;
    const std::string copy = copy_build(test_module("good"), folder.path).value();
    struct stat first {}, second {};
    ASSERT_EQ(::stat(copy.c_str(), &first), 0);
    EXPECT_EQ(copy_build(test_module("good"), folder.path).value(), copy);
    ASSERT_EQ(::stat(copy.c_str(), &second), 0);
    EXPECT_EQ(first.st_ino, second.st_ino);
    std::filesystem::resize_file(copy, 1000);
    EXPECT_EQ(load_build(test_module("good"), folder.path).value()->file(), copy);
    EXPECT_EQ(contents(copy), contents(test_module("good")));
    EXPECT_EQ(folder.files().size(), 1u);
}

TEST(Build, a_full_disk_is_a_named_error_and_leaves_nothing_behind) {
    const TemporaryFolder folder;
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto old = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{10'000, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto refused = load_build(test_module("good"), folder.path);
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), "disk_full");
    EXPECT_TRUE(has(refused.error().message(), folder.path + "/good-")) << refused.error().message();
    EXPECT_TRUE(folder.files().empty());
    EXPECT_EQ(maps_of(folder.path), 0u);
    EXPECT_TRUE(load_build(test_module("good"), folder.path));
}

TEST(Build, a_folder_that_cannot_be_written_is_a_named_error) {
    const TemporaryFolder folder;
    const std::string no_folder = folder.write("file", "") + "/copies";
    const auto refused = load_build(test_module("good"), no_folder);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(has(refused.error().message(), no_folder + "/good-")) << refused.error().message();
    EXPECT_EQ(folder.files(), std::vector<std::string>{"file"});
}

TEST(Build, a_thousand_loads_and_unloads_leave_no_memory_mapped_and_no_file_open) {
    const TemporaryFolder folder;
    const log::Capture log;
    const std::uint64_t left_before = builds_not_unloaded();
    std::size_t descriptors = 0;
    for (int i = 0; i < 1'000; ++i) {
        const auto one = load_build(test_module("good"), folder.path).value();
        const auto two = load_build(test_module("good_next"), folder.path).value();
        if (i == 0) descriptors = open_descriptors();
        if (i % 100 == 0) {
            EXPECT_GE(maps_of(folder.path), 6u);
        }
    }
    EXPECT_EQ(maps_of(folder.path), 0u);
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_EQ(builds_not_unloaded(), left_before);
}

TEST(Build, what_does_not_unload_is_told_with_the_reason) {
    const log::Capture log;
    const std::uint64_t before = builds_not_unloaded();
    void* held = nullptr;
    {
        const auto build = load_build(test_module("good_next")).value();
        held = ::dlopen(build->file().c_str(), RTLD_NOW | RTLD_LOCAL);
    }
    EXPECT_EQ(builds_not_unloaded(), before + 1);
    EXPECT_TRUE(log.has("module.not_unloaded", "another library or dlopen() holds it"));
    ::dlclose(held);
}

TEST(Build, old_copies_are_removed_and_the_kept_ones_stay) {
    const TemporaryFolder folder;
    const auto build = load_build(test_module("good"), folder.path).value();
    const std::string next = copy_build(test_module("good_next"), folder.path).value();
    for (const char* other : {"good-0a1b.so", "good-bots-0a1b.so", "goods-0a1b.so", "good.so", ".good-0a1b.so.Xyz123"})
        (void)folder.write(other, "x");
    const std::string stale = folder.write(".good-0a1b.so.Abc123", "x");
    std::filesystem::last_write_time(stale, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    std::vector<std::string> unneeded{".good-0a1b.so.Abc123", "good-0a1b.so", next.substr(next.rfind('/') + 1)};
    std::ranges::sort(unneeded);
    EXPECT_EQ(prune_copies(folder.path, "good", {build->id()}), unneeded);
    std::vector<std::string> kept{".good-0a1b.so.Xyz123", "good-" + build->id() + ".so", "good-bots-0a1b.so", "good.so",
                                  "goods-0a1b.so"};
    std::ranges::sort(kept);
    EXPECT_EQ(folder.files(), kept);
    EXPECT_TRUE(prune_copies(folder.path + "/nothing", "good", {}).empty());
}

TEST(BuildId, is_that_of_the_file_an_address_is_in) {
    const int local = 0;
    EXPECT_EQ(build_id_of(&local), "");
    EXPECT_EQ(build_id_of(nullptr), "");
}

}  // namespace
}  // namespace gyre::module

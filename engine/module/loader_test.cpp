#include <gtest/gtest.h>
#include <unistd.h>

#include <climits>
#include <fstream>
#include <gyre/module/loader.hpp>
#include <gyre/world/entity.hpp>

namespace gyre::module {
namespace {

std::string folder() {
    char path[PATH_MAX];
    const auto n = ::readlink("/proc/self/exe", path, sizeof path);
    const std::string text(path, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return text.substr(0, text.rfind('/')) + "/../lib/gyre/test_modules/";
}
std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}
/// A file of its own, gone at the end.
class TemporaryFile {
public:
    explicit TemporaryFile(std::string_view text) {
        const int fd = ::mkstemp(path.data());
        EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        ::close(fd);
    }
    ~TemporaryFile() { ::unlink(path.c_str()); }
    std::string path = testing::TempDir() + "gyre_module_XXXXXX";
};
std::string refusal(const std::string& path, std::string_view code) {
    const auto loaded = load(path);
    EXPECT_FALSE(loaded) << path;
    if (loaded) return {};
    EXPECT_EQ(loaded.error().code(), code);
    EXPECT_NE(loaded.error().message().find(path), std::string::npos) << "names the file";
    return loaded.error().message();
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(Loader, a_module_brings_types_that_live_here) {
    const auto loaded = load(folder() + "good.so").value();
    EXPECT_STREQ(loaded.manifest->name, "good");
    ASSERT_EQ(loaded.types().size(), 1u);
    EXPECT_GE(loaded.build.size(), 16u);
    EXPECT_EQ(loaded.build, build_id_of(loaded.types()[0]));
    EXPECT_NE(loaded.build, build_id_of(reinterpret_cast<const void*>(&load)));
    EXPECT_EQ(load(folder() + "good.so").value().manifest, loaded.manifest) << "again: the same";

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
}

TEST(Loader, what_is_not_there_says_where_it_was_looked_for) {
    EXPECT_TRUE(has(load("no_such_game").error().message(), "/../lib/gyre/modules/no_such_game.so"));
    EXPECT_EQ(load("no_such_game").error().code(), errc::not_found);
    (void)refusal("/nowhere/x.so", errc::not_found);
}

TEST(Loader, what_is_no_module_is_refused_by_name) {
    EXPECT_TRUE(has(refusal(folder() + "no_manifest.so", errc::bad_data), "gyre_module"));
    EXPECT_TRUE(has(refusal(folder() + "unresolved.so", errc::bad_data), "defined_nowhere"));
    EXPECT_TRUE(has(refusal(folder() + "other_api.so", errc::bad_data),
                    "was built for API " + std::to_string(api_version + 1) + ", this is " +
                        std::to_string(api_version)));
    (void)refusal(folder(), errc::bad_data);
    for (const std::string_view text : {"", "x", "#!/bin/sh\necho a module\n", "\x7f" "ELF"})
        (void)refusal(TemporaryFile(text).path, errc::bad_data);
    (void)refusal(TemporaryFile(std::string(10'000, '\0')).path, errc::bad_data);
}

TEST(Loader, a_file_cut_short_is_refused_instead_of_killing_the_process) {
    const std::string whole = contents(folder() + "good.so");
    ASSERT_GT(whole.size(), 1000u);
    for (std::size_t i = 1; i < 20; ++i)
        (void)refusal(TemporaryFile(std::string_view(whole).substr(0, whole.size() * i / 20)).path,
                      errc::bad_data);
    (void)refusal(TemporaryFile(std::string_view(whole).substr(0, whole.size() - 1)).path, errc::bad_data);
}

TEST(BuildId, is_that_of_the_file_an_address_is_in) {
    const int local = 0;
    EXPECT_EQ(build_id_of(&local), "");
    EXPECT_EQ(build_id_of(nullptr), "");
}

}  // namespace
}  // namespace gyre::module

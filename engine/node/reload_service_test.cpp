#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gyre/base/hash.hpp>
#include <gyre/module/node_test.hpp>
#include <gyre/node/fake_workshop_test.hpp>
#include <gyre/node/reload_service.hpp>
#include <gyre/rpc/remote.hpp>
#include <gyre/task/compose.hpp>

namespace gyre::node {
namespace {

constexpr const world::TypeTable* far_types[] = {&world::table<ReloadService>};

Task<std::string> send(io::Endpoint to, std::string key, std::uint64_t offset, Bytes piece) {
    co_return co_await at(to).service<ReloadService>().call<&ReloadService::upload>(key, offset, piece);
}
Task<bool> ask(io::Endpoint to, std::string path, std::uint64_t bytes, std::uint64_t hash) {
    co_return co_await at(to).service<ReloadService>().call<&ReloadService::has_file>(path, bytes, hash);
}
Task<ReloadReport> bring(io::Endpoint to, ReloadRequest request) {
    co_return co_await at(to).service<ReloadService>().call<&ReloadService::reload>(request);
}

/// A node on another machine, asked over the network. Its build "a" runs.
class ReloadServiceTest : public testing::Test {
protected:
    ReloadServiceTest() : workshop_(root_), audit_(root_ + "/audit.log"), lane_(far_machine_.make_lane({.name = "modules"})) {
        auto history = NodeHistory::load(root_ + "/far.json");
        history.start("arena", {"a", root_ + "/a", 0}, "engine");
        ReloaderParts parts{far_machine_, *lane_, "far", {"arena"}, [] { return ReloadConfig{}; }, workshop_, history, audit_};
        parts.uploads = uploads();
        reloader_ = std::make_unique<Reloader>(std::move(parts));
        reloader_->adopt(std::make_shared<FakeCode>("a", workshop_.alive), {"a", root_ + "/a", 0});
        far_.inside().reloader = reloader_.get();
        far_.start(far_types);
    }
    ~ReloadServiceTest() override { std::filesystem::remove_all(root_); }
    static std::string temporary() {
        char name[] = "/tmp/gyre-uploads-XXXXXX";
        return ::mkdtemp(name);
    }
    io::Endpoint far() { return far_.inside().info.address; }
    Result<std::string> upload(const std::string& key, std::uint64_t offset, const std::string& piece) {
        return near_.run(as_result(send(far(), key, offset, Bytes(piece.begin(), piece.end()))));
    }
    bool has_file(const std::string& path, const std::string& bytes) {
        return near_.run(ask(far(), path, bytes.size(), fnv1a(bytes)));
    }
    std::string uploads() const { return root_ + "/uploads"; }
    std::size_t uploaded() const {
        std::error_code none;
        const auto files = std::filesystem::directory_iterator(uploads(), none);
        return static_cast<std::size_t>(std::distance(begin(files), end(files)));
    }

    std::string root_ = temporary();
    sim::World world_{{.seed = sim::test_seed()}};
    sim::Machine& registry_machine_ = world_.machine("registry", "10.0.0.1");
    cluster::EmbeddedRegistryServer registry_{registry_machine_.executor()};
    std::unique_ptr<store::Store> store_ = world_.run(registry_machine_, store::open(registry_machine_, {}));
    sim::Machine& far_machine_ = world_.machine("far", "10.0.0.2");
    FakeWorkshop workshop_;
    AuditLog audit_;
    std::unique_ptr<io::Lane> lane_;
    std::unique_ptr<Reloader> reloader_;
    module::TestNode far_{world_, far_machine_, registry_, *store_, {}};
    module::TestNode near_{world_, world_.machine("near", "10.0.0.3"), registry_, *store_, {}};
};

void expect_error(const Result<std::string>& refused, std::string_view code, std::string_view told) {
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(code)) << refused.error().what();
    EXPECT_NE(refused.error().message().find(told), std::string::npos) << refused.error().what();
}

TEST_F(ReloadServiceTest, a_file_comes_in_pieces_and_runs) {
    const std::string code = "b\n" + std::string(2 * ReloadService::chunk_bytes + 7, '\x7f');
    const std::string key = "0a1b";
    EXPECT_FALSE(has_file(root_ + "/b.so", code));
    std::string there;
    for (std::size_t at = 0; at < code.size(); at += ReloadService::chunk_bytes)
        there = upload(key, at, code.substr(at, ReloadService::chunk_bytes)).value();
    EXPECT_EQ(there, uploads() + "/0a1b.so");
    EXPECT_TRUE(has_file(there, code));
    EXPECT_FALSE(has_file(there, code.substr(1) + "x")) << "as long, with other bytes";
    ReloadRequest request;
    request.file = there;
    request.who = "ann@near";
    const auto report = near_.run(bring(far(), request));
    EXPECT_EQ(report.to, "b");
    EXPECT_EQ(workshop_.running, "b");
    EXPECT_EQ(audit_.read(1).back().who, "ann@near");
}

TEST_F(ReloadServiceTest, a_piece_goes_where_the_last_one_ended) {
    expect_error(upload("0a", 7, "x"), errc::conflict, "upload 0a: it has 0 bytes, not 7");
    EXPECT_EQ(uploaded(), 0u);
    ASSERT_TRUE(upload("0a", 0, "12345"));
    expect_error(upload("0a", 4, "5"), errc::conflict, "it has 5 bytes, not 4");
    expect_error(upload("0a", 6, "7"), errc::conflict, "it has 5 bytes, not 6");
    const auto whole = upload("0a", 5, "67");
    ASSERT_TRUE(whole) << "what was refused changed nothing";
    EXPECT_TRUE(has_file(*whole, "1234567"));
}

TEST_F(ReloadServiceTest, what_was_torn_begins_anew) {
    ASSERT_TRUE(upload("0a", 0, "an old file that never came to its end"));
    ASSERT_TRUE(upload("0a", 0, "new "));
    const auto whole = upload("0a", 4, "file");
    ASSERT_TRUE(whole);
    EXPECT_TRUE(has_file(*whole, "new file"));
}

TEST_F(ReloadServiceTest, keys_and_sizes_have_limits) {
    for (const char* key : {"", "../0a", "0A", "0a.so", "0a/0b"}) expect_error(upload(key, 0, "x"), errc::bad_arguments, "hex");
    expect_error(upload(std::string(65, '0'), 0, "x"), errc::bad_arguments, "64");
    expect_error(upload("0a", ReloadService::upload_bytes_max, "x"), errc::too_large, "256 MiB");
    expect_error(upload("0a", ~std::uint64_t{0}, "x"), errc::too_large, "256 MiB");
    EXPECT_EQ(uploaded(), 0u);
}

TEST_F(ReloadServiceTest, a_full_disk_is_named_and_keeps_nothing) {
    ASSERT_TRUE(upload("0a", 0, std::string(10'000, 'x')));
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto old = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{15'000, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto refused = upload("0a", 10'000, std::string(10'000, 'y'));
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old);
    expect_error(refused, "disk_full", uploads() + "/0a.so");
    EXPECT_EQ(uploaded(), 0u);
}

}  // namespace
}  // namespace gyre::node

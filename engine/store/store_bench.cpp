#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <gyre/io/loop.hpp>
#include <gyre/store/store.hpp>

namespace gyre::store {
namespace {

/// A database with 1'000 documents of one owner, on a real disk: GYRE_BENCH_FOLDER or /var/tmp.
class Bed {
public:
    explicit Bed(std::uint32_t batch_max = StoreConfig().batch_max) {
        const char* base = std::getenv("GYRE_BENCH_FOLDER");
        folder_ = std::string(base ? base : "/var/tmp") + "/gyre_store_bench_XXXXXX";
        if (!mkdtemp(folder_.data())) std::abort();
        StoreConfig config;
        config.folder = folder_;
        config.batch_max = batch_max;
        store = loop.run_task(open(loop, config));
        loop.run_task(claim_all(&store->documents()));
    }
    ~Bed() {
        store.reset();
        std::filesystem::remove_all(folder_);
    }
    static constexpr int documents = 1'000;
    static std::string key(int i) { return "player/" + std::to_string(i % documents); }

    io::Loop loop;
    std::unique_ptr<Store> store;

private:
    static Task<> claim(Documents* to, int i) {
        (void)co_await to->claim("avatars", key(i), {"lobby_1", 1}, {}, Bytes(512, 1));
    }
    static Task<> claim_all(Documents* to) {
        std::vector<Join<>> jobs;
        for (int i = 0; i < documents; ++i) jobs.push_back(go(claim(to, i)));
        for (auto& job : jobs) co_await job;
    }
    std::string folder_;
};

Task<> save_all(Documents* documents, int count, std::size_t bytes) {
    std::vector<Join<>> jobs;
    for (int i = 0; i < count; ++i)
        jobs.push_back(go(documents->save("avatars", Bed::key(i), Bytes(bytes, 7), 1)));
    for (auto& job : jobs) co_await job;
}

/// 10'000 saves at once of 1'000 documents, durable; arguments: bytes each, calls a transaction.
void save_10k_at_once(benchmark::State& state) {
    Bed bed(static_cast<std::uint32_t>(state.range(1)));
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) bed.loop.run_task(save_all(&bed.store->documents(), 10'000, bytes));
    state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(save_10k_at_once)
    ->Args({512, 1})
    ->Args({512, 64})
    ->Args({512, 1024})
    ->Args({4096, 1024})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// One save from call to acknowledgement, nothing else under way: an fsync.
void save_one(benchmark::State& state) {
    Bed bed;
    for (auto _ : state) bed.loop.run_task(save_all(&bed.store->documents(), 1, 512));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(save_one)->UseRealTime()->Unit(benchmark::kMicrosecond);

Task<> find_one(Documents* documents, int i) {
    benchmark::DoNotOptimize(co_await documents->find("avatars", Bed::key(i)));
}
/// One read from call to value.
void find(benchmark::State& state) {
    Bed bed;
    int i = 0;
    for (auto _ : state) bed.loop.run_task(find_one(&bed.store->documents(), ++i));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(find)->UseRealTime()->Unit(benchmark::kMicrosecond);

/// One single-use ticket, durable, alone.
Task<> use_ticket(Keys* keys, int i) {
    (void)co_await keys->put_if_absent("ticket/" + std::to_string(i), "used", 1min);
}
void ticket(benchmark::State& state) {
    Bed bed;
    int i = 0;
    for (auto _ : state) bed.loop.run_task(use_ticket(&bed.store->keys(), ++i));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ticket)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace gyre::store

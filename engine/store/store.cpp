#include <gyre/store/store.hpp>

#include <gyre/store/detail/sqlite_documents.hpp>

namespace gyre::store {
namespace {

void check_range(const char* field, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high)
        throw Error(errc::bad_config, std::string("store.") + field + " = " +
                                          std::to_string(value) + ", allowed [" +
                                          std::to_string(low) + ", " + std::to_string(high) + "]");
}

}  // namespace

Task<std::unique_ptr<Store>> open(io::Io& io, StoreConfig config, metric::Registry* metrics) {
    if (config.folder.empty()) throw Error(errc::bad_config, "store.folder is empty");
    check_range("busy_timeout", config.busy_timeout.count(), 1, 60'000);
    check_range("queue_limit", config.queue_limit, 1, 1'000'000);
    check_range("batch_max", config.batch_max, 1, 65'536);
    auto commits = std::make_shared<detail::GroupCommit>(io, std::move(config), metrics);
    co_await commits->open();
    co_return std::make_unique<Store>(detail::make_sqlite_documents(commits),
                                      detail::make_sqlite_keys(commits));
}

}  // namespace gyre::store

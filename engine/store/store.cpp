#include <gyre/store/store.hpp>

#include <gyre/store/detail/sqlite_documents.hpp>

namespace gyre::store {

Result<> StoreConfig::validate() const {
    const auto wrong = [](const char* field, std::int64_t value, std::int64_t max) {
        return Error(errc::bad_config, std::string(field) + ": " + std::to_string(value) +
                                           " is outside [1, " + std::to_string(max) + "]");
    };
    const auto in = [](std::int64_t value, std::int64_t max) { return value >= 1 && value <= max; };
    if (folder.empty()) return Error(errc::bad_config, "folder: must not be empty");
    if (!in(busy_timeout.count(), 60'000))
        return wrong("busy_timeout", busy_timeout.count(), 60'000);
    if (!in(queue_limit, 1'000'000)) return wrong("queue_limit", queue_limit, 1'000'000);
    if (!in(batch_max, 65'536)) return wrong("batch_max", batch_max, 65'536);
    return {};
}

Task<std::unique_ptr<Store>> open(io::Io& io, StoreConfig config, metric::Registry* metrics) {
    config.validate().value();
    auto commits = std::make_shared<detail::GroupCommit>(io, std::move(config), metrics);
    co_await commits->open();
    co_return std::make_unique<Store>(detail::make_sqlite_documents(commits),
                                      detail::make_sqlite_keys(commits));
}

}  // namespace gyre::store

#pragma once
#include <chrono>
#include <gyre/codec/describe.hpp>
#include <gyre/io/io.hpp>
#include <gyre/store/documents.hpp>
#include <gyre/store/keys.hpp>
#include <memory>

namespace gyre::metric {
class Registry;
}

namespace gyre::store {

struct StoreConfig {
    static constexpr std::string_view config_section = "store";
    std::string folder = "data";
    std::chrono::milliseconds busy_timeout{5'000};
    std::uint32_t queue_limit = 65'536;
    std::uint32_t batch_max = 1'024;
    static consteval auto describe() {
        return gyre::type<StoreConfig>("StoreConfig",
            gyre::field<&StoreConfig::folder>(gyre::about("where `gyre.db` lies; by default the data folder")),
            gyre::field<&StoreConfig::busy_timeout>(gyre::range(1ms, 1min), gyre::about("how long to wait for other processes that write")),
            gyre::field<&StoreConfig::queue_limit>(gyre::range(1, 1'000'000), gyre::about("calls that may wait; beyond it: `overloaded`")),
            gyre::field<&StoreConfig::batch_max>(gyre::range(1, 65'536), gyre::about("calls in one transaction")));
    }
    Result<> validate() const;
};

/// What lasts: documents and keys of one database. Outlives the tasks that use it.
class Store {
public:
    Store(std::unique_ptr<Documents> documents, std::unique_ptr<Keys> keys)
        : documents_(std::move(documents)), keys_(std::move(keys)) {}
    Documents& documents() { return *documents_; }
    Keys& keys() { return *keys_; }

private:
    std::unique_ptr<Documents> documents_;
    std::unique_ptr<Keys> keys_;
};

/// Opens, and makes when missing, the SQLite database of a folder. Calls that wait while one
/// transaction is written go into the next one together, so many savers share one fsync.
/// `metrics`: gyre_store_commit_us, gyre_store_batch_calls, gyre_store_failures_total.
/// Errors: no_permission, corrupt (also: not our file), update_required (made by a newer
/// version), busy, disk_full, io_failed, bad_config; each names the path.
Task<std::unique_ptr<Store>> open(io::Io& io, StoreConfig config,
                                  metric::Registry* metrics = nullptr);

}  // namespace gyre::store

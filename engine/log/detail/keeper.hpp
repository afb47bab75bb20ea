#pragma once
#include <atomic>
#include <condition_variable>
#include <gyre/log/backend.hpp>
#include <mutex>
#include <thread>

#include "old_files.hpp"

namespace gyre::log::detail {

/// Compresses and deletes what a log has ended, by a thread of low priority.
class Keeper {
public:
    explicit Keeper(const Config& config);
    ~Keeper();  ///< Leaves a file half compressed as it was; the next start does it.
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    /// There may be something to do. The first call starts the thread.
    void wake();

private:
    void run();
    void tidy();

    const OldFiles files_;
    const std::uint32_t files_kept_;
    const std::uint64_t kept_bytes_max_;
    const bool gzip_;
    bool failing_ = false;  // of the thread
    std::atomic<bool> stopping_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool asked_ = false;
    std::thread thread_;
};

}  // namespace gyre::log::detail

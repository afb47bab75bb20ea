#pragma once
#include <condition_variable>
#include <gyre/io/detail/inbox.hpp>
#include <thread>

namespace gyre::io::detail {

/// Threads and their queue.
class ThreadLane final : public Lane, public Link {
public:
    ThreadLane(Inbox& inbox, LaneConfig config, Link& lanes);
    ~ThreadLane() override;
    std::size_t waiting() const override;
    LaneCounters counters() const;

protected:
    bool submit(Work& work) override;

private:
    void serve();
    void prepare_thread() const;

    Inbox& inbox_;
    const LaneConfig config_;
    // The loop's:
    std::uint64_t calls_ = 0, refused_ = 0;
    std::size_t waiting_max_ = 0;
    // Shared:
    std::atomic<std::uint64_t> ended_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
    Work* first_ = nullptr;
    Work* last_ = nullptr;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace gyre::io::detail

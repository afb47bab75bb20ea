#pragma once
#include <atomic>
#include <gyre/io/detail/poller.hpp>
#include <mutex>

namespace gyre::io::detail {

/// What other threads tell the loop.
class Inbox final : public Source {
public:
    explicit Inbox(Poller& poller);
    /// Any thread.
    void post(std::function<void()> action);
    /// Any thread; waits for no lock, so a thread of low priority never holds up the loop.
    void completed(Work& work) noexcept;
    void ring() noexcept;  ///< Any thread. Ends the wait of the loop.
    void on_events(std::uint32_t events) override;

private:
    std::atomic<bool> rung_{false};
    std::atomic<Work*> completed_{nullptr};  // newest first
    std::mutex mutex_;
    std::vector<std::function<void()>> posted_;
};

}  // namespace gyre::io::detail

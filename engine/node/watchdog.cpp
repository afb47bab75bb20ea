#include <algorithm>
#include <condition_variable>
#include <gyre/base/assert.hpp>
#include <gyre/node/watchdog.hpp>
#include <mutex>
#include <thread>

namespace gyre::node {

// Shared with the closures on the loop, which may outlive the watchdog.
class Watchdog::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(std::function<void(std::function<void()>)> post, Bark bark)
        : post_(std::move(post)), bark_(std::move(bark)) {}

    void arm(Duration limit, std::string for_whom) {
        std::lock_guard lock(mutex_);
        limit_ = limit;
        armed_.push_back(std::move(for_whom));
        if (!thread_.joinable()) thread_ = std::thread([this] { watch(); });
        changed_.notify_all();
    }
    void disarm(const std::string& for_whom) {
        std::lock_guard lock(mutex_);
        const auto found = std::ranges::find(armed_, for_whom);
        GYRE_ASSERT(found != armed_.end(), "a watchdog is disarmed by who armed it");
        armed_.erase(found);
        changed_.notify_all();
    }
    void end() {
        {
            std::lock_guard lock(mutex_);
            ended_ = true;
            changed_.notify_all();
        }
        if (thread_.joinable()) thread_.join();
    }

private:
    static constexpr int quarters = 4;

    void watch() {
        std::unique_lock lock(mutex_);
        while (!ended_) {
            if (armed_.empty()) {
                changed_.wait(lock);
                continue;
            }
            turned_ = false;
            lock.unlock();
            post_([self = shared_from_this()] {
                std::lock_guard inner(self->mutex_);
                self->turned_ = true;
                self->changed_.notify_all();
            });
            lock.lock();
            for (int quarter = 0; quarter < quarters && !turned_ && !armed_.empty() && !ended_; ++quarter)
                changed_.wait_for(lock, limit_ / quarters, [this] { return turned_ || armed_.empty() || ended_; });
            if (!turned_ && !armed_.empty() && !ended_) {
                const Duration limit = limit_;
                const auto armed = armed_;
                lock.unlock();
                bark_(limit, armed);
                lock.lock();
            } else if (turned_) {
                changed_.wait_for(lock, limit_ / quarters, [this] { return armed_.empty() || ended_; });
            }
        }
    }

    std::function<void(std::function<void()>)> post_;
    Bark bark_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::thread thread_;
    Duration limit_{};
    std::vector<std::string> armed_;
    bool turned_ = false;
    bool ended_ = false;
};

Watchdog::Watchdog(std::function<void(std::function<void()>)> post, Bark bark)
    : impl_(std::make_shared<Impl>(std::move(post), std::move(bark))) {}
Watchdog::~Watchdog() { impl_->end(); }
void Watchdog::arm(Duration limit, std::string for_whom) { impl_->arm(limit, std::move(for_whom)); }
void Watchdog::disarm(const std::string& for_whom) { impl_->disarm(for_whom); }

}  // namespace gyre::node

#include <algorithm>
#include <atomic>
#include <gyre/log/tap.hpp>
#include <mutex>
#include <optional>
#include <utility>

#include "detail/format.hpp"
#include "detail/taps.hpp"

namespace gyre::log {

struct Tap::Queue {
    const Config config;
    std::mutex mutex;
    std::vector<Line> waiting;
    std::atomic<std::uint64_t> dropped = 0;

    explicit Queue(Config with) : config(std::move(with)) {}

    /// True when it was empty.
    bool push(const Line& line) {
        std::lock_guard lock(mutex);
        if (waiting.size() >= config.capacity) {
            dropped.fetch_add(1, std::memory_order_relaxed);
            return false;
        }
        waiting.push_back(line);
        return waiting.size() == 1;
    }
};

namespace {

constexpr int nobody = static_cast<int>(Level::error) + 1;

/// Never destroyed: destructors of statics may log.
struct Taps {
    std::mutex mutex;  // also held while `wake` runs
    std::vector<Tap::Queue*> all;
    std::atomic<int> level = nobody;  // the least that anybody wants

    void update() {
        int least = nobody;
        for (const auto* tap : all) least = std::min(least, static_cast<int>(tap->config.level));
        level.store(least, std::memory_order_relaxed);
    }
};
Taps& taps() {
    static Taps* const one = new Taps;
    return *one;
}
thread_local bool waking = false;

}  // namespace

namespace detail {

bool within_wake() { return waking; }

void give_to_taps(const Record& record) {
    Taps& to = taps();
    if (static_cast<int>(record.level) < to.level.load(std::memory_order_relaxed) || waking) return;
    std::lock_guard lock(to.mutex);
    std::optional<Line> line;
    for (Tap::Queue* tap : to.all) {
        const auto& config = tap->config;
        if (record.level < config.level) continue;
        if (config.ignore_trace != 0 && config.ignore_trace == record.trace) continue;
        if (!line) line = line_of(record);
        if (!tap->push(*line) || !config.wake) continue;
        waking = true;
        try {
            config.wake();
        } catch (...) {  // the line waits all the same
        }
        waking = false;
    }
}

}  // namespace detail

Tap::Tap(Config config) : queue_(std::make_unique<Queue>(std::move(config))) {
    std::lock_guard lock(taps().mutex);
    taps().all.push_back(queue_.get());
    taps().update();
}
Tap::~Tap() {
    std::lock_guard lock(taps().mutex);
    std::erase(taps().all, queue_.get());
    taps().update();
}
std::vector<Line> Tap::take() {
    std::lock_guard lock(queue_->mutex);
    return std::exchange(queue_->waiting, {});
}
std::uint64_t Tap::dropped() const { return queue_->dropped.load(std::memory_order_relaxed); }

}  // namespace gyre::log

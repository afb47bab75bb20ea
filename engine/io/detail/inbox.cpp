#include <gyre/io/detail/inbox.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

namespace gyre::io::detail {

Inbox::Inbox(Poller& poller) : Source(poller, ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    GYRE_ASSERT(fd() >= 0, "eventfd");
    watch(EPOLLIN);
}

void Inbox::ring() noexcept {
    if (rung_.exchange(true)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(fd(), &one, sizeof one);
}

void Inbox::post(std::function<void()> action) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(action));
    }
    ring();
}

void Inbox::completed(Work& work) noexcept {
    work.next = completed_.load(std::memory_order_relaxed);
    while (!completed_.compare_exchange_weak(work.next, &work)) {
    }
    ring();
}

void Inbox::on_events(std::uint32_t) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd(), &count, sizeof count);
    rung_.store(false);  // before looking: what comes after the look rings again

    Work* oldest = nullptr;
    for (Work* work = completed_.exchange(nullptr); work;) {
        Work* next = std::exchange(work->next, oldest);
        oldest = std::exchange(work, next);
    }
    while (oldest) std::exchange(oldest, oldest->next)->wake();

    std::vector<std::function<void()>> actions;
    {
        const std::lock_guard lock(mutex_);
        actions.swap(posted_);
    }
    poller().counters.posts += actions.size();
    for (auto& action : actions) action();
}

}  // namespace gyre::io::detail

#include <gyre/io/detail/poller.hpp>

#include <unistd.h>
#include <cerrno>
#include <ctime>
#include <gyre/io/detail/datagram.hpp>

namespace gyre::io::detail {

Source::Source(Poller& poller, int fd) : poller_(poller), fd_(fd) { append_to(poller.live_); }

void Source::watch(std::uint32_t events) {
    if (registered_ && events == watched_) return;
    epoll_event event{};
    event.events = events;
    event.data.ptr = this;
    const int failure =
        ::epoll_ctl(poller_.fd_, registered_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd_, &event);
    GYRE_ASSERT(failure == 0, "an open descriptor can be watched");
    registered_ = true;
    watched_ = events;
}

void Source::unwatch() {
    if (registered_) ::epoll_ctl(poller_.fd_, EPOLL_CTL_DEL, fd_, nullptr);
    registered_ = false;
    watched_ = 0;
}

int Source::release() noexcept {
    unwatch();
    const int fd = std::exchange(fd_, -1);
    Link::unlink();
    append_to(poller_.retired_);
    return fd;
}

void Source::retire() noexcept {
    if (fd_ >= 0) ::close(release());
}

Poller::Poller(Executor& executor_, LoopCounters& counters_)
    : executor(executor_), counters(counters_), fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    GYRE_ASSERT(fd_ >= 0, "epoll_create1");
}

Poller::~Poller() {
    while (live_.linked()) static_cast<Source&>(*live_.next).retire();
    sweep();
    ::close(fd_);
}

int Poller::wait(Duration limit) {
    const auto count = static_cast<int>(events_.size());
    timespec time{};
    if (limit != Duration::max()) {
        time.tv_sec = limit / 1s;
        time.tv_nsec = (limit % 1s).count();
    }
    int ready = ::epoll_pwait2(fd_, events_.data(), count,
                               limit == Duration::max() ? nullptr : &time, nullptr);
    if (ready < 0 && errno == ENOSYS) {  // before Linux 5.11
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::min<Duration>(limit, 1h));
        ready = ::epoll_wait(fd_, events_.data(), count, static_cast<int>(ms.count()));
    }
    GYRE_ASSERT(ready >= 0 || errno == EINTR, "epoll_wait");
    return std::max(ready, 0);
}

void Poller::dispatch(int events) {
    counters.events += static_cast<std::uint64_t>(events);
    for (std::size_t i = 0; i < static_cast<std::size_t>(events); ++i) {
        auto& source = *static_cast<Source*>(events_[i].data.ptr);
        if (!source.retired()) source.on_events(events_[i].events);
    }
}

void Poller::sweep() noexcept {
    while (retired_.linked()) delete static_cast<Source*>(retired_.next);
}

}  // namespace gyre::io::detail

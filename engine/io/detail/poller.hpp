#pragma once
#include <sys/epoll.h>
#include <array>
#include <gyre/io/loop.hpp>
#include <utility>

namespace gyre::io::detail {

class Poller;
struct DatagramInput;

/// One descriptor and what happens on it. Its poller owns and deletes it, never amid the events
/// of a turn: a handler may close anything, itself included.
class Source : public Link {
public:
    Source(Poller& poller, int fd);
    virtual ~Source() = default;
    virtual void on_events(std::uint32_t events) = 0;

    /// Watches for exactly `events`; errors and hang-ups are always told.
    void watch(std::uint32_t events);
    void unwatch();
    std::uint32_t watched() const { return watched_; }
    int fd() const { return fd_; }
    bool retired() const { return fd_ < 0; }
    /// Closes the descriptor; nothing more happens on it. Idempotent.
    virtual void retire() noexcept;
    /// The same, but the descriptor stays open for the caller.
    int release() noexcept;
    Poller& poller() const { return poller_; }

private:
    Poller& poller_;
    int fd_;
    std::uint32_t watched_ = 0;
    bool registered_ = false;
};

/// epoll, level-triggered: what a turn leaves unread is told again by the next.
class Poller {
public:
    Poller(Executor& executor, LoopCounters& counters);
    ~Poller();
    Poller(const Poller&) = delete;
    /// Waits for events; Duration::max() without end. Returns how many dispatch() will tell.
    int wait(Duration limit);
    void dispatch(int events);
    void sweep() noexcept;  ///< Deletes what has retired.

    Executor& executor;
    LoopCounters& counters;
    std::array<std::uint8_t, 64 * 1024> scratch;  ///< What is read, until on_data() returns.
    std::unique_ptr<DatagramInput> datagrams;      ///< Made by the first socket that needs it.

private:
    friend class Source;
    const int fd_;
    Link live_, retired_;
    std::array<epoll_event, 256> events_;
};

/// A timer that calls a member function.
template <auto Method, class T>
class MemberTimer : public Timer {
public:
    MemberTimer(Executor& executor, T& owner)
        : Timer(executor, [](Timer& t) { (static_cast<MemberTimer&>(t).owner_.*Method)(); }),
          owner_(owner) {}

private:
    T& owner_;
};

}  // namespace gyre::io::detail

#include <gyre/io/loop.hpp>

#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <gyre/io/detail/datagram.hpp>
#include <gyre/io/detail/lane.hpp>
#include <gyre/io/detail/socket.hpp>

namespace gyre::io {
namespace {
TimePoint clock_now() {
    timespec time;
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return TimePoint(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}
}  // namespace

namespace detail {
/// Signals, read from a descriptor like everything else.
class SignalSource final : public Source {
public:
    explicit SignalSource(Poller& poller)
        : Source(poller, ::signalfd(-1, &mask_, SFD_NONBLOCK | SFD_CLOEXEC)) {
        GYRE_ASSERT(fd() >= 0, "signalfd");
        ::sigemptyset(&mask_);
        ::pthread_sigmask(SIG_BLOCK, nullptr, &before_);
        watch(EPOLLIN);
    }
    ~SignalSource() override { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    void add(std::initializer_list<int> signals, std::function<void(int)> handler) {
        for (const int signal : signals) ::sigaddset(&mask_, signal);
        ::pthread_sigmask(SIG_BLOCK, &mask_, nullptr);
        ::signalfd(fd(), &mask_, 0);
        handlers_.push_back({signals, std::move(handler)});
    }
    void on_events(std::uint32_t) override {
        signalfd_siginfo info;
        while (::read(fd(), &info, sizeof info) == sizeof info) {
            const int signal = static_cast<int>(info.ssi_signo);
            for (std::size_t i = 0; i < handlers_.size(); ++i)
                if (std::ranges::find(handlers_[i].signals, signal) != handlers_[i].signals.end())
                    handlers_[i].call(signal);
        }
    }

private:
    struct Handler {
        std::vector<int> signals;
        std::function<void(int)> call;
    };
    sigset_t mask_{}, before_{};
    std::deque<Handler> handlers_;
};
}  // namespace detail

class Loop::Impl {
public:
    Executor executor;
    LoopCounters counters;
    detail::Poller poller{executor, counters};
    detail::Inbox& inbox = *new detail::Inbox(poller);  // the poller's
    detail::SignalSource* signals = nullptr;            // the poller's
    Link lanes;
    std::atomic<bool> stop{false};
    bool turning = false;
};

Loop::Loop() : impl_(std::make_unique<Impl>()) { impl_->executor.advance(clock_now()); }

Loop::~Loop() { GYRE_ASSERT(!impl_->lanes.linked(), "a loop outlives its lanes"); }

void Loop::run_once(Duration max_wait) {
    auto& [executor, counters, poller, inbox, signals, lanes, stop, turning] = *impl_;
    GYRE_ASSERT(!turning, "a loop does not turn inside of its own turn");
    turning = true;
    Duration wait = max_wait;
    if (!executor.idle())
        wait = Duration::zero();
    else if (const TimePoint next = executor.next_deadline(); next != TimePoint::max())
        wait = std::clamp(next - clock_now(), Duration::zero(), max_wait);
    const int events = poller.wait(wait);
    const TimePoint begin = clock_now();
    executor.advance(begin);
    poller.dispatch(events);
    executor.turn(begin);
    poller.sweep();
    const Duration length = clock_now() - begin;
    ++counters.turns;
    counters.busy += length;
    counters.turn_max = std::max(counters.turn_max, length);
    turning = false;
}

void Loop::run() {
    while (!take_stop()) run_once();
}

bool Loop::run_until(const std::function<bool()>& done, Duration limit) {
    const TimePoint end = clock_now() + limit;
    while (!done()) {
        const Duration left = end - clock_now();
        if (left <= Duration::zero()) return false;
        run_once(left);
    }
    return true;
}

void Loop::stop() noexcept {
    impl_->stop.store(true);
    impl_->inbox.ring();
}
bool Loop::take_stop() noexcept { return impl_->stop.exchange(false); }

void Loop::post(std::function<void()> action) { impl_->inbox.post(std::move(action)); }

void Loop::on_signal(std::initializer_list<int> signals, std::function<void(int)> handler) {
    if (!impl_->signals) impl_->signals = new detail::SignalSource(impl_->poller);
    impl_->signals->add(signals, std::move(handler));
}

const LoopCounters& Loop::counters() const { return impl_->counters; }

std::vector<LaneCounters> Loop::lanes() const {
    std::vector<LaneCounters> all;
    for (const Link* link = impl_->lanes.next; link != &impl_->lanes; link = link->next)
        all.push_back(static_cast<const detail::ThreadLane*>(link)->counters());
    return all;
}

Executor& Loop::executor() { return impl_->executor; }

TimePoint Loop::measure_now() { return clock_now(); }

WallTime Loop::wall_now() {
    timespec time;
    ::clock_gettime(CLOCK_REALTIME, &time);
    return WallTime(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

void Loop::random(std::span<std::uint8_t> out) {
    while (!out.empty()) {
        const ssize_t count = ::getrandom(out.data(), out.size(), 0);
        GYRE_ASSERT(count > 0 || errno == EINTR, "getrandom");
        if (count > 0) out = out.subspan(static_cast<std::size_t>(count));
    }
}

Result<std::unique_ptr<Listener>> Loop::listen(const Endpoint& at, AcceptHandler accepted) {
    return detail::listen(impl_->poller, at, std::move(accepted));
}

Task<std::unique_ptr<Stream>> Loop::connect(Endpoint to, Duration limit) {
    return detail::connect(impl_->poller, std::move(to), limit);
}

Result<std::unique_ptr<DatagramSocket>> Loop::bind(const Endpoint& at) {
    return detail::bind(impl_->poller, at);
}

std::unique_ptr<Lane> Loop::make_lane(LaneConfig config) {
    return std::make_unique<detail::ThreadLane>(impl_->inbox, std::move(config), impl_->lanes);
}

}  // namespace gyre::io

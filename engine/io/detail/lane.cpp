#include <gyre/io/detail/lane.hpp>
#include <gyre/trace/crash.hpp>

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>
#include <csignal>

namespace gyre::io::detail {

ThreadLane::ThreadLane(Inbox& inbox, LaneConfig config, Link& lanes)
    : inbox_(inbox), config_(std::move(config)) {
    GYRE_ASSERT(config_.threads >= 1 && config_.threads <= 64, "a lane has 1 to 64 threads");
    append_to(lanes);
    sigset_t all, before;  // signals are the loop's
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    for (std::size_t i = 0; i < config_.threads; ++i) threads_.emplace_back([this] { serve(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadLane::~ThreadLane() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
}

std::size_t ThreadLane::waiting() const {
    const std::uint64_t unfinished = calls_ - ended_.load();
    return unfinished > config_.threads ? unfinished - config_.threads : 0;
}

LaneCounters ThreadLane::counters() const {
    return {config_.name, config_.threads, waiting(), waiting_max_, calls_, refused_};
}

bool ThreadLane::submit(Work& work) {
    if (calls_ - ended_.load() >= config_.threads + config_.queue_limit) {
        ++refused_;
        return false;
    }
    ++calls_;
    waiting_max_ = std::max(waiting_max_, waiting());
    work.next = nullptr;
    {
        const std::lock_guard lock(mutex_);
        (last_ ? last_->next : first_) = &work;
        last_ = &work;
    }
    changed_.notify_one();
    return true;
}

void ThreadLane::prepare_thread() const {
    ::pthread_setname_np(::pthread_self(), config_.name.substr(0, 15).c_str());
    trace::use_crash_stack();
    if (!config_.low_priority) return;
    const sched_param parameters{};
    ::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &parameters);
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
}

void ThreadLane::serve() {
    prepare_thread();
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return first_ || stopping_; });
        if (!first_) return;
        Work& work = *std::exchange(first_, first_->next);
        if (!first_) last_ = nullptr;
        lock.unlock();
        work.run();
        ended_.fetch_add(1);
        inbox_.completed(work);  // it belongs to the loop again
        lock.lock();
    }
}

}  // namespace gyre::io::detail

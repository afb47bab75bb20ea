#include <gyre/sim/detail/lane.hpp>

namespace gyre::sim::detail {

SimLane::SimLane(Host& host, io::LaneConfig config)
    : host_(host),
      config_(std::move(config)),
      durations_(host.core.random.fork("lane:" + host.name, ++host.lanes)),
      stalls_(durations_.fork("stalls")) {
    GYRE_ASSERT(config_.threads >= 1 && config_.threads <= 64, "a lane has 1 to 64 threads");
    for (std::size_t i = 0; i < config_.threads; ++i) threads_.emplace_back(*this);
}

SimLane::~SimLane() {
    for (Thread& thread : threads_)
        while (thread.work) thread.finish();
}

SimLane::Thread::Thread(SimLane& l)
    : Ready([](Ready& ready) { static_cast<Thread&>(ready).finish(); }), lane(l), busy(*this) {}

SimLane::Thread::Busy::Busy(Thread& t)
    : Timer(t.lane.host_.core.wire,
            [](Timer& timer) {
                Thread& done = static_cast<Busy&>(timer).thread;
                done.lane.host_.executor.ready(done);
            }),
      thread(t) {}

bool SimLane::submit(io::detail::Work& work) {
    for (Thread& thread : threads_)
        if (!thread.work) {
            thread.work = &work;
            start(thread);
            return true;
        }
    if (queue_.size() >= config_.queue_limit) return false;
    queue_.push_back(&work);
    return true;
}

void SimLane::start(Thread& thread) {
    const LaneTimes& times = host_.core.config.lanes;
    Duration length = durations_.between(times.min, times.max);
    if (stalls_.chance(times.stall_probability))
        length += stalls_.between(Duration::zero(), times.stall_max);
    thread.busy.arm(host_.core.now + length);
}

void SimLane::Thread::finish() {
    Ready::unlink();
    busy.disarm();
    io::detail::Work& done = *std::exchange(work, nullptr);
    if (!lane.queue_.empty()) {
        work = lane.queue_.front();
        lane.queue_.pop_front();
        lane.start(*this);
    }
    done.run();
    lane.host_.core.trace(lane.host_, "lane", as_bytes(lane.config_.name));
    done.wake();
}

}  // namespace gyre::sim::detail

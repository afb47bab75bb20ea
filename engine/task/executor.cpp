#include <gyre/task/executor.hpp>

#include <algorithm>
#include <gyre/base/context.hpp>
#include <utility>

namespace gyre {

void Timer::arm(TimePoint at) {
    disarm();
    at_ = std::max(at, executor_.now());  // so that it stands behind all that are due already
    executor_.arm(*this);
}
void Timer::arm_in(Duration delay) { arm(executor_.after(delay)); }
void Timer::disarm() noexcept {
    if (armed()) executor_.remove(*this);
}

Alarm::Alarm(Executor& executor, std::function<void()> action)
    : Timer(executor,
            [](Timer& timer) { static_cast<Alarm&>(timer).fire(); }),
      action_(std::move(action)) {}

void Alarm::fire() {
    if (period_ > Duration::zero()) {
        due_ += period_;
        const auto behind = (executor().now() - due_) / period_;
        if (behind > catch_up_max) due_ += (behind - catch_up_max) * period_;
        arm(due_);
    }
    bool gone = false;
    gone_ = &gone;
    auto action = std::exchange(action_, nullptr);  // outlives its own call
    action();
    if (gone) return;
    gone_ = nullptr;
    action_ = std::move(action);
}

void Alarm::every(Duration period) {
    GYRE_ASSERT(period > Duration::zero(), "a period is longer than nothing");
    period_ = period;
    arm(due_ = executor().now() + period);
}

Executor::~Executor() {
    GYRE_ASSERT(heap_.empty(), "an executor outlives its timers");
}

TimePoint Executor::next_deadline() const noexcept {
    return heap_.empty() ? TimePoint::max() : heap_.front()->at_;
}

void Executor::run_all(Link& ring) {
    while (ring.linked()) {
        auto& what = static_cast<Ready&>(*ring.next);
        what.unlink();
        what.run(what);
    }
}

namespace {
void splice(Link& from, Link& to) noexcept {
    if (!from.linked()) return;
    from.next->previous = to.previous;
    to.previous->next = from.next;
    from.previous->next = &to;
    to.previous = from.previous;
    from.next = from.previous = &from;
}
}  // namespace

void Executor::turn(TimePoint now) {
    GYRE_ASSERT(current == nullptr, "the loop turns outside of tasks");
    advance(now);
    ++turns_;
    splice(next_turn_, ready_);
    // A timer armed by a callback for now or earlier waits for the next turn: no endless turn.
    const std::uint64_t armed_before = order_;
    while (!heap_.empty() && heap_.front()->at_ <= now_ && heap_.front()->order_ < armed_before) {
        Timer& timer = *heap_.front();
        remove(timer);
        timer.callback_(timer);
    }
    run_all(ready_);
    Link ending;
    splice(turn_end_, ending);
    run_all(ending);
}

void Executor::arm(Timer& timer) {
    timer.order_ = order_++;
    heap_.push_back(&timer);
    place(heap_.size() - 1, &timer);
    sift_up(timer.index_);
}

void Executor::remove(Timer& timer) noexcept {
    const std::size_t index = std::exchange(timer.index_, Timer::none);
    Timer* last = heap_.back();
    heap_.pop_back();
    if (last == &timer) return;
    place(index, last);
    sift_up(index);
    sift_down(last->index_);
}

void Executor::sift_up(std::size_t index) {
    Timer* timer = heap_[index];
    while (index > 0) {
        const std::size_t parent = (index - 1) / 4;
        if (!earlier(timer, heap_[parent])) break;
        place(index, heap_[parent]);
        index = parent;
    }
    place(index, timer);
}

void Executor::sift_down(std::size_t index) {
    Timer* timer = heap_[index];
    for (;;) {
        const std::size_t first = index * 4 + 1;
        if (first >= heap_.size()) break;
        std::size_t best = first;
        for (std::size_t child = first + 1; child < first + 4 && child < heap_.size(); ++child)
            if (earlier(heap_[child], heap_[best])) best = child;
        if (!earlier(heap_[best], timer)) break;
        place(index, heap_[best]);
        index = best;
    }
    place(index, timer);
}

}  // namespace gyre

#include <gyre/task/executor.hpp>

#include <gyre/base/context.hpp>
#include <gyre/task/dump.hpp>
#include <gyre/task/pool.hpp>

namespace gyre {

Executor::~Executor() {
    report_leaks(*this);
    if (pool_ && pool_->running() + pool_->queued() == 0) delete pool_;
    GYRE_ASSERT(wheel_.size() == 0, "an executor outlives its timers");
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
    wheel_.collect(now_);
    while (Timer* timer = wheel_.take_due()) timer->callback_(*timer);
    run_all(ready_);
    // What the end of a turn defers again, as a layer does that hands down to the next, runs in it too.
    while (turn_end_.linked()) {
        Link ending;
        splice(turn_end_, ending);
        run_all(ending);
    }
}

}  // namespace gyre

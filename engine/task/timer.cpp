#include <algorithm>
#include <bit>
#include <gyre/task/executor.hpp>
#include <gyre/task/timer.hpp>
#include <utility>

namespace gyre {

void Timer::arm(TimePoint at) {
    disarm();
    at_ = std::max(at, executor_.now());  // so that it stands behind all that are due already
    executor_.wheel_.add(*this);
}
void Timer::arm_in(Duration delay) { arm(executor_.after(delay)); }
void Timer::withdraw() noexcept { executor_.wheel_.remove(*this); }

Alarm::Alarm(Executor& executor, std::function<void()> action)
    : Timer(executor, [](Timer& timer) { static_cast<Alarm&>(timer).fire(); }),
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

void TimerWheel::place(Timer& timer) noexcept {
    const std::uint64_t tick = tick_of(timer.at_);
    const std::uint64_t differing = (tick ^ position_) | 1;
    const unsigned level = (63u - static_cast<unsigned>(std::countl_zero(differing))) / level_bits;
    const auto index = static_cast<unsigned>((tick >> (level * level_bits)) % slots_per_level);
    const unsigned slot = level * slots_per_level + index;
    timer.append_to(slots_[slot]);
    filled_[slot / 64] |= std::uint64_t{1} << slot % 64;
    filled_words_ |= 1u << slot / 64;
}

void TimerWheel::vacate(unsigned slot) noexcept {
    filled_[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
    if (filled_[slot / 64] == 0) filled_words_ &= ~(1u << slot / 64);
}

void TimerWheel::add(Timer& timer) noexcept {
    ++size_;
    earliest_ = std::min(earliest_, timer.at_);  // when not known, it stays a lower bound
    place(timer);
}

void TimerWheel::remove(Timer& timer) noexcept {
    --size_;
    if (timer.at_ <= earliest_) earliest_known_ = false;
    Link* const ring = timer.next == timer.previous ? timer.next : nullptr;  // it was alone
    timer.unlink();
    if (ring && ring != &due_) vacate(static_cast<unsigned>(ring - slots_.data()));
}

unsigned TimerWheel::first_slot() const noexcept {
    const auto word = static_cast<unsigned>(std::countr_zero(filled_words_));
    return word * 64 + static_cast<unsigned>(std::countr_zero(filled_[word]));
}

std::uint64_t TimerWheel::begin_of(unsigned slot) const noexcept {
    const unsigned shift = slot / slots_per_level * level_bits;
    const std::uint64_t above = position_ >> shift >> level_bits << level_bits;
    return (above | slot % slots_per_level) << shift;
}

TimePoint TimerWheel::earliest() const noexcept {
    if (due_.linked()) return timer_of(due_.next).at_;
    if (earliest_known_) return earliest_;
    earliest_known_ = true;
    earliest_ = TimePoint::max();
    if (filled_words_ == 0) return earliest_;
    const unsigned slot = first_slot();
    unsigned left = slot < slots_per_level ? ~0u : scan_max;
    for (Link* link = slots_[slot].next; link != &slots_[slot]; link = link->next) {
        if (left-- == 0)
            return earliest_ =
                       TimePoint(Duration(static_cast<Duration::rep>(begin_of(slot) << tick_bits)));
        earliest_ = std::min(earliest_, timer_of(link).at_);
    }
    return earliest_;
}

void TimerWheel::collect(TimePoint now) noexcept {
    const std::uint64_t tick = tick_of(now);
    while (filled_words_ != 0) {
        const unsigned slot = first_slot();
        const std::uint64_t begin = begin_of(slot);
        if (begin > tick) break;
        position_ = begin;
        if (slot >= slots_per_level) {
            cascade(slot);
            continue;
        }
        if (begin < tick || earliest_ <= now) harvest(slot, now);
        if (begin == tick) break;
    }
    position_ = tick;
    if (earliest_ <= now) earliest_known_ = false;
}

namespace {
/// A ring that is walked forward is not in the cache: each step waits for the one before. A second
/// walk from the other end waits at the same time, and the two meet in the middle.
class Warmer {
public:
    explicit Warmer(Link& ring) : at_(ring.previous) {}
    /// The walk is at `link` and goes on to `next`; links behind it may be moved.
    void step(const Link* link, const Link* next) {
        if (met_) return;
        if (at_ == link || at_ == next) met_ = true;
        else __builtin_prefetch(at_ = at_->previous);
    }

private:
    const Link* at_;
    bool met_ = false;
};
}  // namespace

void TimerWheel::cascade(unsigned slot) noexcept {
    Link* const ring = &slots_[slot];
    Warmer warmer(*ring);
    Link* link = ring->next;
    ring->next = ring->previous = ring;
    vacate(slot);
    while (link != ring) {
        Link* const next = link->next;
        warmer.step(link, next);
        place(timer_of(link));
        link = next;
    }
}

void TimerWheel::harvest(unsigned slot, TimePoint now) noexcept {
    Link* const ring = &slots_[slot];
    Link* chain = nullptr;
    Link** end = &chain;
    TimePoint last = TimePoint::min();
    bool sorted = true;
    for (Link *link = ring->next, *next; link != ring; link = next) {
        next = link->next;
        const TimePoint at = timer_of(link).at_;
        if (at > now) continue;
        sorted = sorted && last <= at;
        last = at;
        link->previous->next = next;
        next->previous = link->previous;
        *end = link;
        end = &link->next;
    }
    *end = nullptr;
    if (!ring->linked()) vacate(slot);
    if (!sorted) chain = sort(chain);
    while (chain) std::exchange(chain, chain->next)->append_to(due_);
}

/// Two sorted chains, linked by `next` up to null; of equal deadlines those of `one` come first.
Link* TimerWheel::merge(Link* one, Link* two) noexcept {
    Link* merged = nullptr;
    Link** end = &merged;
    while (one && two) {
        Link*& less = timer_of(two).at_ < timer_of(one).at_ ? two : one;
        *end = less;
        end = &less->next;
        less = less->next;
    }
    *end = one ? one : two;
    return merged;
}

/// Merge sort: bin n holds none or 2^n links, all before those of bin n - 1.
Link* TimerWheel::sort(Link* chain) noexcept {
    std::array<Link*, 48> bins{};
    while (chain) {
        Link* carry = std::exchange(chain, chain->next);
        carry->next = nullptr;
        std::size_t n = 0;
        for (; bins[n]; ++n) carry = merge(std::exchange(bins[n], nullptr), carry);
        bins[n] = carry;
    }
    Link* sorted = nullptr;
    for (Link* bin : bins)
        if (bin) sorted = merge(bin, sorted);
    return sorted;
}

Timer* TimerWheel::take_due() noexcept {
    if (!due_.linked()) return nullptr;
    Timer& timer = timer_of(due_.next);
    timer.unlink();
    --size_;
    return &timer;
}

}  // namespace gyre

#include <algorithm>
#include <gyre/log/log.hpp>
#include <gyre/world/detail/timer_table.hpp>
#include <gyre/world/host.hpp>

namespace gyre::world {
namespace {

Task<> run(Action action) {
    action();
    co_return;
}

}  // namespace

WallTime CalendarRule::latest(WallTime until) const {
    return kind == Kind::daily ? latest_daily(until, time) : latest_weekly(until, day, time);
}
WallTime CalendarRule::next(WallTime after) const {
    return kind == Kind::daily ? next_daily(after, time) : next_weekly(after, day, time);
}

TimerTable::TimerTable(Executor& executor, std::function<WallTime()> wall_now)
    : executor_(executor),
      wall_now_(std::move(wall_now)),
      clock_(executor, [this] { look_at_clock(); }) {}
TimerTable::~TimerTable() = default;

TimerTable::Entry& TimerTable::add(Timers& owner, std::string_view key, std::uint64_t method,
                                   Action action) {
    if (free_.empty()) {
        free_.push_back(static_cast<std::uint32_t>(entries_.size()));
        entries_.emplace_back(executor_, *this, free_.back());
    }
    if (!owner.keys_) owner.keys_ = std::make_unique<Timers::Keys>();
    auto& groups = owner.keys_->groups;
    auto group = groups.find(key);
    if (group == groups.end()) group = groups.try_emplace(std::string(key)).first;
    Entry& entry = entries_[free_.back()];
    free_.pop_back();
    entry.owner = &owner;
    entry.method = method;
    entry.action = std::move(action);
    entry.group = &*group;
    entry.in_group.append_to(group->second.ring);
    ++group->second.count;
    ++owner.keys_->count;
    return entry;
}

TimerTable::Entry* TimerTable::find(TimerId id) {
    const auto index = static_cast<std::uint32_t>(id);
    if (index >= entries_.size()) return nullptr;
    Entry& entry = entries_[index];
    return entry.owner && entry.id() == id ? &entry : nullptr;
}

Action TimerTable::release(Entry& entry) {
    entry.disarm();
    if (entry.calendar) {
        calendar_.erase(entry.calendar->place);
        entry.calendar.reset();
        if (calendar_.empty()) clock_.cancel();
    }
    entry.in_group.unlink();
    auto& keys = *entry.owner->keys_;
    --keys.count;
    if (--entry.group->second.count == 0) keys.groups.erase(keys.groups.find(entry.group->first));
    entry.owner = nullptr;
    entry.group = nullptr;
    entry.left = 1;
    entry.period = Duration::zero();
    entry.running = false;
    ++entry.generation;
    free_.push_back(entry.index);
    return std::exchange(entry.action, {});
}

void TimerTable::each_method(
    const std::function<bool(const Record&, std::uint64_t, std::string_view)>& keep) {
    for (Entry& entry : entries_)
        if (entry.owner && entry.method && !keep(entry.owner->record_, entry.method, entry.group->first))
            (void)release(entry);
}

void TimerTable::fire(Entry& entry) {
    if (entry.period > Duration::zero()) {
        const Duration room = TimePoint::max() - entry.due;
        entry.due += std::min(entry.period, room);
        const auto behind = (executor_.now() - entry.due) / entry.period;
        if (behind > Alarm::catch_up_max)
            entry.due += (behind - Alarm::catch_up_max) * entry.period;
        entry.arm(entry.due);
    }
    if (entry.running) return;
    Record& record = entry.owner->record_;
    const std::uint64_t method = entry.method;
    if (entry.left != 1) {
        if (entry.left != 0) --entry.left;
        entry.running = true;
        record.host.run_method(record, method, {*this, static_cast<std::uint64_t>(entry.id())});
    } else if (auto action = release(entry)) {
        // A task, so that the entity stays until the action has ended, whatever it retires.
        (void)go(record.scope, run(std::move(action)));
    } else {
        record.host.run_method(record, method, {});
    }
}

void TimerTable::fail(std::uint64_t timer, const Error& error) {
    Entry* entry = find(TimerId{timer});
    if (entry)
        entry->running = false;
    else if (error.is(errc::disconnected))
        return;  // its owner ends
    log::warn("world.timer_failed", {{"owner", entry ? entry->owner->record_.scope.name() : ""},
                                     {"key", entry ? entry->group->first : ""},
                                     {"error", error.what()}});
}

Writer& TimerTable::begin_result(std::uint64_t) {
    result_.clear();
    return result_;
}

void TimerTable::end_result(std::uint64_t timer) {
    if (Entry* entry = find(TimerId{timer})) entry->running = false;
}

void TimerTable::put_on_calendar(Entry& entry, CalendarRule rule, WallTime due) {
    const bool idle = calendar_.empty();
    const WallTime wall = wall_now_();
    const WallTime latest =
        rule.kind == CalendarRule::Kind::once ? WallTime::min() : rule.latest(wall);
    if (idle) offset_ = wall.time_since_epoch() - executor_.now().time_since_epoch();
    const auto place = calendar_.emplace(due, &entry);
    entry.calendar = std::make_unique<Entry::OnCalendar>(Entry::OnCalendar{rule, latest, place});
    if (place == calendar_.begin()) arm_clock();
}

void TimerTable::arm_clock() {
    if (calendar_.empty()) return clock_.cancel();
    const WallTime first = calendar_.begin()->first, wall = wall_now_();
    clock_.in(first <= wall ? Duration::zero() : std::min<Duration>(first - wall, look_again));
}

void TimerTable::look_at_clock() {
    const WallTime wall = wall_now_();
    const Duration offset = wall.time_since_epoch() - executor_.now().time_since_epoch();
    if (offset < std::exchange(offset_, offset) - 1s) recompute(wall);
    // A run may cancel any timer, so each round begins anew; none adds one that is due by `wall`.
    while (!calendar_.empty() && calendar_.begin()->first <= wall) {
        Entry& entry = *calendar_.begin()->second;
        auto& on = *entry.calendar;
        if (on.rule.kind == CalendarRule::Kind::once) {
            fire(entry);
            continue;
        }
        on.latest = on.rule.latest(wall);
        auto node = calendar_.extract(on.place);
        node.key() = on.rule.next(wall);
        on.place = calendar_.insert(std::move(node));
        fire(entry);
    }
    arm_clock();
}

/// The clock was set back: occurrences that have not run and are no longer far ahead come first.
void TimerTable::recompute(WallTime wall) {
    Calendar before = std::exchange(calendar_, {});
    while (!before.empty()) {
        auto node = before.extract(before.begin());
        auto& on = *node.mapped()->calendar;
        if (on.rule.kind != CalendarRule::Kind::once) {
            const WallTime next = on.rule.next(wall);
            node.key() = next == on.latest ? on.rule.next(next) : next;
        }
        on.place = calendar_.insert(std::move(node));
    }
}

}  // namespace gyre::world

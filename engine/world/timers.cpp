#include <gyre/task/sync.hpp>
#include <gyre/world/detail/timer_table.hpp>
#include <gyre/world/host.hpp>

namespace gyre {

Join<> after(Scope& scope, Duration delay, Action action) {
    auto wait = [](Duration d, Action a) -> Task<> {
        co_await sleep(d);
        a();
    };
    return go(scope, wait(delay, std::move(action)));
}

namespace world {
namespace {

/// Of this very type, else the call could reach nobody.
void check_method(const Record& record, std::uint64_t method, std::string_view key) {
    if (method != 0 && !record.hosted.methods.find(method))
        throw Error(errc::bad_arguments, "timer " + std::string(key) +
                                             ": its method is not one of " +
                                             std::string(record.type.name) + " and its components");
}

}  // namespace

Timers::Timers(Record& record) : record_(record) {}
Timers::~Timers() { cancel_all(); }

TimerId Timers::every_method(std::uint64_t method, Duration period, std::string_view key,
                             Repeat repeat) {
    if (period <= Duration::zero())
        throw Error(errc::bad_arguments,
                    "timer " + std::string(key) + ": a period is longer than nothing");
    check_method(record_, method, key);
    const Executor& executor = record_.host.executor();
    auto& entry = record_.host.timer_table().add(*this, key, method, {});
    entry.period = period;
    entry.left = repeat.count;
    entry.due = std::max(executor.now(), executor.after(repeat.first.value_or(period)));
    entry.arm(entry.due);
    return entry.id();
}

TimerId Timers::after(std::uint64_t method, Action action, Duration delay,
                      std::string_view key) {
    check_method(record_, method, key);
    auto& entry = record_.host.timer_table().add(*this, key, method, std::move(action));
    entry.arm_in(delay);
    return entry.id();
}

TimerId Timers::at(std::uint64_t method, Action action, WallTime when,
                   std::string_view key) {
    check_method(record_, method, key);
    TimerTable& table = record_.host.timer_table();
    if (when <= table.wall_now()) return after(method, std::move(action), Duration::zero(), key);
    auto& entry = table.add(*this, key, method, std::move(action));
    table.put_on_calendar(entry, {}, when);
    return entry.id();
}

TimerId Timers::on_calendar(std::uint64_t method, std::optional<Weekday> day, TimeOfDay time,
                            std::string_view key) {
    check_method(record_, method, key);
    TimerTable& table = record_.host.timer_table();
    const CalendarRule rule{.kind = day ? CalendarRule::Kind::weekly : CalendarRule::Kind::daily,
                            .day = day.value_or(Weekday::monday),
                            .time = time};
    const WallTime due = rule.next(table.wall_now());  // throws on a wrong time of day
    auto& entry = table.add(*this, key, method, {});
    entry.left = 0;
    table.put_on_calendar(entry, rule, due);
    return entry.id();
}

WallTime Timers::wall_now() const { return record_.host.timer_table().wall_now(); }

bool Timers::cancel(TimerId id) {
    TimerTable& table = record_.host.timer_table();
    auto* entry = table.find(id);
    if (!entry || entry->owner != this) return false;
    const auto action = table.release(*entry);
    return true;
}

std::size_t Timers::cancel(std::string_view key) {
    if (!keys_) return 0;
    const auto found = keys_->groups.find(key);
    if (found == keys_->groups.end()) return 0;
    std::vector<Action> ended;  // their destructors may arm and cancel
    const std::size_t count = found->second.count;
    for (std::size_t left = count; left > 0; --left) {
        auto& first = static_cast<TimerTable::Entry::InGroup&>(*found->second.ring.next);
        if (auto action = record_.host.timer_table().release(first.entry))
            ended.push_back(std::move(action));
    }
    return count;
}

std::size_t Timers::cancel_all() {
    std::size_t count = 0;
    while (keys_ && !keys_->groups.empty())
        count += cancel(std::string(keys_->groups.begin()->first));
    return count;
}

std::size_t Timers::pending(std::string_view key) const {
    if (!keys_) return 0;
    const auto found = keys_->groups.find(key);
    return found == keys_->groups.end() ? 0 : found->second.count;
}

std::size_t Timers::size() const { return keys_ ? keys_->count : 0; }

}  // namespace world
}  // namespace gyre

#pragma once
#include <deque>
#include <functional>
#include <gyre/rpc/target.hpp>
#include <gyre/task/timer.hpp>
#include <gyre/world/timers.hpp>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace gyre::world {

/// When a timer on the wall clock is due, again and again or once.
struct CalendarRule {
    enum class Kind : std::uint8_t { once, daily, weekly } kind = Kind::once;
    Weekday day = Weekday::monday;
    TimeOfDay time;
    WallTime latest(WallTime until) const;
    WallTime next(WallTime after) const;
};

/// The timers of one node: their memory, which is used again, and the clock on the wall. Hears when
/// a method that a timer started has ended.
class TimerTable final : public rpc::Responder::Sink {
public:
    struct Group;
    struct Entry;
    using Calendar = std::multimap<WallTime, Entry*>;

    TimerTable(Executor& executor, std::function<WallTime()> wall_now);
    ~TimerTable();

    Entry& add(Timers& owner, std::string_view key, std::uint64_t method,
               Action action);
    Entry* find(TimerId id);
    /// Ends it and gives its closure back, whose destructor may do anything.
    Action release(Entry& entry);
    /// keep(record, method, key) for every timer that names a method; false ends it.
    void each_method(const std::function<bool(const Record&, std::uint64_t, std::string_view)>& keep);
    void put_on_calendar(Entry& entry, CalendarRule rule, WallTime due);
    WallTime wall_now() const {
        GYRE_ASSERT(wall_now_, "timers at a time of day need the host's wall clock");
        return wall_now_();
    }
    void fail(std::uint64_t timer, const Error& error) override;
    Writer& begin_result(std::uint64_t timer) override;
    void end_result(std::uint64_t timer) override;

private:
    static constexpr Duration look_again = 10s;
    void fire(Entry& entry);
    void look_at_clock();
    void recompute(WallTime wall);
    void arm_clock();

    Executor& executor_;
    std::function<WallTime()> wall_now_;
    std::deque<Entry> entries_;
    std::vector<std::uint32_t> free_;
    Calendar calendar_;
    Alarm clock_;
    Writer result_;  // of a method, and thrown away
    Duration offset_{};  // wall clock less the loop's, when it was last looked at
};

/// Timers of one owner that share a key.
struct TimerTable::Group {
    Link ring;
    std::size_t count = 0;
};

struct TimerTable::Entry : Timer {
    struct InGroup : ::gyre::Link {
        explicit InGroup(Entry& e) : entry(e) {}
        Entry& entry;
    };
    struct OnCalendar {
        CalendarRule rule;
        WallTime latest;  // occurrence up to which it has run
        Calendar::iterator place;
    };
    Entry(Executor& executor, TimerTable& t, std::uint32_t i)
        : Timer(executor,
                [](Timer& timer) {
                    auto& entry = static_cast<Entry&>(timer);
                    entry.table.fire(entry);
                }),
          table(t),
          index(i) {}
    TimerId id() const { return TimerId{std::uint64_t{generation} << 32 | index}; }

    TimerTable& table;
    std::uint32_t index, generation = 1;
    Timers* owner = nullptr;  // null: free
    InGroup in_group{*this};
    std::pair<const std::string, Group>* group = nullptr;
    std::uint64_t method = 0;
    Action action;
    std::uint64_t left = 1;  // runs; 0: no end
    Duration period{};
    TimePoint due{};
    bool running = false;
    std::unique_ptr<OnCalendar> calendar;
};

struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const {
        return std::hash<std::string_view>()(key);
    }
};
struct Timers::Keys {
    std::unordered_map<std::string, TimerTable::Group, KeyHash, std::equal_to<>> groups;
    std::size_t count = 0;
};

}  // namespace gyre::world

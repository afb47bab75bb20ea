#include <algorithm>
#include <cstdio>
#include <gyre/log/log.hpp>
#include <gyre/world/host.hpp>
#include <gyre/world/ticks.hpp>

namespace gyre::world {
namespace {

struct TickMetrics {
    TickMetrics(metric::Registry& registry, const std::string& world)
        : took_us(registry.histogram("gyre_world_tick_us", {{"world", world}}, "Length of a tick.")),
          lag_us(registry.histogram("gyre_world_tick_lag_us", {{"world", world}},
                                    "How much later than due a tick began.")),
          overruns(registry.counter("gyre_world_tick_overruns_total", {{"world", world}},
                                    "Ticks that took longer than their period.")),
          skipped(registry.counter("gyre_world_ticks_skipped_total", {{"world", world}},
                                   "Ticks left out because too many were due.")) {}
    metric::Histogram &took_us, &lag_us;
    metric::Counter &overruns, &skipped;
};

std::uint64_t to_us(Duration d) { return static_cast<std::uint64_t>(d.count() / 1'000); }

Task<> tick_world(ecs::World* world, float step_s) {
    world->tick(step_s);
    co_return;
}

/// "far away 12.10 ms, move 3.00 ms, commands 0.42 ms": what took most, first.
std::string longest(const ecs::World& world) {
    std::vector<std::pair<std::uint64_t, std::string_view>> parts{
        {world.commands_took_ns(), "commands"}};
    for (const auto& system : world.systems()) parts.emplace_back(system.took_ns, system.name);
    std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(parts.size(), 4); ++i) {
        if (parts[i].first == 0) break;
        char number[32];
        std::snprintf(number, sizeof number, " %.2f ms", static_cast<double>(parts[i].first) / 1e6);
        text += (text.empty() ? "" : ", ") + std::string(parts[i].second) + number;
    }
    return text;
}

}  // namespace

class Ticks::Ticked : public Timer {
public:
    Ticked(Record& record, ecs::World& ticked, TickRate rate, std::string name, std::uint64_t method)
        : Timer(record.host.executor(),
                [](Timer& timer) { static_cast<Ticked&>(timer).fire(); }),
          record_(record),
          rate_(rate),
          name_(std::move(name)),
          start_(executor().now()) {
        if (const auto& meter = record.host.tick_meter(); meter.metrics)
            metrics_.emplace(*meter.metrics, name_);
        bind(ticked, method);
        arm(due(1));
    }
    ~Ticked() {
        if (gone_) *gone_ = true;
        else detach();
    }
    void bind(ecs::World& ticked, std::uint64_t method) {
        detach();
        world_ = &ticked;
        method_ = method;
        if (const auto& meter = record_.host.tick_meter(); meter.clock)
            ticked.measure([clock = meter.clock] {
                return static_cast<std::uint64_t>(clock().time_since_epoch().count());
            });
    }
    void detach() {
        if (world_) world_->measure({});
        world_ = nullptr;
    }
    const ecs::World* world() const { return world_; }
    TickRate rate() const { return rate_; }
    const std::string& name() const { return name_; }
    bool runs_method() const { return method_ != 0; }
    TickStats stats;

private:
    /// Whole seconds and parts of one: exact for every rate, for ever.
    TimePoint due(std::uint64_t tick) const {
        return start_ + std::chrono::seconds(tick / rate_.hertz) +
               Duration(tick % rate_.hertz * 1'000'000'000 / rate_.hertz);
    }
    void fire() {
        const TimePoint now = executor().now();
        std::uint64_t tick = ++last_;
        if (record_.hosted.barred) {  // New code comes: no time passes in its world.
            ++stats.skipped;
            if (metrics_) metrics_->skipped.add();
            arm(due(tick + 1));
            return;
        }
        const auto missed = static_cast<std::uint64_t>((now - due(tick)) / rate_.period());
        if (missed >= catch_up_max) {
            const std::uint64_t skip = missed + 1 - catch_up_max;
            tick = last_ += skip;
            stats.skipped += skip;
            if (metrics_) metrics_->skipped.add(skip);
        }
        stats.lag = now - due(tick);
        stats.lag_max = std::max(stats.lag_max, stats.lag);
        if (metrics_) metrics_->lag_us.record(to_us(stats.lag));
        arm(due(tick + 1));  // Passed already: in the next turn, after what came in meanwhile.
        ++stats.ticks;
        run();
    }
    void run() {
        const auto& clock = record_.host.tick_meter().clock;
        const TimePoint begin = clock ? clock() : TimePoint{};
        bool gone = false;  // The tick may remove itself.
        gone_ = &gone;
        if (method_) record_.host.run_method(record_, method_);
        else if (world_) (void)go(record_.scope, tick_world(world_, rate_.step_s()));
        if (gone) return;
        gone_ = nullptr;
        if (!clock) return;
        stats.took = clock() - begin;
        stats.took_max = std::max(stats.took_max, stats.took);
        if (metrics_) metrics_->took_us.record(to_us(stats.took));
        if (stats.took > rate_.period()) overrun(begin);
    }
    void overrun(TimePoint begin) {
        ++stats.overruns;
        if (metrics_) metrics_->overruns.add();
        if (logged_ != TimePoint{} && begin - logged_ < 1s) return;
        logged_ = begin;
        ContextGuard guard(&record_.scope.context());
        log::warn("world.slow_tick", {{"world", name_},
                                      {"entity", record_.id},
                                      {"tick", last_},
                                      {"took_ms", to_ms(stats.took)},
                                      {"period_ms", to_ms(rate_.period())},
                                      {"systems", world_ ? longest(*world_) : std::string()},
                                      {"overruns", stats.overruns}});
    }

    Record& record_;
    ecs::World* world_ = nullptr;  ///< Null: detached.
    TickRate rate_;
    std::string name_;
    std::uint64_t method_ = 0;  ///< 0: the world ticks by itself.
    TimePoint start_, logged_{};
    std::uint64_t last_ = 0;  ///< Number of the last tick that was due.
    bool* gone_ = nullptr;
    std::optional<TickMetrics> metrics_;
};

Ticks::Ticks(Record& record) : record_(record) {}
Ticks::~Ticks() = default;

void Ticks::add_method(ecs::World& world, TickRate rate, std::string name, std::uint64_t method) {
    GYRE_ASSERT(rate.hertz >= 1 && rate.hertz <= 1'000, "a tick rate is 1 to 1000 Hz");
    const auto found = find(world);
    const auto at = found != worlds_.end() ? found : find_detached(name);
    if (at != worlds_.end() && (*at)->rate().hertz == rate.hertz && (*at)->name() == name)
        return (*at)->bind(world, method);
    if (at != worlds_.end()) worlds_.erase(at);
    worlds_.push_back(std::make_unique<Ticked>(record_, world, rate, std::move(name), method));
}

Ticks::List::const_iterator Ticks::find(const ecs::World& world) const {
    return std::find_if(worlds_.begin(), worlds_.end(),
                        [&](const auto& one) { return one->world() == &world; });
}
Ticks::List::const_iterator Ticks::find_detached(std::string_view name) const {
    return std::find_if(worlds_.begin(), worlds_.end(),
                        [&](const auto& one) { return !one->world() && one->name() == name; });
}

bool Ticks::remove(const ecs::World& world) {
    const auto found = find(world);
    if (found == worlds_.end()) return false;
    worlds_.erase(found);
    return true;
}
void Ticks::remove_all() { worlds_.clear(); }

const TickStats& Ticks::stats(const ecs::World& world) const {
    const auto found = find(world);
    GYRE_ASSERT(found != worlds_.end(), "ticks: this world is not ticked");
    return (*found)->stats;
}

void Ticks::detach() {
    for (const auto& one : worlds_) one->detach();
}
std::vector<std::string> Ticks::end_detached() {
    std::vector<std::string> names;
    std::erase_if(worlds_, [&](const auto& one) {
        if (one->world() || one->runs_method()) return false;
        names.push_back(one->name());
        return true;
    });
    return names;
}

}  // namespace gyre::world

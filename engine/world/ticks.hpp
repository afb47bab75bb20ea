#pragma once
#include <functional>
#include <gyre/base/time.hpp>
#include <gyre/ecs/world.hpp>
#include <gyre/metric/registry.hpp>
#include <gyre/rpc/methods.hpp>
#include <memory>
#include <string>
#include <vector>

namespace gyre {

/// Ticks a second: 30_hz.
struct TickRate {
    std::uint32_t hertz;  ///< [1, 1000]
    constexpr Duration period() const { return Duration(1'000'000'000 / hertz); }
    constexpr float step_s() const { return 1.0f / static_cast<float>(hertz); }
};
inline namespace literals {
consteval TickRate operator""_hz(unsigned long long hertz) {
    if (hertz < 1 || hertz > 1'000) throw "gyre: a tick rate is 1 to 1000 Hz";
    return {static_cast<std::uint32_t>(hertz)};
}
}  // namespace literals

namespace world {

struct Record;

/// What the ticks of one world came to.
struct TickStats {
    std::uint64_t ticks = 0;
    std::uint64_t overruns = 0;  ///< Took longer than their period.
    std::uint64_t skipped = 0;   ///< Left out, because more than catch_up_max were due.
    Duration took{}, took_max{};
    Duration lag{}, lag_max{};  ///< Began so much later than it was due.
};

/// What all ticks of a node share. The clock is for measuring alone; the loop's time says when.
struct TickMeter {
    std::function<TimePoint()> clock;     ///< Empty: ticks are not measured.
    metric::Registry* metrics = nullptr;  ///< gyre_world_tick*, by the name of the world.
};

/// The worlds of one entity or service, each ticked at its own rate until the entity ends.
///
///     ticks().add(world_, 20_hz, "weather");                  // runs world_.tick(1/20 s)
///     ticks().add<&Match::tick>(world_, 30_hz, "arena");      // a method that runs it itself
///
/// Tick n is due n periods after add(), without drift. Ticks that are late are made up for, one a
/// loop turn; of more than catch_up_max the oldest are left out. A tick that takes longer than its
/// period is counted, and logged at most once a second with the systems that took the time.
/// Under the simulator a tick takes no time.
///
/// on_after_reload() calls add() again, as at the start: a world that has the name is ticked on, in
/// step. After a reload with another layout it lies elsewhere; what ticks it waits for that
/// add(), unless it is a method, which runs on without.
class Ticks {
public:
    static constexpr std::uint64_t catch_up_max = 8;

    explicit Ticks(Record& record);
    ~Ticks();
    Ticks(const Ticks&) = delete;

    /// `world` stays where it is until remove(), or as long as the entity. `name` is from a closed
    /// set: it labels the metrics. A world that is ticked already keeps its step and takes the rest;
    /// with another rate it begins anew.
    void add(ecs::World& world, TickRate rate, std::string name) {
        add_method(world, rate, std::move(name), 0);
    }
    /// Calls a described method without parameters, as a task of the entity.
    template <auto M>
    void add(ecs::World& world, TickRate rate, std::string name) {
        static_assert(is_described<M>,
                      "gyre: a tick names a described method, so that a reload can replace it");
        static_assert(signature<M>::arity == 0, "gyre: a tick calls a method without parameters");
        add_method(world, rate, std::move(name), method_id<M>);
    }
    bool remove(const ecs::World& world);  ///< False: it was not ticked. Also from inside its tick.
    void remove_all();
    std::size_t size() const { return worlds_.size(); }
    const TickStats& stats(const ecs::World& world) const;

    /// For the host that moves the entity to other memory: before the worlds end, and after
    /// on_after_reload(). The second returns the names of those nobody has added again, and ends
    /// them.
    void detach();
    std::vector<std::string> end_detached();

private:
    class Ticked;
    void add_method(ecs::World& world, TickRate rate, std::string name, std::uint64_t method);
    using List = std::vector<std::unique_ptr<Ticked>>;
    List::const_iterator find(const ecs::World& world) const;
    List::const_iterator find_detached(std::string_view name) const;
    Record& record_;
    List worlds_;
};

}  // namespace world
}  // namespace gyre

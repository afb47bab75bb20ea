#pragma once
#include <cstdint>
#include <gyre/metric/histogram.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gyre::metric {

/// Only grows.
class Counter {
public:
    void add(std::uint64_t by = 1) { value_ += by; }
    std::uint64_t value() const { return value_; }

private:
    std::uint64_t value_ = 0;
};

/// Goes up and down.
class Gauge {
public:
    void set(double value) { value_ = value; }
    void add(double by) { value_ += by; }
    double value() const { return value_; }

private:
    double value_ = 0;
};

/// {{"transport", "rudp"}}: few, from a closed set of values, never an id of a player or entity.
using Labels = std::vector<std::pair<std::string, std::string>>;

enum class Kind : std::uint8_t { counter, gauge, histogram };

struct Sample {
    std::string name;
    std::string help;
    Labels labels;  ///< Sorted by key.
    Kind kind = Kind::counter;
    double value = 0;     ///< Of a counter or gauge.
    Histogram histogram;  ///< Of a histogram.
};

/// What a Registry held at one moment; owns everything, may go to another thread.
struct Snapshot {
    std::vector<Sample> samples;  ///< By name, then by labels: the same order on every run.
    /// Null when there is none.
    const Sample* find(std::string_view name, Labels labels = {}) const;
};

/// Names the instruments of one node. Use only on the thread of that node. Instruments live as
/// long as the registry, at addresses that stay: ask once, keep the reference.
///
///     struct LinkMetrics {
///         explicit LinkMetrics(metric::Registry& registry)
///             : sent(registry.counter("gyre_link_sent_bytes_total")),
///               rtt(registry.histogram("gyre_link_rtt_us", {}, "Round trip of a heartbeat.")) {}
///         metric::Counter& sent;
///         metric::Histogram& rtt;
///     };
///
/// The same name and labels give the same instrument. A name is lower case with digits and
/// underscores, says its unit, and ends in _total exactly when it is a counter: asserted, as is
/// one name used for two kinds. Past `series_max` label sets of one name the rest share the set
/// {{"overflow", "true"}}, so labels cannot eat the memory.
class Registry {
public:
    static constexpr std::size_t series_max = 1'000;

    Registry();
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    Counter& counter(std::string_view name, Labels labels = {}, std::string_view help = {});
    Gauge& gauge(std::string_view name, Labels labels = {}, std::string_view help = {});
    Histogram& histogram(std::string_view name, Labels labels = {}, std::string_view help = {});

    Snapshot snapshot() const;

private:
    struct Series;
    struct Family;
    Series& series(Kind kind, std::string_view name, Labels labels, std::string_view help);

    std::map<std::string, Family, std::less<>> families_;
};

}  // namespace gyre::metric

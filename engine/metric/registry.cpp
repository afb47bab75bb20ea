#include <algorithm>
#include <gyre/base/assert.hpp>
#include <gyre/metric/registry.hpp>
#include <variant>

namespace gyre::metric {

struct Registry::Series {
    std::variant<Counter, Gauge, Histogram> instrument;
};

struct Registry::Family {
    Kind kind = Kind::counter;
    std::string help;
    std::map<Labels, Series> series;  // a map: instruments keep their addresses
};

namespace {
bool is_name(std::string_view name) {
    return !name.empty() && name[0] >= 'a' && name[0] <= 'z' &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
           });
}
}  // namespace

Registry::Registry() = default;
Registry::~Registry() = default;

Registry::Series& Registry::series(Kind kind, std::string_view name, Labels labels,
                                   std::string_view help) {
    GYRE_ASSERT(is_name(name), "metric name is not snake_case");
    GYRE_ASSERT(name.ends_with("_total") == (kind == Kind::counter),
                "counters, and only counters, end in _total");
    auto found = families_.find(name);
    if (found == families_.end()) {
        found = families_.emplace(std::string(name), Family{kind, std::string(help), {}}).first;
    }
    Family& family = found->second;
    GYRE_ASSERT(family.kind == kind, "one metric name used for two kinds");
    if (family.help.empty()) family.help = help;

    std::sort(labels.begin(), labels.end());
    for (const auto& [key, value] : labels) GYRE_ASSERT(is_name(key), "label is not snake_case");
    if (const auto known = family.series.find(labels); known != family.series.end()) {
        return known->second;
    }
    if (family.series.size() >= series_max) labels = {{"overflow", "true"}};
    const auto [at, added] = family.series.try_emplace(std::move(labels));
    if (added && kind == Kind::gauge) at->second.instrument.emplace<Gauge>();
    if (added && kind == Kind::histogram) at->second.instrument.emplace<Histogram>();
    return at->second;
}

Counter& Registry::counter(std::string_view name, Labels labels, std::string_view help) {
    return std::get<Counter>(series(Kind::counter, name, std::move(labels), help).instrument);
}
Gauge& Registry::gauge(std::string_view name, Labels labels, std::string_view help) {
    return std::get<Gauge>(series(Kind::gauge, name, std::move(labels), help).instrument);
}
Histogram& Registry::histogram(std::string_view name, Labels labels, std::string_view help) {
    return std::get<Histogram>(series(Kind::histogram, name, std::move(labels), help).instrument);
}

Snapshot Registry::snapshot() const {
    Snapshot result;
    for (const auto& [name, family] : families_) {
        for (const auto& [labels, one] : family.series) {
            Sample& sample = result.samples.emplace_back();
            sample.name = name;
            sample.help = family.help;
            sample.labels = labels;
            sample.kind = family.kind;
            if (const auto* counter = std::get_if<Counter>(&one.instrument)) {
                sample.value = static_cast<double>(counter->value());
            } else if (const auto* gauge = std::get_if<Gauge>(&one.instrument)) {
                sample.value = gauge->value();
            } else {
                sample.histogram = std::get<Histogram>(one.instrument);
            }
        }
    }
    return result;
}

const Sample* Snapshot::find(std::string_view name, Labels labels) const {
    std::sort(labels.begin(), labels.end());
    for (const Sample& sample : samples) {
        if (sample.name == name && sample.labels == labels) return &sample;
    }
    return nullptr;
}

}  // namespace gyre::metric

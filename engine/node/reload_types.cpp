#include <gyre/node/reload_types.hpp>

#include <algorithm>
#include <cstdio>

namespace gyre::node {
namespace {

constexpr double took_min_ms = 1;  // a tick below it is short, however long it was before

double share(std::uint64_t part, std::uint64_t of) {
    return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of);
}

std::string rise(const std::string& what, double before, double after, std::uint64_t of) {
    char text[80];
    std::snprintf(text, sizeof text, " rose from %.1f %% to %.1f %% of ", before * 100, after * 100);
    return what + text + std::to_string(of);
}

/// Calls between two looks at a method. What began before the first may have failed since.
struct Calls {
    Calls(const MethodVitals& from, const MethodVitals& to)
        : count(to.calls - from.calls), failed(std::min(1.0, share(to.failed - from.failed, count))) {}
    std::uint64_t count;
    double failed;
};

MethodVitals of(const Vitals& vitals, const std::string& method) {
    const auto found = std::ranges::find(vitals.methods, method, &MethodVitals::method);
    return found == vitals.methods.end() ? MethodVitals{} : *found;
}

}  // namespace

std::string Decline::reason(const Vitals& at_start, const Vitals& at_swap, const Vitals& now) const {
    std::string worst;
    double worst_rise = failures;
    for (const auto& method : now.methods) {
        const MethodVitals swapped = of(at_swap, method.method);
        const Calls before(of(at_start, method.method), swapped), after(swapped, method);
        if (after.count < calls_min || after.failed - before.failed <= worst_rise) continue;
        worst_rise = after.failed - before.failed;
        worst = rise("failed calls of " + method.method, before.failed, after.failed, after.count);
    }
    if (!worst.empty()) return worst;
    const std::uint64_t ticks = now.ticks - at_swap.ticks;
    const double late_before = share(at_swap.overruns - at_start.overruns, at_swap.ticks - at_start.ticks);
    const double late_now = share(now.overruns - at_swap.overruns, ticks);
    if (ticks >= ticks_min && late_now > late_before + overruns)
        return rise("late ticks", late_before, late_now, ticks);
    const auto mean = [](double ms, std::uint64_t n) { return n ? ms / static_cast<double>(n) : 0; };
    const double took_before = mean(at_swap.tick_ms - at_start.tick_ms, at_swap.ticks - at_start.ticks);
    const double took_now = mean(now.tick_ms - at_swap.tick_ms, ticks);
    if (tick_factor > 0 && ticks >= ticks_min && took_before > 0 && took_now > took_min_ms &&
        took_now > took_before * tick_factor) {
        char text[96];
        std::snprintf(text, sizeof text, "a tick takes %.2f ms, before %.2f ms", took_now, took_before);
        return text;
    }
    return {};
}

}  // namespace gyre::node

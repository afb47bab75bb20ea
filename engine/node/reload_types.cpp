#include <gyre/node/reload_config.hpp>
#include <gyre/node/reload_types.hpp>

#include <cstdio>

namespace gyre::node {
namespace {

constexpr double took_min_ms = 1;  // a tick below it is short, however long it was before

double share(std::uint64_t part, std::uint64_t of) {
    return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of);
}

std::string rise(const char* what, double before, double after) {
    char text[160];
    std::snprintf(text, sizeof text, "%s rose from %.1f %% to %.1f %%", what, before * 100, after * 100);
    return text;
}

}  // namespace

Result<> ReloadConfig::validate() const {
    return config::Check()
        .range("keep", keep, 1, 100)
        .range("probation", probation, 0ms, 10min)
        .range("stuck", stuck, 100ms, 1min)
        .range("deadline", deadline, 0ms, 5min)
        .range("check_limit", check_limit, 1s, 10min)
        .range("failures", failures, 0, 1)
        .range("overruns", overruns, 0, 1);
}

std::string Decline::reason(const Vitals& at_start, const Vitals& at_swap, const Vitals& now) const {
    const std::uint64_t calls = now.calls - at_swap.calls, ticks = now.ticks - at_swap.ticks;
    const double failed_before = share(at_swap.failed - at_start.failed, at_swap.calls - at_start.calls);
    const double failed_now = share(now.failed - at_swap.failed, calls);
    if (calls >= calls_min && failed_now > failed_before + failures)
        return rise("failed calls", failed_before, failed_now) + " of " + std::to_string(calls);
    const double late_before = share(at_swap.overruns - at_start.overruns, at_swap.ticks - at_start.ticks);
    const double late_now = share(now.overruns - at_swap.overruns, ticks);
    if (ticks >= ticks_min && late_now > late_before + overruns)
        return rise("late ticks", late_before, late_now) + " of " + std::to_string(ticks);
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

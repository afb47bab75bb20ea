#include <gyre/log/log.hpp>
#include <gyre/node/live_config.hpp>

namespace gyre::node {

Result<config::Document> LiveConfig::read_checked() const {
    auto next = read_();
    if (!next) return next.error();
    if (auto checked = running_.check(*next); !checked) return checked.error();
    return next;
}

Result<std::vector<ConfigChange>> LiveConfig::check() const {
    const auto next = read_checked();
    if (!next) return next.error();
    return diff(running_, *next);
}

Result<std::vector<ConfigChange>> LiveConfig::apply() {
    const auto next = read_checked();
    if (!next) return next.error();
    auto changes = diff(running_, *next);
    if (!changes) return changes.error();
    running_.replace_with(*next);
    if (const auto followed = follow_ ? follow_() : Result<>(); !followed)
        log::error("config.not_followed", {{"error", followed.error()}});
    if (!changes->empty())
        for (const auto& [number, told] : std::map(told_)) told();
    return changes;
}

std::uint64_t LiveConfig::tell(std::function<void()> told) {
    told_.emplace(++last_, std::move(told));
    return last_;
}

}  // namespace gyre::node

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
    return changes;
}

}  // namespace gyre::node

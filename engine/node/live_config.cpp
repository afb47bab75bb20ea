#include <gyre/log/backend.hpp>
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
    if (const auto level = running_.as<std::string>("log.level"))
        if (const auto parsed = log::parse_level(*level)) log::set_level(*parsed);
    return changes;
}

}  // namespace gyre::node

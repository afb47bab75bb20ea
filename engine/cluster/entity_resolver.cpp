#include <gyre/cluster/entity_resolver.hpp>

namespace gyre::cluster {
namespace {
constexpr std::size_t remembered_max = 65'536;
}

EntityResolver::EntityResolver(const Directory& directory, Roles roles)
    : directory_(directory), roles_(std::move(roles)) {}

const io::Endpoint* EntityResolver::home(EntityId id, std::string_view type) const {
    const auto role = roles_.find(type);
    return role == roles_.end() ? nullptr : directory_.home_address(role->second, id);
}

const io::Endpoint* EntityResolver::known(EntityId id, std::string_view type) {
    if (!reports_.empty())
        if (const auto found = reports_.find(id); found != reports_.end()) return &found->second.at;
    if (!remembered_.empty())
        if (const auto found = remembered_.find(id); found != remembered_.end()) return &found->second;
    return home(id, type);
}

Error EntityResolver::why_unknown(EntityId id, std::string_view type) const {
    const auto role = roles_.find(type);
    if (role == roles_.end())
        return Error(errc::unavailable, "no role hosts entities of type=" + std::string(type));
    return Error(errc::unavailable, "no node of role=" + role->second + " takes entity=" +
                                        std::to_string(id) + " of type=" + std::string(type));
}

void EntityResolver::moved(EntityId id, const io::Endpoint& to) {
    if (remembered_.size() >= remembered_max) remembered_.clear();
    remembered_.insert_or_assign(id, to);
}
void EntityResolver::forget(EntityId id) { remembered_.erase(id); }

std::optional<io::Endpoint> EntityResolver::elsewhere(EntityId id, std::string_view type) const {
    if (const auto found = reports_.find(id); found != reports_.end()) return found->second.at;
    const io::Endpoint* at = home(id, type);
    return at && *at != self_ ? std::optional(*at) : std::nullopt;
}

void EntityResolver::reported(EntityId id, const std::string& type, const io::Endpoint& at) {
    if (at != self_) reports_.insert_or_assign(id, Report{at, type});
}
void EntityResolver::ended(EntityId id, const io::Endpoint& at) {
    const auto found = reports_.find(id);
    if (found != reports_.end() && found->second.at == at) reports_.erase(found);
}

void EntityResolver::distrust(const io::Endpoint& node) {
    std::erase_if(remembered_, [&](const auto& one) { return one.second == node; });
}
void EntityResolver::node_left(const io::Endpoint& node) {
    distrust(node);
    std::erase_if(reports_, [&](const auto& one) { return one.second.at == node; });
}
void EntityResolver::homes_changed() {
    std::erase_if(reports_, [&](const auto& one) {
        const io::Endpoint* at = home(one.first, one.second.type);
        return !at || *at != self_;
    });
}

}  // namespace gyre::cluster

#include <gyre/cluster/directory.hpp>
#include <gyre/log/log.hpp>
#include <tuple>

namespace gyre::cluster {
namespace {
constexpr std::uint64_t load_of_a_pick = 10;

std::optional<NodeInfo> copy(const NodeInfo* node) {
    return node ? std::optional(*node) : std::nullopt;
}
}  // namespace

Directory::Directory(Executor& executor, Registry& registry, Duration suspicion)
    : executor_(executor), registry_(registry), suspicion_(suspicion) {
    GYRE_ASSERT(!registry.on_change, "a registry has one directory");
    registry.on_change = [this](const NodeInfo* before, const NodeInfo* after) {
        changed(before, after);
    };
}
Directory::~Directory() { registry_.on_change = nullptr; }

std::vector<const NodeInfo*> Directory::nodes_of(std::string_view role) const {
    if (!role.empty()) return view().of_role(role);
    std::vector<const NodeInfo*> all;
    for (const auto& [name, node] : view().nodes()) all.push_back(&node);
    return all;
}
std::vector<NodeInfo> Directory::of_role(std::string_view role) const {
    std::vector<NodeInfo> nodes;
    for (const NodeInfo* node : nodes_of(role)) nodes.push_back(*node);
    return nodes;
}
std::optional<NodeInfo> Directory::find(std::string_view name) const {
    return copy(view().find(name));
}
std::optional<NodeInfo> Directory::by_address(const io::Endpoint& address) const {
    return copy(view().by_address(address));
}
std::optional<NodeInfo> Directory::rendezvous(std::string_view role, std::uint64_t key) const {
    return copy(choose(role, key, true));
}
std::optional<NodeInfo> Directory::home(std::string_view role, std::uint64_t entity) const {
    return copy(choose(role, entity, false));
}

const io::Endpoint* Directory::home_address(std::string_view role, std::uint64_t entity) const {
    const NodeInfo* node = choose(role, entity, false);
    return node ? &node->address : nullptr;
}

const NodeInfo* Directory::choose(std::string_view role, std::uint64_t key,
                                  bool avoid_suspected) const {
    const NodeInfo* best = nullptr;
    std::pair<bool, std::uint64_t> best_rank;
    for (const NodeInfo* node : nodes_of(role)) {
        if (node->draining) continue;
        const std::pair rank(!avoid_suspected || !suspected(*node), mix(fnv1a(node->name) ^ key));
        if (!best || rank > best_rank) best = node, best_rank = rank;
    }
    return best;
}

std::optional<NodeInfo> Directory::pick_any(std::string_view role) {
    auto last = last_any_.find(role);
    if (last == last_any_.end()) last = last_any_.emplace(std::string(role), std::string()).first;
    const NodeInfo* best = nullptr;
    std::tuple<bool, bool, std::string_view> best_rank;
    for (const NodeInfo* node : nodes_of(role)) {
        if (node->draining) continue;
        const std::tuple rank(suspected(*node), node->name <= last->second,
                              std::string_view(node->name));
        if (!best || rank < best_rank) best = node, best_rank = rank;
    }
    if (best) last->second = best->name;
    return copy(best);
}

std::optional<NodeInfo> Directory::pick_least_loaded(std::string_view role) {
    if (executor_.now() - picks_since_ >= 1s) picks_.clear(), picks_since_ = executor_.now();
    const NodeInfo* best = nullptr;
    std::tuple<bool, std::uint64_t, std::uint64_t, std::uint64_t> best_rank;
    for (const NodeInfo* node : nodes_of(role)) {
        if (node->draining) continue;
        const auto picks = picks_.find(node->name);
        const std::uint64_t picked = picks == picks_.end() ? 0 : picks->second;
        const std::tuple rank(suspected(*node), node->load + picked * load_of_a_pick,
                              node->sessions + picked, node->entities);
        if (!best || rank < best_rank) best = node, best_rank = rank;
    }
    if (best) ++picks_[best->name];
    return copy(best);
}

void Directory::suspect(const io::Endpoint& address) {
    const NodeInfo* node = view().by_address(address);
    if (!node) return;
    std::erase_if(suspicions_, [&](const auto& s) { return s.second.until <= executor_.now(); });
    suspicions_[address] = {node->incarnation, executor_.now() + suspicion_};
    log::info("cluster.node_suspected", {{"name", node->name}, {"address", address.to_string()}});
}
void Directory::trust(const io::Endpoint& address) { suspicions_.erase(address); }

bool Directory::suspected(const NodeInfo& node) const {
    if (suspicions_.empty()) return false;
    const auto found = suspicions_.find(node.address);
    return found != suspicions_.end() && found->second.incarnation == node.incarnation &&
           executor_.now() < found->second.until;
}

void Directory::changed(const NodeInfo* before, const NodeInfo* after) {
    if (before && after && before->incarnation == after->incarnation) {
        if (before->draining == after->draining) return;
        const std::string role = after->role;
        homes_changed_.tell(role);
        return;
    }
    // A callback may change the view: tell about copies.
    if (before) {
        const NodeInfo gone = *before;
        const auto next = copy(after);
        suspicions_.erase(gone.address);
        log::info("cluster.node_left", {{"name", gone.name}, {"incarnation", gone.incarnation}});
        left_.tell(gone);
        if (!next) {
            homes_changed_.tell(gone.role);
            return;
        }
        log::info("cluster.node_joined",
                  {{"name", next->name}, {"incarnation", next->incarnation}});
        joined_.tell(*next);
        homes_changed_.tell(next->role);
        return;
    }
    const NodeInfo come = *after;
    log::info("cluster.node_joined", {{"name", come.name},
                                      {"role", come.role},
                                      {"address", come.address.to_string()},
                                      {"incarnation", come.incarnation}});
    joined_.tell(come);
    homes_changed_.tell(come.role);
}

Subscription Directory::on_joined(std::function<void(const NodeInfo&)> callback) {
    return joined_.add(std::move(callback));
}
Subscription Directory::on_left(std::function<void(const NodeInfo&)> callback) {
    return left_.add(std::move(callback));
}
Subscription Directory::on_homes_changed(std::function<void(const std::string&)> callback) {
    return homes_changed_.add(std::move(callback));
}

}  // namespace gyre::cluster

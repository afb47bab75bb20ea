#include <algorithm>
#include <gyre/node/node_service.hpp>
#include <gyre/task/dump.hpp>
#include <gyre/task/pool.hpp>

namespace gyre::node {

cluster::NodeInfo NodeService::info() { return gyre::this_node().info; }

std::vector<cluster::NodeInfo> NodeService::cluster() {
    std::vector<cluster::NodeInfo> all;
    for (const auto& [name, info] : gyre::this_node().directory.view().nodes()) all.push_back(info);
    return all;
}

std::vector<std::string> NodeService::methods() {
    std::vector<std::string> names;
    for (const auto* type : gyre::this_node().host.types())
        if (type->kind == world::TypeKind::service && gyre::this_node().host.find_service(type->name))
            for (const auto& method : type->methods) names.emplace_back(method.full_name);
    std::sort(names.begin(), names.end());
    return names;
}

std::vector<MethodCalls> NodeService::calls() {
    std::vector<MethodCalls> all;
    const auto ms = [](Duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
    for (const auto& [name, stats] : gyre::this_node().host.method_stats()) {
        if (stats.calls + stats.refused == 0) continue;
        const auto ended = static_cast<double>(std::max<std::uint64_t>(1, stats.calls - stats.running));
        all.push_back({std::string(name), stats.calls, stats.failed, stats.refused, stats.running,
                       stats.running_max, ms(stats.time) / ended, ms(stats.time_max)});
    }
    return all;
}

TaskCounters NodeService::tasks() {
    const Pool& pool = current->executor->pool();
    const FrameCounters frames = frame_counters();
    return {pool.limit(), pool.running(), pool.queued(), pool.peak(), pool.queued_peak(),
            frames.live, frames.peak, frames.bytes, current->executor->timers()};
}

std::vector<EntityId> NodeService::entities(std::string type, std::uint32_t limit) {
    auto ids = gyre::this_node().host.ids(type);
    if (ids.size() > limit) ids.resize(limit);
    return ids;
}

std::vector<std::string> NodeService::dump_tasks() {
    std::vector<std::string> lines;
    for (const auto& task : suspended_tasks(*current->executor, 1'000)) lines.push_back(to_string(task));
    return lines;
}

Task<bool> NodeService::yield(EntityId id) { return gyre::this_node().persist.yield(id); }

}  // namespace gyre::node

#pragma once
#include <gyre/module/gyre.hpp>

namespace gyre::node {

/// What became of the calls of one method since the node started.
struct MethodCalls {
    std::string method;  ///< "Bag.take"
    std::uint64_t calls = 0, failed = 0, refused = 0;
    std::uint32_t running = 0, running_max = 0;
    double mean_ms = 0, max_ms = 0;  ///< Of those that ended, waits included.
    static consteval auto describe() {
        return type<MethodCalls>("MethodCalls", field<&MethodCalls::method>(),
                                 field<&MethodCalls::calls>(), field<&MethodCalls::failed>(),
                                 field<&MethodCalls::refused>(), field<&MethodCalls::running>(),
                                 field<&MethodCalls::running_max>(), field<&MethodCalls::mean_ms>(),
                                 field<&MethodCalls::max_ms>());
    }
};

/// The tasks of the node's process: nodes that share a loop share its coroutine pool.
struct TaskCounters {
    std::uint64_t pool_limit = 0;  ///< Config key cluster.coroutine_pool.
    std::uint64_t pool_running = 0, pool_queued = 0, pool_peak = 0, pool_queued_peak = 0;
    std::uint64_t frames = 0, frames_peak = 0;  ///< Coroutine frames in use.
    std::uint64_t frame_bytes = 0;              ///< Memory held for frames.
    std::uint64_t timers = 0;
    static consteval auto describe() {
        return type<TaskCounters>("TaskCounters", field<&TaskCounters::pool_limit>(),
                                  field<&TaskCounters::pool_running>(),
                                  field<&TaskCounters::pool_queued>(),
                                  field<&TaskCounters::pool_peak>(),
                                  field<&TaskCounters::pool_queued_peak>(),
                                  field<&TaskCounters::frames>(), field<&TaskCounters::frames_peak>(),
                                  field<&TaskCounters::frame_bytes>(),
                                  field<&TaskCounters::timers>());
    }
};

/// What every node answers: for tools and for other nodes' engines.
struct NodeService : Service<NodeService> {
    cluster::NodeInfo info();
    std::vector<cluster::NodeInfo> cluster();  ///< As this node sees it, by name.
    std::vector<std::string> methods();        ///< "Type.method" of its services, sorted.
    std::vector<MethodCalls> calls();          ///< Methods called at least once, by name.
    TaskCounters tasks();
    std::vector<EntityId> entities(std::string type, std::uint32_t limit);  ///< That live here, ascending.
    std::vector<std::string> dump_tasks();     ///< A line a suspended task, 1,000 at most.
    /// Gives a stored entity up for the node that asks. True: it is nobody's now.
    Task<bool> yield(EntityId id);
    static consteval auto describe() {
        return type<NodeService>("NodeService", method<&NodeService::info>(),
                                 method<&NodeService::cluster>(), method<&NodeService::methods>(),
                                 method<&NodeService::calls>(), method<&NodeService::tasks>(),
                                 method<&NodeService::entities>(),
                                 method<&NodeService::dump_tasks>(),
                                 method<&NodeService::yield>());
    }
};

}  // namespace gyre::node

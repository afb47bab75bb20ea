#include <gyre/task/dump.hpp>

#include <cstdio>
#include <gyre/task/compose.hpp>
#include <gyre/task/detail/close_waiter.hpp>
#include <gyre/task/sync.hpp>
#include <unordered_map>

namespace gyre {
namespace {
std::string seconds(Duration time) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(time).count());
    return text;
}
}  // namespace

class TaskLister {
public:
    explicit TaskLister(const Executor& executor) : executor_(executor) {
        each_chain([this](const Chain& chain) { numbers_.emplace(&chain, numbers_.size() + 1); });
    }
    std::vector<SuspendedTask> list(std::size_t limit, const std::function<bool(const void* code)>& awaiting_in) {
        std::vector<SuspendedTask> all;
        each_chain([&](const Chain& chain) {
            if (!chain.leaf_ || all.size() >= limit) return;
            bool wanted = !awaiting_in;
            if (!wanted && chain.leaf_->waits_for_ != WaitsFor::start)
                for (auto* promise = chain.leaf_->promise_; promise && !wanted; promise = promise->parent)
                    wanted = awaiting_in(promise->where.file_name());
            if (wanted) all.push_back(describe(chain));
        });
        return all;
    }
    std::size_t chains() const { return numbers_.size(); }
    static std::string leaks(Executor& executor);

private:
    template <class F>
    static void each_scope(const Executor& executor, F visit) {
        for (const Link* link = executor.scopes_.next; link != &executor.scopes_; link = link->next)
            visit(*static_cast<const Scope*>(link));
    }
    template <class F>
    void each_chain(F visit) const {
        each_scope(executor_, [&](const Scope& scope) {
            for (const Link* link = scope.chains_.next; link != &scope.chains_; link = link->next)
                visit(*static_cast<const Chain*>(link));
        });
    }
    std::string name(const Chain* chain) const {
        const auto found = numbers_.find(chain);
        return found == numbers_.end() ? "a task that ended" : "task " + std::to_string(found->second);
    }
    SuspendedTask describe(const Chain& chain) const {
        SuspendedTask task{.number = numbers_.at(&chain), .node = chain.node, .scope = chain.scope->name_,
                           .entity = chain.entity, .session = chain.session, .call = chain.call,
                           .trace = chain.trace, .waiting = executor_.now() - chain.since_,
                           .awaits = {}, .waits_for = {}, .cancelled = chain.cancel_requested_};
        if (chain.leaf_->waits_for_ != WaitsFor::start)
            for (auto* promise = chain.leaf_->promise_; promise; promise = promise->parent) {
                if (task.awaits.size() == 32) {
                    task.awaits.emplace_back("...");
                    break;
                }
                task.awaits.push_back(std::string(promise->where.file_name()) + ':' +
                                      std::to_string(promise->where.line()));
            }
        task.waits_for = chain.leaf_->waiting() ? waits_for(*chain.leaf_) : "its turn to go on";
        return task;
    }
    std::string waits_for(const Waiter& leaf) const {
        switch (leaf.waits_for_) {
            case WaitsFor::sleep:
                return "sleep, " +
                       seconds(static_cast<const detail::SleepWaiter&>(leaf).at() - executor_.now()) + " left";
            case WaitsFor::yield: return "the next turn";
            case WaitsFor::event: return "an event";
            case WaitsFor::signal: return "a signal";
            case WaitsFor::permit: {
                const auto& semaphore = static_cast<const Semaphore::Acquire&>(leaf).semaphore();
                return (semaphore.permits() == 1 ? "a mutex held by " : "a permit, the last one went to ") +
                       name(semaphore.last_holder());
            }
            case WaitsFor::queue: return "a queue";
            case WaitsFor::join:
                return "the end of " + name(&static_cast<const JoinBase::Awaiter&>(leaf).job_);
            case WaitsFor::group: {
                std::string text = "the end of ";
                std::size_t named = 0;
                for (const Chain* chain : static_cast<const GroupWaiter&>(leaf).jobs()) {
                    if (chain->done()) continue;
                    if (named) text += ", ";
                    if (named++ == 8) return text + "...";
                    text += name(chain);
                }
                return text;
            }
            case WaitsFor::scope: {
                const Scope& scope = static_cast<const detail::CloseWaiter&>(leaf).scope;
                return "the end of scope " + scope.name() + ", " + std::to_string(scope.running()) + " tasks";
            }
            case WaitsFor::start: return "its start in the coroutine pool";
            case WaitsFor::reply: return "the reply to a call";
            case WaitsFor::other: break;
        }
        return "";
    }
    const Executor& executor_;
    std::unordered_map<const Chain*, std::size_t> numbers_;  // looked up only, never iterated
};

std::string to_string(const SuspendedTask& task) {
    std::string text = "task " + std::to_string(task.number) + " scope=" + task.scope;
    const auto id = [&](const char* name, std::uint64_t value) {
        if (value) text += std::string(" ") + name + '=' + std::to_string(value);
    };
    id("entity", task.entity), id("session", task.session), id("call", task.call), id("trace", task.trace);
    text += " waiting=" + seconds(task.waiting);
    if (task.cancelled) text += " cancelled";
    if (!task.waits_for.empty()) text += " for " + task.waits_for;
    for (std::size_t i = 0; i < task.awaits.size(); ++i) text += (i ? " < " : " at ") + task.awaits[i];
    return text;
}

std::vector<SuspendedTask> suspended_tasks(const Executor& executor, std::size_t limit,
                                           const std::function<bool(const void* code)>& awaiting_in) {
    return TaskLister(executor).list(limit, awaiting_in);
}

std::string dump_tasks(const Executor& executor) {
    std::string text;
    for (const auto& task : suspended_tasks(executor)) text += to_string(task) + '\n';
    return text;
}

std::string dump_tasks() {
    GYRE_ASSERT(current != nullptr, "dump_tasks() outside of a task");
    return dump_tasks(*current->executor);
}

std::string TaskLister::leaks(Executor& executor) {
    std::string text;
    each_scope(executor, [&](const Scope& scope) {
        text += "scope " + scope.name() + " is still there, with " + std::to_string(scope.running()) + " tasks\n";
    });
    for (const auto& task : TaskLister(executor).list(1'000, {})) text += to_string(task) + '\n';
    while (executor.scopes_.linked()) executor.scopes_.next->unlink();  // they end after the executor
    return text;
}

void report_leaks(Executor& executor) noexcept {
    try {
        const std::string text = TaskLister::leaks(executor);
        if (text.empty()) return;
        if (executor.on_leak) executor.on_leak(text);
        else std::fprintf(stderr, "gyre: an executor ends before what runs on it\n%s", text.c_str());
    } catch (...) {
        // Nobody is left to hear of it.
    }
}

}  // namespace gyre

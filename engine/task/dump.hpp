#pragma once
#include <functional>
#include <gyre/base/time.hpp>
#include <string>
#include <vector>

namespace gyre {

class Executor;

/// One suspended chain of awaits.
struct SuspendedTask {
    std::size_t number = 0;  ///< Within this list; what others refer to.
    const void* node = nullptr;  ///< Its NodeIdentity.
    std::string scope;
    std::uint64_t entity = 0, session = 0, call = 0, trace = 0;  ///< Of its Context.
    Duration waiting{};                ///< Since it began to wait, loop time.
    std::vector<std::string> awaits;   ///< "file:line", innermost first.
    std::string waits_for;             ///< "sleep, 1.5 s left", "the end of task 3", "mutex held by task 4".
    bool cancelled = false;            ///< Asked to end; a shield or its own work keeps it.
};

std::string to_string(const SuspendedTask& task);  ///< A line, without its end.

/// Every suspended task of the executor, by scope in the order of their creation. Cost: about a
/// microsecond a task; nothing is kept for it while tasks run but one store an await.
/// awaiting_in: only those with an await in code for which it holds; it gets a constant of that code.
std::vector<SuspendedTask> suspended_tasks(const Executor& executor, std::size_t limit = 10'000,
                                           const std::function<bool(const void* code)>& awaiting_in = {});
/// The same as text, a task a line.
std::string dump_tasks(const Executor& executor);
std::string dump_tasks();  ///< Of the executor that runs now: inside of a task only.

/// Tells executor.on_leak of scopes and tasks that are still there.
void report_leaks(Executor& executor) noexcept;

}  // namespace gyre

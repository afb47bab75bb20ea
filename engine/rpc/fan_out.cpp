#include <gyre/rpc/fan_out.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::rpc {

Task<std::vector<Result<Bytes>>> fan_out(std::vector<Task<Bytes>> calls) {
    Chain& self = Chain::running();
    std::vector<Join<Result<Bytes>>> running;
    running.reserve(calls.size());
    for (auto& call : calls)
        running.push_back(
            gyre::detail::spawn(*self.scope, as_result(std::move(call)), self.deadline));
    std::vector<Result<Bytes>> results;
    results.reserve(calls.size());
    std::optional<Error> failure;
    try {
        for (auto& one : running) results.push_back(co_await one);
    } catch (const Error& error) {
        failure = error;
    }
    if (!failure) co_return results;
    for (auto& one : running)
        if (!one.done()) co_await cancel_and_join(std::move(one));
    throw *failure;
}

}  // namespace gyre::rpc

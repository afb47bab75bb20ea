#pragma once
#include <gyre/codec/codec.hpp>
#include <gyre/task/task.hpp>
#include <vector>

namespace gyre::rpc {

/// All calls at once; their results in the same order. Cancelled, it cancels what still runs.
Task<std::vector<Result<Bytes>>> fan_out(std::vector<Task<Bytes>> calls);

/// The value of one of them. Error: the call's; bad_data.
template <class R>
Result<R> read_result(const Result<Bytes>& result, std::string_view method) {
    if (!result) return result.error();
    if constexpr (std::is_void_v<R>) {
        return {};
    } else {
        auto value = decode<R>(*result);
        if (!value) return Error(errc::bad_data, std::string(method) + ": reply: " + value.error().message());
        return value;
    }
}

}  // namespace gyre::rpc

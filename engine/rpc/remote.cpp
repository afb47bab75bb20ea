#include <gyre/rpc/remote.hpp>

namespace gyre::rpc::detail {
Rpc& running() {
    GYRE_ASSERT(current && current->node && current->node->rpc, "a call is made by a task of a node");
    return *current->node->rpc;
}
void throw_bad_reply(const Reader& reader, std::string_view method) {
    throw Error(errc::bad_data, reader.error_message(std::string(method) + ": reply"));
}
}  // namespace gyre::rpc::detail

#include <gyre/rpc/remote.hpp>

namespace gyre::rpc::detail {
Rpc& running() {
    GYRE_ASSERT(current && current->node && current->node->rpc, "a call is made by a task of a node");
    return *current->node->rpc;
}
}  // namespace gyre::rpc::detail

#pragma once
#include <cstdint>
#include <gyre/base/time.hpp>
#include <string>

namespace gyre {

class Executor;
class Scope;
namespace rpc {
class Rpc;
}
namespace world {
class Host;
}
namespace module {
class Node;
}

/// What stays the same for all tasks of one node.
struct NodeIdentity {
    std::string name;            ///< "battle_1"
    std::string role;            ///< "battle"
    std::string build;           ///< Build id of the engine.
    // Set by the layers as they are built; game code reaches them through free functions.
    Scope* scope = nullptr;  ///< Outlives every entity of the node.
    rpc::Rpc* rpc = nullptr;
    world::Host* host = nullptr;
    module::Node* node = nullptr;
};

/// Who is running: carried by every task, restored at each resume.
struct Context {
    Executor* executor = nullptr;
    Scope* scope = nullptr;
    NodeIdentity* node = nullptr;
    std::uint64_t entity = 0;
    std::uint64_t session = 0;  ///< Of the client that called, 0: a node.
    std::uint64_t caller = 0;   ///< Its avatar.
    std::uint64_t call = 0;
    std::uint64_t trace = 0;
    void* object = nullptr;        ///< The record of `entity`, for the layer that made it.
    TimePoint deadline = TimePoint::max();
    std::uint8_t* ran = nullptr;  ///< All bits are set whenever this runs: the marks of `object`.
};

/// The one thread-local: the task that runs now, null outside of tasks.
extern thread_local constinit Context* current __attribute__((tls_model("initial-exec")));

/// Makes `context` current until the end of the block.
class ContextGuard {
public:
    explicit ContextGuard(Context* context) noexcept : before_(current) {
        current = context;
        if (context && context->ran) *context->ran = 0xff;
    }
    ~ContextGuard() { current = before_; }
    ContextGuard(const ContextGuard&) = delete;
    ContextGuard& operator=(const ContextGuard&) = delete;

private:
    Context* before_;
};

}  // namespace gyre

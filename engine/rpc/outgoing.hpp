#pragma once
#include <gyre/rpc/connection.hpp>
#include <gyre/rpc/rpc.hpp>

namespace gyre::rpc {

/// One call of a node, in the frame that makes it: nothing is copied or allocated for it.
///
///     Outgoing call(rpc, to, method, options);
///     if (!call.at_hand()) co_await call.reach();
///     call.arguments().encoded(bytes);   // no await from here
///     const BytesView value = co_await call;  // valid until the next await
///
/// Errors: as Rpc::call.
class Outgoing : public detail::PendingReply {
public:
    /// `to` outlives it.
    Outgoing(Rpc& rpc, const Destination& to, const MethodName& method, const CallOptions& options);
    ~Outgoing();
    /// The callee is here, or behind a link that is open and has room.
    bool at_hand();
    Task<> reach();
    Writer& arguments();
    bool await_ready();
    /// The call ended with `error`: did its entity move, so that it is to be made once more, to
    /// what `to` and `options` are now? `followed`: it was before. Error: entity_gone, then too.
    bool follow(const Error& error, Destination& to, CallOptions& options, bool& followed);

private:
    bool find_link();
    Rpc& rpc_;
    const Destination& to_;
    const MethodName& method_;
    CallOptions options_;
    TimePoint at_;
    Connection* link_ = nullptr;  // null: this node itself
};

}  // namespace gyre::rpc

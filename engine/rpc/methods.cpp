#include <gyre/log/log.hpp>
#include <gyre/rpc/methods.hpp>

namespace gyre::rpc {
namespace {

bool allowed(Caller rule, const CallerId& from, EntityId entity) {
    switch (rule) {
        case Caller::anyone: return true;
        case Caller::owner: return !from.is_client() || (entity != 0 && from.entity == entity);
        case Caller::server: return !from.is_client();
    }
    return false;
}

// `view` lives until the first suspension; a serial method may wait before it reads, so it owns.
Task<> serve(void* object, const MethodEntry* method, BytesView view, Bytes owned, Mutex* serial,
             Form form, Responder respond) {
    Bytes reply;
    std::optional<Error> failure;
    try {
        if (serial) {
            const auto permit = co_await serial->lock();
            if (current->deadline <= current->executor->now())
                throw Error(errc::timed_out, "its caller no longer waits");
            co_await method->invoke(object, owned, form, reply);
        } else {
            co_await method->invoke(object, view, form, reply);
        }
    } catch (const Error& error) {
        failure = error;
    } catch (...) {
        // The caller hears that it failed, not what our insides look like.
        const Error error = to_error(std::current_exception());
        log::error("rpc.method_failed", {{"method", method->full_name}, {"error", error.what()}});
        failure.emplace(errc::internal, std::string(method->full_name));
    }
    if (!failure) respond(std::move(reply));
    else if (respond.wanted()) respond(*failure);
    else if (!failure->is(errc::cancelled))
        log::warn("rpc.notify_failed",
                  {{"method", method->full_name}, {"error", failure->what()}});
}

}  // namespace

void run_call(const Callee& callee, const IncomingCall& call, Responder respond) {
    const MethodEntry& method = *callee.method;
    if (!allowed(method.caller, call.caller, callee.entity)) {
        log::warn("rpc.forbidden", {{"method", method.full_name}, {"session", call.caller.session}});
        respond(Error(errc::forbidden,
                      std::string(method.full_name) + " is not for this caller"));
        return;
    }
    Context context = callee.context ? *callee.context : callee.scope->context();
    context.executor = &callee.scope->executor();
    context.scope = callee.scope;
    context.deadline = call.deadline;
    context.session = call.caller.session;
    context.caller = call.caller.entity;
    context.trace = call.trace;
    Mutex* serial = method.serial ? callee.serial : nullptr;
    Bytes owned;
    if (serial) owned.assign(call.arguments.begin(), call.arguments.end());
    (void)gyre::detail::spawn(*callee.scope,
                        serve(callee.object, &method, call.arguments, std::move(owned), serial,
                              call.form, std::move(respond)),
                        context);
}

}  // namespace gyre::rpc

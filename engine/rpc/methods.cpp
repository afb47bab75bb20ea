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

}  // namespace

void detail::answer_bad_arguments(const Reader& reader, std::string_view method,
                                  Responder& respond) {
    const Error error(errc::bad_arguments, reader.error_message(method));
    if (!respond.wanted()) log::warn("rpc.notify_failed", {{"method", method}, {"error", error.what()}});
    respond(error);
}

void detail::answer_failure(std::string_view method, Responder& respond) {
    try {
        throw;
    } catch (const Error& error) {
        if (respond.wanted()) respond(error);
        else if (!error.is(errc::cancelled))
            log::warn("rpc.notify_failed", {{"method", method}, {"error", error.what()}});
    } catch (...) {
        // The caller hears that it failed, not what our insides look like.
        const Error error = to_error(std::current_exception());
        log::error("rpc.method_failed", {{"method", method}, {"error", error.what()}});
        respond(Error(errc::internal, std::string(method)));
    }
}

void detail::throw_if_late() {
    if (current->deadline <= current->executor->now())
        throw Error(errc::timed_out, "its caller no longer waits");
}

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
    (void)gyre::detail::spawn(
        *callee.scope,
        method.serve(callee.object, call.arguments, call.form, *callee.queue, std::move(respond)),
        context);
}

}  // namespace gyre::rpc

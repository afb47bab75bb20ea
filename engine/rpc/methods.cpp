#include <gyre/codec/json.hpp>
#include <gyre/config/secrets.hpp>
#include <gyre/log/log.hpp>
#include <gyre/rpc/methods.hpp>
#include <gyre/trace/failed.hpp>

namespace gyre::rpc {
namespace {

constexpr std::size_t arguments_bytes_max = 2'048;

/// The same with what is at keys that look secret replaced, and addresses with a password in them.
Bytes without_secrets(BytesView encoded) {
    struct Open {
        std::size_t left;  // values to come, keys included
        bool map;
    };
    Reader reader(encoded);
    Writer writer(Form::names);
    std::vector<Open> open{{1, false}};
    bool hide = false;
    while (!open.empty()) {
        Open& in = open.back();
        if (in.left == 0) {
            open.pop_back();
            continue;
        }
        const bool key = in.map && in.left-- % 2 == 0;
        if (!in.map) --in.left;
        if (std::exchange(hide, false)) {
            if (!reader.skip()) return {};
            writer.text(config::secret_shown);
            continue;
        }
        const BytesView before = reader.rest();
        Token token;
        if (!reader.next(token)) return {};
        const std::string_view text = token.kind == Kind::text ? std::string_view(reinterpret_cast<const char*>(token.bytes.data()), token.bytes.size()) : std::string_view();
        hide = key && config::is_secret_name(text);
        if (config::has_credentials(text)) writer.text(config::secret_shown);
        else writer.encoded(before.first(before.size() - reader.left()));
        if (token.kind == Kind::array) open.push_back({token.count, false});
        if (token.kind == Kind::map) open.push_back({2 * token.count, true});
    }
    return writer.take();
}

/// "[7,{\"text\":\"hello\"}]"
std::string arguments_text(const detail::Arguments& arguments) try {
    if (!arguments.named) return "not read";
    if (!arguments.values) return "(secret)";
    const auto json = msgpack_to_json(without_secrets(arguments.named(arguments)));
    if (!json) return "not kept: more than " + std::to_string(detail::Arguments::kept_max) + " bytes";
    std::string text = *json;
    if (text.size() > arguments_bytes_max) text = text.substr(0, arguments_bytes_max) + "...";
    return text;
} catch (...) {
    return "cannot be told";
}

bool allowed(Caller rule, const CallerId& from, EntityId entity) {
    switch (rule) {
        case Caller::anyone: return true;
        case Caller::owner: return !from.is_client() || (entity != 0 && from.entity == entity);
        case Caller::server: return !from.is_client();
    }
    return false;
}

}  // namespace

void detail::answer_bad_arguments(const Reader& reader, std::string_view method, Serving& call) {
    const Error error(errc::bad_arguments, reader.error_message(method));
    if (call.stats) ++call.stats->failed;
    if (!call.respond.wanted())
        log::warn("rpc.notify_failed", {{"method", method}, {"error", error.what()}});
    call.respond(error);
}

void detail::answer_failure(std::string_view method, Serving& call, const Arguments& arguments) {
    if (call.stats) ++call.stats->failed;
    const auto failure = std::current_exception();
    try {
        throw;
    } catch (const Error& error) {
        const Error* why = error.is(errc::cancelled) && current ? current->scope->why_cancelled() : nullptr;
        if (call.respond.wanted()) call.respond(why ? *why : error);
        else if (!error.is(errc::cancelled))
            trace::failed(log::Level::warn, "rpc.notify_failed", failure, {{"method", method}});
    } catch (...) {
        // The caller hears that it failed, not what our insides look like.
        trace::failed("rpc.method_failed", failure, {{"method", method}, {"arguments", arguments_text(arguments)}});
        call.respond(Error(errc::internal, std::string(method)));
    }
}

void detail::throw_if_late() {
    if (current->deadline <= current->executor->now())
        throw Error(errc::timed_out, "its caller no longer waits");
}

namespace {
bool over_limit(const Callee& callee, Responder& respond) {
    const MethodEntry& method = *callee.method;
    const Limit& limit = method.limit;
    const auto refuse = [&](std::uint32_t most, std::string_view unit) {
        if (callee.stats) ++callee.stats->refused;
        respond(Error(errc::overloaded, std::string(method.full_name) + ": more than " +
                                            std::to_string(most) + std::string(unit)));
        return true;
    };
    if (limit.at_once && callee.limit->running >= limit.at_once)
        return refuse(limit.at_once, " calls at once");
    if (limit.per_second) {
        const TimePoint now = callee.scope->executor().now();
        auto& rate = callee.limit->rate;
        if (!rate) rate.emplace(limit.per_second, now);
        if (!rate->take(now)) return refuse(limit.per_second, " calls a second");
    }
    return false;
}
}  // namespace

void run_call(const Callee& callee, const IncomingCall& call, Responder respond) {
    const MethodEntry& method = *callee.method;
    if (!allowed(method.caller, call.caller, callee.entity)) {
        if (callee.stats) ++callee.stats->refused;
        log::warn("rpc.forbidden", {{"method", method.full_name}, {"session", call.caller.session}});
        respond(Error(errc::forbidden,
                      std::string(method.full_name) + " is not for this caller"));
        return;
    }
    if (callee.limit && over_limit(callee, respond)) return;
    Context context = callee.context ? *callee.context : callee.scope->context();
    context.executor = &callee.scope->executor();
    context.scope = callee.scope;
    context.deadline = call.deadline;
    context.session = call.caller.session;
    context.caller = call.caller.entity;
    context.trace = call.trace;
    context.call = respond.call();
    if (log::enabled(log::Level::trace)) [[unlikely]] {
        const ContextGuard inside(&context);
        log::trace("rpc.called", {{"method", method.full_name}});
    }
    const auto running = gyre::detail::spawn(
        *callee.scope,
        method.serve(callee.object, call.arguments,
                     Serving(callee.queue, std::move(respond), call.form, callee.stats,
                             callee.limit ? &callee.limit->running : nullptr)),
        context);
    if (method.restartable) running.chain().set_restartable();
}

}  // namespace gyre::rpc

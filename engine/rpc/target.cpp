#include <gyre/rpc/target.hpp>

namespace gyre::rpc {

void Responder::operator()(const Error& error) {
    Sink* sink = take();
    if (!sink) return;
    // The callee was cancelled, not its caller, who would take it for its own end.
    if (error.is(errc::cancelled))
        sink->fail(answered_, Error(errc::disconnected, "the callee ended while the call ran"));
    else
        sink->fail(answered_, error);
}

void Responder::operator()(BytesView encoded) {
    write_result([&](Writer& writer) {
        if (encoded.empty()) writer.nil();
        else writer.encoded(encoded);
    });
}

void Responder::dropped() { (*this)(Error(errc::internal, "the call was dropped")); }

}  // namespace gyre::rpc

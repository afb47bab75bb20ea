// Bytes from outside against the whole server connection and the client's response parser.
#include <gyre/web/detail/memory_io.hpp>
#include <gyre/web/detail/parser.hpp>
#include <gyre/web/server.hpp>

using namespace gyre;

namespace {
Task<web::Response> echo(web::Request request) { co_return web::Response::text(request.body); }
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const BytesView bytes(data + 1, size - 1);
    web::test::MemoryIo io;
    io.piece_bytes = data[0] + 1u;
    Scope scope(io.executor(), "fuzz");
    {
        web::Server server(io, scope, {.endpoint = {"127.0.0.1", 80}});
        server.route("POST", "/{a}", echo);
        server.route("GET", "/{a}", echo);
        server.listen().value();
        web::test::RawPeer peer(io, {"127.0.0.1", 80});
        const std::string reply = peer.say(as_text(bytes));
        GYRE_ASSERT(reply.empty() || reply.starts_with("HTTP/1.1 "), "an answer is HTTP");
        io.advance(Duration(61s));  // whatever it was, its time is over
        GYRE_ASSERT(server.connections() == 0, "a connection outlived its limits");
    }
    io.settle();

    auto parser = web::detail::Parser::of_responses({});
    std::string input;
    for (std::size_t at = 0; at < bytes.size(); at += io.piece_bytes) {
        input.append(as_text(bytes.subspan(at, std::min(io.piece_bytes, bytes.size() - at))));
        const auto step = parser->parse(input);
        GYRE_ASSERT(parser->body.size() <= bytes.size(), "a body out of nothing");
        if (step == web::detail::Parser::Step::failed) return 0;
        if (step == web::detail::Parser::Step::done) parser->reset();
    }
    (void)parser->end();
    return 0;
}

#pragma once
#include <functional>
#include <gyre/io/io.hpp>
#include <gyre/secure/handshake.hpp>
#include <memory>

namespace gyre::net {

/// Of a server: what it answers to a client's payload, or why it refuses it. The client is told both,
/// and knows that it was this server. Called on the loop; must not wait.
using Greet = std::function<Result<Bytes>(BytesView client_payload)>;

/// A stream that nobody on the way can read or change, and what the other end said in the handshake.
struct SealedStream {
    std::unique_ptr<io::Stream> stream;  ///< Not started.
    Bytes payload;
};

/// Seals a stream (protocol/session.md): what a loop turn writes leaves as one record, at most 16 KiB.
/// A stream that ends without its other end having closed it says so. The payload travels encrypted, but
/// whoever recorded it may send it again: it is for versions and names, never for credentials.
///
/// Errors: unauthorized (the other end does not hold the key, or bytes were changed on the way),
/// update_required (another protocol version), bad_data, disconnected, cancelled; what `greet` refused with.
Task<SealedStream> seal_client(io::Io& io, std::unique_ptr<io::Stream> stream,
                               secure::ClientHandshake handshake, Bytes payload);
/// Ends once the client has shown that it is there: its first message may be a recording.
Task<SealedStream> seal_server(io::Io& io, std::unique_ptr<io::Stream> stream,
                               secure::ServerHandshake handshake, Greet greet);

/// In place of a handshake: tells a client why there will be none, and closes. It cannot know who said so.
/// Codes a client believes: overloaded, closed, update_required.
void refuse_stream(io::Stream& stream, const Error& reason);

/// Fresh random bytes for one handshake.
secure::Seed fresh_seed(io::Io& io);

}  // namespace gyre::net

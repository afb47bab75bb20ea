#pragma once
#include <gyre/web/message.hpp>
#include <memory>

namespace gyre::web {

struct ClientConfig {
    std::size_t max_header_bytes = 16 * 1024;
    std::size_t max_body_bytes = 8 * 1024 * 1024;  ///< Of a response; a stream has no limit.
    std::size_t max_unread_bytes = 256 * 1024;     ///< A stream is paused beyond it.
    std::size_t max_idle_connections = 8;          ///< Kept open per endpoint.
    Duration connect_limit = 3s;
    Duration idle_limit = 30s;  ///< A kept connection is closed after it.
};

/// A response whose body is read as it arrives. Destroying it ends the connection.
class StreamingResponse {
public:
    std::uint16_t status = 0;
    Headers headers;

    /// What arrived since the last call, at least a byte; nullopt at the end of the body.
    /// Errors: disconnected (cut before its end), bad_data, cancelled.
    Task<std::optional<Bytes>> next();

    class Source;
    explicit StreamingResponse(std::unique_ptr<Source> source);
    StreamingResponse(StreamingResponse&&) noexcept;
    StreamingResponse& operator=(StreamingResponse&&) noexcept;
    ~StreamingResponse();

private:
    std::unique_ptr<Source> source_;
};

/// HTTP/1.1 requests over kept connections. Use on the loop of `io` only, inside of tasks.
///
///     web::Client client(io);
///     auto reply = co_await client.request({"POST", "http://127.0.0.1:8080/login", {}, json});
///
/// Any status is a Response. Sent again only when a kept connection turns out to be closed: before
/// anything was sent, or before the first byte came back when the method is idempotent.
/// Errors: bad_arguments (names what), refused, timed_out and disconnected (it may have run),
/// too_large, bad_data, cancelled.
class Client {
public:
    explicit Client(io::Io& io, ClientConfig config = {});
    ~Client();
    Client(const Client&) = delete;

    /// `limit`: from here to the last byte.
    Task<Response> request(Request request, Duration limit = 10s);
    /// `limit`: until the header of the response has arrived.
    Task<StreamingResponse> stream(Request request, Duration limit = 10s);

    class Pool;

private:
    std::shared_ptr<Pool> pool_;
};

}  // namespace gyre::web

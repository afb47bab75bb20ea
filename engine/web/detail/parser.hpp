#pragma once
#include <gyre/web/message.hpp>
#include <memory>
#include <optional>
#include <string>

namespace gyre::web::detail {

struct Limits {
    std::size_t header_bytes = 8 * 1024;  ///< Start line and fields; the same for trailers.
    std::size_t header_fields = 100;
    std::optional<std::uint64_t> body_bytes = 64 * 1024;  ///< None: unlimited.
};

/// Why a message was refused: for a server the status to answer with.
struct Fault {
    std::uint16_t status = 0;
    std::string code, detail;
};

/// Everything before the body.
struct Head {
    std::string method, target;  ///< Of a request.
    std::uint16_t status = 0;    ///< Of a response.
    Headers headers;
    bool http_1_1 = true;
    bool keep_alive = false;
};

/// HTTP/1 messages of one direction out of bytes, in any pieces. Knows no socket and no clock.
class Parser {
public:
    enum class Step : std::uint8_t { need_more, done, failed };

    static std::unique_ptr<Parser> of_requests(Limits limits);
    static std::unique_ptr<Parser> of_responses(Limits limits);
    virtual ~Parser() = default;

    /// Forgets the message; the next bytes begin another. `no_body`: answers a HEAD.
    virtual void reset(bool no_body = false) = 0;
    /// Consumes from the front of `input` up to the end of one message. Cost: linear.
    virtual Step parse(std::string& input) = 0;
    /// The bytes ended: completes a response whose body lasts to the end, false for any other.
    virtual bool end() = 0;
    virtual bool head_done() const = 0;

    Head head;
    std::string body;  ///< What arrived of it; the user may take it away.
    Fault fault;       ///< After Step::failed.
};

/// Errors: bad_arguments, which names the field that would break the framing.
Result<std::string> write_request(const Request& request, const std::string& host,
                                  std::string_view target);
Result<std::string> write_response(const Response& response, bool no_body, bool keep_alive);

}  // namespace gyre::web::detail

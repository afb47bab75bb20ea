#pragma once
#include <gyre/base/bytes.hpp>
#include <gyre/base/id.hpp>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <string>

/// The first message of each end of a client session (protocol/session.md).
namespace gyre::session {

inline constexpr std::uint32_t protocol_version = 2;
inline constexpr std::size_t max_hello_bytes = 8 * 1024;
inline constexpr std::size_t max_names = 512;  ///< Method names numbered per direction.

struct Hello {
    std::uint32_t client_version = 0;  ///< Of the game's client, counted by the game.
    std::string credential;            ///< What the game's authentication reads: a token.
};
Bytes write_hello(const Hello& hello);
/// Errors: bad_data, too_large, update_required (another protocol version).
Result<Hello> read_hello(BytesView message);

/// The payload with which a client greets in the handshake of its link (net::Greet): a hello without a
/// credential, so that one that is too old is told before it shows a token.
inline Bytes write_greeting(std::uint32_t client_version) { return write_hello({client_version, {}}); }

struct Welcome {
    std::uint64_t session = 0;
    EntityId entity = 0;      ///< The client's own.
    std::string server_name;  ///< For logs and people.
    Duration heartbeat{};     ///< Of both ends.
};
Bytes write_welcome(const Welcome& welcome);
/// A call that came before the welcome, which it may over UDP. To be kept until then.
bool is_early_call(BytesView message);
inline constexpr std::size_t max_early_calls = 64;
/// Errors: what the server's bye says; bad_data.
Result<Welcome> read_welcome(BytesView message);

}  // namespace gyre::session

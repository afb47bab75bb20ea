#pragma once
#include <gyre/base/id.hpp>
#include <gyre/io/io.hpp>
#include <string>

namespace gyre::sdk {

/// What the account service knows a player by until the token expires.
struct LoginReply {
    std::string token;    ///< ConnectOptions::credential.
    EntityId entity = 0;  ///< The player's avatar.
    std::int64_t expires_s = 0;  ///< As the service says it.
};

/// The account service at `account`, over plain HTTP. Errors: the service's own by their code, such
/// as unauthorized, conflict, bad_arguments; refused, timed_out, disconnected, bad_data, overloaded.
Task<LoginReply> log_in(io::Io& io, io::Endpoint account, std::string name, std::string password,
                        Duration limit = 10s);
/// A new account, logged in. May have happened when it ends timed_out or disconnected.
Task<LoginReply> register_account(io::Io& io, io::Endpoint account, std::string name,
                                  std::string password, Duration limit = 10s);

}  // namespace gyre::sdk

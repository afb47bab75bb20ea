#pragma once
#include <gyre/module/gyre.hpp>

namespace gyre::account {

struct AccountStatus {
    std::uint64_t connections = 0;  ///< HTTP.
    std::uint64_t waiting = 0;      ///< Passwords to hash.
    static consteval auto describe() {
        return type<AccountStatus>("AccountStatus", field<&AccountStatus::connections>(),
                                   field<&AccountStatus::waiting>());
    }
};

/// Registers players and logs them in, over HTTP at the node's http_address:
///
///     POST /register {"name": "alice", "password": "..."} -> 201 {"token", "entity", "expires_s"}
///     POST /login    the same                             -> 200 the same
///     GET  /healthz                                       -> 200
///
/// Refusals are RFC 9457 problems: 400 no JSON, 401 unknown name or wrong password, 409 name_taken,
/// 422 names the field, 429 too many wrong passwords and 503 too busy, both with Retry-After.
struct Account : Service<Account> {
    static constexpr std::string_view role = "account";
    Task<> on_start();  ///< Errors: in_use, bad_config.
    Task<> on_stop();
    AccountStatus status();
    static consteval auto describe() {
        return type<Account>("Account", method<&Account::status>());
    }

private:
    struct Front;
    std::shared_ptr<Front> front_;
};

}  // namespace gyre::account

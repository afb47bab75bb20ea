#pragma once
#include <string_view>

namespace gyre::config {

inline constexpr std::string_view secret_shown = "(secret)";

/// The last name of `key` says so: password, secret, key, token, passphrase, uri, as words
/// ("db_password", "dbPassword", "DB_PASSWORD").
bool is_secret_name(std::string_view key);
/// An address with a password in it: "mongodb://user:password@host".
bool has_credentials(std::string_view text);

}  // namespace gyre::config

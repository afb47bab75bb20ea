#pragma once
#include <gyre/config/check.hpp>
#include <gyre/module/gyre.hpp>
#include <gyre/secure/password.hpp>
#include <gyre/web/message.hpp>
#include <map>

namespace gyre::account {

struct AccountConfig {
    static constexpr std::string_view config_section = "account";
    std::uint64_t memory_kib = 65'536;
    std::uint32_t passes = 2;
    std::uint32_t queue = 64;
    std::chrono::milliseconds wait{3000};
    std::uint32_t token_minutes = 720;
    std::uint32_t wrong_per_minute = 5;
    std::uint32_t connections = 1'024;
    std::vector<std::string> allowed_origins = {"*"};
    secure::PasswordCost cost() const { return {memory_kib * 1024, passes}; }
    static consteval auto describe() {
        return type<AccountConfig>(
            "AccountConfig",
            field<&AccountConfig::memory_kib>(range(8, 1'048'576), unit("KiB"), about("memory of one argon2id hash; under `gyre up` 19456")),
            field<&AccountConfig::passes>(range(1, 16), about("passes of one argon2id hash")),
            field<&AccountConfig::queue>(range(1, 4096), about("hashes that may wait; beyond it the answer is 503")),
            field<&AccountConfig::wait>(range(100ms, 8s), about("who would wait longer for a hash is answered 503, too")),
            field<&AccountConfig::token_minutes>(live, range(1, 43'200), unit("minutes"), about("life of a token")),
            field<&AccountConfig::wrong_per_minute>(live, range(1, 1000), about("wrong passwords for one name; beyond it the answer is 429")),
            field<&AccountConfig::connections>(range(1, 65'536), about("open HTTP connections")),
            field<&AccountConfig::allowed_origins>(about("web pages that may ask (CORS)")));
    }
};

/// What is stored, under "ZONE/NAME" with the name in lower case.
struct StoredAccount {
    std::string name;  ///< As registered.
    EntityId entity = 0;
    std::string password;  ///< argon2id hash with its salt and cost.
    std::int64_t created_ms = 0;  ///< Since 1970.
    static consteval auto describe() {
        return type<StoredAccount>("StoredAccount", field<&StoredAccount::name>(),
                                   field<&StoredAccount::entity>(), field<&StoredAccount::password>(),
                                   field<&StoredAccount::created_ms>());
    }
};

/// Body of POST /register and POST /login.
struct Credentials {
    std::string name;      ///< 3 to 24 of [A-Za-z0-9_.-]; unique whatever its case.
    std::string password;  ///< 6 to 128 bytes.
    static consteval auto describe() {
        return type<Credentials>("Credentials", field<&Credentials::name>(),
                                 field<&Credentials::password>());
    }
};

/// Answer to both.
struct Login {
    std::string token;   ///< For the gate: a JWT whose subject is `entity`.
    std::string entity;  ///< Decimal: JSON numbers are exact to 2^53 only.
    std::int64_t expires_s = 0;  ///< From now.
    static consteval auto describe() {
        return type<Login>("Login", field<&Login::token>(), field<&Login::entity>(),
                           field<&Login::expires_s>());
    }
};

struct AccountStatus {
    std::uint64_t connections = 0;  ///< HTTP.
    std::uint64_t waiting = 0;      ///< Passwords to hash.
    static consteval auto describe() {
        return type<AccountStatus>("AccountStatus", field<&AccountStatus::connections>(),
                                   field<&AccountStatus::waiting>());
    }
};

/// Wrong passwords for one name in the last minute, and those that are being checked.
struct Attempts {
    std::uint32_t wrong = 0, pending = 0;
    TimePoint since;
    static consteval auto describe() {
        return type<Attempts>("Attempts", field<&Attempts::wrong>(), field<&Attempts::pending>(),
                              field<&Attempts::since>());
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
/// Who asks cannot tell an unknown name from a wrong password, neither by the answer nor by its
/// time.
struct Account : Service<Account> {
    static constexpr std::string_view role = "account";
    Task<> on_start();  ///< Errors: in_use, bad_config.
    Task<> on_stop();
    void on_config_changed();
    AccountStatus status();

    // Of HTTP.
    Task<web::Response> enroll(web::Request request);
    Task<web::Response> log_in(web::Request request);
    web::Response health(web::Request request);

    static consteval auto describe() {
        return type<Account>("Account", field<&Account::config_>(), field<&Account::zone_>(),
                             field<&Account::dummy_>(), field<&Account::attempts_>(),
                             field<&Account::attempts_by_age_>(), field<&Account::attempts_made_>(),
                             method<&Account::status>(), method<&Account::enroll>(),
                             method<&Account::log_in>(), method<&Account::health>());
    }

private:
    class Attempt;
    Task<web::Response> answer(Task<web::Response> task);
    Task<web::Response> try_enroll(web::Request request);
    Task<web::Response> try_log_in(web::Request request);
    Task<> rehash(std::string key, std::string old_hash, std::string password);
    web::Response welcome(const StoredAccount& account, std::uint16_t status);
    std::string key_of(const std::string& name) const;
    void forget_old_attempts();

    AccountConfig config_;
    std::uint16_t zone_ = 0;
    std::string dummy_;  // takes the time of a check when nobody has the name
    std::map<std::string, Attempts> attempts_;
    std::map<std::uint64_t, std::string> attempts_by_age_;  // number -> name
    std::uint64_t attempts_made_ = 0;
};

}  // namespace gyre::account

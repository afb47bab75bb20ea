#pragma once
#include <deque>
#include <gyre/config/check.hpp>
#include <gyre/io/io.hpp>
#include <gyre/metric/registry.hpp>
#include <gyre/secure/key.hpp>
#include <gyre/secure/password.hpp>
#include <gyre/store/collection.hpp>
#include <gyre/web/server.hpp>
#include <map>

namespace gyre::account {

/// The section "account" of gyre.json.
struct AccountConfig {
    std::uint64_t memory_kib = 65'536;  ///< [8, 1 Mi], of one argon2id hash.
    std::uint32_t passes = 2;           ///< [1, 16], of one argon2id hash.
    std::uint32_t queue = 64;           ///< [1, 4096] hashes that may wait; beyond: 503, as when
    std::chrono::milliseconds wait{3000};  ///< [100 ms, 8 s] waiting would last longer.
    std::uint32_t token_minutes = 720;  ///< [1, 43200], life of a token.
    std::uint32_t wrong_per_minute = 5;   ///< [1, 1000] wrong passwords for one name; beyond: 429.
    std::uint32_t connections = 1'024;    ///< [1, 65536], HTTP.
    std::vector<std::string> allowed_origins = {"*"};  ///< Web pages that may ask (CORS).
    Result<> validate() const;
    secure::PasswordCost cost() const { return {memory_kib * 1024, passes}; }
    static consteval auto describe() {
        return type<AccountConfig>(
            "AccountConfig", field<&AccountConfig::memory_kib>(), field<&AccountConfig::passes>(),
            field<&AccountConfig::queue>(),
            field<&AccountConfig::wait>(), field<&AccountConfig::token_minutes>(),
            field<&AccountConfig::wrong_per_minute>(), field<&AccountConfig::connections>(),
            field<&AccountConfig::allowed_origins>());
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

/// Registers and logs in. Passwords are hashed one at a time on a thread of low priority. Who
/// asks cannot tell an unknown name from a wrong password, neither by the answer nor by its time.
class Accounts {
public:
    /// All outlive it.
    struct Parts {
        io::Io& io;
        store::Documents& documents;
        metric::Registry& metrics;
        secure::Key login_key;
        std::uint16_t zone = 0;
    };
    Accounts(Parts parts, AccountConfig config);

    Task<> start();  ///< Before the first request.
    void add_routes(web::Server& server);
    std::size_t waiting() const { return lane_->waiting(); }

private:
    struct Attempts {
        std::uint32_t wrong = 0, pending = 0;
        TimePoint since;
    };
    class Attempt;

    Task<web::Response> answer(Task<web::Response> task);
    Task<web::Response> enroll(web::Request request);
    Task<web::Response> log_in(web::Request request);
    Task<web::Response> health();
    Task<std::string> hash(std::string password);
    Task<bool> verify(std::string hash, std::string password);
    template <class F>
    Task<std::invoke_result_t<F&>> run_on_lane(F work);
    Task<> rehash(std::string key, std::string old_hash, std::string password);
    web::Response welcome(const StoredAccount& account, std::uint16_t status);
    std::string key_of(const std::string& name) const;
    void forget_old_attempts();

    Parts parts_;
    AccountConfig config_;
    store::Collection<StoredAccount> stored_;
    std::string dummy_;  // takes the time of a check when nobody has the name
    std::map<std::string, Attempts> attempts_;
    std::deque<std::pair<TimePoint, std::string>> attempts_by_age_;
    std::uint32_t pending_ = 0;  // passwords on the lane
    Duration each_{};  // moving average of what one hash takes, its share of the machine included
    std::unique_ptr<io::Lane> lane_;
};

}  // namespace gyre::account

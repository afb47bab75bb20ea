#include "services/account/account.hpp"

#include <algorithm>
#include <gyre/log/log.hpp>
#include <gyre/module/http_door.hpp>
#include <gyre/module/passwords.hpp>
#include <gyre/store/collection.hpp>
#include <gyre/web/jwt.hpp>

namespace gyre::account {
namespace {

constexpr std::size_t attempts_max = 65'536;
constexpr Duration attempts_window = 1min;

bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}
std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

/// What the body says, or the answer that refuses it.
std::optional<web::Response> read(const web::Request& request, Credentials& out) {
    const auto bytes = json_to_msgpack(request.body);
    if (!bytes) return web::Response::error(400, "bad_json", bytes.error().message());
    auto value = decode<Credentials>(*bytes, {.from_json = true});
    if (!value) return web::Response::error(422, errc::bad_arguments, value.error().message());
    out = *std::move(value);
    const auto refuse = [](std::string detail) {
        return web::Response::error(422, errc::bad_arguments, detail);
    };
    if (out.name.size() < 3 || out.name.size() > 24)
        return refuse("name: " + std::to_string(out.name.size()) + " bytes, expected 3 to 24");
    if (!std::all_of(out.name.begin(), out.name.end(), is_name_char))
        return refuse("name: expected letters a to z, digits, '_', '.' and '-' only");
    if (out.password.size() < 6 || out.password.size() > 128)
        return refuse("password: " + std::to_string(out.password.size()) +
                      " bytes, expected 6 to 128");
    return std::nullopt;
}

store::Collection<StoredAccount> stored() { return {this_node().store.documents(), "accounts"}; }
TimePoint clock() { return this_node().io.now(); }

web::Response name_taken(const std::string& name) {
    return web::Response::error(409, "name_taken", "name: \"" + name + "\" belongs to somebody");
}

}  // namespace

/// One password that is being checked; counted, so that many at once are no way around the limit.
class Account::Attempt {
public:
    Attempt(Account& account, const std::string& key) : account_(account), key_(key) {
        account_.forget_old_attempts();
        const TimePoint now = clock();
        const auto [at, fresh] = account_.attempts_.try_emplace(key_);
        if (fresh) {
            at->second.since = now;
            account_.attempts_by_age_.emplace(++account_.attempts_made_, key_);
        }
        auto& attempts = at->second;
        if (attempts.wrong + attempts.pending >= account_.config_.wrong_per_minute)
            wait_ = attempts.wrong == 0 ? Duration(1s) : attempts.since + attempts_window - now;
        else
            ++attempts.pending;
    }
    ~Attempt() {
        if (wait_ > Duration::zero()) return;
        if (auto* attempts = find(); attempts && attempts->pending > 0) --attempts->pending;
    }
    Attempt(const Attempt&) = delete;
    /// How long to wait before the next; zero: go on.
    Duration wait() const { return wait_; }
    void wrong() {
        if (auto* attempts = find()) ++attempts->wrong;
    }
    void right() {
        if (auto* attempts = find()) attempts->wrong = 0;
    }

private:
    Attempts* find() {
        const auto at = account_.attempts_.find(key_);
        return at == account_.attempts_.end() ? nullptr : &at->second;
    }
    Account& account_;
    const std::string key_;
    Duration wait_{};
};

Task<> Account::on_start() {
    auto& here = this_node();
    // Checked with the rest of its section before any node starts; not there: 0.
    const auto zone = here.config.as<std::uint16_t>("cluster.zone");
    zone_ = zone ? *zone : std::uint16_t{0};
    config_ = here.config.as<AccountConfig>().value();
    module::Passwords::open({.cost = config_.cost(), .queue = config_.queue, .wait = config_.wait});
    dummy_ = co_await passwords().hash("nobody has this password");
    http().route<&Account::enroll>("POST", "/register");
    http().route<&Account::log_in>("POST", "/login");
    http().route<&Account::health>("GET", "/healthz");
    http().open({.max_connections = config_.connections, .allowed_origins = config_.allowed_origins});
    log::info("account.listening", {{"http", here.info.http_address.to_string()}});
}

Task<> Account::on_stop() { co_await http().close(2s); }

void Account::on_config_changed() {
    const auto next = this_node().config.as<AccountConfig>().value();
    config_.token_minutes = next.token_minutes;
    config_.wrong_per_minute = next.wrong_per_minute;
}

AccountStatus Account::status() { return {http().connections(), passwords().waiting()}; }

Task<web::Response> Account::enroll(web::Request request) { return answer(try_enroll(std::move(request))); }
Task<web::Response> Account::log_in(web::Request request) { return answer(try_log_in(std::move(request))); }
web::Response Account::health(web::Request) { return web::Response::text("ok\n"); }

/// A full queue is no failure of the server: it is answered, counted and not logged.
Task<web::Response> Account::answer(Task<web::Response> task) {
    try {
        co_return co_await std::move(task);
    } catch (const Error& error) {
        if (!error.is(errc::overloaded)) throw;
    }
    this_node().metrics.counter("gyre_account_busy_total").add();
    co_return web::Response::error(503, errc::overloaded, "too many log in at once");
}

Task<web::Response> Account::try_enroll(web::Request request) {
    Credentials asked;
    if (auto refused = read(request, asked)) co_return *std::move(refused);
    const std::string key = key_of(asked.name);
    if (co_await stored().find(key)) co_return name_taken(asked.name);  // spares the hash
    StoredAccount account;
    account.name = asked.name;
    account.password = co_await passwords().hash(std::move(asked.password));
    account.entity = make_entity_id(zone_, this_node().io.random_u64());
    account.created_ms = this_node().io.wall_now().time_since_epoch() / 1ms;
    const auto inserted = co_await as_result(stored().insert(key, account));
    if (!inserted) {
        if (inserted.error().is(errc::conflict)) co_return name_taken(account.name);
        throw inserted.error();
    }
    log::info("account.registered", {{"name", account.name}, {"entity", account.entity}});
    co_return welcome(account, 201);
}

Task<web::Response> Account::try_log_in(web::Request request) {
    Credentials asked;
    if (auto refused = read(request, asked)) co_return *std::move(refused);
    const std::string key = key_of(asked.name);
    Attempt attempt(*this, key);
    if (attempt.wait() > Duration::zero()) {
        this_node().metrics.counter("gyre_account_throttled_total").add();
        auto answer = web::Response::error(429, "too_many_attempts",
                                           "name: too many wrong passwords, wait");
        answer.headers.set("Retry-After", std::to_string((attempt.wait() + 999ms) / 1s));
        co_return answer;
    }
    auto account = co_await stored().find(key);
    const bool right = co_await passwords().verify(account ? account->password : dummy_, asked.password);
    if (!account || !right) {
        attempt.wrong();
        this_node().metrics.counter("gyre_account_wrong_total").add();
        co_return web::Response::error(401, errc::unauthorized, "unknown name or wrong password");
    }
    attempt.right();
    if (secure::needs_rehash(account->password, config_.cost()))
        co_await rehash(key, account->password, std::move(asked.password));
    co_return welcome(*account, 200);
}

/// Best effort: whoever logs in does not fail for it.
Task<> Account::rehash(std::string key, std::string old_hash, std::string password) {
    auto raise = [](std::string key_, std::string old, std::string text) -> Task<> {
        const std::string fresh = co_await passwords().hash(std::move(text));
        (void)co_await stored().update(key_, [&](StoredAccount& account) {
            if (account.password == old) account.password = fresh;
        });
    };
    const auto raised =
        co_await as_result(raise(std::move(key), std::move(old_hash), std::move(password)));
    if (!raised && !raised.error().is(errc::overloaded))
        log::warn("account.rehash_failed", {{"error", raised.error().what()}});
}

web::Response Account::welcome(const StoredAccount& account, std::uint16_t status) {
    const auto life = std::chrono::minutes(config_.token_minutes);
    const auto now = std::chrono::floor<std::chrono::seconds>(this_node().io.wall_now().time_since_epoch());
    web::JwtClaims claims;
    claims.issuer = "gyre";
    claims.audience = "gate";
    claims.subject = std::to_string(account.entity);
    claims.issued_at_s = now.count();
    claims.expires_at_s = (now + life).count();
    claims.extra["name"] = account.name;
    this_node().metrics.counter(status == 201 ? "gyre_account_registered_total" : "gyre_account_logins_total")
        .add();
    return web::Response::json(Login{web::jwt_sign(claims, this_node().keys.login.bytes()), claims.subject,
                                     std::chrono::seconds(life).count()},
                               status);
}

std::string Account::key_of(const std::string& name) const {
    return std::to_string(zone_) + "/" + lower(name);
}

void Account::forget_old_attempts() {
    const TimePoint now = clock();
    while (!attempts_by_age_.empty()) {
        const auto oldest = attempts_by_age_.begin();
        const auto at = attempts_.find(oldest->second);
        if (at->second.since + attempts_window > now && attempts_by_age_.size() < attempts_max) break;
        attempts_.erase(at);
        attempts_by_age_.erase(oldest);
    }
}

}  // namespace gyre::account

GYRE_MODULE("account", gyre::account::Account, gyre::account::AccountConfig)

#include "services/account/accounts.hpp"

#include <algorithm>
#include <gyre/log/log.hpp>
#include <gyre/task/sync.hpp>
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

web::Response name_taken(const std::string& name) {
    return web::Response::error(409, "name_taken", "name: \"" + name + "\" belongs to somebody");
}

}  // namespace

Result<> AccountConfig::validate() const {
    return config::Check()
        .range("memory_kib", memory_kib, 8, 1'048'576)
        .range("passes", passes, 1, 16)
        .range("queue", queue, 1, 4'096)
        .range("wait", wait, 100ms, 8s)
        .range("token_minutes", token_minutes, 1, 43'200)
        .range("wrong_per_minute", wrong_per_minute, 1, 1'000)
        .range("connections", connections, 1, 65'536);
}

/// One password that is being checked; counted, so that many at once are no way around the limit.
class Accounts::Attempt {
public:
    Attempt(Accounts& accounts, const std::string& key) : accounts_(accounts), key_(key) {
        accounts_.forget_old_attempts();
        const TimePoint now = accounts_.parts_.io.now();
        const auto [at, fresh] = accounts_.attempts_.try_emplace(key_);
        if (fresh) {
            at->second.since = now;
            accounts_.attempts_by_age_.emplace_back(now, key_);
        }
        auto& attempts = at->second;
        if (attempts.wrong + attempts.pending >= accounts_.config_.wrong_per_minute)
            wait_ = attempts.wrong == 0 ? Duration(1s) : attempts.since + attempts_window - now;
        else
            ++attempts.pending;
    }
    ~Attempt() {
        if (wait_ > Duration::zero()) return;
        if (const auto at = accounts_.attempts_.find(key_);
            at != accounts_.attempts_.end() && at->second.pending > 0)
            --at->second.pending;
    }
    Attempt(const Attempt&) = delete;
    /// How long to wait before the next; zero: go on.
    Duration wait() const { return wait_; }
    void wrong() {
        if (const auto at = accounts_.attempts_.find(key_); at != accounts_.attempts_.end())
            ++at->second.wrong;
    }
    void right() {
        if (const auto at = accounts_.attempts_.find(key_); at != accounts_.attempts_.end())
            at->second.wrong = 0;
    }

private:
    Accounts& accounts_;
    const std::string key_;
    Duration wait_{};
};

Accounts::Accounts(Parts parts, AccountConfig config)
    : parts_(std::move(parts)),
      config_(std::move(config)),
      stored_(parts_.documents, "accounts"),
      lane_(parts_.io.make_lane({.name = "password",
                                 .threads = 1,
                                 .queue_limit = config_.queue,
                                 .low_priority = true})) {}

Task<> Accounts::start() { dummy_ = co_await hash("nobody has this password"); }

void Accounts::add_routes(web::Server& server) {
    server.route("POST", "/register", [this](web::Request r) { return answer(enroll(std::move(r))); });
    server.route("POST", "/login", [this](web::Request r) { return answer(log_in(std::move(r))); });
    server.route("GET", "/healthz", [this](web::Request) { return health(); });
}

/// A full queue is no failure of the server: it is answered, counted and not logged.
Task<web::Response> Accounts::answer(Task<web::Response> task) {
    try {
        co_return co_await std::move(task);
    } catch (const Error& error) {
        if (!error.is(errc::overloaded)) throw;
    }
    parts_.metrics.counter("gyre_account_busy_total").add();
    co_return web::Response::error(503, errc::overloaded, "too many log in at once");
}

Task<web::Response> Accounts::health() { co_return web::Response::text("ok\n"); }

Task<web::Response> Accounts::enroll(web::Request request) {
    Credentials asked;
    if (auto refused = read(request, asked)) co_return *std::move(refused);
    const std::string key = key_of(asked.name);
    if (co_await stored_.find(key)) co_return name_taken(asked.name);  // spares the hash
    StoredAccount account;
    account.name = asked.name;
    account.password = co_await hash(std::move(asked.password));
    account.entity = make_entity_id(parts_.zone, parts_.io.random_u64());
    account.created_ms = parts_.io.wall_now().time_since_epoch() / 1ms;
    const auto inserted = co_await as_result(stored_.insert(key, account));
    if (!inserted) {
        if (inserted.error().is(errc::conflict)) co_return name_taken(account.name);
        throw inserted.error();
    }
    log::info("account.registered", {{"name", account.name}, {"entity", account.entity}});
    co_return welcome(account, 201);
}

Task<web::Response> Accounts::log_in(web::Request request) {
    Credentials asked;
    if (auto refused = read(request, asked)) co_return *std::move(refused);
    const std::string key = key_of(asked.name);
    Attempt attempt(*this, key);
    if (attempt.wait() > Duration::zero()) {
        parts_.metrics.counter("gyre_account_throttled_total").add();
        auto answer = web::Response::error(429, "too_many_attempts",
                                           "name: too many wrong passwords, wait");
        answer.headers.set("Retry-After", std::to_string((attempt.wait() + 999ms) / 1s));
        co_return answer;
    }
    auto account = co_await stored_.find(key);
    const bool right = co_await verify(account ? account->password : dummy_, asked.password);
    if (!account || !right) {
        attempt.wrong();
        parts_.metrics.counter("gyre_account_wrong_total").add();
        co_return web::Response::error(401, errc::unauthorized, "unknown name or wrong password");
    }
    attempt.right();
    if (secure::needs_rehash(account->password, config_.cost()))
        co_await rehash(key, account->password, std::move(asked.password));
    co_return welcome(*account, 200);
}

/// Best effort: whoever logs in does not fail for it.
Task<> Accounts::rehash(std::string key, std::string old_hash, std::string password) {
    auto raise = [](Accounts* self, std::string key_, std::string old, std::string text) -> Task<> {
        const std::string fresh = co_await self->hash(std::move(text));
        (void)co_await self->stored_.update(key_, [&](StoredAccount& account) {
            if (account.password == old) account.password = fresh;
        });
    };
    const auto raised =
        co_await as_result(raise(this, std::move(key), std::move(old_hash), std::move(password)));
    if (!raised && !raised.error().is(errc::overloaded))
        log::warn("account.rehash_failed", {{"error", raised.error().what()}});
}

/// Refuses at once what would wait too long: on a busy machine a thread of low priority gets little.
template <class F>
Task<std::invoke_result_t<F&>> Accounts::run_on_lane(F work) {
    const auto ahead = static_cast<std::int64_t>(pending_);
    if (ahead > 0 && each_ * (ahead + 1) > config_.wait)
        throw Error(errc::overloaded, "passwords wait for " + std::to_string(each_ * ahead / 1ms) + " ms");
    const TimePoint began = parts_.io.now();
    struct Count {
        explicit Count(std::uint32_t& n) : pending(n) { ++pending; }
        ~Count() { --pending; }
        std::uint32_t& pending;
    } count(pending_);
    auto result = co_await lane_->run(std::move(work));
    each_ += ((parts_.io.now() - began) / (ahead + 1) - each_) / 8;
    co_return result;
}

Task<std::string> Accounts::hash(std::string password) {
    secure::PasswordSalt salt;
    parts_.io.random(salt);
    auto made = co_await run_on_lane([password = std::move(password), cost = config_.cost(), salt] {
        return secure::hash_password(password, cost, salt);
    });
    co_return std::move(made).value();
}

Task<bool> Accounts::verify(std::string hash, std::string password) {
    co_return co_await run_on_lane([hash = std::move(hash), password = std::move(password)] {
        return secure::verify_password(hash, password);
    });
}

web::Response Accounts::welcome(const StoredAccount& account, std::uint16_t status) {
    const auto life = std::chrono::minutes(config_.token_minutes);
    const auto now = std::chrono::floor<std::chrono::seconds>(parts_.io.wall_now().time_since_epoch());
    web::JwtClaims claims;
    claims.issuer = "gyre";
    claims.audience = "gate";
    claims.subject = std::to_string(account.entity);
    claims.issued_at_s = now.count();
    claims.expires_at_s = (now + life).count();
    claims.extra["name"] = account.name;
    parts_.metrics.counter(status == 201 ? "gyre_account_registered_total" : "gyre_account_logins_total")
        .add();
    return web::Response::json(Login{web::jwt_sign(claims, parts_.login_key.bytes()), claims.subject,
                                     std::chrono::seconds(life).count()},
                               status);
}

std::string Accounts::key_of(const std::string& name) const {
    return std::to_string(parts_.zone) + "/" + lower(name);
}

void Accounts::forget_old_attempts() {
    const TimePoint now = parts_.io.now();
    while (!attempts_by_age_.empty() && (attempts_by_age_.front().first + attempts_window <= now ||
                                         attempts_by_age_.size() >= attempts_max)) {
        attempts_.erase(attempts_by_age_.front().second);
        attempts_by_age_.pop_front();
    }
}

}  // namespace gyre::account

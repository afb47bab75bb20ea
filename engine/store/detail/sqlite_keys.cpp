#include <charconv>
#include <gyre/store/detail/sqlite_documents.hpp>
#include <limits>

namespace gyre::store::detail {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

/// A key, the moment of the call and when the value is to expire, in ms since 1970.
struct Entry {
    Entry(io::Io& io, std::string k, Duration ttl = Keys::forever) : key(std::move(k)) {
        check_key("key", key);
        now_ms =
            std::chrono::duration_cast<std::chrono::milliseconds>(io.wall_now().time_since_epoch())
                .count();
        const auto ttl_ms = std::chrono::ceil<std::chrono::milliseconds>(ttl).count();
        expires_ms = ttl == Keys::forever ? never : now_ms + ttl_ms;
    }
    std::string key;
    std::int64_t now_ms = 0;
    std::int64_t expires_ms = never;
};

struct Found {
    std::string value;
    std::int64_t expires_ms;
};

std::optional<Found> find_key(Connection& db, const Entry& entry) {
    Query query(db, "SELECT value, expires_ms FROM keys WHERE key = ? AND expires_ms > ?");
    if (!query.text(entry.key).integer(entry.now_ms).step()) return std::nullopt;
    return Found{std::string(query.column_text(0)), query.column_integer(1)};
}

void put_key(Connection& db, const Entry& entry, std::string_view value, std::int64_t expires_ms) {
    // Each new value sweeps a few that are over: the table stays as small as what lives.
    Query(db,
          "DELETE FROM keys WHERE rowid IN "
          "(SELECT rowid FROM keys WHERE expires_ms <= ? ORDER BY expires_ms LIMIT 8)")
        .integer(entry.now_ms)
        .run();
    Query query(db,
                "INSERT INTO keys(key, expires_ms, value) VALUES(?, ?, ?) ON CONFLICT(key) "
                "DO UPDATE SET expires_ms = excluded.expires_ms, value = excluded.value");
    query.text(entry.key).integer(expires_ms).blob(as_bytes(value)).run();
}

std::int64_t increment_key(Connection& db, const Entry& entry, std::int64_t by) {
    const auto found = find_key(db, entry);
    std::int64_t sum = 0;
    if (found) {
        const char* end = found->value.data() + found->value.size();
        const auto parsed = std::from_chars(found->value.data(), end, sum);
        if (parsed.ec != std::errc() || parsed.ptr != end)
            throw Error(errc::bad_data, "store: the value of key " + entry.key + " is no number");
    }
    if (__builtin_add_overflow(sum, by, &sum))
        throw Error(errc::bad_data, "store: the value of key " + entry.key + " leaves 64 bits");
    put_key(db, entry, std::to_string(sum), found ? found->expires_ms : entry.expires_ms);
    return sum;
}

class SqliteKeys : public Keys {
public:
    explicit SqliteKeys(std::shared_ptr<GroupCommit> commits) : commits_(std::move(commits)) {}

    Task<std::optional<std::string>> get(std::string key) override {
        const Entry entry(commits_->io(), std::move(key));
        auto found = co_await commits_->read([&](Connection& db) { return find_key(db, entry); });
        if (!found) co_return std::nullopt;
        co_return std::move(found->value);
    }
    Task<> put(std::string key, std::string value, Duration ttl) override {
        const Entry entry(commits_->io(), std::move(key), ttl);
        check_value(entry.key, value.size());
        co_await commits_->write(
            [&](Connection& db) { put_key(db, entry, value, entry.expires_ms); });
    }
    Task<bool> put_if_absent(std::string key, std::string value, Duration ttl) override {
        const Entry entry(commits_->io(), std::move(key), ttl);
        check_value(entry.key, value.size());
        co_return co_await commits_->write([&](Connection& db) {
            if (find_key(db, entry)) return false;
            put_key(db, entry, value, entry.expires_ms);
            return true;
        });
    }
    Task<bool> erase(std::string key) override {
        const Entry entry(commits_->io(), std::move(key));
        co_return co_await commits_->write([&](Connection& db) {
            const bool lived = find_key(db, entry).has_value();
            Query(db, "DELETE FROM keys WHERE key = ?").text(entry.key).run();
            return lived;
        });
    }
    Task<std::int64_t> increment(std::string key, std::int64_t by, Duration ttl) override {
        const Entry entry(commits_->io(), std::move(key), ttl);
        co_return co_await commits_->write(
            [&](Connection& db) { return increment_key(db, entry, by); });
    }

private:
    std::shared_ptr<GroupCommit> commits_;
};

}  // namespace

std::unique_ptr<Keys> make_sqlite_keys(std::shared_ptr<GroupCommit> commits) {
    return std::make_unique<SqliteKeys>(std::move(commits));
}

}  // namespace gyre::store::detail

#include <gyre/store/detail/sqlite_documents.hpp>

namespace gyre::store::detail {
namespace {

using Epoch = std::optional<std::uint64_t>;

struct Place {
    Place(std::string c, std::string k) : collection(std::move(c)), key(std::move(k)) {
        check_key("collection", collection);
        check_key("key", key);
    }
    std::string collection, key;
    std::string name() const { return collection + "/" + key; }
};

Document row(const Query& query, std::string key) {
    const BytesView value = query.column_blob(4);
    Document document;
    document.key = std::move(key);
    document.version = query.column_unsigned(0);
    document.epoch = query.column_unsigned(1);
    document.owner = {std::string(query.column_text(2)), query.column_unsigned(3)};
    document.value.assign(value.begin(), value.end());
    return document;
}

std::optional<Document> find_row(Connection& db, const Place& place) {
    Query query(db,
                "SELECT version, epoch, node, incarnation, value FROM documents "
                "WHERE collection = ? AND key = ?");
    if (!query.text(place.collection).text(place.key).step()) return std::nullopt;
    return row(query, place.key);
}

Document insert_row(Connection& db, const Place& place, const Bytes& value, const Owner& owner,
                    std::uint64_t epoch) {
    Query query(db,
                "INSERT INTO documents(collection, key, version, epoch, node, incarnation, "
                "value) VALUES(?, ?, 1, ?, ?, ?, ?)");
    query.text(place.collection).text(place.key).integer(epoch).text(owner.node);
    query.integer(owner.incarnation).blob(value).run();
    Document document;
    document.key = place.key;
    document.value = value;
    document.version = 1;
    document.owner = owner;
    document.epoch = epoch;
    return document;
}

std::string holder(const Document& document) {
    const std::string epoch = ", epoch=" + std::to_string(document.epoch);
    if (document.owner.node.empty()) return "held by nobody" + epoch;
    return "held by node=" + document.owner.node +
           " incarnation=" + std::to_string(document.owner.incarnation) + epoch;
}

[[noreturn]] void throw_fenced(Connection& db, const Place& place, std::uint64_t epoch) {
    const auto found = find_row(db, place);
    throw Error(errc::fenced, place.name() + " is " + (found ? holder(*found) : "erased") +
                                  "; the caller has epoch=" + std::to_string(epoch));
}

Document claim_row(Connection& db, const Place& place, const Owner& me, Epoch expected,
                   const std::optional<Bytes>& initial) {
    auto document = find_row(db, place);
    if (!document) {
        if (!initial) throw Error(errc::not_found, place.name());
        return insert_row(db, place, *initial, me, 1);
    }
    if (expected ? document->epoch != *expected : !document->owner.node.empty())
        throw Error(errc::conflict,
                    place.name() + " is " + holder(*document) + "; expected " +
                        (expected ? "epoch=" + std::to_string(*expected) : std::string("nobody")));
    document->owner = me;
    ++document->epoch;
    Query update(db,
                 "UPDATE documents SET epoch = ?, node = ?, incarnation = ? "
                 "WHERE collection = ? AND key = ?");
    update.integer(document->epoch).text(me.node).integer(me.incarnation);
    update.text(place.collection).text(place.key).run();
    return *std::move(document);
}

void save_row(Connection& db, const Place& place, const Bytes& value, std::uint64_t epoch) {
    Query update(db,
                 "UPDATE documents SET value = ?, version = version + 1 "
                 "WHERE collection = ? AND key = ? AND epoch = ? AND node <> ''");
    update.blob(value).text(place.collection).text(place.key).integer(epoch).run();
    if (db.changes() == 0) throw_fenced(db, place, epoch);
}

void release_row(Connection& db, const Place& place, std::uint64_t epoch) {
    Query update(db,
                 "UPDATE documents SET node = '', incarnation = 0 "
                 "WHERE collection = ? AND key = ? AND epoch = ? AND node <> ''");
    update.text(place.collection).text(place.key).integer(epoch).run();
    if (db.changes() == 0) throw_fenced(db, place, epoch);
}

void replace_row(Connection& db, const Place& place, const Bytes& value, std::uint64_t version) {
    Query update(db,
                 "UPDATE documents SET value = ?, version = version + 1 "
                 "WHERE collection = ? AND key = ? AND version = ? AND node = ''");
    update.blob(value).text(place.collection).text(place.key).integer(version).run();
    if (db.changes() != 0) return;
    const auto found = find_row(db, place);
    if (found && !found->owner.node.empty())
        throw Error(errc::fenced, place.name() + " is " + holder(*found));
    throw Error(errc::conflict, place.name() + " expected_version=" + std::to_string(version) +
                                    " found_version=" +
                                    (found ? std::to_string(found->version) : std::string("none")));
}

bool erase_row(Connection& db, const Place& place, Epoch epoch) {
    const auto found = find_row(db, place);
    if (!found) return false;
    if (epoch ? found->epoch != *epoch : !found->owner.node.empty())
        throw Error(errc::fenced, place.name() + " is " + holder(*found));
    Query query(db, "DELETE FROM documents WHERE collection = ? AND key = ?");
    query.text(place.collection).text(place.key).run();
    return true;
}

std::vector<Document> list_rows(Connection& db, const std::string& collection,
                                const std::string& prefix, std::size_t limit,
                                const std::string& after) {
    std::vector<Document> documents;
    Query query(db,
                "SELECT version, epoch, node, incarnation, value, key FROM documents "
                "WHERE collection = ? AND key >= ? AND key > ? ORDER BY key");
    query.text(collection).text(prefix).text(after);
    while (documents.size() < limit && query.step()) {
        if (!query.column_text(5).starts_with(prefix)) break;
        documents.push_back(row(query, std::string(query.column_text(5))));
    }
    return documents;
}

class SqliteDocuments : public Documents {
public:
    explicit SqliteDocuments(std::shared_ptr<GroupCommit> commits) : commits_(std::move(commits)) {}

    Task<std::optional<Document>> find(std::string collection, std::string key) override {
        const Place place(std::move(collection), std::move(key));
        co_return co_await commits_->read([&](Connection& db) { return find_row(db, place); });
    }
    Task<Document> insert(std::string collection, std::string key, Bytes value) override {
        const Place place(std::move(collection), std::move(key));
        check_value(place.key, value.size());
        co_return co_await commits_->write([&](Connection& db) {
            if (const auto found = find_row(db, place))
                throw Error(errc::conflict, place.name() + " exists already, version=" +
                                                std::to_string(found->version));
            return insert_row(db, place, value, {}, 0);
        });
    }
    Task<Document> claim(std::string collection, std::string key, Owner me, Epoch expected,
                         std::optional<Bytes> initial) override {
        const Place place(std::move(collection), std::move(key));
        GYRE_ASSERT(!me.node.empty(), "nobody cannot claim a document");
        if (initial) check_value(place.key, initial->size());
        co_return co_await commits_->write(
            [&](Connection& db) { return claim_row(db, place, me, expected, initial); });
    }
    Task<> save(std::string collection, std::string key, Bytes value,
                std::uint64_t epoch) override {
        const Place place(std::move(collection), std::move(key));
        check_value(place.key, value.size());
        co_await commits_->write([&](Connection& db) { save_row(db, place, value, epoch); });
    }
    Task<> release(std::string collection, std::string key, std::uint64_t epoch) override {
        const Place place(std::move(collection), std::move(key));
        co_await commits_->write([&](Connection& db) { release_row(db, place, epoch); });
    }
    Task<> replace(std::string collection, std::string key, Bytes value,
                   std::uint64_t version) override {
        const Place place(std::move(collection), std::move(key));
        check_value(place.key, value.size());
        co_await commits_->write([&](Connection& db) { replace_row(db, place, value, version); });
    }
    Task<bool> erase(std::string collection, std::string key, Epoch epoch) override {
        const Place place(std::move(collection), std::move(key));
        co_return co_await commits_->write(
            [&](Connection& db) { return erase_row(db, place, epoch); });
    }
    Task<std::vector<Document>> list(std::string collection, std::string prefix, std::size_t limit,
                                     std::string after) override {
        check_key("collection", collection);
        co_return co_await commits_->read(
            [&](Connection& db) { return list_rows(db, collection, prefix, limit, after); });
    }

private:
    std::shared_ptr<GroupCommit> commits_;
};

}  // namespace

void check_key(std::string_view what, std::string_view key) {
    if (key.empty() || key.size() > key_bytes_max)
        throw Error(errc::bad_arguments, "store: " + std::string(what) + " of " +
                                             std::to_string(key.size()) + " bytes, allowed [1, " +
                                             std::to_string(key_bytes_max) + "]");
}

void check_value(std::string_view key, std::size_t bytes) {
    if (bytes > value_bytes_max)
        throw Error(errc::too_large, "store: value of " + std::string(key) + " has " +
                                         std::to_string(bytes) + " bytes, allowed " +
                                         std::to_string(value_bytes_max));
}

std::unique_ptr<Documents> make_sqlite_documents(std::shared_ptr<GroupCommit> commits) {
    return std::make_unique<SqliteDocuments>(std::move(commits));
}

}  // namespace gyre::store::detail

#include <gyre/store/detail/schema.hpp>

namespace gyre::store::detail {
namespace {

constexpr const char* application_id = "1199141445";  // "Gyre"
constexpr const char* schema_version = "1";

/// The value is last: the rest of a row is read without its overflow pages.
constexpr const char* schema = R"(
    CREATE TABLE documents(
        collection TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
        epoch INTEGER NOT NULL, node TEXT NOT NULL, incarnation INTEGER NOT NULL,
        value BLOB NOT NULL, PRIMARY KEY(collection, key)) STRICT;
    CREATE TABLE keys(
        key TEXT PRIMARY KEY NOT NULL, expires_ms INTEGER NOT NULL, value BLOB NOT NULL) STRICT;
    CREATE INDEX keys_by_expiry ON keys(expires_ms);
    PRAGMA application_id = 1199141445;
    PRAGMA user_version = 1;
)";

void check_schema(Connection& connection) {
    connection.execute("BEGIN IMMEDIATE");
    try {
        const auto application = connection.pragma("PRAGMA application_id");
        const auto version = connection.pragma("PRAGMA user_version");
        const auto tables = connection.pragma("SELECT count(*) FROM sqlite_schema");
        if (tables == "0" && version == "0")
            connection.execute(schema);
        else if (application != application_id)
            throw Error(corrupt, connection.path() + ": a database of another program");
        else if (version != schema_version)
            throw Error(errc::update_required, connection.path() + ": has layout " + version +
                                                   ", this build reads layout " + schema_version);
        connection.execute("COMMIT");
    } catch (...) {
        connection.roll_back();
        throw;
    }
}

}  // namespace

std::unique_ptr<Connection> open_database(const StoreConfig& config, const std::string& vfs) {
    const std::string path = config.folder + "/gyre.db";
    if (vfs.empty()) make_database_file(config.folder, path);
    auto connection =
        std::make_unique<Connection>(path, vfs, static_cast<int>(config.busy_timeout.count()));
    // A file system without shared memory stays with the rollback journal. EXTRA: what is
    // acknowledged survives a loss of power in both.
    (void)connection->pragma("PRAGMA journal_mode = WAL");
    connection->execute("PRAGMA synchronous = EXTRA");
    connection->execute("PRAGMA secure_delete = FAST");
    connection->execute("PRAGMA cache_size = -16384");
    connection->execute("PRAGMA journal_size_limit = 67108864");
    check_schema(*connection);
    return connection;
}

}  // namespace gyre::store::detail

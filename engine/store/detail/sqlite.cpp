#include <gyre/store/detail/sqlite.hpp>

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <gyre/base/assert.hpp>
#include <gyre/store/documents.hpp>

namespace gyre::store::detail {
namespace {

std::string system_text(int number) {
    return number ? std::string(" (") + std::strerror(number) + ")" : std::string();
}
bool means_full(int number) { return number == ENOSPC || number == EDQUOT; }
bool means_denied(int number) { return number == EACCES || number == EPERM || number == EROFS; }

Error named(int code, int number, const std::string& path, const char* text, int busy_ms) {
    const auto make = [&](std::string_view kind, const std::string& message) {
        return Error(kind, path + ": " + message + system_text(number));
    };
    switch (code & 0xff) {
        case SQLITE_FULL: return make(disk_full, "the disk is full; nothing was changed");
        case SQLITE_CORRUPT: return make(corrupt, std::string("the database is damaged: ") + text);
        case SQLITE_NOTADB: return make(corrupt, "this is not a database; move the file away");
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return make(busy, "another process held it for " + std::to_string(busy_ms) + " ms");
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH: return make(no_permission, std::string("cannot be written: ") + text);
        case SQLITE_CANTOPEN:
            if (means_denied(number)) return make(no_permission, "no permission to open");
            return make(means_full(number) ? disk_full : io_failed, "cannot be opened");
        case SQLITE_TOOBIG: return make(errc::too_large, text);
        case SQLITE_NOMEM: return make(errc::overloaded, "out of memory");
        case SQLITE_IOERR:
            if (means_full(number)) return make(disk_full, "the disk is full");
            return make(io_failed, std::string("the disk failed: ") + text + ", sqlite code " +
                                       std::to_string(code));
        default: return make(errc::internal, std::string("sqlite: ") + text);
    }
}

}  // namespace

bool DatabaseFailure::busy() const { return code == SQLITE_BUSY || code == SQLITE_LOCKED; }

Connection::Connection(std::string path, const std::string& vfs, int busy_timeout_ms)
    : path_(std::move(path)), busy_timeout_ms_(busy_timeout_ms) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const int code =
        sqlite3_open_v2(path_.c_str(), &handle_, flags, vfs.empty() ? nullptr : vfs.c_str());
    try {
        if (code != SQLITE_OK) fail(code);
        sqlite3_extended_result_codes(handle_, 1);
        sqlite3_busy_timeout(handle_, busy_timeout_ms);
        if (sqlite3_db_readonly(handle_, "main") == 1)
            throw DatabaseFailure(SQLITE_READONLY,
                                  Error(no_permission, path_ + ": no permission to write"));
    } catch (...) {
        sqlite3_close(handle_);
        throw;
    }
}

Connection::~Connection() {
    for (auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
    sqlite3_close(handle_);
}

void Connection::fail(int code) {
    const int number = handle_ ? sqlite3_system_errno(handle_) : 0;
    const char* text = handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
    throw DatabaseFailure(code & 0xff, named(code, number, path_, text, busy_timeout_ms_));
}

void Connection::execute(const char* sql) {
    const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) fail(code);
}

std::string Connection::pragma(const char* sql) {
    Query query(*this, sql);
    return query.step() ? std::string(query.column_text(0)) : std::string();
}

void Connection::roll_back() noexcept {
    if (!sqlite3_get_autocommit(handle_))
        sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

std::int64_t Connection::changes() const { return sqlite3_changes64(handle_); }

sqlite3_stmt* Connection::prepare(const char* sql) {
    auto& statement = prepared_[sql];
    if (!statement) {
        const int code =
            sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
        if (code != SQLITE_OK) {
            prepared_.erase(sql);
            fail(code);
        }
    }
    return statement;
}

Query::Query(Connection& connection, const char* literal_sql)
    : connection_(connection), statement_(connection.prepare(literal_sql)) {}
Query::~Query() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}
void Query::check(int code) {
    if (code != SQLITE_OK) connection_.fail(code);
}
Query& Query::text(std::string_view value) {
    check(sqlite3_bind_text64(statement_, ++bound_, value.data() ? value.data() : "", value.size(),
                              SQLITE_STATIC, SQLITE_UTF8));
    return *this;
}
Query& Query::blob(BytesView value) {
    check(sqlite3_bind_blob64(statement_, ++bound_,
                              value.data() ? static_cast<const void*>(value.data()) : "",
                              value.size(), SQLITE_STATIC));
    return *this;
}
Query& Query::integer(std::int64_t value) {
    check(sqlite3_bind_int64(statement_, ++bound_, value));
    return *this;
}
bool Query::step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) connection_.fail(code);
    return code == SQLITE_ROW;
}
std::string_view Query::column_text(int index) const { return as_text(column_blob(index)); }
BytesView Query::column_blob(int index) const {
    const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, index));
    return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, index))};
}
std::int64_t Query::column_integer(int index) const {
    return sqlite3_column_int64(statement_, index);
}

void make_database_file(const std::string& folder, const std::string& path) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    const auto refuse = [](int number, const std::string& what) {
        const auto code = means_denied(number) ? no_permission
                          : means_full(number) ? disk_full
                                               : io_failed;
        throw DatabaseFailure(SQLITE_CANTOPEN, Error(code, what + system_text(number)));
    };
    if (failure) refuse(failure.value(), "data folder " + folder + " cannot be made");
    if (access(folder.c_str(), R_OK | W_OK | X_OK) != 0)
        refuse(errno,
               "data folder " + folder + " cannot be written by user " + std::to_string(geteuid()));
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) refuse(errno, path + " cannot be opened for writing");
    ::close(file);
}

}  // namespace gyre::store::detail

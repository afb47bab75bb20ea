#pragma once
#include <cstdint>
#include <gyre/base/bytes.hpp>
#include <gyre/base/error.hpp>
#include <map>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace gyre::store::detail {

/// The database itself failed: the transaction cannot go on. Does not leave this folder.
struct DatabaseFailure {
    DatabaseFailure(int c, Error e) : code(c), error(std::move(e)) {}
    int code;  ///< Primary SQLite result code.
    Error error;
    bool busy() const;
};

/// One connection. Used by one thread at a time; every call blocks and throws DatabaseFailure.
class Connection {
public:
    /// `vfs` empty: the machine's own file system.
    Connection(std::string path, const std::string& vfs, int busy_timeout_ms);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void execute(const char* sql);
    std::string pragma(const char* sql);  ///< First column of the first row.
    void roll_back() noexcept;            ///< Without a transaction: nothing.
    std::int64_t changes() const;         ///< Rows of the last change.
    const std::string& path() const { return path_; }

private:
    friend class Query;
    sqlite3_stmt* prepare(const char* sql);
    [[noreturn]] void fail(int code);
    std::string path_;
    int busy_timeout_ms_;
    sqlite3* handle_ = nullptr;
    std::map<std::string_view, sqlite3_stmt*> prepared_;  // by text, which is a literal
};

/// One run of a cached statement: bind, then step; columns are valid until the next step.
class Query {
public:
    Query(Connection& connection, const char* literal_sql);
    ~Query();
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;

    /// In order. Bound bytes stay untouched until the query ends.
    Query& text(std::string_view value);
    Query& blob(BytesView value);
    Query& integer(std::uint64_t value) { return integer(static_cast<std::int64_t>(value)); }
    Query& integer(std::int64_t value);
    bool step();
    void run() { (void)step(); }

    std::string_view column_text(int index) const;
    BytesView column_blob(int index) const;
    std::int64_t column_integer(int index) const;
    std::uint64_t column_unsigned(int index) const {
        return static_cast<std::uint64_t>(column_integer(index));
    }

private:
    void check(int code);
    Connection& connection_;
    sqlite3_stmt* statement_;
    int bound_ = 0;
};

/// Makes the folder and an empty database file of mode 0600 on the machine's own file system.
void make_database_file(const std::string& folder, const std::string& path);

}  // namespace gyre::store::detail

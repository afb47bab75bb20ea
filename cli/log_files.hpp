#pragma once
#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::cli {

/// The files of one log: NAME.log, which is written, and those before it, oldest first, of which the
/// name says when they began: NAME.2026-11-23.log, NAME.2026-11-23_15.2.log.gz.
struct LogFamily {
    std::string name;
    std::string current;            ///< Path; may not be there yet.
    std::vector<std::string> old;   ///< Paths.
};
/// All in a folder, by name. A file that is there plain and compressed counts once.
std::vector<LogFamily> find_logs(const std::string& folder);

/// A line as the log wrote it, with those that belong to it.
struct LogEntry {
    std::int64_t at_ms = 0;  ///< Since 1970 UTC; of one that has no time, that of the one before it.
    int level = -1;          ///< As log::Level; -1: no line of ours.
    std::string node, event;
    std::string text;        ///< Ends in a newline.
    std::size_t level_at = 0, level_bytes = 0;  ///< In text; 0 bytes: JSON, or not ours.
};

/// Reads a log file, plain or compressed, that may still be written to.
class LogReader {
public:
    /// Nothing when it cannot be opened.
    static std::unique_ptr<LogReader> open(const std::string& path);
    ~LogReader();
    LogReader(const LogReader&) = delete;
    ino_t inode() const { return inode_; }
    /// The next whole entry. Nothing: there is none yet; then finish() may have the last one.
    std::optional<LogEntry> next();
    /// What was read and is followed by nothing so far.
    std::optional<LogEntry> finish();
    const std::string& failure() const { return failure_; }  ///< Of a compressed file that is broken.

private:
    LogReader(int fd, void* gz, ino_t inode, std::string path);
    bool read_more();
    bool take_line(std::string& line);
    int fd_;
    void* gz_;  // gzFile
    ino_t inode_;
    std::string path_, failure_;
    std::string buffer_;
    std::size_t at_ = 0;
    std::optional<LogEntry> pending_;
    LogEntry last_;  // without its text: what lines that belong to it go by
};

}  // namespace gyre::cli

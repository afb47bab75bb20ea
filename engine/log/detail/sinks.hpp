#pragma once
#include <atomic>
#include <cstdint>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <gyre/log/backend.hpp>
#include <optional>
#include <string>

#include "format.hpp"
#include "keeper.hpp"
#include "schedule.hpp"

namespace gyre::log::detail {

/// Where lines end. Used by one thread at a time.
class Sink {
public:
    explicit Sink(Style style) : formatter_(style) {}
    virtual ~Sink() = default;
    virtual void write(const Record& record) = 0;  ///< Into its buffer; counts what has no room.
    virtual Result<> flush() = 0;  ///< What is taken now. What is not stays, or is counted.
    /// Lines are in the buffer that may be taken soon.
    virtual bool waiting() const { return !buffer_.empty(); }
    virtual const char* name() const = 0;
    bool empty() const { return buffer_.empty(); }

    std::uint64_t lost() const { return lost_; }
    /// A line of the log itself: none of those that are counted.
    void note(const Record& record) {
        const std::uint64_t lost = lost_;
        write(record);
        lost_ = lost;
    }
    void give_up();  ///< What is in the buffer is lost.

    // Of who writes here:
    bool failing = false;  ///< Told once a streak.
    std::uint64_t lost_counted = 0, lost_told = 0;

protected:
    Formatter formatter_;
    Buffer buffer_;  // whole lines
    std::uint64_t lost_ = 0;
};

/// A terminal, a pipe or a plain descriptor it does not own. Never waits: when the other end does
/// not read, a bounded part is kept for it and further lines are lost.
class ConsoleSink : public Sink {
public:
    ConsoleSink(int fd, Style style, Level level = Level::trace);
    void write(const Record& record) override;
    Result<> flush() override;
    bool waiting() const override { return Sink::waiting() && !stuck_; }
    const char* name() const override { return "console"; }
    void flush_for(Duration at_most);  ///< Waits so long for the other end.

private:
    const int fd_;
    const Level level_;
    bool stuck_ = false;
    std::optional<Duration> refused_since_;
};

/// Whether lines to this descriptor have colours: a terminal that has them, and nobody says NO_COLOR.
bool wants_color(int fd);

/// Appends to Config::file and begins the next one by period and by size. Follows its path when
/// somebody else moves or deletes the file.
class FileSink : public Sink {
public:
    explicit FileSink(const Config& config);  ///< Whose values check() found right.
    ~FileSink() override;
    Result<> open();
    void write(const Record& record) override;
    Result<> flush() override;
    const char* name() const override { return "file"; }

private:
    bool due(std::int64_t time_ns, std::size_t bytes) const;
    Result<> rotate();
    Result<> follow();
    Result<> send();
    void adopt();
    void tidy();

    const Config config_;
    Schedule schedule_;
    const OldFiles old_files_;
    Keeper keeper_;
    int fd_ = -1;
    bool regular_ = false, tidied_ = false;
    bool ours_ = false;     // it began with a line of a log
    bool stalled_ = false;  // the last flush failed
    bool cut_ = false;      // the file ends within a line
    std::uint64_t inode_ = 0, device_ = 0;
    std::uint64_t bytes_ = 0;           // in the file and in the buffer
    std::uint64_t rotate_at_bytes_ = 0;  // after a failure: not before it has grown so far
    std::optional<Schedule::Period> period_;  // of the file; none: it is empty
    std::int64_t begin_s_ = 0;                // of its first line
    std::optional<Error> rotate_error_;
    Buffer line_;
};

}  // namespace gyre::log::detail

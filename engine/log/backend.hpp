#pragma once
#include <cstddef>
#include <cstdint>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <gyre/log/log.hpp>
#include <optional>
#include <string>
#include <string_view>

/// What the host of the process sets up: one bounded ring, one writer thread, console and file.
namespace gyre {
struct Context;
}
namespace gyre::log {

struct Config {
    Level level = Level::info;
    bool json = false;    ///< One JSON object a line instead of text, on every sink.
    bool console = true;  ///< To `console_fd`; colours on a terminal unless NO_COLOR is set.
    Level console_level = Level::trace;  ///< Lines below it go to the file only.
    int console_fd = 2;
    std::string file = {};                     ///< Path; empty: no file. Its folder is made.
    std::uint64_t file_bytes_max = 64u << 20;  ///< [4 KiB, 2^40]; then the next file begins.
    bool file_daily = true;                    ///< The next file begins at midnight UTC, too.
    std::uint32_t files_kept = 10;      ///< [0, 1000] older files: path.1 (newest) to path.N.
    std::size_t ring_bytes = 8u << 20;  ///< [64 KiB, 1 GiB], power of two; about 64 Ki lines.
};

/// Starts the writer; when it runs already, stops it first. Errors: bad_config, refused (the file
/// cannot be opened). Before start() and after stop() lines go to stderr before the call returns.
Result<> start(const Config& config);
/// Writes what was logged so far, at most 2 s when the console does not take it. Idempotent;
/// also runs at exit.
void stop() noexcept;
/// Waits until all that was logged before is written; false when the timeout came first. No
/// locks, no allocation: may be called from a crash handler.
bool flush(Duration timeout = std::chrono::seconds(2)) noexcept;

void set_level(Level level) noexcept;
Level level() noexcept;
std::optional<Level> parse_level(std::string_view name);
std::string_view name(Level level);

/// Where timestamps come from: the simulator's virtual clock. Null: the clock of the machine.
void set_clock(WallTime (*now)()) noexcept;

/// Asked for each line that a task writes: which build of game code runs (field `build`; empty: none).
/// The text is copied before the call to the log returns. Null: nobody knows.
void set_build_lookup(std::string_view (*lookup)(const Context&)) noexcept;

/// Since the start of the process. When the ring is full the newest lines below error are
/// dropped; the last eighth of it is kept for errors. A line log.dropped tells how many.
struct Stats {
    std::uint64_t written = 0;
    std::uint64_t dropped = 0;  ///< Below error.
    std::uint64_t errors_dropped = 0;
    std::uint64_t sink_failures = 0;  ///< Writes a console or file did not take.
};
Stats stats() noexcept;

}  // namespace gyre::log

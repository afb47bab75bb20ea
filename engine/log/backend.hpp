#pragma once
#include <cstddef>
#include <cstdint>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <gyre/log/log.hpp>
#include <gyre/log/tap.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What the host of the process sets up: one bounded ring, one writer thread, console and file.
namespace gyre {
struct Context;
}
namespace gyre::log {

struct Config {
    Level level = Level::info;
    bool json = false;    ///< One JSON object a line instead of text, on every sink.
    bool console = true;  ///< To `console_fd`; colours on a terminal but with NO_COLOR or TERM=dumb.
    Level console_level = Level::trace;  ///< Lines below it go to the file only.
    int console_fd = 2;
    std::string file = {};  ///< Path; empty: no file. Its folder is made.
    /// When the next file begins: every "S", "M", "H", "D", each may have a count ("6H"); "midnight";
    /// "W0" (Monday) to "W6"; "": by size only.
    std::string rotate = "midnight";
    bool local_time = false;  ///< Times and periods of the machine's zone; false: UTC.
    std::uint64_t file_bytes_max = 64u << 20;  ///< [4 KiB, 2^40]; then the next file begins, too.
    std::uint32_t files_kept = 10;             ///< [0, 1000] older files, compressed or not.
    std::uint64_t kept_bytes_max = 0;          ///< Of all older files; 0: no limit.
    bool gzip = true;                          ///< Older files, by a thread of low priority.
    std::size_t ring_bytes = 8u << 20;  ///< [64 KiB, 1 GiB], power of two; about 64 Ki lines.
};

/// What start() would say of the values alone. Error: bad_config.
Result<> check(const Config& config);
/// Starts the writer; when it runs already it goes on to the new console and file, without a gap. Errors: bad_config, refused (the file
/// cannot be opened). Before start() and after stop() lines go to stderr before the call returns.
Result<> start(const Config& config);
/// Writes what was logged so far, at most 2 s when console or file do not take it. Idempotent; also
/// runs at exit.
void stop() noexcept;
/// Waits until all that was logged before is written, but not for a console that has taken nothing
/// for a second; false when the timeout came first. No locks, no allocation: may be called from a
/// crash handler.
bool flush(Duration timeout = std::chrono::seconds(2)) noexcept;

/// Of all modules that have none of their own. Any thread, as all of these.
void set_level(Level level) noexcept;
Level level() noexcept;
/// Of one module: the name of an event up to its first '.'. nullopt: as all others again. False: the
/// name is empty or longer than 64 bytes, or 64 modules have their own level already.
bool set_level(std::string_view module, std::optional<Level> level);
std::vector<std::pair<std::string, Level>> module_levels();  ///< By name.

/// Where timestamps come from: the simulator's virtual clock. Null: the clock of the machine.
void set_clock(WallTime (*now)()) noexcept;

/// Asked for each line that a task writes: which build of game code runs (field `build`; empty: none).
/// The text is copied before the call to the log returns. Null: nobody knows.
void set_build_lookup(std::string_view (*lookup)(const Context&)) noexcept;
std::string running_build(const Context& context);  ///< What it says; empty: none.

/// Since the start of the process. When the ring is full the newest lines below error are
/// dropped; the last eighth of it is kept for errors. A line log.dropped tells how many.
struct Stats {
    std::uint64_t written = 0;
    std::uint64_t dropped = 0;  ///< Below error.
    std::uint64_t errors_dropped = 0;
    std::uint64_t sink_failures = 0;    ///< Writes a console or file did not take.
    std::uint64_t console_dropped = 0;  ///< Lines of `written` that the console did not take,
    std::uint64_t file_dropped = 0;     ///< and that the file did not.
    std::uint64_t waiting_bytes = 0;    ///< In the ring now.
};
Stats stats() noexcept;

}  // namespace gyre::log

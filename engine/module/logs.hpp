#pragma once
#include <gyre/log/log.hpp>
#include <gyre/module/owned_method.hpp>

namespace gyre {

/// A line of the log, for game code that does something with it.
struct LogLine {
    log::Level level = log::Level::info;
    std::int64_t at_ms = 0;  ///< Since 1970 UTC.
    std::string node, role;  ///< Empty: written outside of a node's tasks.
    std::string event;       ///< "rpc.method_failed"
    std::string fields;      ///< "method=Bag.take error=\"...\""
    std::string json;        ///< All of it, as a line of a JSON log.
    EntityId entity = 0;
    std::uint64_t session = 0, call = 0, trace = 0;
    std::string build;  ///< Of the game code that ran.
    std::string at;     ///< "path:line:column", from warn on.
    static consteval auto describe() {
        return type<LogLine>("LogLine", field<&LogLine::level>(), field<&LogLine::at_ms>(), field<&LogLine::node>(),
                             field<&LogLine::role>(), field<&LogLine::event>(), field<&LogLine::fields>(),
                             field<&LogLine::json>(), field<&LogLine::entity>(), field<&LogLine::session>(),
                             field<&LogLine::call>(), field<&LogLine::trace>(), field<&LogLine::build>(),
                             field<&LogLine::at>());
    }
};

namespace module {

/// Lines of the log, for the entity or service whose task runs: a described method of it is called
/// with each, until it ends. See logs().
class Logs {
public:
    /// Lines of `least` to `most` that the node writes, and those of no node. Error: bad_arguments,
    /// the method is another's.
    template <auto M>
    void on_line(log::Level least, log::Level most = log::Level::error) const {
        listen(least, most, owned_method<M, void, LogLine>());
    }
    static constexpr std::size_t waiting_max = 256;     ///< Lines beyond it are dropped and counted.
    static constexpr Duration told_after = 10s;         ///< A call that takes longer is said so.

private:
    static void listen(log::Level least, log::Level most, OwnedMethod method);
};

}  // namespace module

/// Callbacks of the log:
///
///     Task<> Chat::report(LogLine line);                          // or void; described
///     Task<> Chat::on_start() { logs().on_line<&Chat::report>(log::Level::error); co_return; }
///
/// The method is called one line at a time, in order, after the line was written: whoever logs never
/// waits for it. While it runs, up to 256 lines wait; those beyond are dropped, and a line
/// log.callback_dropped says how many. When it throws, log.callback_failed tells it, at most once a
/// minute, and the next line comes. Lines that it causes itself, on whatever node of the process, do
/// not come back to it. It moves to new code with a reload.
inline module::Logs logs() { return {}; }

}  // namespace gyre

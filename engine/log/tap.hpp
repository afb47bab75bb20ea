#pragma once
#include <cstdint>
#include <functional>
#include <gyre/base/time.hpp>
#include <gyre/log/log.hpp>
#include <memory>
#include <string>
#include <vector>

namespace gyre::log {

/// One line, owned.
struct Line {
    Level level = Level::info;
    WallTime time = {};
    std::string node, role, event;
    std::string fields;  ///< "peer=7 reason=closed entity=12"; then log::Lines, each after a '\n'.
    std::string json;    ///< The whole line, without its end.
    std::uint64_t entity = 0, session = 0, call = 0, trace = 0;
    std::string build;  ///< Of the game code that wrote it; empty: none.
    std::string at;     ///< "engine/net/channel.cpp:81:9"; empty below warn.
};

/// Lines of a level and above, as they are written, for who handles them elsewhere. Bounded: the
/// writer only copies into it and never waits. Any thread.
class Tap {
public:
    struct Config {
        Level level = Level::error;
        std::size_t capacity = 256;      ///< Lines that wait; more are dropped and counted.
        std::uint64_t ignore_trace = 0;  ///< Lines of this trace are not given; 0: all are.
        /// On the thread that writes, when lines came into an empty tap. Must not block.
        std::function<void()> wake = {};
    };
    explicit Tap(Config config);
    ~Tap();  ///< Once it returns, `wake` is not called any more. Not within `wake`.
    Tap(const Tap&) = delete;
    Tap& operator=(const Tap&) = delete;

    std::vector<Line> take();  ///< All that wait, oldest first.
    std::uint64_t dropped() const;

    struct Queue;

private:
    std::unique_ptr<Queue> queue_;
};

}  // namespace gyre::log

#pragma once
#include <gyre/log/log.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::log {

/// For tests: while it lives, lines of all threads end here, at once, and nowhere else.
///
///     log::Capture log;
///     ...
///     EXPECT_TRUE(log.has("net.channel_closed", "reason=timed_out"));
class Capture {
public:
    struct Line {
        Level level;
        std::string node;
        std::string event;
        std::string fields;  ///< "peer=7 reason=timed_out entity=12"
        std::string json;
    };

    explicit Capture(Level level = Level::trace);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    std::vector<Line> lines() const;
    std::size_t count(std::string_view event) const;
    /// A line of this event whose fields contain `part`.
    bool has(std::string_view event, std::string_view part = {}) const;

    struct Lines;

private:
    std::unique_ptr<Lines> lines_;
    Level before_;
};

}  // namespace gyre::log

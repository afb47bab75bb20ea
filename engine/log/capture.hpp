#pragma once
#include <gyre/log/tap.hpp>
#include <memory>
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
    using Line = log::Line;

    explicit Capture(Level level = Level::trace);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    std::vector<Line> lines() const;
    std::size_t count(std::string_view event) const;
    /// A line of this event whose fields contain `part`.
    bool has(std::string_view event, std::string_view part = {}) const;

    struct Kept;

private:
    std::unique_ptr<Kept> kept_;
    Level before_;
};

}  // namespace gyre::log

#pragma once
#include <functional>
#include <gyre/base/time.hpp>
#include <memory>
#include <string>
#include <vector>

namespace gyre::node {

/// Sees that a loop does not turn any more. Its thread is started by the first arm() and sleeps
/// while nothing is armed; a loop that is watched runs one closure a quarter of the limit.
/// Time in which the whole process stood still (a debugger, a suspended machine) counts once a quarter.
class Watchdog {
public:
    /// post: runs a closure on the loop, from any thread. bark: on the watchdog's thread; the loop
    /// has not turned for so long, and on behalf of whom it was armed. It is expected to end the
    /// process; else it is called again.
    using Bark = std::function<void(Duration limit, const std::vector<std::string>& for_whom)>;
    Watchdog(std::function<void(std::function<void()>)> post, Bark bark);
    ~Watchdog();
    /// Each arm() is undone by one disarm(). The last limit holds.
    void arm(Duration limit, std::string for_whom);
    void disarm(const std::string& for_whom);

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace gyre::node

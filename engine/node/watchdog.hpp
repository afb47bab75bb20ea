#pragma once
#include <functional>
#include <gyre/base/time.hpp>
#include <memory>

namespace gyre::node {

/// Sees that a loop does not turn any more. Its thread is started by the first arm() and sleeps
/// while nothing is armed; a loop that is watched runs one closure a quarter of the limit.
/// Time in which the whole process stood still (a debugger, a suspended machine) counts once a quarter.
class Watchdog {
public:
    /// post: runs a closure on the loop, from any thread. bark: on the watchdog's thread; the loop
    /// has not turned for so long. It is expected to end the process; else it is called again.
    Watchdog(std::function<void(std::function<void()>)> post, std::function<void(Duration)> bark);
    ~Watchdog();
    /// Counted: each arm() is undone by one disarm(). The last limit holds.
    void arm(Duration limit);
    void disarm();

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace gyre::node

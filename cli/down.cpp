#include <signal.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "commands.hpp"
#include "terminal.hpp"

namespace gyre::cli {

int down(const std::string& data) {
    const auto folder = node::DataFolder::find(data).value();
    const auto pid = folder.locked_by();
    if (!pid) {
        say("no cluster runs in " + folder.path());
        return node::exit_code::ok;
    }
    if (::kill(static_cast<pid_t>(*pid), SIGTERM) != 0)
        throw Error(errc::refused, "cannot signal pid " + std::to_string(*pid) + ": " + std::strerror(errno));
    // A drain ends by cluster.drain_limit, which `up` sees to; a minute is beyond any sane limit.
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (folder.locked_by()) {
        if (std::chrono::steady_clock::now() > give_up)
            throw Error(errc::timed_out, "pid " + std::to_string(*pid) + " still runs after a minute");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    say("ended");
    return node::exit_code::ok;
}

}  // namespace gyre::cli

#pragma once
#include <chrono>
#include <string>
#include <sys/types.h>
#include <vector>

namespace gyre::cli {

/// The file this process was started from.
std::string own_executable();

struct Spawn {
    std::vector<std::string> command;  ///< command[0] is looked up in PATH when it has no '/'.
    std::vector<int> keep = {};        ///< Descriptors it inherits besides stderr and stdout.
    std::string output = {};           ///< File for its stdout and stderr, appended; empty: ours.
    int output_fd = -1;                ///< Instead of a file.
};

/// Starts a process that leads its own process group, so that Ctrl-C reaches us alone, and gets
/// SIGTERM when we die. Its signals are not blocked. Error text in `problem`, then -1.
/// For processes with one thread.
pid_t spawn(const Spawn& what, std::string& problem);

/// "ended with code 1", "was killed by signal 9 (Killed)".
std::string describe_end(int status);

}  // namespace gyre::cli

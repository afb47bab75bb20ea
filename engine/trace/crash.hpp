#pragma once
#include <gyre/base/result.hpp>
#include <string>

namespace gyre::trace {

struct CrashConfig {
    std::string folder;  ///< Made when missing; the last 20 files stay.
    std::string name;    ///< Of the process: begins the name of the file.
};

/// From now on a signal that ends the process (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP) first
/// writes FOLDER/NAME-PID-SECONDS.crash: what happened, in which task of which node, and the frames of the
/// thread as object, build id and offset, which `gyre symbolize` makes lines of. Then it flushes the log and
/// goes on as before: core dump, exit code and the handlers that were there stay. Uses nothing that a
/// crashed process may not: no allocation, no lock, memory is read through the kernel.
/// The calling thread gets a stack for its handlers; others call use_crash_stack().
/// Errors: refused (the folder, named).
Result<> install_crash_handler(const CrashConfig& config);
/// A stack for the handlers of this thread, so that one whose own is used up is told, too. 64 KiB until it ends.
void use_crash_stack();

}  // namespace gyre::trace

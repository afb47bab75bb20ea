#pragma once
#include <gyre/base/time.hpp>
#include <gyre/module/check.hpp>

namespace gyre::module {

/// Runs `CHECKER module check FILE --json` in a fresh process and reads its report: whatever the
/// file does kills or hangs only that. What it died of is an error in the report, with what it was
/// doing and the end of what it said. `limit`: then it is killed.
/// Blocks; for a thread of the blocking pool. Touches nothing but its arguments.
/// Errors: io_failed (the checker cannot be started), bad_data (it answers nonsense).
Result<CheckReport> check_in_process(const std::string& checker, const std::string& file,
                                     const Expectations& expected, Duration limit);

/// What the process that checks does first: no core file, CPU seconds and memory bounded, dies by
/// SIGALRM when nobody kills it.
void limit_checker(Duration limit);

}  // namespace gyre::module

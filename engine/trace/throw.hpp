#pragma once
#include <cstdint>
#include <exception>
#include <gyre/trace/frames.hpp>
#include <string>
#include <vector>

/// What is remembered of each exception while it flies: of those that are no gyre::Error the stack where
/// they were thrown, of all the awaits they passed. That doubles what a throw costs (5 µs more); of an Error it adds 1 %.
namespace gyre::trace {

/// What is known of one exception. Any thread.
struct Thrown {
    std::vector<std::uintptr_t> stack;  ///< Innermost first; empty: of an Error, or forgotten.
    std::vector<std::string> locals;    ///< "a=1 b=2", beside the first frames of `stack`; not every time.
    std::vector<std::string> awaits;    ///< "path:line:column", innermost first.
    std::uintptr_t place = 0;           ///< In the first function of the stack that is not of the standard library.
};
Thrown thrown(const std::exception_ptr& exception);
/// For who tells of it with its stack, once a minute for each place: how often this one was told of since.
/// 0: now is the turn.
std::uint64_t told_again(std::uintptr_t place);

/// Errors keep their stacks, too. Off: clients can cause them at will.
void set_trace_errors(bool on) noexcept;

/// The type of an exception, as a person reads it: "std::out_of_range".
std::string type_name(const std::exception_ptr& exception);

/// An exception that nobody catches says on stderr what it was and where it was thrown, then the process ends as it would.
void install_terminate_handler();

}  // namespace gyre::trace

#pragma once

namespace gyre {
/// Prints the failed condition with its place and aborts. Stays on in release.
[[noreturn]] void assert_failed(const char* condition, const char* message, const char* file,
                                int line) noexcept;
}  // namespace gyre

/// For our own mistakes only; a wrong byte from outside is answered with an Error.
#define GYRE_ASSERT(condition, message)                                             \
    (static_cast<bool>(condition) ? static_cast<void>(0)                            \
                                  : ::gyre::assert_failed(#condition, message, __FILE__, __LINE__))

#include <gyre/base/assert.hpp>

#include <cstdio>
#include <cstdlib>

namespace gyre {
void assert_failed(const char* condition, const char* message, const char* file,
                   int line) noexcept {
    std::fprintf(stderr, "gyre: assertion failed: %s (%s) at %s:%d\n", message, condition, file,
                 line);
    std::fflush(stderr);
    std::abort();
}
}  // namespace gyre

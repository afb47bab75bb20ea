#include <gyre/base/context.hpp>

namespace gyre {
thread_local constinit Context* current = nullptr;
}

// What a module may be linked to: its own code runs when the module is loaded.
#include <stdexcept>

namespace {
#ifdef TERMINATES
int at_load() noexcept {
#else
int at_load() {
#endif
#ifndef HANGS
    throw std::runtime_error("no such lamp");
#else
    for (volatile bool on = true; on;) {}
    return 1;
#endif
}
const int value = at_load();
}  // namespace
extern "C" __attribute__((visibility("default"))) int from_the_library() { return value; }

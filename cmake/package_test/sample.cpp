#include <gyre/base/error.hpp>

extern "C" __attribute__((visibility("default"))) const int gyre_module = 7;
void fail() { throw gyre::Error(gyre::errc::conflict, "thrown in a module"); }
__attribute__((used)) void (*hidden_by_the_map)() = fail;

// What the host calls without a symbol: the loader runs it, so an Error must cross the border here.
__attribute__((constructor)) static void on_load() {
    try {
        fail();
    } catch (const gyre::Error& error) {
        if (!error.is(gyre::errc::conflict)) __builtin_trap();
    }
}

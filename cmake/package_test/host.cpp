// Loads the module by its path; it must export gyre_module and nothing else.
#include <dlfcn.h>

#include <cstdio>
#include <gyre/base/error.hpp>

int main(int, char** arguments) {
    void* module = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!module) return std::fprintf(stderr, "%s\n", dlerror()), 1;
    const auto* number = static_cast<const int*>(dlsym(module, "gyre_module"));
    if (!number || *number != 7) return 2;
    if (dlsym(module, "_Z4failv") || dlsym(module, "hidden_by_the_map")) return 3;
    return gyre::Error(gyre::errc::closed).is("closed") ? 0 : 4;
}

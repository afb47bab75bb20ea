// host FILE NAME TYPES: loads the module by its path. It must bring its types, and export nothing but gyre_module.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <gyre/module/loader.hpp>

int main(int, char** arguments) {
    const auto loaded = gyre::module::load(arguments[1]);
    if (!loaded) return std::fprintf(stderr, "%s\n", loaded.error().what()), 1;
    const auto types = static_cast<std::size_t>(std::atoi(arguments[3]));
    if (loaded->types().size() != types || loaded->manifest->name != std::string_view(arguments[2])) return 2;
    void* module = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!module || !dlsym(module, "gyre_module") || dlsym(module, "_Z14not_for_othersv")) return 3;
    return gyre::module::load("/nowhere/sample.so").ok() ? 4 : 0;
}

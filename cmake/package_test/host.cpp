// Loads the module by its path: it must bring its type, and export nothing but gyre_module.
#include <dlfcn.h>

#include <cstdio>
#include <gyre/module/loader.hpp>

int main(int, char** arguments) {
    const auto loaded = gyre::module::load(arguments[1]);
    if (!loaded) return std::fprintf(stderr, "%s\n", loaded.error().what()), 1;
    if (loaded->types().size() != 1 || loaded->manifest->name != std::string_view("sample")) return 2;
    void* module = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!module || !dlsym(module, "gyre_module") || dlsym(module, "_Z14not_for_othersv")) return 3;
    return gyre::module::load("/nowhere/sample.so").ok() ? 4 : 0;
}

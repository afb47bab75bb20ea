#include <gyre/module/manifest.hpp>

void defined_nowhere();
extern "C" __attribute__((visibility("default"))) const gyre::module::Manifest gyre_module;
const gyre::module::Manifest gyre_module{gyre::module::api_version, "unresolved", nullptr, 0};
extern "C" __attribute__((visibility("default"))) void call() { defined_nowhere(); }

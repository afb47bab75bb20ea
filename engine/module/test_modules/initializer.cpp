#include <gyre/module/test_modules/lamp.hpp>

namespace {
__attribute__((constructor)) void at_load() { throw gyre::Error(gyre::errc::refused, "at load"); }
}  // namespace
int Lamp::brightness() { return light; }
GYRE_MODULE("initializer", Lamp)

#include <gyre/module/test_modules/lamp.hpp>

extern "C" int from_the_library();
int Lamp::brightness() { return from_the_library(); }
GYRE_MODULE("links", Lamp)

#include <gyre/module/test_modules/lamp.hpp>

namespace street {
thread_local int nearest = 0;
}
int Lamp::brightness() { return ++street::nearest; }
GYRE_MODULE("thread_locals", Lamp)

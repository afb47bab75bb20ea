#include <gyre/module/test_modules/lamp.hpp>

namespace nowhere {
void one();
int two(int);
}  // namespace nowhere
int Lamp::brightness() {
    nowhere::one();
    return nowhere::two(light);
}
GYRE_MODULE("unresolved", Lamp)

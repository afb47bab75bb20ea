#include <gyre/module/test_modules/lamp.hpp>
#include <iostream>

int Lamp::brightness() {
    std::cout << light;
    return light;
}
GYRE_MODULE("iostreams", Lamp)

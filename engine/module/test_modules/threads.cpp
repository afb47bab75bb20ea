#include <cstdlib>
#include <gyre/module/test_modules/lamp.hpp>
#include <thread>

int Lamp::brightness() {
    std::thread([this] { light = 1; }).join();
    return std::system("true");
}
GYRE_MODULE("threads", Lamp)

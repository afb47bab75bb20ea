#include <gyre/module/manifest.hpp>

#ifndef LIGHT
#define LIGHT 7
#endif

namespace {
struct Lamp : gyre::Entity<Lamp> {
    int light = 0;
    gyre::Task<> on_start() {
        light = LIGHT;
        co_return;
    }
    int brightness() { return light; }
    static consteval auto describe() {
        return gyre::type<Lamp>("Lamp", gyre::field<&Lamp::light>(gyre::persist),
                                gyre::method<&Lamp::brightness>());
    }
};
}  // namespace

GYRE_MODULE("good", Lamp)

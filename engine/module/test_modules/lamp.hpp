#pragma once
#include <gyre/module/manifest.hpp>

/// For modules whose fault is in what brightness() does.
struct Lamp : gyre::Entity<Lamp> {
    int light = 0;
    int brightness();
    static consteval auto describe() {
        return gyre::type<Lamp>("Lamp", gyre::field<&Lamp::light>(gyre::persist),
                                gyre::method<&Lamp::brightness>());
    }
};

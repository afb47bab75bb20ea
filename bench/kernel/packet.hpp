#pragma once
#include <gyre/codec/codec.hpp>

namespace kernel_bench {

/// The struct that codecs are compared with.
struct Packet {
    int id = 70'000;
    double x = 1.25;
    std::string name = "sixteen letters!";
    std::vector<int> items = {1, 200, 30'000, 4'000'000};
    std::map<std::string, int> counts = {{"gold", 100}, {"wood", 2'000}};
    static consteval auto describe() {
        return gyre::type<Packet>("Packet", gyre::field<&Packet::id>(), gyre::field<&Packet::x>(),
                                  gyre::field<&Packet::name>(), gyre::field<&Packet::items>(),
                                  gyre::field<&Packet::counts>());
    }
};

}  // namespace kernel_bench

#pragma once
#include <gyre/codec/codec.hpp>

namespace kernel_bench {

/// The struct that codecs are compared with.
struct Packet {
    int id = 0;
    double x = 0;
    std::string name;
    std::vector<int> items;
    std::map<std::string, int> counts;
    static consteval auto describe() {
        return gyre::type<Packet>("Packet", gyre::field<&Packet::id>(), gyre::field<&Packet::x>(),
                                  gyre::field<&Packet::name>(), gyre::field<&Packet::items>(),
                                  gyre::field<&Packet::counts>());
    }
};

inline const Packet sample = {70'000, 1.25, "sixteen letters!", {1, 200, 30'000, 4'000'000},
                              {{"gold", 100}, {"wood", 2'000}}};

}  // namespace kernel_bench

#include <charconv>
#include <cmath>
#include <gyre/config/check.hpp>

namespace gyre::config {

std::string Check::print(double value) {
    char digits[32];
    const bool fixed = std::abs(value) < 1e12 && (value == 0 || std::abs(value) > 1e-6);
    const auto format = fixed ? std::chars_format::fixed : std::chars_format::general;
    return {digits, std::to_chars(digits, digits + sizeof digits, value, format).ptr};
}

std::string Check::print(Duration value) {
    struct Unit {
        std::int64_t ns;
        const char* name;
    };
    static constexpr Unit units[] = {{3'600'000'000'000, "h"}, {60'000'000'000, "min"},
                                     {1'000'000'000, "s"},      {1'000'000, "ms"},        {1'000, "us"}};
    const std::int64_t ns = value.count();
    for (const Unit& unit : units)
        if (ns != 0 && ns % unit.ns == 0) return std::to_string(ns / unit.ns) + unit.name;
    return ns == 0 ? "0ms" : std::to_string(ns) + "ns";
}

}  // namespace gyre::config

#include <gyre/module/test_modules/lamp.hpp>

namespace street {
int lamps_lit = 3;
std::vector<int> lamps;
constexpr int watts[] = {40, 60};            // constant: passes
const char* const colours[] = {"red", "green"};  // constant with relocations: passes
}  // namespace street
int Lamp::brightness() {
    static int times = 0;
    static const std::string name = std::to_string(light);
    street::lamps.push_back(++times);
    return ++street::lamps_lit + street::watts[light & 1] + street::colours[light & 1][0] + static_cast<int>(name.size());
}
GYRE_MODULE("statics", Lamp)

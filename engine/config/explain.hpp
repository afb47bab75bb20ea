#pragma once
#include <string>
#include <vector>

namespace gyre::config {

/// Why a key has the value it has. Secrets are not shown.
struct Explanation {
    struct Layer {
        std::string value;  ///< JSON, as it is written there.
        std::string place;  ///< "gyre.json:4:17", "environment GYRE__GATE__PORT", "--set gate.port".
    };
    std::string key;
    bool found = false;  ///< False: nobody sets it, so it has its default.
    std::string value;   ///< JSON, macros replaced.
    std::string place;
    std::vector<std::string> through;  ///< "$PORT$, gyre.json:2:20", "${env:PORT}"; the outermost first.
    std::vector<Layer> overrode;       ///< The strongest first.
};

/// gate.port = 7001
///   set by      --set gate.port
///   instead of  7000, gyre.json:4:17
std::string print(const Explanation& explanation);

}  // namespace gyre::config

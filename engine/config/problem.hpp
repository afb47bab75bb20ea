#pragma once
#include <cstdint>
#include <gyre/base/result.hpp>
#include <span>
#include <string>
#include <vector>

namespace gyre::config {

/// One thing that is wrong in a configuration.
struct Problem {
    std::string file;                ///< Or what stands for it: "environment GYRE__GATE__PORT".
    std::uint32_t line = 0;          ///< From 1; 0: the source has no lines.
    std::uint32_t column = 0;        ///< From 1, in characters.
    std::string key;                 ///< "gate.peers[1]"; empty: of no key.
    std::string message;
    std::string excerpt;             ///< The line and a line with carets below it; printable, no secrets.
    std::vector<std::string> included_from;  ///< "gyre.json:2:17", the nearest first.
};

/// "gyre.json:4:18: gate.port: 70000 is outside [1, 65535]", the excerpt, "included from ...".
std::string print(const Problem& problem);
/// bad_config with all of them, an empty line between two.
Error to_error(std::span<const Problem> problems);

}  // namespace gyre::config

#pragma once
#include <chrono>
#include <string>

namespace gyre::cli {

/// "250ms", "30s", "5min", "1h". Error: bad_arguments, names `option`.
std::chrono::milliseconds read_duration(const std::string& text, const std::string& option);

/// "0.02 ms", "320 ms", "3.2 s".
std::string readable_ms(double ms);

}  // namespace gyre::cli

#include "duration.hpp"

#include <gyre/base/error.hpp>

#include <charconv>
#include <cstdio>

namespace gyre::cli {

std::chrono::milliseconds read_duration(const std::string& text, const std::string& option) {
    std::uint32_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string unit(read.ptr, text.data() + text.size());
    if (read.ec == std::errc{}) {
        if (unit == "ms") return std::chrono::milliseconds(number);
        if (unit == "s") return std::chrono::seconds(number);
        if (unit == "min") return std::chrono::minutes(number);
        if (unit == "h") return std::chrono::hours(number);
    }
    throw Error(errc::bad_arguments, option + " " + text + ": expected such as 250ms, 30s or 5min");
}

std::string readable_ms(double ms) {
    char text[32];
    if (ms >= 1000) std::snprintf(text, sizeof text, "%.1f s", ms / 1000);
    else std::snprintf(text, sizeof text, ms < 10 ? "%.2f ms" : "%.0f ms", ms);
    return text;
}

}  // namespace gyre::cli

#pragma once
#include <gyre/config/config.hpp>

namespace gyre::node {

struct ReloadConfig {
    static constexpr std::string_view config_section = "reload";
    std::uint32_t keep = 3;
    std::chrono::milliseconds probation{10'000};
    std::chrono::milliseconds stuck{2000};
    std::chrono::milliseconds deadline{2000};
    std::chrono::milliseconds check_limit{20'000};
    double failures = 0.1;
    double overruns = 0.2;
    static consteval auto describe() {
        return type<ReloadConfig>("ReloadConfig",
            field<&ReloadConfig::keep>(live, range(1, 100), about("builds of each module that a node can come back to")),
            field<&ReloadConfig::probation>(live, range(0ms, 10min), about("a node that dies so soon after a swap comes back with the build before; 0: trusted at once")),
            field<&ReloadConfig::stuck>(live, range(100ms, 1min), about("a loop that does not turn for so long in probation ends its process")),
            field<&ReloadConfig::deadline>(live, range(0ms, 5min), about("what methods in flight have when a layout changed; then they are cancelled")),
            field<&ReloadConfig::check_limit>(live, range(1s, 10min), about("what the check of a file in a process of its own may take")),
            field<&ReloadConfig::failures>(live, range(0, 1), about("a rise of the share of failed calls of a method beyond it, in probation, takes the build back")),
            field<&ReloadConfig::overruns>(live, range(0, 1), about("the same of ticks that take longer than their period")));
    }
};

}  // namespace gyre::node

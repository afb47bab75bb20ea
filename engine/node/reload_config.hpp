#pragma once
#include <gyre/config/config.hpp>

namespace gyre::node {

struct ReloadConfig {
    static constexpr std::string_view config_section = "reload";
    std::uint32_t keep = 3;                        ///< [1, 100] builds to come back to, a module and node.
    std::chrono::milliseconds probation{10'000};   ///< [0, 10 min] without a crash: then a build is trusted.
    std::chrono::milliseconds stuck{2000};         ///< [100 ms, 1 min] without a loop turn in probation.
    std::chrono::milliseconds deadline{2000};      ///< [0, 5 min] that methods in flight have in a full reload.
    std::chrono::milliseconds check_limit{20'000}; ///< [1 s, 10 min] that the check of a file may take.
    double failures = 0.1;    ///< [0, 1] that the share of failed calls of a method may rise.
    double overruns = 0.2;    ///< [0, 1] that the share of late ticks may rise in probation.
    Result<> validate() const;
    static consteval auto describe() {
        return type<ReloadConfig>("ReloadConfig", field<&ReloadConfig::keep>(), field<&ReloadConfig::probation>(),
                                  field<&ReloadConfig::stuck>(), field<&ReloadConfig::deadline>(),
                                  field<&ReloadConfig::check_limit>(), field<&ReloadConfig::failures>(),
                                  field<&ReloadConfig::overruns>());
    }
};

}  // namespace gyre::node

#pragma once
#include <concepts>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <string>
#include <string_view>

namespace gyre::config {

/// What validate() returns: all that is wrong, a line each, with its name, value and range.
///
///     return config::Check().range("mtu_bytes", mtu_bytes, 576, 1400)
///                           .that(mode != Mode::none, "mode", "must be chosen");
class Check {
public:
    template <class T>
    Check& range(std::string_view field, const T& value, const std::type_identity_t<T>& min,
                 const std::type_identity_t<T>& max) {
        if (value >= min && value <= max) return *this;
        return that(false, field, print(value) + " is outside [" + print(min) + ", " + print(max) + "]");
    }
    Check& that(bool holds, std::string_view field, std::string_view reason) {
        if (holds) return *this;
        if (!problem_.empty()) problem_ += '\n';
        ((problem_ += field) += ": ") += reason;
        return *this;
    }
    operator Result<>() const {
        return problem_.empty() ? Result<>() : Error(errc::bad_config, problem_);
    }

    static std::string print(std::integral auto value) { return std::to_string(value); }
    static std::string print(double value);
    /// As it is written in a configuration: "250ms", "5min".
    static std::string print(Duration value);

private:
    std::string problem_;
};

}  // namespace gyre::config

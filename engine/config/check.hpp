#pragma once
#include <concepts>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <string>
#include <string_view>

namespace gyre::config {

/// What validate() returns: the first thing that is wrong, with its name, value and range.
///
///     return config::Check().range("mtu_bytes", mtu_bytes, 576, 1400)
///                           .that(mode != Mode::none, "mode", "must be chosen");
class Check {
public:
    template <class T>
    Check& range(std::string_view field, const T& value, const std::type_identity_t<T>& min,
                 const std::type_identity_t<T>& max) {
        if (!problem_.empty() || (value >= min && value <= max)) return *this;
        problem_ = std::string(field) + ": " + print(value) + " is outside [" + print(min) + ", " +
                   print(max) + "]";
        return *this;
    }
    Check& that(bool holds, std::string_view field, std::string_view reason) {
        if (problem_.empty() && !holds) problem_ = std::string(field) + ": " + std::string(reason);
        return *this;
    }
    operator Result<>() const {
        return problem_.empty() ? Result<>() : Error(errc::bad_config, problem_);
    }

private:
    static std::string print(std::integral auto value) { return std::to_string(value); }
    static std::string print(double value);
    template <class Rep, class Period>
    static std::string print(std::chrono::duration<Rep, Period> value) {
        return print(to_ms(std::chrono::duration_cast<Duration>(value))) + "ms";
    }
    std::string problem_;
};

}  // namespace gyre::config

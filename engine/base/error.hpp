#pragma once
#include <exception>
#include <source_location>
#include <string>
#include <string_view>

namespace gyre {

/// Codes the engine itself uses. A code is a stable snake_case name; games add their own.
namespace errc {
inline constexpr std::string_view cancelled = "cancelled";        // The awaiting scope ended.
inline constexpr std::string_view timed_out = "timed_out";        // No answer; it may have run.
inline constexpr std::string_view disconnected = "disconnected";  // Link lost; it may have run.
inline constexpr std::string_view closed = "closed";              // This end was closed.
inline constexpr std::string_view overloaded = "overloaded";      // A bounded queue is full.
inline constexpr std::string_view not_found = "not_found";
inline constexpr std::string_view conflict = "conflict";  // Changed since read; read again.
inline constexpr std::string_view too_large = "too_large";
inline constexpr std::string_view bad_data = "bad_data";  // Bytes from outside make no sense.
inline constexpr std::string_view bad_arguments = "bad_arguments";
inline constexpr std::string_view unauthorized = "unauthorized";    // Who are you?
inline constexpr std::string_view forbidden = "forbidden";          // You may not.
inline constexpr std::string_view unknown_method = "unknown_method";
inline constexpr std::string_view entity_gone = "entity_gone";
inline constexpr std::string_view entity_moved = "entity_moved";  // Not run: it is elsewhere.
inline constexpr std::string_view no_service = "no_service";      // Not run: no node of the role.
inline constexpr std::string_view unavailable = "unavailable";  // No node can serve this now.
inline constexpr std::string_view fenced = "fenced";            // Another owner holds it.
inline constexpr std::string_view refused = "refused";
inline constexpr std::string_view in_use = "in_use";
inline constexpr std::string_view internal = "internal";
inline constexpr std::string_view bad_config = "bad_config";
inline constexpr std::string_view reloading = "reloading";      // New code came; it may have run.
inline constexpr std::string_view update_required = "update_required";
}  // namespace errc

/// The one exception that crosses awaits, nodes and module borders. Owns its strings, so it
/// outlives the module that threw it.
class Error : public std::exception {
public:
    explicit Error(std::string_view code, std::string message = {},
                   std::source_location where = std::source_location::current());
    Error(const Error&) = default;
    Error(Error&&) noexcept = default;
    Error& operator=(const Error&) = default;
    Error& operator=(Error&&) noexcept = default;
    ~Error() override;

    const std::string& code() const noexcept { return code_; }
    const std::string& message() const noexcept { return message_; }
    const std::string& where() const noexcept { return where_; }  ///< "file:line"
    bool is(std::string_view code) const noexcept { return code_ == code; }
    const char* what() const noexcept override { return what_.c_str(); }  ///< "code: message"

private:
    std::string code_, message_, where_, what_;
};

/// An exception of any kind as an Error: what is not one becomes `internal` with its text.
Error to_error(const std::exception_ptr& failure) noexcept;

}  // namespace gyre

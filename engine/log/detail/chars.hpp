#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

/// Pieces of a line. Each writes at `to`, where there is room (format.cpp knows how much), and returns
/// the end of what it wrote.
namespace gyre::log::detail {

inline char* put(char* to, char c) {
    *to = c;
    return to + 1;
}
inline char* put(char* to, std::string_view text) {
    std::memcpy(to, text.data(), text.size());
    return to + text.size();
}
inline char* put_two(char* to, unsigned value) {
    to[0] = static_cast<char>('0' + value / 10);
    to[1] = static_cast<char>('0' + value % 10);
    return to + 2;
}
char* put_number(char* to, std::int64_t value);
char* put_number(char* to, std::uint64_t value);
char* put_real(char* to, double value);
/// Nanoseconds as milliseconds, to the nanosecond.
char* put_ms(char* to, std::int64_t ns);

/// Names come from code: plain, or made so.
char* put_name(char* to, std::string_view text);

enum class Escape : std::uint8_t { quoted, json, line };  ///< A line is not within quotes.
/// Control characters, what reorders text on a terminal, and invalid UTF-8 are escaped; six bytes
/// for one at most.
char* put_escaped(char* to, std::string_view text, Escape how);
/// As `text` when it is plain, else quoted and escaped.
char* put_quoted(char* to, std::string_view text);
inline constexpr std::size_t escaped_bytes_max = 6;  ///< For each byte.

}  // namespace gyre::log::detail

#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace gyre::config::detail {

inline constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

/// One character of UTF-8; one byte that is not valid.
struct Character {
    std::uint32_t value = 0;
    std::uint8_t bytes = 1;
    bool valid = false;
};
/// Offset within the text.
Character character_at(std::string_view text, std::size_t offset);
void append_character(std::string& to, std::uint32_t value);

/// Controls, and what reorders or hides the text around it.
bool is_unprintable(std::uint32_t character);
/// Of a terminal.
std::size_t columns_of(std::uint32_t character);

}  // namespace gyre::config::detail

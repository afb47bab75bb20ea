#include "characters.hpp"

namespace gyre::config::detail {
namespace {
struct Range {
    std::uint32_t first, last;
};
template <std::size_t N>
bool within(std::uint32_t character, const Range (&ranges)[N]) {
    for (const Range& range : ranges)
        if (character >= range.first && character <= range.last) return true;
    return false;
}
}  // namespace

Character character_at(std::string_view text, std::size_t offset) {
    const auto at = [&](std::size_t i) {
        return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
    };
    const std::uint8_t first = at(offset);
    if (first < 0x80) return {first, 1, true};
    const std::uint8_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4) return {};
    std::uint32_t value = first & (0xffu >> (bytes + 1));
    for (std::uint8_t i = 1; i < bytes; ++i) {
        if ((at(offset + i) & 0xc0) != 0x80) return {};
        value = value << 6 | (at(offset + i) & 0x3f);
    }
    const bool shortest = bytes == 2 || (bytes == 3 ? value >= 0x800 : value >= 0x10000);
    if (!shortest || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return {};
    return {value, bytes, true};
}

void append_character(std::string& to, std::uint32_t value) {
    const auto tail = [&](int shift) { to += static_cast<char>(0x80 | (value >> shift & 0x3f)); };
    if (value < 0x80) {
        to += static_cast<char>(value);
    } else if (value < 0x800) {
        to += static_cast<char>(0xc0 | value >> 6);
        tail(0);
    } else if (value < 0x10000) {
        to += static_cast<char>(0xe0 | value >> 12);
        tail(6), tail(0);
    } else {
        to += static_cast<char>(0xf0 | value >> 18);
        tail(12), tail(6), tail(0);
    }
}

bool is_unprintable(std::uint32_t character) {
    static constexpr Range hidden[] = {{0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},     {0x200b, 0x200f},
                                       {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
                                       {0xe0000, 0xe0fff}};
    return within(character, hidden);
}

std::size_t columns_of(std::uint32_t character) {
    static constexpr Range combining[] = {{0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x610, 0x61a},
                                          {0x64b, 0x65f}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff},
                                          {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
    static constexpr Range wide[] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
                                     {0xfe30, 0xfe6f}, {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
                                     {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}};
    return within(character, combining) ? 0 : within(character, wide) ? 2 : 1;
}

}  // namespace gyre::config::detail

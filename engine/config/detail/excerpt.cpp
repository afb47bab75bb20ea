#include <algorithm>
#include <gyre/config/secrets.hpp>
#include <string>

#include "characters.hpp"
#include "faults.hpp"

namespace gyre::config::detail {
namespace {

constexpr std::size_t tab_columns = 4;
constexpr std::size_t shown_before = 40, shown_max = 100;  // columns

/// What is printed for one character of the line.
struct Cell {
    std::uint32_t offset;  // in the source
    std::string shown;
    std::size_t columns;
};

std::string hex(std::uint32_t value, int digits) {
    std::string text;
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 15];
    return text;
}

Cell cell(std::string_view text, std::uint32_t offset, std::size_t column) {
    const Character c = character_at(text, offset);
    if (!c.valid) return {offset, "\\x" + hex(static_cast<std::uint8_t>(text[offset]), 2), 4};
    if (c.value == '\t') {
        const std::size_t width = tab_columns - column % tab_columns;
        return {offset, std::string(width, ' '), width};
    }
    if (is_unprintable(c.value)) {
        std::string shown = "\\u" + hex(c.value, c.value > 0xffff ? 6 : 4);
        return {offset, shown, shown.size()};
    }
    return {offset, std::string(text.substr(offset, c.bytes)), columns_of(c.value)};
}


std::vector<Cell> cells_of_line(const Source& source, std::uint32_t begin, std::uint32_t end) {
    auto secret = source.secrets.lower_bound(begin);
    if (secret != source.secrets.begin() && std::prev(secret)->first + std::prev(secret)->second > begin) --secret;
    std::vector<Cell> cells;
    std::size_t column = 0;
    for (std::uint32_t at = begin; at < end;) {
        while (secret != source.secrets.end() && secret->first + secret->second <= at) ++secret;
        if (secret != source.secrets.end() && secret->first <= at) {
            cells.push_back({at, std::string(secret_shown), secret_shown.size()});
            at = secret->first + secret->second;
        } else {
            cells.push_back(cell(source.text, at, column));
            at += character_at(source.text, at).bytes;
        }
        column += cells.back().columns;
    }
    return cells;
}

}  // namespace

LineColumn Source::at(std::uint32_t offset) const {
    const std::string_view before = std::string_view(text).substr(0, offset);
    const auto line = std::ranges::count(before, '\n');
    const std::size_t begin = line ? before.rfind('\n') + 1 : text.starts_with(byte_order_mark) ? 3 : 0;
    const auto characters = std::ranges::count_if(before.substr(std::min(begin, before.size())),
                                                  [](char c) { return (c & 0xc0) != 0x80; });
    return {static_cast<std::uint32_t>(line + 1), static_cast<std::uint32_t>(characters + 1)};
}

std::string excerpt(const Place& place) {
    const Source& source = *place.source;
    const std::string_view text = source.text;
    // A line of megabytes is looked at only around the place.
    constexpr std::size_t window = 4'096;
    std::size_t begin = place.offset ? text.rfind('\n', place.offset - 1) + 1 : 0;  // npos + 1 is 0
    if (begin == 0 && text.starts_with(byte_order_mark)) begin = 3;
    begin = std::max<std::size_t>(begin, place.offset > window ? place.offset - window : 0);
    while (begin < place.offset && (text[begin] & 0xc0) == 0x80) ++begin;
    std::size_t end = std::min({text.find('\n', place.offset), text.size(), place.offset + window});
    if (end > begin && text[end - 1] == '\r') --end;
    const auto cells = cells_of_line(source, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end));

    const bool brackets = place.offset < text.size() && (text[place.offset] == '{' || text[place.offset] == '[');
    const std::size_t last = place.offset + (brackets ? 1 : std::max<std::size_t>(place.length, 1));
    std::size_t caret = 0, caret_width = 0, width = 0;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::size_t next = i + 1 < cells.size() ? cells[i + 1].offset : end;
        if (next <= place.offset) caret += cells[i].columns;
        if (next > place.offset && cells[i].offset < last) caret_width += cells[i].columns;
        width += cells[i].columns;
    }
    std::size_t from = 0, to = width;
    if (width > shown_max) {
        from = caret > shown_before ? std::min(caret - shown_before, width - shown_max) : 0;
        to = from + shown_max;
    }
    std::string line, below;
    std::size_t column = 0;
    if (from > 0) line += "...";
    std::size_t shown_from = width;
    for (const Cell& cell : cells) {
        if (column >= from && column + cell.columns <= to) {
            shown_from = std::min(shown_from, column);
            line += cell.shown;
        }
        column += cell.columns;
    }
    if (to < width) line += "...";
    const std::size_t indent = (from > 0 ? 3 : 0) + (caret > shown_from ? caret - shown_from : 0);
    below.append(indent, ' ');
    below += '^';
    const std::size_t room = to > caret ? to - caret : 1;
    if (caret_width > 1) below.append(std::min(caret_width, room) - 1, '~');
    while (line.ends_with(' ')) line.pop_back();
    std::string number = std::to_string(source.at(place.offset).line);
    if (number.size() < 5) number.insert(0, 5 - number.size(), ' ');
    return number + " | " + line + "\n" + std::string(number.size(), ' ') + " | " + below;
}

}  // namespace gyre::config::detail

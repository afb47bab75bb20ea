#include "scanner.hpp"

#include <charconv>
#include <cmath>

#include "characters.hpp"

namespace gyre::config::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; }

bool all_digits(std::string_view text) {
    for (const char c : text)
        if (!is_digit(c)) return false;
    return !text.empty();
}

bool is_number(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    const auto digits = [&text] {
        std::size_t n = 0;
        while (n < text.size() && is_digit(text[n])) ++n;
        text.remove_prefix(n);
        return n;
    };
    const bool zero = text.starts_with('0');
    const std::size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) return false;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        if (digits() == 0) return false;
    }
    if (text.starts_with('e') || text.starts_with('E')) {
        text.remove_prefix(1);
        if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
        if (digits() == 0) return false;
    }
    return text.empty();
}

}  // namespace

Scanner::Scanner(Source& source, Faults& faults, bool plain)
    : source_(source), faults_(faults), text_(source.text), plain_(plain) {
    if (text_.starts_with(byte_order_mark)) pos_ = byte_order_mark.size();
}

Place Scanner::place(std::size_t begin, std::size_t length) const {
    return {&source_, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(length)};
}

void Scanner::fault(std::size_t begin, std::size_t length, std::string message) {
    faults_.add({place(begin, length), path_text(), std::move(message)});
}

std::string Scanner::path_text() const {
    std::vector<const Path*> steps;
    for (const Path* step = path_; step; step = step->outer) steps.push_back(step);
    std::string text;
    for (; !steps.empty(); steps.pop_back()) {
        const Path& step = *steps.back();
        text = step.name ? join_path(text, *step.name) : join_path(text, step.element);
    }
    return text;
}

bool Scanner::skip_comment() {
    const std::size_t begin = pos_;
    if (at() == '#' || (at() == '/' && at(1) == '/')) {
        pos_ = std::min(text_.find('\n', pos_), text_.size());
    } else if (at() == '/' && at(1) == '*') {
        const std::size_t end = text_.find("*/", pos_ + 2);
        pos_ = end == text_.npos ? text_.size() : end + 2;
        if (end == text_.npos) {
            fault(begin, 2, "this comment never ends: */ is missing");
            stop();
        }
    } else {
        return false;
    }
    return true;
}

void Scanner::skip_space() {
    for (;;) {
        while (at() == ' ' || at() == '\t' || at() == '\r' || at() == '\n') ++pos_;
        if (plain_ || !skip_comment()) return;
    }
}

bool Scanner::at_word() const { return is_letter(at()) || is_digit(at()) || at() == '-' || at() == '+' || at() == '.'; }

std::string_view Scanner::peek_word() const {
    std::size_t end = pos_;
    while (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]) || text_[end] == '-' ||
                                  text_[end] == '+' || text_[end] == '.'))
        ++end;
    return text_.substr(pos_, end - pos_);
}

std::string Scanner::found() const {
    if (at_end()) return "the end";
    if (hidden_) return "something else";
    if (const auto word = peek_word(); !word.empty())
        return std::string(word.substr(0, 40)) + (word.size() > 40 ? "..." : "");
    if (at() == '"') return "text";
    const Character c = character_at(text_, pos_);
    constexpr std::string_view hex = "0123456789ABCDEF";
    const auto byte = static_cast<std::uint8_t>(at());
    if (!c.valid) return std::string("a byte 0x") + hex[byte >> 4] + hex[byte & 15] + " that is not UTF-8";
    if (is_unprintable(c.value)) {
        std::string name = "U+";
        for (int shift = c.value > 0xffff ? 20 : 12; shift >= 0; shift -= 4) name += hex[c.value >> shift & 15];
        return name;
    }
    const std::string shown = "'" + std::string(text_.substr(pos_, c.bytes)) + "'";
    const bool is_quote = c.value == 0x201c || c.value == 0x201d || c.value == 0x201e || c.value == 0xab || c.value == 0xbb;
    return is_quote ? shown + ", a quote of another kind than \"" : shown;
}

bool Scanner::scan_text(std::string& to) {
    const std::size_t begin = pos_++;
    for (;;) {
        std::size_t end = pos_;
        while (end < text_.size() && static_cast<std::uint8_t>(text_[end]) >= 0x20 &&
               static_cast<std::uint8_t>(text_[end]) < 0x7f && text_[end] != '"' && text_[end] != '\\')
            ++end;
        to.append(text_, pos_, end - pos_);
        pos_ = end;
        const char c = at();
        if (c == '"' && !at_end()) return ++pos_, true;
        if (at_end() || c == '\n' || (c == '\r' && at(1) == '\n')) {
            fault(begin, 1, "this text never ends: its closing \" is missing on this line");
            return false;
        }
        if (c == '\\') {
            scan_escape(to);
            continue;
        }
        const Character character = character_at(text_, pos_);
        if (!character.valid)
            fault_here(found() + " within a text");
        else if (character.value == '\t')
            fault_here("a tab within a text; write \\t");
        else if (character.value < 0x20)
            fault_here("a control character within a text: " + found() + "; write it as \\u00XX");
        if (character.value == 0 && character.valid && ++pos_) continue;  // told; a text has none
        to.append(text_, pos_, character.bytes);
        pos_ += character.bytes;
    }
}

bool Scanner::scan_hex(std::uint32_t& value) {
    value = 0;
    const std::string_view digits = text_.substr(std::min(pos_, text_.size()), 4);
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (failure != std::errc{} || end != digits.data() + 4 || digits.size() < 4) return false;
    pos_ += 4;
    return true;
}

void Scanner::scan_escape(std::string& to) {
    constexpr std::string_view plain = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    const std::size_t begin = pos_++;
    const char c = at();
    if (const auto known = plain.find(c); known != plain.npos && !at_end()) {
        to += meant[known];
        ++pos_;
        return;
    }
    if (c != 'u') {
        fault(begin, 2, "unknown escape; a backslash is written \\\\");
        return;
    }
    ++pos_;
    std::uint32_t value = 0, low = 0;
    if (!scan_hex(value)) return fault(begin, pos_ - begin, "\\u needs four hexadecimal digits");
    if (value >= 0xd800 && value < 0xdc00 && at() == '\\' && at(1) == 'u') {
        pos_ += 2;
        if (!scan_hex(low) || low < 0xdc00 || low > 0xdfff)
            return fault(begin, pos_ - begin, "half of a character: \\ud8XX needs \\udcXX behind it");
        value = 0x10000 + ((value - 0xd800) << 10 | (low - 0xdc00));
    }
    if (value >= 0xd800 && value < 0xe000)
        return fault(begin, pos_ - begin, "half of a character: \\ud8XX needs \\udcXX behind it");
    if (value == 0) return fault(begin, pos_ - begin, "\\u0000 has no place in a configuration");
    append_character(to, value);
}

std::string Scanner::number_fault(std::string_view token) const {
    const std::string text(token);
    std::string_view digits = token;
    if (digits.starts_with('+')) return "a number has no '+': write " + text.substr(1);
    const std::string sign = digits.starts_with('-') ? "-" : "";
    digits.remove_prefix(sign.size());
    if (digits.empty()) return "digits are missing after '-'";
    if (digits == "Infinity" || digits == "inf" || digits == "NaN") return text + " is no number here; all are finite";
    std::uint64_t value = 0;
    const auto hexadecimal = digits.substr(0, 2);
    if (hexadecimal == "0x" || hexadecimal == "0X") {
        const auto [end, failure] = std::from_chars(digits.data() + 2, digits.data() + digits.size(), value, 16);
        if (failure == std::errc{} && end == digits.data() + digits.size())
            return "numbers are decimal: write " + sign + std::to_string(value);
    }
    if (digits.starts_with('.') && is_number("0" + std::string(digits)))
        return "a digit is missing before '.': write " + sign + "0" + std::string(digits);
    if (digits.ends_with('.') && is_number(std::string(digits) + "0"))
        return "a digit is missing after '.': write " + text + "0";
    if (digits.starts_with('0') && digits.size() > 1 && is_digit(digits[1])) {
        const auto first = std::min(digits.find_first_not_of('0'), digits.size() - 1);
        if (is_number(digits.substr(first))) return "a leading zero: write " + sign + std::string(digits.substr(first));
    }
    std::string joined;
    for (const char c : digits)
        if (c != '_') joined += c;
    if (joined.size() < digits.size() && all_digits(joined)) return "a number has no '_': write " + sign + joined;
    return "text needs double quotes: \"" + text + "\"";
}

void Scanner::scan_number(Node& node) {
    const std::string_view token = peek_word();
    node.place.length = static_cast<std::uint32_t>(token.size());
    const char* const last = token.data() + token.size();
    if (!is_number(token)) {
        node.kind = Kind::end;
        fault(pos_, token.size(), hidden_ ? "no number; text needs double quotes" : number_fault(token.substr(0, 60)));
        pos_ += token.size();
        return;
    }
    pos_ += token.size();
    if (token.find_first_of(".eE") == token.npos) {
        std::int64_t negative = 0;
        if (token.starts_with('-') && std::from_chars(token.data(), last, negative).ec == std::errc{}) {
            node.kind = negative < 0 ? Kind::negative_integer : Kind::unsigned_integer;
            node.integer = static_cast<std::uint64_t>(negative);
            return;
        }
        if (!token.starts_with('-') && std::from_chars(token.data(), last, node.integer).ec == std::errc{}) {
            node.kind = Kind::unsigned_integer;
            return;
        }
    }
    node.kind = Kind::number;
    // Out of range: too large, or so small that it is 0.
    if (std::from_chars(token.data(), last, node.number).ec != std::errc{}) {
        const auto exponent = token.find_first_of("eE");
        const bool small = exponent != token.npos && token.substr(exponent + 1).starts_with('-');
        node.number = 0;
        if (small) return;
        node.kind = Kind::end;
        fault(pos_ - token.size(), token.size(), "this number is larger than any that fits 64 bits");
    }
}

void Scanner::scan_word(Node& node) {
    const std::string_view word = peek_word();
    const std::size_t begin = pos_;
    node.place.length = static_cast<std::uint32_t>(word.size());
    pos_ += word.size();
    if (word == "true" || word == "false") {
        node.kind = Kind::boolean;
        node.integer = word == "true";
        return;
    }
    node.kind = word == "null" ? Kind::nil : Kind::end;
    if (word == "null") return;
    const std::string shown(word.substr(0, 60));
    std::string message = "text needs double quotes: \"" + shown + "\"";
    for (const auto& [others, ours] : {std::pair{"True", "true"}, {"TRUE", "true"}, {"yes", "true"}, {"on", "true"},
                                       {"False", "false"}, {"FALSE", "false"}, {"no", "false"}, {"off", "false"},
                                       {"None", "null"}, {"nil", "null"}, {"NULL", "null"}, {"undefined", "null"}})
        if (word == others) message = shown + " is written " + ours;
    if (word == "NaN" || word == "nan" || word == "Infinity" || word == "inf")
        message = shown + " is no number here; all are finite";
    fault(begin, word.size(), hidden_ ? "text needs double quotes" : message);
}

void Scanner::scan_single_quoted(std::string& to) {
    const std::size_t begin = pos_++;
    while (!at_end() && at() != '\n' && at() != '\'') to += text_[pos_++];
    const bool closed = !at_end() && at() == '\'';
    pos_ += closed;
    fault(begin, pos_ - begin, closed ? "text has double quotes: \"...\"" : "expected text in double quotes, found '''");
}

}  // namespace gyre::config::detail

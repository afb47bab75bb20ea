#include "format.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <gyre/log/backend.hpp>

namespace gyre::log::detail {
namespace {

constexpr char hex[] = "0123456789abcdef";

/// Bytes of the valid UTF-8 sequence at `text`, and its code point; 0 when it is not valid.
std::size_t utf8(std::string_view text, std::uint32_t& point) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t first = byte(0);
    if (first < 0x80) return point = first, 1;
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
    point = first & (0x7f >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
        point = (point << 6) | (byte(i) & 0x3f);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool wrong =
        point < least[size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000);
    return wrong ? 0 : size;
}

/// C1 controls, line separators, and marks that reorder what follows on a terminal.
bool hostile(std::uint32_t point) {
    return (point >= 0x7f && point < 0xa0) || (point >= 0x200e && point <= 0x200f) ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

enum class Escape : std::uint8_t { quoted, json, line };  // a line is not within quotes

void append_escaped(std::string& to, std::string_view text, Escape how) {
    const bool json = how == Escape::json;
    while (!text.empty()) {
        std::uint32_t point = 0;
        const std::size_t size = utf8(text, point);
        const char c = text[0];
        if (size == 0) {
            const auto byte = static_cast<std::uint8_t>(c);
            to += json ? "\\\\x" : "\\x";
            to += hex[byte >> 4];
            to += hex[byte & 15];
        } else if (how != Escape::line && (c == '"' || c == '\\')) {
            to += '\\';
            to += c;
        } else if (c == '\n') {
            to += "\\n";
        } else if (c == '\t') {
            to += "\\t";
        } else if (point < 0x20 || hostile(point)) {
            to += "\\u";
            for (int shift = 12; shift >= 0; shift -= 4) to += hex[(point >> shift) & 15];
        } else {
            to.append(text.substr(0, size));
        }
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
}

/// Names come from code: plain, or made so.
void append_name(std::string& to, std::string_view text) {
    for (const char c : text) to += c > ' ' && c < 0x7f && c != '=' && c != '"' ? c : '?';
}

template <class T>
void append_number(std::string& to, T value) {
    char digits[24];
    to.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void append_real(std::string& to, double value) {
    char digits[40];
    const double size = std::abs(value);
    const bool fixed = size == 0 || (size >= 1e-4 && size < 1e15);
    const auto end = std::to_chars(digits, digits + sizeof digits, value,
                                   fixed ? std::chars_format::fixed : std::chars_format::general);
    to.append(digits, end.ptr);
}

void append_two(std::string& to, unsigned value) {
    to += static_cast<char>('0' + value / 10);
    to += static_cast<char>('0' + value % 10);
}

void append_time(std::string& to, std::int64_t time_ns) {
    const auto ms =
        static_cast<unsigned>(((time_ns / 1'000'000) % 86'400'000 + 86'400'000) % 86'400'000);
    append_two(to, ms / 3'600'000);
    to += ':';
    append_two(to, ms / 60'000 % 60);
    to += ':';
    append_two(to, ms / 1'000 % 60);
    to += '.';
    to += static_cast<char>('0' + ms / 100 % 10);
    append_two(to, ms % 100);
}

void append_date(std::string& to, std::int64_t time_ns) {
    using namespace std::chrono;
    const year_month_day date(floor<days>(sys_time<nanoseconds>(nanoseconds(time_ns))));
    append_number(to, static_cast<int>(date.year()));
    to += '-';
    append_two(to, static_cast<unsigned>(date.month()));
    to += '-';
    append_two(to, static_cast<unsigned>(date.day()));
    to += 'T';
}

void pad(std::string& to, std::size_t from, std::size_t width) {
    const std::size_t used = to.size() - from;
    to.append(used < width ? width - used : 0, ' ');
}

void append_cut(std::string& to, const Record::Field& field) {
    to += "...(+";
    append_number(to, field.bits);
    to += " bytes)";
}

/// Calls with each line of a log::Lines; the end of the last makes no further one.
template <class F>
void each_line(const Record::Field& field, F&& call) {
    std::string_view rest = field.text();
    while (!rest.empty()) {
        const auto end = std::min(rest.find('\n'), rest.size());
        call(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
}

void append_lines_json(std::string& to, const Record::Field& field) {
    to += '[';
    const std::size_t begin = to.size();
    each_line(field, [&](std::string_view line) {
        to += to.size() == begin ? "\"" : ",\"";
        append_escaped(to, line, Escape::json);
        to += '"';
    });
    if (field.bits) {
        to += to.size() == begin ? "\"" : ",\"";
        append_cut(to, field);
        to += '"';
    }
    to += ']';
}

/// Each line of every log::Lines after an end of line and four spaces.
void append_lines(std::string& to, const Record& record) {
    for (std::size_t i = 0; i < record.field_count; ++i) {
        const auto& field = record.fields[i];
        if (field.type != Value::Type::lines) continue;
        each_line(field, [&](std::string_view line) {
            to += "\n    ";
            append_escaped(to, line, Escape::line);
        });
        if (field.bits) {
            to += "\n    ";
            append_cut(to, field);
        }
    }
}

void append_place(std::string& to, const Record& record) {
    for (const char c : record.file) to += c > ' ' && c < 0x7f ? c : '?';
    to += ':';
    append_number(to, record.line);
    to += ':';
    append_number(to, record.column);
}

void append_value(std::string& to, const Record::Field& field, bool json) {
    switch (field.type) {
        case Value::Type::integer: return append_number(to, static_cast<std::int64_t>(field.bits));
        case Value::Type::natural: return append_number(to, field.bits);
        case Value::Type::boolean: to += field.bits ? "true" : "false"; return;
        case Value::Type::duration:
            return append_real(to, to_ms(Duration(static_cast<std::int64_t>(field.bits))));
        case Value::Type::real: {
            const auto value = std::bit_cast<double>(field.bits);
            if (std::isfinite(value) || !json) return append_real(to, value);
            to += std::isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"";
            return;
        }
        case Value::Type::id:  // 64 bits: more than a JSON reader keeps in a number
            if (json) to += '"';
            append_number(to, field.bits);
            if (json) to += '"';
            return;
        case Value::Type::text:
            if (json) {
                to += '"';
                append_escaped(to, field.text(), Escape::json);
            } else {
                append_quoted(to, field.text());
            }
            if (field.bits) append_cut(to, field);
            if (json) to += '"';
            return;
        case Value::Type::lines: return append_lines_json(to, field);
    }
}

/// A duration says its unit even where the key does not.
bool lacks_unit(const Record::Field& field) {
    return field.type == Value::Type::duration && !field.key().ends_with("_ms");
}

/// Calls with a field for each id of the Context and the build, but those the line names itself.
template <class F>
void each_context_field(const Record& record, F&& call) {
    const std::pair<std::string_view, std::uint64_t> ids[] = {{"entity", record.entity},
                                                              {"session", record.session},
                                                              {"call", record.call},
                                                              {"trace", record.trace}};
    const auto named = [&record](std::string_view key) {
        return std::any_of(record.fields.begin(), record.fields.begin() + record.field_count,
                           [&](const auto& field) { return field.key() == key; });
    };
    for (const auto& [key, id] : ids)
        if (id != 0 && !named(key))
            call(Record::Field{key.data(), nullptr, id, 0, static_cast<std::uint8_t>(key.size()),
                               Value::Type::id});
    constexpr std::string_view build = "build";
    if (!record.build.empty() && !named(build))
        call(Record::Field{build.data(), record.build.data(), 0, static_cast<std::uint16_t>(record.build.size()),
                           static_cast<std::uint8_t>(build.size()), Value::Type::text});
}

constexpr std::string_view colors[] = {"\x1b[90m", "\x1b[36m", "\x1b[32m", "\x1b[33m",
                                       "\x1b[1;31m"};
constexpr std::string_view plain = "\x1b[0m";

}  // namespace

void append_quoted(std::string& to, std::string_view text) {
    const auto is_plain = [](char c) {
        return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
    };
    if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) {
        to.append(text);
        return;
    }
    to += '"';
    append_escaped(to, text, Escape::quoted);
    to += '"';
}

void append_fields(std::string& to, const Record& record, bool color) {
    bool first = true;
    const auto append = [&](const Record::Field& field) {
        if (field.type == Value::Type::lines) return;
        if (!first) to += ' ';
        first = false;
        if (color) to += "\x1b[2m";
        append_name(to, field.key());
        to += '=';
        if (color) to += plain;
        append_value(to, field, false);
        if (lacks_unit(field)) to += "ms";
    };
    for (std::size_t i = 0; i < record.field_count; ++i) append(record.fields[i]);
    each_context_field(record, append);
}

void append_text(std::string& to, const Record& record, TextStyle style) {
    const auto level = static_cast<std::size_t>(record.level);
    if (style.date) append_date(to, record.time_ns);
    append_time(to, record.time_ns);
    if (style.date) to += 'Z';
    to += ' ';
    if (style.color) to += colors[level];
    std::size_t column = to.size();
    to += name(record.level);
    pad(to, column, 5);
    if (style.color) to += plain;
    to += ' ';
    column = to.size();
    append_name(to, record.node.empty() ? "-" : record.node);
    pad(to, column, 10);
    to += ' ';
    column = to.size();
    append_name(to, record.event);
    const std::size_t before = to.size();
    pad(to, column, 24);
    to += ' ';
    const std::size_t fields = to.size();
    append_fields(to, record, style.color);
    if (to.size() == fields) to.resize(before);
    if (!record.file.empty()) {
        // Spaces on both sides: editors and terminals make a link of it.
        to += " at ";
        append_place(to, record);
        to += ' ';
    }
    append_lines(to, record);
    to += '\n';
}

void append_json(std::string& to, const Record& record) {
    const auto key = [&](std::string_view text) {
        to += ",\"";
        append_escaped(to, text, Escape::json);
        to += "\":";
    };
    const auto text = [&](std::string_view name, std::string_view value) {
        key(name);
        to += '"';
        append_escaped(to, value, Escape::json);
        to += '"';
    };
    to += "{\"ts\":\"";
    append_date(to, record.time_ns);
    append_time(to, record.time_ns);
    to += "Z\",\"level\":\"";
    to += name(record.level);
    to += '"';
    if (!record.node.empty()) text("node", record.node);
    if (!record.role.empty()) text("role", record.role);
    text("event", record.event);
    const auto append = [&](const Record::Field& field) {
        static constexpr std::string_view taken[] = {"ts", "level", "node", "role", "event", "at"};
        std::string name(field.key());
        if (std::find(std::begin(taken), std::end(taken), field.key()) != std::end(taken)) {
            name.insert(0, 1, '_');
        }
        if (lacks_unit(field)) name += "_ms";
        key(name);
        append_value(to, field, true);
    };
    for (std::size_t i = 0; i < record.field_count; ++i) append(record.fields[i]);
    each_context_field(record, append);
    if (!record.file.empty()) {
        key("at");
        to += '"';
        append_place(to, record);
        to += '"';
    }
    to += "}\n";
}

Line line_of(const Record& record) {
    Line line{.level = record.level,
              .time = WallTime(Duration(record.time_ns)),
              .node = std::string(record.node),
              .role = std::string(record.role),
              .event = std::string(record.event),
              .fields = {},
              .json = {},
              .entity = record.entity,
              .session = record.session,
              .call = record.call,
              .trace = record.trace,
              .build = std::string(record.build),
              .at = {}};
    append_fields(line.fields, record, false);
    append_lines(line.fields, record);
    append_json(line.json, record);
    line.json.pop_back();
    if (!record.file.empty()) append_place(line.at, record);
    return line;
}

}  // namespace gyre::log::detail

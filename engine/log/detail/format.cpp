#include "format.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <gyre/log/backend.hpp>

#include "chars.hpp"

namespace gyre::log::detail {
namespace {

constexpr std::string_view colors[] = {"\x1b[90m", "\x1b[36m", "\x1b[32m", "\x1b[33m",
                                       "\x1b[1;31m"};
constexpr std::string_view dim = "\x1b[2m", plain = "\x1b[0m";

/// What a line takes at most, whatever its style.
std::size_t line_bytes_max(const Record& record) {
    constexpr std::size_t fixed = 1'024, of_field = 128;  // with the five fields of the Context
    std::size_t text = record.file.size() + record.event.size() + record.node.size() +
                       record.role.size() + record.build.size();
    for (std::size_t i = 0; i < record.field_count; ++i)
        text += record.fields[i].key_bytes + record.fields[i].text_bytes;
    return fixed + of_field * record.field_count + escaped_bytes_max * text;
}

char* pad(char* to, const char* from, std::ptrdiff_t width) {
    while (to - from < width) *to++ = ' ';
    return to;
}

char* put_cut(char* to, const Record::Field& field) {
    return put(put_number(put(to, "...(+"), field.bits), " bytes)");
}

char* put_place(char* to, const Record& record) {
    for (const char c : record.file) *to++ = c > ' ' && c < 0x7f && c != '"' && c != '\\' ? c : '?';
    to = put_number(put(to, ':'), std::uint64_t{record.line});
    return put_number(put(to, ':'), std::uint64_t{record.column});
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

char* put_lines_json(char* to, const Record::Field& field) {
    *to++ = '[';
    const char* const begin = to;
    const auto open = [&] { to = put(to, to == begin ? "\"" : ",\""); };
    each_line(field, [&](std::string_view line) {
        open();
        to = put(put_escaped(to, line, Escape::json), '"');
    });
    if (field.bits) {
        open();
        to = put(put_cut(to, field), '"');
    }
    return put(to, ']');
}

/// Each line of every log::Lines after an end of line and four spaces.
char* put_lines(char* to, const Record& record) {
    constexpr std::string_view indent = "\n    ";
    for (std::size_t i = 0; i < record.field_count; ++i) {
        const auto& field = record.fields[i];
        if (field.type != Value::Type::lines) continue;
        each_line(field, [&](std::string_view line) {
            to = put_escaped(put(to, indent), line, Escape::line);
        });
        if (field.bits) to = put_cut(put(to, indent), field);
    }
    return to;
}

char* put_value(char* to, const Record::Field& field, bool json) {
    switch (field.type) {
        case Value::Type::integer: return put_number(to, static_cast<std::int64_t>(field.bits));
        case Value::Type::natural: return put_number(to, field.bits);
        case Value::Type::boolean: return put(to, field.bits ? "true" : "false");
        case Value::Type::duration: return put_ms(to, static_cast<std::int64_t>(field.bits));
        case Value::Type::real: {
            const auto value = std::bit_cast<double>(field.bits);
            if (std::isfinite(value) || !json) return put_real(to, value);
            return put(to, std::isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"");
        }
        case Value::Type::id:  // 64 bits: more than a JSON reader keeps in a number
            if (!json) return put_number(to, field.bits);
            return put(put_number(put(to, '"'), field.bits), '"');
        case Value::Type::text:
            to = json ? put_escaped(put(to, '"'), field.text(), Escape::json)
                      : put_quoted(to, field.text());
            if (field.bits) to = put_cut(to, field);
            return json ? put(to, '"') : to;
        case Value::Type::lines: return json ? put_lines_json(to, field) : to;
    }
    return to;
}

/// A duration says its unit even where the key does not.
bool lacks_unit(const Record::Field& field) {
    return field.type == Value::Type::duration && !field.key().ends_with("_ms");
}

/// Calls with a field for each id of the Context and the build, but those the line names itself.
template <class F>
void each_context_field(const Record& record, F&& call) {
    const auto named = [&record](std::string_view key) {
        return std::any_of(record.fields.begin(), record.fields.begin() + record.field_count,
                           [&](const auto& field) { return field.key() == key; });
    };
    const auto give = [&](std::string_view key, std::string_view text, std::uint64_t bits,
                          Value::Type type) {
        if (!named(key))
            call(Record::Field{key.data(), text.data(), bits, static_cast<std::uint16_t>(text.size()),
                               static_cast<std::uint8_t>(key.size()), type});
    };
    if (record.entity) give("entity", {}, record.entity, Value::Type::id);
    if (record.session) give("session", {}, record.session, Value::Type::id);
    if (record.call) give("call", {}, record.call, Value::Type::id);
    if (record.trace) give("trace", {}, record.trace, Value::Type::id);
    if (!record.build.empty()) give("build", record.build, 0, Value::Type::text);
}

/// With a space before each.
char* put_fields(char* to, const Record& record, bool color) {
    const auto append = [&](const Record::Field& field) {
        if (field.type == Value::Type::lines) return;
        *to++ = ' ';
        if (color) to = put(to, dim);
        to = put(put_name(to, field.key()), '=');
        if (color) to = put(to, plain);
        to = put_value(to, field, false);
        if (lacks_unit(field)) to = put(to, "ms");
    };
    for (std::size_t i = 0; i < record.field_count; ++i) append(record.fields[i]);
    each_context_field(record, append);
    return to;
}

char* put_json_text(char* to, std::string_view begin, std::string_view value) {
    return put(put_escaped(put(to, begin), value, Escape::json), '"');
}

/// Keys that every line has.
bool taken(std::string_view key) {
    switch (key.size()) {
        case 2: return key == "ts" || key == "at";
        case 4: return key == "node" || key == "role";
        case 5: return key == "level" || key == "event";
        default: return false;
    }
}

}  // namespace

char* Formatter::put_time(char* to, std::int64_t time_ns) {
    const std::int64_t second = floor_div(time_ns, 1'000'000'000);
    if (second != second_) {
        second_ = second;
        const std::int64_t offset = zone_.offset_s(second);
        const Calendar at(second + offset);
        char* p = before_.data();
        if (style_.date || style_.json) {
            if (at.year >= 0 && at.year < 1'000) *p++ = '0';
            p = put(put_number(p, std::int64_t{at.year}), '-');
            p = put(put_two(put(put_two(p, at.month), '-'), at.day), 'T');
        }
        p = put(put_two(put(put_two(put(put_two(p, at.hour), ':'), at.minute), ':'), at.second), '.');
        before_bytes_ = static_cast<std::uint8_t>(p - before_.data());
        p = after_.data();
        if (style_.date || style_.json) {
            const auto minutes = static_cast<unsigned>(std::abs(offset) / 60);
            if (!style_.local)
                *p++ = 'Z';
            else
                p = put_two(put(put_two(put(p, offset < 0 ? '-' : '+'), minutes / 60), ':'), minutes % 60);
        }
        after_bytes_ = static_cast<std::uint8_t>(p - after_.data());
    }
    const auto ms = static_cast<unsigned>((time_ns - second * 1'000'000'000) / 1'000'000);
    to = put(to, {before_.data(), before_bytes_});
    to = put_two(put(to, static_cast<char>('0' + ms / 100)), ms % 100);
    return put(to, {after_.data(), after_bytes_});
}

char* Formatter::put_text(char* to, const Record& record) {
    const auto level = static_cast<std::size_t>(record.level);
    to = put(put_time(to, record.time_ns), ' ');
    if (style_.color) to = put(to, colors[level]);
    char* column = to;
    to = pad(put(to, name(record.level)), column, 5);
    if (style_.color) to = put(to, plain);
    column = to = put(to, ' ');
    to = pad(put_name(to, record.node.empty() ? "-" : record.node), column, 10);
    column = to = put(to, ' ');
    char* const before = to = put_name(to, record.event);
    char* const fields = to = pad(to, column, 24);
    to = put_fields(to, record, style_.color);
    if (to == fields) to = before;
    if (!record.file.empty()) {
        // Spaces on both sides: editors and terminals make a link of it.
        to = put(put_place(put(to, " at "), record), ' ');
    }
    return put(put_lines(to, record), '\n');
}

char* Formatter::put_json(char* to, const Record& record) {
    to = put_time(put(to, "{\"ts\":\""), record.time_ns);
    to = put(put(put(to, "\",\"level\":\""), name(record.level)), '"');
    if (!record.node.empty()) to = put_json_text(to, ",\"node\":\"", record.node);
    if (!record.role.empty()) to = put_json_text(to, ",\"role\":\"", record.role);
    to = put_json_text(to, ",\"event\":\"", record.event);
    const auto append = [&](const Record::Field& field) {
        to = put(to, taken(field.key()) ? ",\"_" : ",\"");
        to = put_escaped(to, field.key(), Escape::json);
        to = put(to, lacks_unit(field) ? "_ms\":" : "\":");
        to = put_value(to, field, true);
    };
    for (std::size_t i = 0; i < record.field_count; ++i) append(record.fields[i]);
    each_context_field(record, append);
    if (!record.file.empty()) to = put(put_place(put(to, ",\"at\":\""), record), '"');
    return put(to, "}\n");
}

void Formatter::append(Buffer& to, const Record& record) {
    char* const at = to.room(line_bytes_max(record));
    to.end(style_.json ? put_json(at, record) : put_text(at, record));
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
    Buffer text;
    char* const at = text.room(line_bytes_max(record));
    char* const fields = put_fields(at, record, false);
    char* const begin = fields == at ? at : at + 1;
    line.fields.assign(begin, put_lines(fields, record));
    if (!record.file.empty()) line.at.assign(at, put_place(at, record));
    Formatter({.json = true}).append(text, record);
    line.json = text.view().substr(0, text.size() - 1);
    return line;
}

}  // namespace gyre::log::detail

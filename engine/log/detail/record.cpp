#include "record.hpp"

#include <algorithm>
#include <cstring>
#include <gyre/base/context.hpp>

namespace gyre::log::detail {
namespace {

// What of a record has a fixed size; the texts follow in the order of their lengths.
struct Head {
    std::int64_t time_ns;
    std::uint64_t entity, session, call, trace;
    std::uint32_t line, column;
    std::uint16_t file_bytes, event_bytes, node_bytes, role_bytes, build_bytes;
    Level level;
    std::uint8_t field_count;
};
struct FieldHead {
    std::uint64_t bits;
    std::uint16_t text_bytes;
    std::uint8_t key_bytes;
    Value::Type type;
};

std::string_view clip(std::string_view text, std::size_t bytes) { return text.substr(0, bytes); }

/// As seen from the root of the repository, so an editor can open it; others as they are.
std::string_view source_path(std::string_view path) {
    constexpr std::string_view here = __FILE__, tail = "engine/log/detail/record.cpp";
    static_assert(here.ends_with(tail));
    constexpr std::string_view root = here.substr(0, here.size() - tail.size());
    if (path.starts_with(root)) path.remove_prefix(root.size());
    return path.size() > 255 ? path.substr(path.size() - 255) : path;
}

}  // namespace

constinit std::atomic<std::string_view (*)(const Context&)> build_lookup = nullptr;

void gather(Record& record, Level level, std::string_view event, std::span<const Field> fields,
            const std::source_location& where) {
    record.level = level;
    record.event = clip(event, 128);
    if (const Context* context = current) {
        record.entity = context->entity;
        record.session = context->session;
        record.call = context->call;
        record.trace = context->trace;
        if (context->node) {
            record.node = clip(context->node->name, 64);
            record.role = clip(context->node->role, 32);
        }
        if (const auto lookup = build_lookup.load(std::memory_order_relaxed))
            record.build = clip(lookup(*context), 16);
    }
    if (level >= Level::warn) {
        record.file = source_path(where.file_name());
        record.line = where.line();
        record.column = where.column();
    }
    std::size_t budget = record_text_bytes_max, lines_budget = record_lines_bytes_max;
    for (const auto& field : fields) {
        if (record.field_count == fields_max) break;
        Record::Field& to = record.fields[record.field_count++];
        to.key_data = field.key.data();
        to.key_bytes = static_cast<std::uint8_t>(std::min<std::size_t>(field.key.size(), 64));
        to.type = field.value.type();
        if (!field.value.has_text()) {
            to.text_bytes = 0;
            to.bits = field.value.bits();
            continue;
        }
        const std::string_view text = field.value.text();
        const bool lines = to.type == Value::Type::lines;
        std::size_t& left = lines ? lines_budget : budget;
        const std::size_t kept =
            std::min({text.size(), lines ? lines_bytes_max : text_bytes_max, left});
        to.text_data = text.data();
        to.text_bytes = static_cast<std::uint16_t>(kept);
        to.bits = text.size() - kept;
        left -= kept;
    }
}

std::size_t encoded_bytes(const Record& record) {
    std::size_t bytes = sizeof(Head) + record.file.size() + record.event.size() +
                        record.node.size() + record.role.size() + record.build.size();
    for (std::size_t i = 0; i < record.field_count; ++i) {
        bytes += sizeof(FieldHead) + record.fields[i].key_bytes + record.fields[i].text_bytes;
    }
    return bytes;
}

namespace {
/// As memcpy(), without a call for the few bytes that names have.
inline std::uint8_t* put(std::uint8_t* to, const void* from, std::size_t bytes) {
    const auto* const begin = static_cast<const std::uint8_t*>(from);
    if (bytes > 32) {
        std::memcpy(to, begin, bytes);
    } else if (bytes >= 16) {  // two pieces that overlap
        std::memcpy(to, begin, 16);
        std::memcpy(to + bytes - 16, begin + bytes - 16, 16);
    } else if (bytes >= 8) {
        std::memcpy(to, begin, 8);
        std::memcpy(to + bytes - 8, begin + bytes - 8, 8);
    } else if (bytes >= 4) {
        std::memcpy(to, begin, 4);
        std::memcpy(to + bytes - 4, begin + bytes - 4, 4);
    } else if (bytes > 0) {
        to[0] = begin[0];
        to[bytes / 2] = begin[bytes / 2];
        to[bytes - 1] = begin[bytes - 1];
    }
    return to + bytes;
}
}  // namespace

void encode(const Record& record, std::uint8_t* to) {
    const auto size16 = [](std::string_view s) { return static_cast<std::uint16_t>(s.size()); };
    const Head head{.time_ns = record.time_ns,
                    .entity = record.entity,
                    .session = record.session,
                    .call = record.call,
                    .trace = record.trace,
                    .line = record.line,
                    .column = record.column,
                    .file_bytes = size16(record.file),
                    .event_bytes = size16(record.event),
                    .node_bytes = size16(record.node),
                    .role_bytes = size16(record.role),
                    .build_bytes = size16(record.build),
                    .level = record.level,
                    .field_count = record.field_count};
    std::memcpy(to, &head, sizeof head);
    to += sizeof head;
    for (const auto text : {record.file, record.event, record.node, record.role, record.build}) {
        to = put(to, text.data(), text.size());
    }
    for (std::size_t i = 0; i < record.field_count; ++i) {
        const Record::Field& field = record.fields[i];
        const FieldHead field_head{field.bits, field.text_bytes, field.key_bytes, field.type};
        std::memcpy(to, &field_head, sizeof field_head);
        to = put(to + sizeof field_head, field.key_data, field.key_bytes);
        if (field.text_bytes) to = put(to, field.text_data, field.text_bytes);
    }
}

void decode(const std::uint8_t* from, Record& record) {
    const auto take = [&from](std::size_t bytes) {
        const std::string_view text(reinterpret_cast<const char*>(from), bytes);
        from += bytes;
        return text;
    };
    Head head;
    std::memcpy(&head, take(sizeof head).data(), sizeof head);
    record.time_ns = head.time_ns;
    record.entity = head.entity;
    record.session = head.session;
    record.call = head.call;
    record.trace = head.trace;
    record.line = head.line;
    record.column = head.column;
    record.level = head.level;
    record.file = take(head.file_bytes);
    record.event = take(head.event_bytes);
    record.node = take(head.node_bytes);
    record.role = take(head.role_bytes);
    record.build = take(head.build_bytes);
    record.field_count = head.field_count;
    for (std::size_t i = 0; i < record.field_count; ++i) {
        FieldHead field_head;
        std::memcpy(&field_head, take(sizeof field_head).data(), sizeof field_head);
        const std::string_view key = take(field_head.key_bytes);
        record.fields[i] = {key.data(),           take(field_head.text_bytes).data(),
                            field_head.bits,      field_head.text_bytes,
                            field_head.key_bytes, field_head.type};
    }
}

}  // namespace gyre::log::detail

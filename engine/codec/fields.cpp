#include <algorithm>
#include <gyre/codec/fields.hpp>

namespace gyre {
namespace {
bool chosen(const FieldEntry& field, Flags mask) {
    return mask == all_fields || has_any(field.flags, mask);
}
}  // namespace

void encode_fields(Writer& writer, const void* object, std::span<const FieldEntry> fields,
                   Flags mask) {
    std::size_t count = 0;
    for (const auto& field : fields) count += chosen(field, mask) ? 1 : 0;
    writer.map(count);
    for (const auto& field : fields) {
        if (!chosen(field, mask)) continue;
        writer.text(field.name);
        if (field.secret && writer.hides_secrets()) [[unlikely]] writer.text("(secret)");
        else field.encode(object, writer);
    }
}

bool decode_fields(Reader& reader, void* object, std::span<const FieldEntry> fields, Flags mask) {
    std::size_t count = 0;
    if (!reader.map(count)) return false;
    std::size_t expect = 0;  // fields mostly come in described order
    for (; count != 0; --count) {
        std::string_view name;
        if (!reader.text(name)) return false;
        const auto same = [&](const FieldEntry& field) { return field.name == name; };
        auto at = fields.begin() + static_cast<std::ptrdiff_t>(expect);
        at = std::find_if(at, fields.end(), same);
        if (at == fields.end()) at = std::find_if(fields.begin(), fields.end(), same);
        if (at == fields.end() || !chosen(*at, mask)) {
            if (at == fields.end() && reader.options().strict) {
                std::vector<std::string_view> known;
                for (const auto& field : fields) known.push_back(field.name);
                return reader.unknown_name("field", name, known);
            }
            if (!reader.skip()) return reader.in_field(name.substr(0, 64));
            continue;
        }
        expect = static_cast<std::size_t>(at - fields.begin()) + 1;
        if (!at->decode(object, reader)) return reader.in_field(at->name);
    }
    return true;
}

const Old::Part* Old::find(std::string_view field) const {
    const auto at = std::find_if(parts_.begin(), parts_.end(),
                                 [&](const Part& part) { return part.name == field; });
    return at == parts_.end() ? nullptr : &*at;
}
const Old::Part* Old::take(std::string_view field) {
    auto* part = const_cast<Part*>(find(field));
    if (part) part->unread = false;
    return part;
}
const Old::Part* Old::first_unread() const {
    const auto at =
        std::find_if(parts_.begin(), parts_.end(), [](const Part& part) { return part.unread; });
    return at == parts_.end() ? nullptr : &*at;
}

bool read_fields(Reader& reader, void* object, std::span<const FieldEntry> fields, Flags mask,
                 Migrate migrate) {
    if (!migrate) return decode_fields(reader, object, fields, mask);
    std::size_t count = 0;
    if (!reader.map(count)) return false;
    Old old(reader.options());
    for (; count != 0; --count) {
        Old::Part part;
        if (!reader.text(part.name)) return false;
        if (!reader.value(part.bytes)) return reader.in_field(part.name.substr(0, 64));
        const auto at = std::find_if(fields.begin(), fields.end(), [&](const FieldEntry& field) {
            return field.name == part.name && chosen(field, mask);
        });
        if (at != fields.end()) {
            Reader value(part.bytes, reader.options());
            part.unread = !at->decode(object, value) || !value.finish();
        }
        old.add(part);
    }
    migrate(old, object);
    if (const Old::Part* part = old.first_unread()) {  // told as the failure it is
        Reader again(part->bytes, reader.options());
        const auto at = std::find_if(fields.begin(), fields.end(),
                                     [&](const FieldEntry& field) { return field.name == part->name; });
        if (!at->decode(object, again) || !again.finish())
            return reader.fail(again.error_message(part->name) + "; migrate() does not ask for it");
    }
    return true;
}

Result<> decode_fields(BytesView bytes, void* object, std::span<const FieldEntry> fields,
                       Flags mask, std::string_view root) {
    Reader reader(bytes);
    if (decode_fields(reader, object, fields, mask) && reader.finish()) return {};
    return reader.error(root);
}

Result<> check_layout(std::string_view type_name, std::size_t size, std::size_t align,
                      std::span<const FieldEntry> fields, std::size_t base_bytes) {
    std::vector<const FieldEntry*> ordered;
    for (const auto& field : fields) ordered.push_back(&field);
    std::sort(ordered.begin(), ordered.end(),
              [](const auto* a, const auto* b) { return a->offset() < b->offset(); });
    const auto align_up = [](std::size_t at, std::size_t to) { return (at + to - 1) / to * to; };
    const auto missed = [&](std::size_t from, std::size_t to) {
        return Error(errc::refused, std::string(type_name) + ": " + std::to_string(to - from) +
                                        " bytes at offset " + std::to_string(from) +
                                        " are in no described field");
    };
    std::size_t end = base_bytes;
    for (const auto* field : ordered) {
        if (field->offset() > align_up(end, field->align)) return missed(end, field->offset());
        end = std::max(end, field->offset() + field->size);
    }
    if (!fields.empty() && size > align_up(end, align)) return missed(end, size);
    return {};
}

}  // namespace gyre

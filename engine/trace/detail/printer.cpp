#include "printer.hpp"

#include <dwarf.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "memory.hpp"

namespace gyre::trace::detail {
namespace {

constexpr std::size_t text_bytes_max = 96;
constexpr std::string_view unreadable = "<unreadable>", more = "...";

std::string hex(std::uint64_t value) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
    return "0x" + std::string(digits, end);
}

/// Length of the UTF-8 character that begins here; 0: none does, or it is a control character.
std::size_t character_at(std::string_view text) {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(0);
    if (first < 0x80) return first >= 0x20 && first != 0x7f;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
    std::uint32_t code = first & (0xffu >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
        code = code << 6 | (byte(i) & 0x3fu);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool valid =
        code >= least[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    const bool control = code < 0xa0 || code == 0x2028 || code == 0x2029 ||
                         (code >= 0x200e && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) ||
                         (code >= 0x2066 && code <= 0x2069);
    return valid && !control ? length : 0;
}

std::string escaped(std::string_view text, char quote) {
    std::string out(1, quote);
    while (!text.empty()) {
        const char c = text.front();
        std::size_t length = character_at(text);
        if (c == quote || c == '\\') {
            out += '\\';
            out += c;
        } else if (length) {
            out += text.substr(0, length);
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (c == '\r') {
            out += "\\r";
        } else {
            constexpr auto digits = "0123456789abcdef";
            out += "\\x";
            out += digits[static_cast<unsigned char>(c) >> 4];
            out += digits[static_cast<unsigned char>(c) & 15];
        }
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return out + quote;
}

}  // namespace

bool Bytes::read(std::uint64_t offset, void* to, std::size_t count) const {
    if (!given) return read_memory(address + offset, to, count);
    if (offset > size || count > size - offset) return false;
    std::memcpy(to, given + offset, count);
    return true;
}

Bytes Bytes::at(std::uint64_t offset) const {
    if (!given) return {address + offset, nullptr, 0};
    offset = std::min<std::uint64_t>(offset, size);
    return {0, given + offset, size - offset};
}

bool looks_secret(std::string_view name) {
    std::string lower(name);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    for (const std::string_view word :
         {"password", "passwd", "passphrase", "token", "secret", "key", "credential"})
        if (lower.find(word) != lower.npos) return true;
    return false;
}

Printer::Printer(Layouts& layouts, const LocalsLimits& limits)
    : layouts_(layouts), limits_(limits), end_(std::chrono::steady_clock::now() + limits.time) {}

bool Printer::has_time() {
    if (!late_) late_ = std::chrono::steady_clock::now() >= end_;
    return !late_;
}

std::string Printer::take() { return std::move(out_); }

void Printer::add(std::string_view text) {
    if (cut_) return;
    if (out_.size() + text.size() + more.size() > room_) {
        cut_ = true;
        out_ += more;
    } else {
        out_ += text;
    }
}

bool Printer::variable(std::string_view prefix, std::string_view name, const Dwarf_Die& type,
                       const Bytes& at) {
    const std::size_t begin = out_.size();
    const std::size_t whole = limits_.bytes;
    if (!has_time() || begin + prefix.size() + name.size() + 16 > whole) {
        if (begin + more.size() + 1 <= whole) out_ += out_.empty() ? "..." : " ...";
        return false;
    }
    room_ = std::min(whole, begin + std::max<std::size_t>(whole / 4, 64));
    cut_ = false;
    if (begin) add(" ");
    add(prefix);
    add(name);
    add("=");
    if (looks_secret(name))
        add("(secret)");
    else
        value(type, at, {name == "this" ? 1 : limits_.depth, 1});
    return true;
}

bool Printer::is_lambda(const Dwarf_Die& pointer_type) {
    const Layout& pointer = layouts_.of(pointer_type);
    if (pointer.kind != Kind::pointer || !pointer.has_target) return false;
    const Layout& object = layouts_.of(pointer.target);
    return object.kind == Kind::structure && object.name.empty();
}

bool Printer::captures(const Dwarf_Die& pointer_type, const Bytes& at) {
    const Layout& object = layouts_.of(layouts_.of(pointer_type).target);
    std::uintptr_t address = 0;
    if (!at.read(0, &address, sizeof address)) return true;
    for (const auto& member : object.members)
        if (!variable({}, member.name, member.type, {address + member.offset, nullptr, 0}))
            return false;
    return true;
}

void Printer::value(const Dwarf_Die& type, const Bytes& at, Level level) {
    if (full()) return;
    if (!has_time()) return add(more);
    const Layout& layout = layouts_.of(type);
    switch (layout.kind) {
        case Kind::unknown: return add("?");
        case Kind::boolean:
        case Kind::character:
        case Kind::signed_integer:
        case Kind::unsigned_integer:
        case Kind::floating:
        case Kind::enumeration: return scalar(layout, at);
        case Kind::pointer: return pointer(layout, at, level, false);
        case Kind::reference: {
            std::uintptr_t address = 0;
            if (!at.read(0, &address, sizeof address) || !layout.has_target) return add(unreadable);
            return value(layout.target, {address, nullptr, 0}, level);
        }
        case Kind::array: return array(layout, 0, at, level);
        case Kind::structure: return structure(layout, at, level);
        case Kind::string: return string(layout, at, "_M_p", "_M_string_length");
        case Kind::string_view: return string(layout, at, "_M_str", "_M_len");
        case Kind::vector: return vector(layout, at, level);
        case Kind::optional: {
            unsigned char engaged = 0;
            if (!member(layout, at, "_M_engaged", engaged) || engaged > 1) return add(unreadable);
            if (!engaged) return add("none");
            const auto inside = layouts_.find(layout, "_M_value");
            return value(inside.type, at.at(inside.offset), level);
        }
        case Kind::smart_pointer: {
            std::vector<std::pair<std::uint64_t, Dwarf_Die>>
                parts;  // the pointer and what deletes it
            if (layout.name.starts_with("unique_ptr<"))
                heads(layout, 0, 10, parts);
            else if (const auto inside = layouts_.find(layout, "_M_ptr"))
                parts.emplace_back(inside.offset, inside.type);
            if (parts.empty() || layouts_.of(parts.back().second).kind != Kind::pointer)
                return add("?");
            return pointer(layouts_.of(parts.back().second), at.at(parts.back().first), level,
                           true);
        }
        case Kind::duration: {
            const auto count = layouts_.find(layout, "__r");
            value(count.type, at.at(count.offset), level);
            return add(layout.unit);
        }
        case Kind::wrapper: {
            const auto inside = layouts_.find(layout, layout.inside);
            return value(inside.type, at.at(inside.offset), level);
        }
        case Kind::variant: {
            const auto index = layouts_.find(layout, "_M_index");
            add("{alternative ");
            value(index.type, at.at(index.offset), level);
            return add("}");
        }
        case Kind::counted: {
            auto count = layouts_.find(layout, "_M_element_count");
            if (!count) count = layouts_.find(layout, "_M_node_count");
            if (!count) count = layouts_.find(layout, "_M_size");
            std::uint64_t size = 0;
            if (!at.read(count.offset, &size, sizeof size)) return add(unreadable);
            return add("[" + std::string(more) + " " + std::to_string(size) + " in all]");
        }
        case Kind::tuple: return tuple(layout, at, level);
    }
}

template <class T>
bool Printer::member(const Layout& layout, const Bytes& at, std::string_view name, T& to) {
    const auto found = layouts_.find(layout, name);
    return found && at.read(found.offset, &to, sizeof to);
}

void Printer::integer(const Layout& layout, std::uint64_t bits) {
    if (layout.kind == Kind::boolean && bits < 2) return add(bits ? "true" : "false");
    if (layout.kind == Kind::character) {
        const char one = static_cast<char>(bits);
        return add(escaped({&one, 1}, '\''));
    }
    const unsigned unused = layout.size < 8 ? static_cast<unsigned>(64 - 8 * layout.size) : 0;
    const auto extended = static_cast<std::int64_t>(bits << unused) >> unused;
    if (layout.kind == Kind::enumeration) {
        for (const auto& [number, name] : layout.enumerators)
            if ((static_cast<std::uint64_t>(number) << unused) == (bits << unused))
                return add(name);
        return add(std::to_string(extended));
    }
    add(layout.kind == Kind::signed_integer ? std::to_string(extended) : std::to_string(bits));
}

void Printer::scalar(const Layout& layout, const Bytes& at) {
    unsigned char raw[16] = {};
    if (layout.size == 0 || layout.size > sizeof raw) return add("?");
    if (!at.read(0, raw, layout.size)) return add(unreadable);
    std::uint64_t low = 0, high = 0;
    std::memcpy(&low, raw, 8);
    std::memcpy(&high, raw + 8, 8);
    if (layout.kind == Kind::floating) {
        char digits[64];
        std::to_chars_result result{digits, {}};
        if (layout.size == 4) {
            float number;
            std::memcpy(&number, raw, sizeof number);
            result = std::to_chars(digits, digits + sizeof digits, number);
        } else if (layout.size == 8) {
            double number;
            std::memcpy(&number, raw, sizeof number);
            result = std::to_chars(digits, digits + sizeof digits, number);
        } else {
            long double number;
            std::memcpy(&number, raw, sizeof number);
            result = std::to_chars(digits, digits + sizeof digits, static_cast<double>(number));
        }
        return add({digits, result.ptr});
    }
    if (layout.size > 8 &&
        high != ((layout.kind == Kind::signed_integer && low >> 63) ? ~std::uint64_t{0} : 0)) {
        std::string digits = hex(low).substr(2);
        return add(hex(high) + std::string(16 - digits.size(), '0') + digits);
    }
    integer(layout, low);
}

void Printer::bit_field(const Layout& layout, const Member& member, const Bytes& at) {
    unsigned char raw[16] = {};
    const std::size_t size = (member.bit_offset + member.bits + 7u) / 8u;
    if (!at.read(member.offset, raw, size)) return add(unreadable);
    unsigned __int128 wide = 0;
    std::memcpy(&wide, raw, sizeof wide);
    auto bits = static_cast<std::uint64_t>(wide >> member.bit_offset);
    if (member.bits < 64) bits &= (std::uint64_t{1} << member.bits) - 1;
    if (layout.kind == Kind::signed_integer && member.bits && member.bits < 64 &&
        bits >> (member.bits - 1))
        bits |= ~std::uint64_t{0} << member.bits;
    integer(layout, bits);
}

void Printer::pointer(const Layout& layout, const Bytes& at, Level level, bool smart) {
    std::uintptr_t address = 0;
    if (!at.read(0, &address, sizeof address)) return add(unreadable);
    if (address == 0) return add("nullptr");
    if (!layout.has_target) return add(hex(address));  // void*
    const Layout& target = layouts_.of(layout.target);
    if (target.kind == Kind::character && !smart)
        return text({address, nullptr, 0}, text_bytes_max + 1, true);
    add(hex(address));
    const bool whole = target.kind >= Kind::structure;
    if (level.follow == 0 || (!smart && !whole) || target.kind == Kind::unknown) return;
    add(" -> ");
    value(layout.target, {address, nullptr, 0},
          {std::min<std::size_t>(level.depth, 1), level.follow - 1});
}

void Printer::text(const Bytes& at, std::uint64_t size, bool until_zero) {
    char raw[text_bytes_max + 1];
    std::size_t got = static_cast<std::size_t>(std::min<std::uint64_t>(size, sizeof raw));
    if (at.given)
        got = at.read(0, raw, got) ? got : 0;
    else
        got = read_some_memory(at.address, raw, got);
    if (got == 0 && size > 0) return add(unreadable);
    std::string_view found(raw, got);
    bool ended = !until_zero;
    if (until_zero) {
        if (const auto zero = found.find('\0'); zero != found.npos) {
            found = found.substr(0, zero);
            ended = true;
        }
    }
    const bool cut =
        found.size() > text_bytes_max || !ended || (!until_zero && size > found.size());
    if (found.size() > text_bytes_max) {
        found = found.substr(0, text_bytes_max);
        // Not in the middle of a character.
        for (int i = 0; i < 3 && !found.empty() &&
                        (static_cast<unsigned char>(raw[found.size()]) & 0xc0) == 0x80;
             ++i)
            found.remove_suffix(1);
    }
    std::string shown = escaped(found, '"');
    if (cut) shown += more;
    if (cut && !until_zero) shown += " (" + std::to_string(size) + " bytes)";
    add(shown);
}

void Printer::string(const Layout& layout, const Bytes& at, const char* data, const char* length) {
    std::uintptr_t address = 0;
    std::uint64_t size = 0;
    if (!member(layout, at, data, address) || !member(layout, at, length, size))
        return add(unreadable);
    if (size == 0) return add("\"\"");
    if (size > UINT64_MAX / 2) return add(unreadable);
    text({address, nullptr, 0}, size, false);
}

void Printer::elements(const Bytes& at, const Dwarf_Die& type, std::uint64_t count, Level level) {
    const std::uint64_t size = layouts_.of(type).size;
    const std::uint64_t shown =
        level.depth == 0 ? 0 : std::min<std::uint64_t>(count, limits_.elements);
    add("[");
    for (std::uint64_t i = 0; i < shown && !full(); ++i) {
        if (i) add(", ");
        value(type, at.at(i * size), {level.depth - 1, level.follow});
    }
    if (shown < count) add((shown ? ", ... " : "... ") + std::to_string(count) + " in all");
    add("]");
}

void Printer::array(const Layout& layout, std::size_t dimension, const Bytes& at, Level level) {
    const std::uint64_t count = layout.counts[dimension];
    if (dimension + 1 == layout.counts.size()) {
        if (layouts_.of(layout.target).kind == Kind::character) return text(at, count, true);
        return elements(at, layout.target, count, level);
    }
    std::uint64_t size = layouts_.of(layout.target).size;
    for (std::size_t i = dimension + 1; i < layout.counts.size(); ++i) size *= layout.counts[i];
    const std::uint64_t shown =
        level.depth == 0 ? 0 : std::min<std::uint64_t>(count, limits_.elements);
    add("[");
    for (std::uint64_t i = 0; i < shown && !full(); ++i) {
        if (i) add(", ");
        array(layout, dimension + 1, at.at(i * size), {level.depth - 1, level.follow});
    }
    if (shown < count) add((shown ? ", ... " : "... ") + std::to_string(count) + " in all");
    add("]");
}

void Printer::vector(const Layout& layout, const Bytes& at, Level level) {
    std::uintptr_t begin = 0, end = 0, storage = 0;
    const auto start = layouts_.find(layout, "_M_start");
    const Layout& pointer = layouts_.of(start.type);
    if (!member(layout, at, "_M_start", begin) || !member(layout, at, "_M_finish", end) ||
        !member(layout, at, "_M_end_of_storage", storage))
        return add(unreadable);
    if (pointer.kind != Kind::pointer || !pointer.has_target) return add("?");
    const std::uint64_t size = layouts_.of(pointer.target).size;
    if (size == 0 || end < begin || storage < end || (end - begin) % size) return add(unreadable);
    char first = 0;
    if (end > begin && (!read_memory(begin, &first, 1) || !read_memory(end - 1, &first, 1)))
        return add(unreadable);
    elements({begin, nullptr, 0}, pointer.target, (end - begin) / size, level);
}

void Printer::heads(const Layout& layout, std::uint64_t offset, int depth,
                    std::vector<std::pair<std::uint64_t, Dwarf_Die>>& to) {
    // _Tuple_impl<0> is made of _Tuple_impl<1> and a _Head_base<0>, which has the element.
    for (const auto& one : layout.members) {
        const std::string_view name = one.name;
        if (name == "_M_head_impl")
            to.emplace_back(offset + one.offset, one.type);
        else if ((name.empty() || name == "_M_t") && depth > 0 && to.size() < 64)
            heads(layouts_.of(one.type), offset + one.offset, depth - 1, to);
    }
}

void Printer::tuple(const Layout& layout, const Bytes& at, Level level) {
    std::vector<std::pair<std::uint64_t, Dwarf_Die>> parts;
    heads(layout, 0, 20, parts);
    if (level.depth == 0) return add("{...}");
    add("{");
    for (std::size_t i = parts.size(); i-- > 0 && !full();) {
        if (i + 1 < parts.size()) add(", ");
        value(parts[i].second, at.at(parts[i].first), {level.depth - 1, level.follow});
    }
    add("}");
}

void Printer::structure(const Layout& layout, const Bytes& at, Level level) {
    if (layout.members.empty()) return add("{}");
    // std::array
    if (layout.members.size() == 1 && std::string_view(layout.members[0].name) == "_M_elems")
        return value(layout.members[0].type, at, level);
    if (level.depth == 0) return add("{...}");
    // One that no byte of can be read is said so once.
    char first = 0;
    if (layout.size && !at.read(0, &first, 1)) return add(unreadable);
    bool none = true;
    add("{");
    members(layout, at, level, none, 8);
    add("}");
}

bool Printer::members(const Layout& layout, const Bytes& at, Level level, bool& first, int bases) {
    for (const auto& one : layout.members) {
        if (full()) return false;
        const Layout& type = layouts_.of(one.type);
        if (!*one.name) {  // a base, or an unnamed union
            if (type.kind == Kind::structure && bases > 0)
                members(type, at.at(one.offset), level, first, bases - 1);
            continue;
        }
        if (type.kind == Kind::unknown) continue;
        if (!std::exchange(first, false)) add(", ");
        add(one.name);
        add("=");
        if (looks_secret(one.name))
            add("(secret)");
        else if (one.bits)
            bit_field(type, one, at);
        else
            value(one.type, at.at(one.offset), {level.depth - 1, level.follow});
    }
    return true;
}

}  // namespace gyre::trace::detail

#include "layout.hpp"

#include <dwarf.h>

#include <algorithm>
#include <charconv>

namespace gyre::trace::detail {
namespace {

constexpr int typedefs_max = 32;
constexpr std::size_t members_max = 256, enumerators_max = 4096, types_max = 20'000;

bool number(Dwarf_Die& die, unsigned name, std::uint64_t& value) {
    Dwarf_Attribute attribute;
    Dwarf_Word word = 0;
    if (!dwarf_attr(&die, name, &attribute) || dwarf_formudata(&attribute, &word) != 0)
        return false;
    value = word;
    return true;
}

bool flag(Dwarf_Die& die, unsigned name) {
    Dwarf_Attribute attribute;
    bool set = false;
    return dwarf_attr(&die, name, &attribute) && dwarf_formflag(&attribute, &set) == 0 && set;
}

/// Of std::chrono::duration<Rep, std::ratio<60L, 1L> >.
std::string unit_of(std::string_view name) {
    long parts[2] = {1, 1};
    if (auto at = name.rfind("ratio<"); at != name.npos) {
        at += 6;
        for (long& part : parts) {
            const auto [end, failure] =
                std::from_chars(name.data() + at, name.data() + name.size(), part);
            if (failure != std::errc()) return {};
            at = name.find_first_of("0123456789", static_cast<std::size_t>(end - name.data()));
            if (at == name.npos) break;
        }
    }
    const auto [numerator, denominator] = parts;
    if (numerator == 1 && denominator == 1'000'000'000) return "ns";
    if (numerator == 1 && denominator == 1'000'000) return "us";
    if (numerator == 1 && denominator == 1'000) return "ms";
    if (denominator != 1)
        return "*" + std::to_string(numerator) + "/" + std::to_string(denominator) + "s";
    switch (numerator) {
        case 1: return "s";
        case 60: return "min";
        case 3'600: return "h";
        case 86'400: return "d";
        default: return "*" + std::to_string(numerator) + "s";
    }
}

}  // namespace

bool type_of(const Dwarf_Die& die, Dwarf_Die& type) {
    Dwarf_Attribute attribute;
    Dwarf_Die copy = die;
    return dwarf_attr_integrate(&copy, DW_AT_type, &attribute) &&
           dwarf_formref_die(&attribute, &type);
}

const Layout& Layouts::of(const Dwarf_Die& type) {
    Dwarf_Die bare = type;
    for (int i = 0; i < typedefs_max; ++i) {
        const int tag = dwarf_tag(&bare);
        if (tag != DW_TAG_typedef && tag != DW_TAG_const_type && tag != DW_TAG_volatile_type &&
            tag != DW_TAG_restrict_type && tag != DW_TAG_atomic_type)
            break;
        Dwarf_Die next;
        if (!type_of(bare, next)) break;
        bare = next;
    }
    auto& known = known_[bare.addr];
    if (!known) {
        known = std::make_unique<Layout>();
        Layout made = read(bare);
        *known = std::move(made);
    }
    return *known;
}

void Layouts::trim() {
    if (known_.size() > types_max) known_.clear();
}

void Layouts::read_members(Dwarf_Die& type, Layout& layout) {
    Dwarf_Die die;
    if (dwarf_child(&type, &die) != 0) return;
    do {
        const int tag = dwarf_tag(&die);
        if (tag != DW_TAG_member && tag != DW_TAG_inheritance) continue;
        if (flag(die, DW_AT_external) || flag(die, DW_AT_declaration)) continue;  // static
        Member member{.name = ""};
        if (!type_of(die, member.type)) continue;
        const char* name = tag == DW_TAG_member ? dwarf_diename(&die) : nullptr;
        if (name) member.name = name;
        if (std::string_view(member.name).starts_with("_vptr$")) continue;
        std::uint64_t bits = 0, bit_offset = 0;
        if (!number(die, DW_AT_data_member_location, member.offset)) {
            Dwarf_Attribute attribute;
            if (dwarf_attr(&die, DW_AT_data_member_location, &attribute))
                continue;  // a virtual base: computed
        }
        if (number(die, DW_AT_bit_size, bits) && bits <= 64 &&
            number(die, DW_AT_data_bit_offset, bit_offset)) {
            member.offset = bit_offset / 8;
            member.bits = static_cast<std::uint8_t>(bits);
            member.bit_offset = static_cast<std::uint8_t>(bit_offset % 8);
        }
        layout.members.push_back(member);
    } while (layout.members.size() < members_max && [&] {
        Dwarf_Die next;
        if (dwarf_siblingof(&die, &next) != 0) return false;
        die = next;
        return true;
    }());
}

void Layouts::recognize(Layout& layout) {
    struct Known {
        std::string_view name;  // begins so
        Kind kind;
        const char* members[3];  // all are there; of a wrapper the first is what it holds
    };
    static constexpr Known known[] = {
        {"basic_string<char,", Kind::string, {"_M_p", "_M_string_length"}},
        {"basic_string_view<char,", Kind::string_view, {"_M_str", "_M_len"}},
        {"vector<bool,", Kind::structure, {}},
        {"vector<", Kind::vector, {"_M_start", "_M_finish", "_M_end_of_storage"}},
        {"optional<", Kind::optional, {"_M_engaged", "_M_value"}},
        {"unique_ptr<", Kind::smart_pointer, {"_M_head_impl"}},
        {"shared_ptr<", Kind::smart_pointer, {"_M_ptr"}},
        {"duration<", Kind::duration, {"__r"}},
        {"time_point<", Kind::duration, {"__r"}},
        {"Id<", Kind::wrapper, {"value"}},
        {"atomic<", Kind::wrapper, {"_M_i"}},
        {"atomic<", Kind::wrapper, {"_M_p"}},
        {"path", Kind::wrapper, {"_M_pathname"}},
        {"variant<", Kind::variant, {"_M_index"}},
        {"tuple<", Kind::tuple, {}},
        {"list<", Kind::counted, {"_M_size"}},
        {"", Kind::counted, {"_M_element_count"}},
        {"", Kind::counted, {"_M_node_count"}},
    };
    for (const auto& one : known) {
        if (!layout.name.starts_with(one.name)) continue;
        if (!std::ranges::all_of(
                one.members, [&](const char* member) { return !member || find(layout, member); }))
            continue;
        layout.kind = one.kind;
        if (one.kind == Kind::wrapper) layout.inside = one.members[0];
        return;
    }
}

Layout Layouts::read(Dwarf_Die type) {
    Layout layout;
    if (const char* name = dwarf_diename(&type)) layout.name = name;
    number(type, DW_AT_byte_size, layout.size);
    Dwarf_Die child;
    switch (dwarf_tag(&type)) {
        case DW_TAG_base_type: {
            std::uint64_t encoding = 0;
            number(type, DW_AT_encoding, encoding);
            const bool plain = layout.name == "char";
            switch (encoding) {
                case DW_ATE_boolean: layout.kind = Kind::boolean; break;
                case DW_ATE_float: layout.kind = Kind::floating; break;
                case DW_ATE_signed: layout.kind = Kind::signed_integer; break;
                case DW_ATE_signed_char:
                    layout.kind = plain ? Kind::character : Kind::signed_integer;
                    break;
                case DW_ATE_unsigned_char:
                    layout.kind = plain ? Kind::character : Kind::unsigned_integer;
                    break;
                case DW_ATE_UTF:
                case DW_ATE_unsigned: layout.kind = Kind::unsigned_integer; break;
                default: break;
            }
            if (layout.size == 0 || layout.size > 16) layout.kind = Kind::unknown;
            break;
        }
        case DW_TAG_enumeration_type:
            layout.kind = Kind::enumeration;
            if (dwarf_child(&type, &child) == 0) do {
                    Dwarf_Attribute attribute;
                    Dwarf_Sword value = 0;
                    Dwarf_Word word = 0;
                    const char* name = dwarf_diename(&child);
                    if (dwarf_tag(&child) != DW_TAG_enumerator || !name ||
                        !dwarf_attr(&child, DW_AT_const_value, &attribute))
                        continue;
                    // udata and data forms are not sign-extended.
                    if (dwarf_whatform(&attribute) == DW_FORM_sdata
                            ? dwarf_formsdata(&attribute, &value) != 0
                            : (dwarf_formudata(&attribute, &word) != 0))
                        continue;
                    if (word) value = static_cast<Dwarf_Sword>(word);
                    layout.enumerators.emplace_back(value, name);
                } while (layout.enumerators.size() < enumerators_max &&
                         dwarf_siblingof(&child, &child) == 0);
            break;
        case DW_TAG_pointer_type:
            layout.kind = Kind::pointer;
            layout.size = 8;
            layout.has_target = type_of(type, layout.target);
            break;
        case DW_TAG_reference_type:
        case DW_TAG_rvalue_reference_type:
            layout.kind = Kind::reference;
            layout.size = 8;
            layout.has_target = type_of(type, layout.target);
            break;
        case DW_TAG_array_type: {
            if (!type_of(type, layout.target)) break;
            layout.has_target = true;
            std::uint64_t total = 1;
            if (dwarf_child(&type, &child) == 0) do {
                    std::uint64_t count = 0;
                    if (dwarf_tag(&child) != DW_TAG_subrange_type) continue;
                    if (!number(child, DW_AT_count, count) &&
                        number(child, DW_AT_upper_bound, count))
                        ++count;
                    layout.counts.push_back(count);
                    if (__builtin_mul_overflow(total, count, &total)) return layout;
                } while (layout.counts.size() < 8 && dwarf_siblingof(&child, &child) == 0);
            if (layout.counts.empty() ||
                __builtin_mul_overflow(total, of(layout.target).size, &layout.size))
                break;
            layout.kind = Kind::array;
            break;
        }
        case DW_TAG_class_type:
        case DW_TAG_structure_type: {
            if (flag(type, DW_AT_declaration)) break;
            layout.kind = Kind::structure;
            read_members(type, layout);
            recognize(layout);
            if (layout.kind == Kind::duration) {
                const auto count = find(layout, "__d");
                layout.unit = unit_of(count ? of(count.type).name : layout.name);
            }
            break;
        }
        case DW_TAG_union_type:
            read_members(type, layout);
            break;  // an optional's value lies in one
        default: break;
    }
    return layout;
}

Layouts::Found Layouts::find(const Layout& layout, std::string_view name, int depth, int& steps) {
    if (--steps < 0) return {};
    for (const auto& member : layout.members)
        if (member.name == name) return {member.offset, member.type};
    if (depth == 0) return {};
    for (const auto& member : layout.members) {
        // The insides of the standard library begin so.
        const std::string_view inside = member.name;
        if (!inside.empty() && !inside.starts_with('_')) continue;
        const Layout& deeper = of(member.type);
        if (deeper.members.empty()) continue;
        if (auto found = find(deeper, name, depth - 1, steps)) {
            found.offset += member.offset;
            return found;
        }
    }
    return {};
}

}  // namespace gyre::trace::detail

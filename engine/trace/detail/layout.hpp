#pragma once
#include <elfutils/libdw.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gyre::trace::detail {

enum class Kind : std::uint8_t {
    unknown,  // also unions
    boolean,
    character,
    signed_integer,
    unsigned_integer,
    floating,
    enumeration,
    pointer,
    reference,
    array,
    structure,
    string,
    string_view,
    vector,
    optional,
    smart_pointer,
    duration,
    wrapper,  // shown as the one value it holds: an Id, an atomic, a path
    variant,
    counted,  // another container of the library: only its size
    tuple,
};

struct Member {
    const char* name;  // in the debug information; "": a base class
    std::uint64_t offset = 0;
    Dwarf_Die type{};
    std::uint8_t bits = 0, bit_offset = 0;  // of a bit-field
};

/// What has to be known of a type to print a value of it.
struct Layout {
    Kind kind = Kind::unknown;
    std::string_view name;  // in the debug information
    std::uint64_t size = 0;
    Dwarf_Die target{};  // pointee, element
    bool has_target = false;
    std::vector<Member> members;
    std::vector<std::uint64_t> counts;  // of an array, a dimension each
    std::vector<std::pair<std::int64_t, const char*>> enumerators;
    std::string unit;         // of a duration
    const char* inside = "";  // the member of a wrapper
};

/// The types of one file, each looked at once.
class Layouts {
public:
    /// Never nullptr; without typedefs and qualifiers.
    const Layout& of(const Dwarf_Die& type);
    /// A member by its name, in base classes and in members of no further name, too.
    struct Found {
        std::uint64_t offset = 0;
        Dwarf_Die type{};
        explicit operator bool() const { return type.addr != nullptr; }
    };
    Found find(const Layout& layout, std::string_view name) {
        int steps = 2'000;  // of broken debug information, where a type may hold itself
        return find(layout, name, 10, steps);
    }
    /// Forgets, when it is too much. No Layout may be in use.
    void trim();

private:
    Found find(const Layout& layout, std::string_view name, int depth, int& steps);
    Layout read(Dwarf_Die type);
    void recognize(Layout& layout);  // types of the library
    void read_members(Dwarf_Die& type, Layout& layout);
    std::unordered_map<const void*, std::unique_ptr<Layout>> known_;
};

/// The type of a variable, member or type; false: none (void).
bool type_of(const Dwarf_Die& die, Dwarf_Die& type);

}  // namespace gyre::trace::detail

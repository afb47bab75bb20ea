#include <dwarf.h>

#include <algorithm>
#include <cstring>
#include <gyre/trace/locals.hpp>

#include "detail/location.hpp"
#include "detail/printer.hpp"
#include "detail/process.hpp"

namespace gyre::trace {
namespace {

using detail::Image;

constexpr std::size_t variables_max = 128;

struct Variable {
    std::string name;
    std::string function;  ///< "NAME/" of one that was inlined here
    Dwarf_Die die{}, type{};
    Dwarf_Word line = 0;  ///< 0: a parameter
};

/// In the scopes of an address, outermost first; of equal names the innermost.
std::vector<Variable> variables(const Image& image, std::uint64_t address,
                                std::vector<Dwarf_Die>& scopes) {
    std::vector<Variable> found;
    const auto line = image.line(address).line;
    std::string function;
    for (auto& scope : scopes) {
        const int tag = dwarf_tag(&scope);
        if (tag == DW_TAG_inlined_subroutine) function = detail::function_name(scope) + "/";
        // A line that a loop begins in: its variable lives, what stands there otherwise does not
        // yet.
        Dwarf_Addr begin = 0, end = 0, base = 0;
        const bool begins_here = tag == DW_TAG_lexical_block &&
                                 dwarf_ranges(&scope, 0, &base, &begin, &end) > 0 &&
                                 image.line(begin).line == line;
        Dwarf_Die die;
        if (dwarf_child(&scope, &die) != 0) continue;
        std::size_t outer = found.size();
        do {
            const int kind = dwarf_tag(&die);
            if (kind != DW_TAG_formal_parameter && kind != DW_TAG_variable) continue;
            Dwarf_Attribute attribute;
            const char* name = dwarf_attr_integrate(&die, DW_AT_name, &attribute)
                                   ? dwarf_formstring(&attribute)
                                   : nullptr;
            if (!name || std::string_view(name).starts_with("__")) continue;
            bool artificial = false;
            if (std::strcmp(name, "this") != 0 &&
                dwarf_attr_integrate(&die, DW_AT_artificial, &attribute) &&
                dwarf_formflag(&attribute, &artificial) == 0 && artificial)
                continue;
            Variable one{name, function, die, {}};
            if (kind == DW_TAG_variable &&
                dwarf_attr_integrate(&die, DW_AT_decl_line, &attribute) &&
                dwarf_formudata(&attribute, &one.line) == 0 && function.empty() && line &&
                (one.line > line || (one.line == line && !begins_here)))
                continue;
            if (!detail::type_of(die, one.type)) continue;
            outer -= std::min(outer, std::erase_if(found, [&one](const Variable& other) {
                                  return other.name == one.name && other.function == one.function;
                              }));
            found.push_back(std::move(one));
        } while (found.size() < variables_max && dwarf_siblingof(&die, &die) == 0);
        // Those of a coroutine come in another order than they were written in.
        for (std::size_t i = outer; i < found.size(); ++i)
            for (std::size_t k = i; k > outer && found[k].line < found[k - 1].line; --k)
                std::swap(found[k], found[k - 1]);
    }
    return found;
}

}  // namespace

std::string locals(const FrameState& frame, const LocalsLimits& limits) {
    try {
        auto& process = detail::Process::self();
        const detail::Process::Lock held(process);
        if (!held) return {};
        const auto file = process.find(frame.pc);
        if (!file.image) return {};
        auto scopes = file.image->scopes(file.address);
        if (scopes.empty()) return {};
        file.image->layouts().trim();
        detail::Locations locations(frame, file.address, frame.pc - file.address, scopes.front());
        detail::Printer printer(file.image->layouts(), limits);
        for (const auto& one : variables(*file.image, file.address, scopes)) {
            const auto location = locations.of(one.die);
            if (location.where == detail::Location::Where::nowhere) continue;
            unsigned char value[8];
            std::memcpy(value, &location.bits, sizeof value);
            const bool in_memory = location.where == detail::Location::Where::memory;
            const detail::Bytes at = in_memory ? detail::Bytes{location.bits, nullptr, 0}
                                               : detail::Bytes{0, value, sizeof value};
            const bool room = one.name == "this" && printer.is_lambda(one.type)
                                  ? printer.captures(one.type, at)
                                  : printer.variable(one.function, one.name, one.type, at);
            if (!room) break;
        }
        return printer.take();
    } catch (...) {
        return {};  // no memory
    }
}

}  // namespace gyre::trace

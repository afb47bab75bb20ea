#include "elf.hpp"

#include <cxxabi.h>
#include <dwarf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace gyre::trace::detail {
namespace {

std::string& source_root() {
    static std::string root;
    return root;
}

/// An attribute of a function that may be given at its declaration or at what was inlined.
const char* text(Dwarf_Die* die, unsigned name) {
    Dwarf_Attribute attribute;
    return dwarf_attr_integrate(die, name, &attribute) ? dwarf_formstring(&attribute) : nullptr;
}

std::string function_name(Dwarf_Die* die) {
    for (const unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name})
        if (const char* linkage = text(die, name)) return demangled(linkage);
    const char* name = text(die, DW_AT_name);
    return name ? name : "";
}

std::uint32_t number(Dwarf_Die* die, unsigned name) {
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    return dwarf_attr(die, name, &attribute) && dwarf_formudata(&attribute, &value) == 0 ? static_cast<std::uint32_t>(value) : 0;
}

/// Where an inlined function was called.
void take_call(Dwarf_Die* unit, Dwarf_Die* inlined, Place& place) {
    Dwarf_Files* files = nullptr;
    std::size_t count = 0;
    const std::uint32_t file = number(inlined, DW_AT_call_file);
    if (dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count)
        if (const char* path = dwarf_filesrc(files, file, nullptr, nullptr)) place.file = source_path(path);
    place.line = number(inlined, DW_AT_call_line);
    place.column = number(inlined, DW_AT_call_column);
}

}  // namespace

std::string demangled(const char* name) {
    // Parts of a coroutine are functions of their own: NAME.resume, NAME.destroy, NAME.cleanup.
    std::string whole = name, part;
    if (const auto dot = whole.find('.'); whole.starts_with("_Z") && dot != whole.npos) {
        part = " [" + whole.substr(dot + 1) + "]";
        whole.resize(dot);
    }
    int status = 1;
    char* plain = abi::__cxa_demangle(whole.c_str(), nullptr, nullptr, &status);
    if (status == 0 && plain) whole = plain;
    std::free(plain);
    return whole + part;
}

void set_source_root(std::string root) { source_root() = std::move(root); }

std::string source_path(std::string path) {
    path = std::filesystem::path(std::move(path)).lexically_normal().string();
    // Of a compiler that ran in build/PRESET and was given paths from there.
    while (path.starts_with("../")) path.erase(0, 3);
    const std::string& root = source_root();
    if (!root.empty() && path.starts_with(root)) return path.substr(root.size());
    std::error_code ignored;
    static const std::string here = std::filesystem::current_path(ignored).string() + "/";
    if (here.size() > 1 && path.starts_with(here)) return path.substr(here.size());
    return path;
}

Elves::~Elves() {
    if (dwfl_) dwfl_end(dwfl_);
}

bool Elves::open_process() {
    static const Dwfl_Callbacks callbacks{.find_elf = &dwfl_linux_proc_find_elf,
                                          .find_debuginfo = &dwfl_standard_find_debuginfo,
                                          .section_address = nullptr,
                                          .debuginfo_path = nullptr};
    if (!dwfl_) dwfl_ = dwfl_begin(&callbacks);
    if (!dwfl_) return false;
    dwfl_report_begin(dwfl_);
    const bool reported = dwfl_linux_proc_report(dwfl_, ::getpid()) == 0;
    return dwfl_report_end(dwfl_, nullptr, nullptr) == 0 && reported;
}

bool Elves::open_file(const std::string& path) {
    static char* debug_path = nullptr;  // libdwfl's default: beside the file, and /usr/lib/debug
    static const Dwfl_Callbacks callbacks{.find_elf = &dwfl_build_id_find_elf,
                                          .find_debuginfo = &dwfl_standard_find_debuginfo,
                                          .section_address = &dwfl_offline_section_address,
                                          .debuginfo_path = &debug_path};
    dwfl_ = dwfl_begin(&callbacks);
    if (!dwfl_) return false;
    dwfl_report_begin(dwfl_);
    const auto* module = dwfl_report_offline(dwfl_, path.c_str(), path.c_str(), -1);
    return dwfl_report_end(dwfl_, nullptr, nullptr) == 0 && module;
}

void Elves::index() {
    if (!dwfl_) return;
    struct All {
        std::vector<std::pair<Dwfl_Module*, Dwarf_Addr>> modules;
    } all;
    dwfl_getmodules(
        dwfl_,
        [](Dwfl_Module* module, void**, const char*, Dwarf_Addr begin, void* argument) {
            static_cast<All*>(argument)->modules.emplace_back(module, begin);
            return static_cast<int>(DWARF_CB_OK);
        },
        &all, 0);
    std::erase_if(indexed_, [&all](const auto& one) { return !std::ranges::count(all.modules, one.first); });
    for (const auto& key : all.modules) {
        if (indexed_.contains(key)) continue;
        Indexed& made = indexed_[key];
        Dwarf_Addr bias = 0;
        (void)dwfl_module_getelf(key.first, &bias);  // symbols of what has no debug information
        (void)dwfl_module_getsymtab(key.first);
        made.debug = dwfl_module_getdwarf(key.first, &made.bias);
        if (!made.debug) continue;
        Dwarf_Off at = 0, next = 0;
        std::size_t header = 0;
        while (dwarf_nextcu(made.debug, at, &next, &header, nullptr, nullptr, nullptr) == 0) {
            Dwarf_Die unit;
            if (dwarf_offdie(made.debug, at + header, &unit)) {
                Dwarf_Addr base = 0, begin = 0, end = 0;
                for (std::ptrdiff_t i = 0; (i = dwarf_ranges(&unit, i, &base, &begin, &end)) > 0;)
                    if (begin < end) made.ranges.push_back({begin, end, at + header});
            }
            if (next <= at) break;
            at = next;
        }
        std::ranges::sort(made.ranges, {}, &Range::begin);
        // Of functions that the linker dropped: they lie on others.
        std::erase_if(made.ranges, [](const Range& range) { return range.begin == 0; });
    }
}

bool Elves::find(std::uintptr_t address, Unit& unit) const {
    unit.module = dwfl_ ? dwfl_addrmodule(dwfl_, address) : nullptr;
    if (!unit.module) return false;
    Dwarf_Addr begin = 0;
    dwfl_module_info(unit.module, nullptr, &begin, nullptr, nullptr, nullptr, nullptr, nullptr);
    const auto found = indexed_.find({unit.module, begin});
    if (found == indexed_.end() || !found->second.debug) return false;
    const Indexed& here = found->second;
    unit.bias = here.bias;
    const Dwarf_Addr inside = address - here.bias;
    auto range = std::ranges::upper_bound(here.ranges, inside, {}, &Range::begin);
    if (range == here.ranges.begin()) return false;
    --range;
    return inside < range->end && dwarf_offdie(here.debug, range->unit, &unit.die);
}

std::string Elves::build_id(std::uintptr_t address) const {
    Dwfl_Module* module = dwfl_ ? dwfl_addrmodule(dwfl_, address) : nullptr;
    const unsigned char* bits = nullptr;
    GElf_Addr where = 0;
    if (!module) return {};
    Dwarf_Addr bias = 0;
    (void)dwfl_module_getelf(module, &bias);
    const int size = dwfl_module_build_id(module, &bits, &where);
    std::string hex;
    for (int i = 0; i < size; ++i) {
        hex += "0123456789abcdef"[bits[i] >> 4];
        hex += "0123456789abcdef"[bits[i] & 15];
    }
    return hex;
}

std::uintptr_t Elves::first_address() const {
    std::uintptr_t first = 0;
    if (dwfl_)
        dwfl_getmodules(
            dwfl_,
            [](Dwfl_Module* module, void**, const char*, Dwarf_Addr, void* argument) {
                Dwarf_Addr bias = 0;
                (void)dwfl_module_getelf(module, &bias);
                *static_cast<std::uintptr_t*>(argument) = bias;
                return static_cast<int>(DWARF_CB_ABORT);
            },
            &first, 0);
    return first;
}

std::vector<Place> Elves::places(std::uintptr_t address) const {
    std::vector<Place> found;
    Unit unit;
    const bool described = find(address, unit);
    if (!unit.module) return found;
    Place outer;
    GElf_Off into = 0;
    GElf_Sym symbol;
    if (const char* name = dwfl_module_addrinfo(unit.module, address, &into, &symbol, nullptr, nullptr, nullptr)) outer.function = demangled(name);
    if (!described) {
        if (!outer.function.empty()) found.push_back(std::move(outer));
        return found;
    }
    const Dwarf_Addr inside = address - unit.bias;
    if (Dwarf_Line* line = dwarf_getsrc_die(&unit.die, inside)) {
        int number = 0, column = 0;
        if (const char* path = dwarf_linesrc(line, nullptr, nullptr)) outer.file = source_path(path);
        if (dwarf_lineno(line, &number) == 0) outer.line = static_cast<std::uint32_t>(number);
        if (dwarf_linecol(line, &column) == 0) outer.column = static_cast<std::uint32_t>(column);
    }
    Dwarf_Die* scopes = nullptr;
    const int count = dwarf_getscopes(&unit.die, inside, &scopes);
    for (int i = 0; i < count; ++i) {
        const int tag = dwarf_tag(&scopes[i]);
        if (tag == DW_TAG_subprogram) {
            if (outer.function.empty()) outer.function = function_name(&scopes[i]);
            break;
        }
        if (tag != DW_TAG_inlined_subroutine) continue;
        Place inner = outer;
        inner.function = function_name(&scopes[i]);
        inner.inlined = true;
        found.push_back(std::move(inner));
        take_call(&unit.die, &scopes[i], outer);
    }
    std::free(scopes);
    found.push_back(std::move(outer));
    return found;
}

}  // namespace gyre::trace::detail

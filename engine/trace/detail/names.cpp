#include <cxxabi.h>
#include <dwarf.h>

#include <cstdlib>
#include <filesystem>

#include "image.hpp"

namespace gyre::trace::detail {
namespace {

constexpr std::size_t name_bytes_max = 240;

bool opens(char c) { return c == '(' || c == '<' || c == '{' || c == '['; }
bool closes(char c) { return c == ')' || c == '>' || c == '}' || c == ']'; }

/// Length of "operator" and its signs at this place, 0: none. They may be brackets.
std::size_t operator_at(std::string_view name, std::size_t at) {
    constexpr std::string_view word = "operator";
    if (!name.substr(at).starts_with(word)) return 0;
    const auto letter = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
    };
    if (at > 0 && letter(name[at - 1])) return 0;
    std::size_t end = at + word.size();
    if (end < name.size() && letter(name[end])) return 0;
    if (name.substr(end).starts_with("()")) return end + 2 - at;
    while (end < name.size() &&
           std::string_view("<>=!-+*/%&|^~,[]").find(name[end]) != std::string_view::npos)
        ++end;
    if (end == at + word.size())
        return name.size() - at;  // a conversion: up to its parameters, found below
    return end - at;
}

/// Without the parameters and the result of a demangled name.
std::string without_types(std::string_view name) {
    std::size_t begin = 0, end = name.size(), depth = 0;
    std::size_t parameters = name.npos;
    bool conversion = false;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (depth == 0 && !conversion) {
            if (const std::size_t length = operator_at(name, i)) {
                if (i + length == name.size())
                    conversion = true;
                else
                    i += length - 1;
                continue;
            }
        }
        const char c = name[i];
        if (opens(c)) {
            if (depth == 0 && c == '(') parameters = i;
            ++depth;
        } else if (closes(c)) {
            if (depth > 0 && !(c == '>' && name[i - 1] == '-')) --depth;
        } else if (depth == 0 && c == ' ' && !conversion && parameters == name.npos) {
            begin = i + 1;  // behind the result
        } else if (depth == 0 && c == ':') {
            parameters = name.npos;  // they were of what is around it
        }
    }
    if (parameters != name.npos && parameters > begin) end = parameters;
    return std::string(name.substr(begin, end - begin));
}

const char* text(Dwarf_Die& die, unsigned name) {
    Dwarf_Attribute attribute;
    return dwarf_attr_integrate(&die, name, &attribute) ? dwarf_formstring(&attribute) : nullptr;
}

}  // namespace

std::string function_name(const char* linkage_name) {
    // Parts of a coroutine are functions of their own: NAME.resume is its body, NAME.destroy,
    // NAME.cleanup.
    std::string whole = linkage_name, part;
    if (const auto dot = whole.find('.'); whole.starts_with("_Z") && dot != whole.npos) {
        if (const auto what = whole.substr(dot + 1); what != "resume") part = " [" + what + "]";
        whole.resize(dot);
    }
    int status = 1;
    char* plain = abi::__cxa_demangle(whole.c_str(), nullptr, nullptr, &status);
    if (status == 0 && plain) whole = without_types(plain);
    std::free(plain);
    if (whole.size() > name_bytes_max) whole.replace(name_bytes_max, whole.npos, "...");
    return whole + part;
}

std::string function_name(Dwarf_Die& function) {
    for (const unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name})
        if (const char* linkage = text(function, name)) return function_name(linkage);
    const char* name = text(function, DW_AT_name);
    if (!name) return {};
    std::string whole = name;
    if (whole.size() > name_bytes_max) whole.replace(name_bytes_max, whole.npos, "...");
    return whole;
}

const char* folder_of(Dwarf_Die& unit) {
    Dwarf_Attribute attribute;
    return dwarf_attr(&unit, DW_AT_comp_dir, &attribute) ? dwarf_formstring(&attribute) : nullptr;
}

std::string source_path(std::string path, const char* folder) {
    path = std::filesystem::path(std::move(path)).lexically_normal().string();
    // Both were named from the root of the tree (-fdebug-prefix-map); one was put before the other.
    if (folder && *folder && *folder != '/' && *folder != '.' && path.starts_with(std::string(folder) + "/"))
        path.erase(0, std::string_view(folder).size() + 1);
    // Of a compiler that ran in build/PRESET and was given paths from there.
    while (path.starts_with("../")) path.erase(0, 3);
    std::error_code ignored;
    static const auto* const here =
        new std::string(std::filesystem::current_path(ignored).string() + "/");
    if (here->size() > 1 && path.starts_with(*here)) return path.substr(here->size());
    return path;
}

}  // namespace gyre::trace::detail

#pragma once
#include <elfutils/libdwfl.h>

#include <gyre/trace/symbols.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::trace::detail {

/// What libdwfl knows of ELF files, with an index of which unit of the debug information has an address.
class Elves {
public:
    Elves() = default;
    Elves(const Elves&) = delete;
    ~Elves();

    bool open_process();                       ///< All that is loaded in this one; again: what is new, too.
    bool open_file(const std::string& path);   ///< One file on the disk.
    void index();                              ///< What is not indexed yet.

    struct Unit {
        Dwfl_Module* module = nullptr;
        Dwarf_Die die{};         ///< Of the compilation unit.
        Dwarf_Addr bias = 0;     ///< Address minus address in the debug information.
    };
    /// The unit of an address. false: none, or not indexed.
    bool find(std::uintptr_t address, Unit& unit) const;
    /// Innermost first; empty: the address is in no indexed file.
    std::vector<Place> places(std::uintptr_t address) const;
    /// Of the file that has the address, or of the only one.
    std::string build_id(std::uintptr_t address) const;
    std::uintptr_t first_address() const;      ///< Of the only file: address of offset 0.

private:
    struct Range {
        Dwarf_Addr begin, end;
        Dwarf_Off unit;
    };
    struct Indexed {
        Dwarf* debug = nullptr;
        Dwarf_Addr bias = 0;
        std::vector<Range> ranges;  // by begin
    };
    Dwfl* dwfl_ = nullptr;
    std::map<std::pair<Dwfl_Module*, Dwarf_Addr>, Indexed> indexed_;  // a module's begin: its memory may be used again
};

std::string demangled(const char* name);
/// As people of this tree name it.
std::string source_path(std::string path);
void set_source_root(std::string root);

}  // namespace gyre::trace::detail

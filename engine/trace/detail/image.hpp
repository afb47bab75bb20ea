#pragma once
#include <elfutils/libdw.h>

#include <cstdint>
#include <gyre/trace/symbols.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gyre::trace::detail {

class Layouts;

/// One ELF file with its debug information: which function, line and scope an address belongs to.
/// Addresses are those of the file (what addr2line takes). One thread at a time.
class Image {
public:
    /// nullptr, with the reason: not readable, no ELF file, another build than asked for ("": any).
    /// separate: also looks for NAME.debug beside it and for its build id in /usr/lib/debug.
    static std::unique_ptr<Image> open(const std::string& path, const std::string& build_id,
                                       bool separate, std::string& why);
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;
    ~Image();

    const std::string& build_id() const { return build_id_; }
    /// Reads symbols, functions and lines into tables of its own: 16 bytes a function, 12 a line.
    void index();
    /// Innermost first; at least one once indexed, if only with the name of a symbol. Only
    /// function, file, line, column and inlined are set.
    std::vector<Place> places(std::uint64_t address) const;

    /// The function of an address and the blocks and inlined functions in it, outermost first;
    /// empty: not known.
    std::vector<Dwarf_Die> scopes(std::uint64_t address) const;
    struct Line {
        std::string_view file;
        std::uint32_t line = 0, column = 0;
    };
    Line line(std::uint64_t address) const;
    bool executable(std::uint64_t address) const;
    Layouts& layouts() const { return *layouts_; }

private:
    struct Function {
        std::uint64_t begin;
        std::uint32_t size, die;
    };
    struct Row {
        std::uint32_t address;  // less base_
        std::uint32_t line;
        std::uint32_t file : 20, column : 12;
    };
    struct Symbol {
        std::uint64_t begin, size;
        const char* name;  // in the file
    };
    struct Segment {
        std::uint64_t begin, end;
    };
    struct File;  // an open one

    Image();
    void read_symbols(Elf* elf);
    void read_unit(Dwarf_Die& unit);
    void read_functions(Dwarf_Die& parent, int depth);
    void read_lines(Dwarf_Die& unit);
    std::string symbol(std::uint64_t address) const;

    std::string path_, build_id_;
    std::unique_ptr<File> file_, debug_file_;
    Dwarf* debug_ = nullptr;
    std::uint64_t base_ = 0;
    std::vector<Segment> code_;
    std::vector<Function> functions_;  // by begin
    std::vector<Row> rows_;            // by address
    std::vector<Symbol> symbols_;      // by begin
    std::vector<std::string> files_;
    std::unordered_map<std::string, std::uint32_t> file_numbers_;
    std::unique_ptr<Layouts> layouts_;
};

/// The name of a function as people say it: no parameters, no result.
std::string function_name(const char* linkage_name);
std::string function_name(Dwarf_Die& function);
/// Relative to the tree it was compiled in, or to the working folder, where it lies there.
std::string source_path(std::string path, const char* folder = nullptr);  // folder: of the compiler
const char* folder_of(Dwarf_Die& unit);

}  // namespace gyre::trace::detail

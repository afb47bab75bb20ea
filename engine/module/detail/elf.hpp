#pragma once
#include <cstdint>
#include <gyre/base/bytes.hpp>
#include <gyre/base/result.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::module::detail {

struct ElfSection {
    std::string_view name;
    std::uint32_t type, link;
    std::uint64_t flags, address, offset, size;
};

struct ElfSymbol {
    std::string_view name;
    std::uint64_t value, size;
    std::uint8_t type, binding, visibility;
    std::uint16_t section;  ///< Index; 0: undefined here.
};

struct ElfRelocation {
    std::uint32_t type;
    std::string_view symbol;  ///< Empty: none.
    std::int64_t addend;
};

/// A shared library of this machine, read from bytes of any content: views into them.
struct ElfFile {
    std::vector<ElfSection> sections;
    std::vector<ElfSymbol> symbols;  ///< Empty: stripped.
    std::vector<ElfSymbol> dynamic_symbols;
    std::vector<std::string_view> needed;  ///< Libraries.
    std::map<std::uint64_t, ElfRelocation> relocations;  ///< By address.
    std::string build_id;                                ///< Hex; empty: none.
    std::vector<std::uint64_t> initializers;  ///< Addresses of the functions that run at load.
    bool thread_locals = false;               ///< It has a segment of them.
    bool never_unloaded = false;              ///< Linked with -z nodelete.

    /// Text at an address, as far as it is in the file; at most 256 characters.
    std::string_view text_at(std::uint64_t address) const;
    /// The pointer at an address, as it is after loading at 0.
    std::uint64_t pointer_at(std::uint64_t address) const;
    BytesView bytes;
};

/// Errors: bad_data, says what is wrong with it.
Result<ElfFile> read_elf(BytesView bytes);

std::string to_hex(BytesView bytes);

}  // namespace gyre::module::detail

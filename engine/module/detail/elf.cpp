#include <elf.h>
#include <gyre/module/detail/elf.hpp>

#include <algorithm>
#include <cstring>
#include <optional>

namespace gyre::module::detail {
namespace {

#if defined(__x86_64__)
constexpr std::uint16_t machine = EM_X86_64;
constexpr std::uint32_t relative = R_X86_64_RELATIVE;
#elif defined(__aarch64__)
constexpr std::uint16_t machine = EM_AARCH64;
constexpr std::uint32_t relative = R_AARCH64_RELATIVE;
#else
#error "gyre: modules are known for x86-64 and aarch64"
#endif

Error wrong(const std::string& what) { return Error(errc::bad_data, what); }

class ElfReader {
public:
    explicit ElfReader(BytesView bytes) : bytes_(bytes) { elf_.bytes = bytes; }

    Result<ElfFile> read() {
        if (bytes_.empty()) return wrong("the file is empty");
        if (bytes_.size() < sizeof head_ || std::memcmp(bytes_.data(), ELFMAG, SELFMAG) != 0)
            return wrong(bytes_.size() >= SELFMAG && !std::memcmp(bytes_.data(), ELFMAG, SELFMAG)
                             ? "the file is cut short: " + std::to_string(bytes_.size()) + " bytes"
                             : "not an ELF file");
        std::memcpy(&head_, bytes_.data(), sizeof head_);
        if (head_.e_ident[EI_CLASS] != ELFCLASS64 || head_.e_ident[EI_DATA] != ELFDATA2LSB ||
            head_.e_machine != machine)
            return wrong("built for another machine (ELF machine " + std::to_string(head_.e_machine) +
                         ", this is " + std::to_string(machine) + ")");
        if (head_.e_type != ET_DYN)
            return wrong("not a shared library (ELF type " + std::to_string(head_.e_type) + ")");
        if (auto ok = read_segments(); !ok) return ok.error();
        if (auto ok = read_sections(); !ok) return ok.error();
        for (const auto& section : elf_.sections) {
            if (section.type == SHT_SYMTAB) read_symbols(section, elf_.symbols);
            if (section.type == SHT_DYNSYM) read_symbols(section, elf_.dynamic_symbols);
        }
        for (const auto& section : elf_.sections) {
            if (section.type == SHT_RELA) read_relocations(section);
            if (section.type == SHT_NOTE) read_notes(section);
        }
        for (const auto& section : elf_.sections)
            if (section.type == SHT_DYNAMIC) read_dynamic(section);
        for (const auto& section : elf_.sections)
            if (section.type == SHT_INIT_ARRAY || section.type == SHT_PREINIT_ARRAY ||
                section.name.starts_with(".ctors"))
                read_initializers(section);
        return std::move(elf_);
    }

private:
    bool inside(std::uint64_t offset, std::uint64_t size) const {
        return offset <= bytes_.size() && size <= bytes_.size() - offset;
    }
    template <class T>
    T at(std::uint64_t offset) const {
        T value{};
        if (inside(offset, sizeof value)) std::memcpy(&value, bytes_.data() + offset, sizeof value);
        return value;
    }
    Error cut_short(std::uint64_t offset, std::uint64_t size) const {
        return wrong("the file is cut short: it has " + std::to_string(bytes_.size()) +
                     " bytes and speaks of " + std::to_string(size) + " at " + std::to_string(offset));
    }

    Result<> read_segments() {
        const std::uint64_t size = std::uint64_t{head_.e_phnum} * sizeof(Elf64_Phdr);
        if (head_.e_phentsize != sizeof(Elf64_Phdr) || head_.e_phnum == 0)
            return wrong("it has no segments that can be loaded");
        if (!inside(head_.e_phoff, size)) return cut_short(head_.e_phoff, size);
        bool loads = false;
        for (std::uint16_t i = 0; i < head_.e_phnum; ++i) {
            const auto segment = at<Elf64_Phdr>(head_.e_phoff + i * sizeof(Elf64_Phdr));
            if (segment.p_type == PT_NULL) continue;
            if (segment.p_filesz != 0 && !inside(segment.p_offset, segment.p_filesz))
                return cut_short(segment.p_offset, segment.p_filesz);
            if (segment.p_type == PT_TLS) elf_.thread_locals = true;
            if (segment.p_type != PT_LOAD) continue;
            loads = true;
            if (segment.p_memsz < segment.p_filesz || segment.p_memsz > (1ull << 32) ||
                segment.p_vaddr > (1ull << 40))
                return wrong("segment " + std::to_string(i) + " makes no sense");
            segments_.push_back(segment);
        }
        if (!loads) return wrong("it has no segments that can be loaded");
        return {};
    }

    Result<> read_sections() {
        const std::uint64_t size = std::uint64_t{head_.e_shnum} * sizeof(Elf64_Shdr);
        if (head_.e_shnum == 0 || head_.e_shentsize != sizeof(Elf64_Shdr))
            return wrong("it has no table of sections");
        if (!inside(head_.e_shoff, size)) return cut_short(head_.e_shoff, size);
        const auto names = at<Elf64_Shdr>(head_.e_shoff + head_.e_shstrndx * sizeof(Elf64_Shdr));
        for (std::uint16_t i = 0; i < head_.e_shnum; ++i) {
            const auto raw = at<Elf64_Shdr>(head_.e_shoff + i * sizeof(Elf64_Shdr));
            if (raw.sh_type != SHT_NOBITS && raw.sh_type != SHT_NULL && !inside(raw.sh_offset, raw.sh_size))
                return cut_short(raw.sh_offset, raw.sh_size);
            // One of no type was not looked at: it is as if it were not there.
            elf_.sections.push_back({text(names.sh_offset, names.sh_size, raw.sh_name), raw.sh_type, raw.sh_link,
                                     raw.sh_flags, raw.sh_addr, raw.sh_offset, raw.sh_type == SHT_NULL ? 0 : raw.sh_size});
        }
        return {};
    }

    /// A text of a table of texts; empty when it is not in it.
    std::string_view text(std::uint64_t offset, std::uint64_t size, std::uint64_t from) const {
        if (!inside(offset, size) || from >= size) return {};
        const auto* begin = reinterpret_cast<const char*>(bytes_.data() + offset + from);
        return {begin, ::strnlen(begin, size - from)};
    }
    std::string_view linked_text(const ElfSection& section, std::uint64_t from) const {
        if (section.link >= elf_.sections.size()) return {};
        const auto& texts = elf_.sections[section.link];
        return texts.type == SHT_STRTAB ? text(texts.offset, texts.size, from) : std::string_view();
    }

    void read_symbols(const ElfSection& section, std::vector<ElfSymbol>& into) {
        const std::uint64_t count = section.size / sizeof(Elf64_Sym);
        for (std::uint64_t i = 1; i < count; ++i) {
            const auto raw = at<Elf64_Sym>(section.offset + i * sizeof(Elf64_Sym));
            into.push_back({linked_text(section, raw.st_name), raw.st_value, raw.st_size,
                            static_cast<std::uint8_t>(ELF64_ST_TYPE(raw.st_info)),
                            static_cast<std::uint8_t>(ELF64_ST_BIND(raw.st_info)),
                            static_cast<std::uint8_t>(ELF64_ST_VISIBILITY(raw.st_other)), raw.st_shndx});
        }
    }

    void read_relocations(const ElfSection& section) {
        if (!(section.flags & SHF_ALLOC)) return;
        for (std::uint64_t i = 0; i < section.size / sizeof(Elf64_Rela); ++i) {
            const auto raw = at<Elf64_Rela>(section.offset + i * sizeof(Elf64_Rela));
            const std::uint64_t symbol = ELF64_R_SYM(raw.r_info);
            elf_.relocations[raw.r_offset] = {
                static_cast<std::uint32_t>(ELF64_R_TYPE(raw.r_info)),
                symbol != 0 && symbol <= elf_.dynamic_symbols.size() ? elf_.dynamic_symbols[symbol - 1].name
                                                                      : std::string_view(),
                raw.r_addend};
        }
    }

    void read_notes(const ElfSection& section) {
        const std::uint64_t end = section.offset + section.size;
        for (std::uint64_t i = section.offset; i + sizeof(Elf64_Nhdr) <= end;) {
            const auto note = at<Elf64_Nhdr>(i);
            const std::uint64_t name = i + sizeof note;
            const std::uint64_t description = name + ((std::uint64_t{note.n_namesz} + 3) & ~3ull);
            const std::uint64_t next = description + ((std::uint64_t{note.n_descsz} + 3) & ~3ull);
            if (description + note.n_descsz > end) return;
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                !std::memcmp(bytes_.data() + name, "GNU", 4) && note.n_descsz <= 64)
                elf_.build_id = to_hex(bytes_.subspan(description, note.n_descsz));
            i = next;
        }
    }

    void read_dynamic(const ElfSection& section) {
        for (std::uint64_t i = 0; i < section.size / sizeof(Elf64_Dyn); ++i) {
            const auto entry = at<Elf64_Dyn>(section.offset + i * sizeof(Elf64_Dyn));
            if (entry.d_tag == DT_NULL) return;
            if (entry.d_tag == DT_NEEDED) elf_.needed.push_back(linked_text(section, entry.d_un.d_val));
            if (entry.d_tag == DT_FLAGS_1 && entry.d_un.d_val & DF_1_NODELETE) elf_.never_unloaded = true;
            if (entry.d_tag == DT_INIT) elf_.initializers.push_back(entry.d_un.d_ptr);
        }
    }

    void read_initializers(const ElfSection& section) {
        if (section.type == SHT_NOBITS) return;
        for (std::uint64_t i = 0; i < section.size / 8; ++i) {
            const auto address = elf_.pointer_at(section.address + i * 8);
            if (address != 0 && address != ~0ull) elf_.initializers.push_back(address);
        }
    }

    BytesView bytes_;
    Elf64_Ehdr head_{};
    std::vector<Elf64_Phdr> segments_;
    ElfFile elf_;
};

/// Where an address is in the file; the sections say it, since they are checked to be inside.
std::optional<std::uint64_t> offset_of(const ElfFile& elf, std::uint64_t address, std::uint64_t& room) {
    for (const auto& section : elf.sections) {
        if (!(section.flags & SHF_ALLOC) || section.type == SHT_NOBITS) continue;
        if (address < section.address || address - section.address >= section.size) continue;
        room = section.size - (address - section.address);
        return section.offset + (address - section.address);
    }
    return {};
}

}  // namespace

std::string_view ElfFile::text_at(std::uint64_t address) const {
    std::uint64_t room = 0;
    const auto offset = offset_of(*this, address, room);
    if (!offset) return {};
    const auto* begin = reinterpret_cast<const char*>(bytes.data() + *offset);
    return {begin, ::strnlen(begin, std::min<std::uint64_t>(room, 256))};
}

std::uint64_t ElfFile::pointer_at(std::uint64_t address) const {
    const auto found = relocations.find(address);
    if (found != relocations.end())
        return found->second.type == relative ? static_cast<std::uint64_t>(found->second.addend) : 0;
    std::uint64_t room = 0, value = 0;
    const auto offset = offset_of(*this, address, room);
    if (offset && room >= sizeof value) std::memcpy(&value, bytes.data() + *offset, sizeof value);
    return value;
}

Result<ElfFile> read_elf(BytesView bytes) { return ElfReader(bytes).read(); }

std::string to_hex(BytesView bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

}  // namespace gyre::module::detail

#include "image.hpp"

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "layout.hpp"

namespace gyre::trace::detail {
namespace {

constexpr std::uint32_t no_file = 0xfffff;  // of a row: here a function ends
constexpr int scopes_max = 64, namespaces_max = 16;
// What libdw keeps of a unit is many times our tables: it is dropped after so many.
constexpr int units_at_once = 16;

std::uint32_t number(Dwarf_Die& die, unsigned name) {
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    return dwarf_attr(&die, name, &attribute) && dwarf_formudata(&attribute, &value) == 0
               ? static_cast<std::uint32_t>(value)
               : 0;
}

std::string hex(const void* bits, std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) {
        const auto one = static_cast<const unsigned char*>(bits)[i];
        text += "0123456789abcdef"[one >> 4];
        text += "0123456789abcdef"[one & 15];
    }
    return text;
}

/// Runs use(begin, end) for each range of a function or unit.
template <class F>
void each_range(Dwarf_Die& die, F use) {
    Dwarf_Addr base = 0, begin = 0, end = 0;
    std::ptrdiff_t at = 0;
    while ((at = dwarf_ranges(&die, at, &base, &begin, &end)) > 0)
        if (begin < end) use(begin, end);
}

bool next_sibling(Dwarf_Die& die) {
    Dwarf_Die next;
    if (dwarf_siblingof(&die, &next) != 0) return false;
    die = next;
    return true;
}

bool has_section(Elf* elf, std::string_view name) {
    std::size_t names = 0;
    if (elf_getshdrstrndx(elf, &names) != 0) return false;
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section));) {
        GElf_Shdr header;
        if (!gelf_getshdr(section, &header)) continue;
        const char* found = elf_strptr(elf, names, header.sh_name);
        if (found && found == name && header.sh_type != SHT_NOBITS) return true;
    }
    return false;
}

}  // namespace

struct Image::File {
    Elf* elf = nullptr;
    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (elf) elf_end(elf);
    }
    static std::unique_ptr<File> open(const std::string& path, std::string& why) {
        static const unsigned version = elf_version(EV_CURRENT);
        (void)version;
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            why = std::strerror(errno);
            return nullptr;
        }
        auto file = std::make_unique<File>();
        file->elf = elf_begin(fd, ELF_C_READ_MMAP_PRIVATE, nullptr);
        const bool whole =
            file->elf && elf_kind(file->elf) == ELF_K_ELF && elf_cntl(file->elf, ELF_C_FDREAD) == 0;
        ::close(fd);
        GElf_Ehdr header;
        if (whole && gelf_getehdr(file->elf, &header)) return file;
        why = "is no ELF file, or a broken one";
        return nullptr;
    }
    std::string build_id() const {
        const void* bits = nullptr;
        const auto size = dwelf_elf_gnu_build_id(elf, &bits);
        return size > 0 && size <= 64 ? hex(bits, static_cast<std::size_t>(size)) : std::string();
    }
};

Image::Image() : layouts_(std::make_unique<Layouts>()) {}

Image::~Image() {
    layouts_.reset();
    if (debug_) dwarf_end(debug_);
}

std::unique_ptr<Image> Image::open(const std::string& path, const std::string& build_id,
                                   bool separate, std::string& why) {
    auto file = File::open(path, why);
    if (!file) return nullptr;
    std::unique_ptr<Image> image(new Image);
    image->path_ = path;
    image->build_id_ = file->build_id();
    if (!build_id.empty() && image->build_id_ != build_id) {
        why = "is another build: " + (image->build_id_.empty() ? "no build id" : image->build_id_);
        return nullptr;
    }
    std::size_t parts = 0;
    if (elf_getphdrnum(file->elf, &parts) != 0) parts = 0;
    bool first = true;
    for (std::size_t i = 0; i < parts; ++i) {
        GElf_Phdr part;
        if (!gelf_getphdr(file->elf, static_cast<int>(i), &part) || part.p_type != PT_LOAD)
            continue;
        if (part.p_vaddr + part.p_memsz < part.p_vaddr) continue;
        if (std::exchange(first, false)) image->base_ = part.p_vaddr;
        if (part.p_flags & PF_X)
            image->code_.push_back({part.p_vaddr, part.p_vaddr + part.p_memsz});
    }
    if (image->code_.empty()) {
        why = "has no code, or is broken";
        return nullptr;
    }
    if (separate && !has_section(file->elf, ".debug_info") && !image->build_id_.empty()) {
        const std::string& id = image->build_id_;
        const auto slash = path.rfind('/');
        const std::string folder = slash == path.npos ? "" : path.substr(0, slash + 1),
                          name = path.substr(folder.size());
        for (const auto& candidate :
             {path + ".debug", folder + ".debug/" + name + ".debug", folder + ".debug/" + name,
              "/usr/lib/debug/.build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug"}) {
            std::string ignored;
            auto debug = File::open(candidate, ignored);
            if (!debug || debug->build_id() != id) continue;
            image->debug_file_ = std::move(debug);
            break;
        }
    }
    image->file_ = std::move(file);
    return image;
}

bool Image::executable(std::uint64_t address) const {
    return std::ranges::any_of(code_, [address](const Segment& part) {
        return address >= part.begin && address < part.end;
    });
}

void Image::index() {
    read_symbols(file_->elf);
    if (debug_file_) read_symbols(debug_file_->elf);
    std::ranges::sort(symbols_, {},
                      [](const Symbol& one) { return std::pair(one.begin, one.size); });
    symbols_.shrink_to_fit();

    Elf* elf = debug_file_ ? debug_file_->elf : file_->elf;
    Dwarf* scratch = dwarf_begin_elf(elf, DWARF_C_READ, nullptr);
    if (!scratch) return;
    Dwarf_Off at = 0, next = 0;
    std::size_t header = 0;
    for (int units = 1;
         dwarf_nextcu(scratch, at, &next, &header, nullptr, nullptr, nullptr) == 0 && next > at;
         at = next, ++units) {
        Dwarf_Die unit;
        if (dwarf_offdie(scratch, at + header, &unit) && dwarf_tag(&unit) == DW_TAG_compile_unit)
            read_unit(unit);
        if (units % units_at_once) continue;
        dwarf_end(scratch);
        scratch = dwarf_begin_elf(elf, DWARF_C_READ, nullptr);
        if (!scratch) break;
    }
    if (scratch) dwarf_end(scratch);
    debug_ = dwarf_begin_elf(elf, DWARF_C_READ, nullptr);

    std::ranges::sort(functions_, {}, &Function::begin);
    // Where one ends another may begin.
    std::ranges::sort(rows_, {}, [](const Row& row) {
        return std::uint64_t{row.address} << 1 | (row.file != no_file);
    });
    functions_.shrink_to_fit();
    rows_.shrink_to_fit();
    file_numbers_.clear();
}

void Image::read_symbols(Elf* elf) {
    Elf_Scn* table = nullptr;
    GElf_Shdr header, best{};
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section));) {
        if (!gelf_getshdr(section, &header)) continue;
        if (header.sh_type != SHT_SYMTAB && (header.sh_type != SHT_DYNSYM || table)) continue;
        table = section;
        best = header;
    }
    Elf_Data* data = table ? elf_getdata(table, nullptr) : nullptr;
    if (!data) return;
    const std::size_t count = data->d_size / sizeof(Elf64_Sym);
    for (std::size_t i = 1; i < count && i < 10'000'000; ++i) {
        GElf_Sym one;
        if (!gelf_getsym(data, static_cast<int>(i), &one) ||
            GELF_ST_TYPE(one.st_info) != STT_FUNC || !executable(one.st_value))
            continue;
        const char* name = elf_strptr(elf, best.sh_link, one.st_name);
        if (name && *name) symbols_.push_back({one.st_value, one.st_size, name});
    }
}

void Image::read_unit(Dwarf_Die& unit) {
    read_functions(unit, 0);
    read_lines(unit);
}

void Image::read_functions(Dwarf_Die& parent, int depth) {
    Dwarf_Die die;
    if (dwarf_child(&parent, &die) != 0) return;
    do {
        const int tag = dwarf_tag(&die);
        if (tag == DW_TAG_namespace && depth < namespaces_max) read_functions(die, depth + 1);
        if (tag != DW_TAG_subprogram) continue;
        const Dwarf_Off offset = dwarf_dieoffset(&die);
        // Functions that the linker dropped lie at no code.
        each_range(die, [&](Dwarf_Addr begin, Dwarf_Addr end) {
            if (executable(begin) && executable(end - 1) && end - begin <= UINT32_MAX &&
                offset <= UINT32_MAX)
                functions_.push_back({begin, static_cast<std::uint32_t>(end - begin),
                                      static_cast<std::uint32_t>(offset)});
        });
    } while (next_sibling(die));
}

void Image::read_lines(Dwarf_Die& unit) {
    Dwarf_Lines* lines = nullptr;
    std::size_t count = 0;
    if (dwarf_getsrclines(&unit, &lines, &count) != 0) return;
    const char* const folder = folder_of(unit);
    std::unordered_map<const char*, std::uint32_t> numbers;
    const auto file_of = [&](Dwarf_Line* line) -> std::uint32_t {
        const char* path = dwarf_linesrc(line, nullptr, nullptr);
        if (!path) return no_file - 1;
        const auto [known, added] = numbers.try_emplace(path, 0);
        if (!added) return known->second;
        const auto [found, fresh] =
            file_numbers_.try_emplace(path, static_cast<std::uint32_t>(files_.size()));
        if (fresh) files_.push_back(source_path(path, folder));
        return known->second = std::min(found->second, no_file - 1);
    };
    Row last{.address = 0, .line = 0, .file = no_file, .column = 0};
    for (std::size_t i = 0; i < count; ++i) {
        Dwarf_Line* line = dwarf_onesrcline(lines, i);
        Dwarf_Addr address = 0;
        bool end = false;
        int row = 0, column = 0;
        if (!line || dwarf_lineaddr(line, &address) != 0 || dwarf_lineendsequence(line, &end) != 0)
            continue;
        if (address < base_ || address - base_ > UINT32_MAX ||
            !(executable(address) || (end && executable(address - 1))))
            continue;
        (void)dwarf_lineno(line, &row);
        (void)dwarf_linecol(line, &column);
        Row one;
        one.address = static_cast<std::uint32_t>(address - base_);
        one.line = static_cast<std::uint32_t>(row);
        one.file = end ? no_file : file_of(line);
        one.column = std::min(static_cast<std::uint32_t>(column), 0xfffu);
        if (!end && one.file == last.file && one.line == last.line && one.column == last.column)
            continue;
        if (!end && last.file != no_file && one.address == last.address)
            rows_.back() = one;  // the last one holds
        else
            rows_.push_back(one);
        last = one;
    }
}

Image::Line Image::line(std::uint64_t address) const {
    if (address < base_ || address - base_ > UINT32_MAX) return {};
    auto row = std::ranges::upper_bound(rows_, static_cast<std::uint32_t>(address - base_), {},
                                        &Row::address);
    if (row == rows_.begin() || (--row)->file >= files_.size()) return {};
    return {files_[row->file], row->line, row->column};
}

std::string Image::symbol(std::uint64_t address) const {
    auto found = std::ranges::upper_bound(symbols_, address, {}, &Symbol::begin);
    // Aliases, and symbols without a size (assembler), which reach to the next.
    for (int looked = 0; found != symbols_.begin() && looked < 8; ++looked) {
        --found;
        if (address - found->begin < found->size) return function_name(found->name);
        if (found->size == 0) return function_name(found->name);
    }
    return {};
}

std::vector<Dwarf_Die> Image::scopes(std::uint64_t address) const {
    std::vector<Dwarf_Die> found;
    auto function = std::ranges::upper_bound(functions_, address, {}, &Function::begin);
    if (!debug_ || function == functions_.begin()) return found;
    --function;
    Dwarf_Die die;
    if (address - function->begin >= function->size || !dwarf_offdie(debug_, function->die, &die))
        return found;
    found.push_back(die);
    for (bool deeper = true; deeper && found.size() < scopes_max;) {
        deeper = false;
        if (dwarf_child(&found.back(), &die) != 0) break;
        do {
            const int tag = dwarf_tag(&die);
            if ((tag != DW_TAG_lexical_block && tag != DW_TAG_inlined_subroutine) ||
                dwarf_haspc(&die, address) <= 0)
                continue;
            found.push_back(die);
            deeper = true;
            break;
        } while (next_sibling(die));
    }
    return found;
}

std::vector<Place> Image::places(std::uint64_t address) const {
    std::vector<Place> found;
    auto scopes = this->scopes(address);
    const Line here = line(address);
    Place outer;
    outer.file = here.file;
    outer.line = here.line;
    outer.column = here.column;
    Dwarf_Die unit;
    Dwarf_Files* files = nullptr;
    std::size_t count = 0;
    if (!scopes.empty() && dwarf_diecu(&scopes.front(), &unit, nullptr, nullptr))
        (void)dwarf_getsrcfiles(&unit, &files, &count);
    for (std::size_t i = scopes.size(); i-- > 1;) {
        if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine) continue;
        Place inner = outer;
        inner.function = function_name(scopes[i]);
        inner.inlined = true;
        found.push_back(std::move(inner));
        const std::uint32_t file = number(scopes[i], DW_AT_call_file);
        const char* path =
            files && file < count ? dwarf_filesrc(files, file, nullptr, nullptr) : nullptr;
        outer.file = path ? source_path(path, folder_of(unit)) : std::string();
        outer.line = number(scopes[i], DW_AT_call_line);
        outer.column = number(scopes[i], DW_AT_call_column);
    }
    outer.function = symbol(address);
    if (outer.function.empty() && !scopes.empty()) outer.function = function_name(scopes.front());
    found.push_back(std::move(outer));
    return found;
}

}  // namespace gyre::trace::detail

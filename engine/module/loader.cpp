#include <dlfcn.h>
#include <elf.h>
#include <gyre/log/log.hpp>
#include <gyre/module/loader.hpp>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <algorithm>
#include <climits>
#include <cstring>
#include <fstream>

namespace gyre::module {
namespace {

std::string folder_of_executable() {
    char path[PATH_MAX];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
    const std::string text(path, n > 0 ? static_cast<std::size_t>(n) : 0);
    return text.substr(0, text.rfind('/'));
}

std::string hex(const std::uint8_t* bytes, std::size_t n) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < n; ++i) {
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

struct Search {
    std::uintptr_t address;
    std::string found;
};

int visit(dl_phdr_info* info, std::size_t, void* data) {
    auto& search = *static_cast<Search*>(data);
    bool inside = false;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& segment = info->dlpi_phdr[i];
        const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
        if (segment.p_type == PT_LOAD)
            inside |= search.address >= begin && search.address < begin + segment.p_memsz;
    }
    if (!inside) return 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& segment = info->dlpi_phdr[i];
        if (segment.p_type != PT_NOTE) continue;
        const auto* at = reinterpret_cast<const std::uint8_t*>(info->dlpi_addr + segment.p_vaddr);
        const auto* end = at + segment.p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            ElfW(Nhdr) note;
            std::memcpy(&note, at, sizeof note);
            const auto* name = at + sizeof note;
            const auto* description = name + ((note.n_namesz + 3) & ~3u);
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !std::memcmp(name, "GNU", 4)) {
                search.found = hex(description, note.n_descsz);
                return 1;
            }
            at = description + ((note.n_descsz + 3) & ~3u);
        }
    }
    return 1;
}

/// A file cut short would kill the process (SIGBUS) instead of being refused. The section table
/// stands at the end.
bool is_whole(const std::string& path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const auto size = static_cast<std::uint64_t>(std::max<std::streamoff>(file.tellg(), 0));
    ElfW(Ehdr) head{};
    file.seekg(0);
    if (!file.read(reinterpret_cast<char*>(&head), sizeof head)) return false;
    return std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_shoff <= size &&
           std::uint64_t{head.e_shnum} * head.e_shentsize <= size - head.e_shoff;
}

}  // namespace

std::string build_id_of(const void* address) {
    Search search{reinterpret_cast<std::uintptr_t>(address), {}};
    ::dl_iterate_phdr(&visit, &search);
    return search.found;
}

Result<Loaded> load(const std::string& name) {
    std::vector<std::string> places;
    if (name.find('/') != std::string::npos) {
        places = {name};
    } else {
        const std::string folder = folder_of_executable();
        places = {folder + "/../lib/gyre/modules/" + name + ".so"};
    }
    std::string path;
    for (const auto& place : places)
        if (::access(place.c_str(), R_OK) == 0) path = place;
    if (path.empty())
        return Error(errc::not_found, "module " + name + ": no file " + places.front());
    if (!is_whole(path)) return Error(errc::bad_data, "module " + path + " is no whole ELF file");
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return Error(errc::bad_data, "module " + name + ": " + ::dlerror());
    const auto* manifest = static_cast<const Manifest*>(::dlsym(library, "gyre_module"));
    std::string wrong;
    if (!manifest) wrong = " exports no gyre_module: is it one?";
    else if (manifest->api != api_version)
        wrong = " was built for API " + std::to_string(manifest->api) + ", this is " +
                std::to_string(api_version);
    if (!wrong.empty()) {
        ::dlclose(library);
        return Error(errc::bad_data, "module " + path + wrong);
    }
    Loaded loaded{path, build_id_of(manifest), manifest};
    for (const auto* type : loaded.types()) {
        const auto whole = check_layout(type->name, type->size, type->align, type->fields, 0);
        if (!whole) log::debug("module.layout", {{"type", type->name}, {"detail", whole.error().what()}});
    }
    return loaded;
}

}  // namespace gyre::module

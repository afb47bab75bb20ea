#include <dlfcn.h>
#include <elf.h>
#include <gyre/log/backend.hpp>
#include <gyre/log/log.hpp>
#include <gyre/module/build.hpp>
#include <gyre/module/check.hpp>
#include <gyre/module/detail/elf.hpp>
#include <gyre/module/detail/files.hpp>
#include <gyre/trace/symbols.hpp>
#include <link.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>

namespace gyre::module {
namespace {

/// Of this process: nodes of one process share what is loaded.
struct Builds {
    std::mutex mutex;
    std::map<std::string, std::weak_ptr<Build>> by_id;
    std::atomic<std::uint64_t> not_unloaded{0};
};
Builds& builds() {
    static Builds& all = *new Builds;  // outlives every static that keeps a Build
    return all;
}

struct Search {
    std::uintptr_t address;
    AddressRange range;
    std::string build_id;
    bool found = false;
};

int visit(dl_phdr_info* info, std::size_t, void* data) {
    auto& search = *static_cast<Search*>(data);
    AddressRange range{~std::uintptr_t{0}, 0};
    bool inside = false;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& segment = info->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD) continue;
        const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr, end = begin + segment.p_memsz;
        inside |= search.address >= begin && search.address < end;
        range = {std::min(range.begin, begin), std::max(range.end, end)};
    }
    if (!inside) return 0;
    search.found = true;
    search.range = range;
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
                search.build_id = detail::to_hex({description, note.n_descsz});
                return 1;
            }
            at = description + ((note.n_descsz + 3) & ~3u);
        }
    }
    return 1;
}

Search library_of(const void* address) {
    Search search{reinterpret_cast<std::uintptr_t>(address), {}, {}};
    ::dl_iterate_phdr(&visit, &search);
    return search;
}

/// Why a library that was closed is still there.
std::string guess_why(const std::string& file) {
    const auto bytes = detail::read_file(file);
    const auto elf = bytes ? detail::read_elf(*bytes) : Result<detail::ElfFile>(bytes.error());
    if (!elf) return "unknown: " + elf.error().message();
    if (elf->never_unloaded) return "it is linked with -z nodelete";
    for (const auto& symbol : elf->dynamic_symbols)
        if (symbol.binding == STB_GNU_UNIQUE && symbol.section != SHN_UNDEF)
            return "it has a unique symbol, " + std::string(symbol.name) + ": build it with clang, or -fno-gnu-unique";
    if (elf->thread_locals) return "it has thread_local variables with destructors";
    return "another library or dlopen() holds it";
}

struct Checked {
    Bytes bytes;
    std::string name, id;
};

Result<Checked> read_checked(const std::string& file) {
    auto bytes = detail::read_file(file);
    if (!bytes) return Error(bytes.error().code(), "module " + bytes.error().message());
    const auto report = check_bytes(*bytes);
    if (!report.ok) {
        std::string text = "module " + file + ": ";
        for (std::size_t i = 0; i < report.errors.size(); ++i) text += (i ? "; " : "") + report.errors[i];
        return Error(errc::bad_data, text);
    }
    return Checked{*std::move(bytes), report.name, report.build};
}

Result<std::string> copy_checked(const Checked& from, const std::string& folder) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    const std::string copy = folder + "/" + from.name + "-" + from.id + ".so";
    if (const auto there = detail::read_file(copy); there && *there == from.bytes) return copy;
    if (auto written = detail::write_file(copy, from.bytes); !written)
        return Error(written.error().code(), "module " + from.name + ": copy " + written.error().message());
    return copy;
}

}  // namespace

Build::~Build() {
    const std::string id = id_;
    if (in_use())
        log::error("module.unloaded_in_use", {{"module", name_}, {"build", id_},
                                              {"frames", uses().frames.load()}, {"closures", uses().closures.load()}});
    log::flush();  // lines not written yet may point into its constants
    const void* const inside = manifest_;
    {
        const std::lock_guard lock(builds().mutex);
        if (const auto known = builds().by_id.find(id); known != builds().by_id.end() && known->second.expired())
            builds().by_id.erase(known);
    }
    ::dlclose(library_);
    trace::modules_changed();
    if (const auto left = library_of(inside); left.found && left.build_id == id) {
        const std::lock_guard lock(builds().mutex);
        if (builds().by_id.contains(id)) return;  // loaded again meanwhile
        ++builds().not_unloaded;
        log::warn("module.not_unloaded", {{"module", name_}, {"build", id}, {"file", file_}, {"reason", guess_why(file_)}});
    }
}

Result<std::shared_ptr<Build>> load_build(const std::string& file, const std::string& copies_folder) {
    auto checked = read_checked(file);
    if (!checked) return checked.error();
    const std::lock_guard lock(builds().mutex);
    if (auto loaded = builds().by_id[checked->id].lock()) return loaded;
    std::string path = file;
    if (!copies_folder.empty()) {
        auto copy = copy_checked(*checked, copies_folder);
        if (!copy) return copy.error();
        path = *std::move(copy);
    }
    void* library = nullptr;
    // Declared to throw nothing, which is not so.
    void* (*volatile open)(const char*, int) = &::dlopen;
    try {
        library = open(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    } catch (...) {  // of a library it is linked to: its own were refused above
        return Error(errc::bad_data, "module " + file + ": a static initializer threw " + to_error(std::current_exception()).what());
    }
    if (!library) {
        const char* reason = ::dlerror();
        return Error(errc::bad_data, "module " + file + ": " + (reason ? reason : "it cannot be loaded"));
    }
    const auto refuse = [&](const std::string& reason) {
        ::dlclose(library);
        return Error(errc::bad_data, "module " + file + ": " + reason);
    };
    const auto* manifest = static_cast<const Manifest*>(::dlsym(library, "gyre_module"));
    if (!manifest) return refuse("it exports no gyre_module");
    if (manifest->api != api_version)
        return refuse("it was built for API " + std::to_string(manifest->api) + ", this is " + std::to_string(api_version) +
                      ": build it anew");
    const auto where = library_of(manifest);
    if (where.build_id != checked->id)
        return refuse("it changed while it was read: build " + where.build_id + " instead of " + checked->id);
    std::shared_ptr<Build> build(new Build);
    build->name_ = manifest->name;
    build->id_ = checked->id;
    build->file_ = path;
    build->library_ = library;
    build->manifest_ = manifest;
    build->range_ = where.range;
    trace::modules_changed();
    builds().by_id[checked->id] = build;
    return build;
}

Result<std::string> copy_build(const std::string& file, const std::string& copies_folder) {
    const auto checked = read_checked(file);
    if (!checked) return checked.error();
    return copy_checked(*checked, copies_folder);
}

std::vector<std::string> prune_copies(const std::string& folder, std::string_view name,
                                      const std::vector<std::string>& keep_ids) {
    namespace fs = std::filesystem;
    const std::string begin = std::string(name) + "-";
    const auto old = fs::file_time_type::clock::now() - std::chrono::minutes(10);
    std::vector<std::string> removed;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(folder, failure)) {
        const std::string file = entry.path().filename();
        bool unneeded = false;
        if (file.starts_with("." + begin)) {
            unneeded = entry.last_write_time(failure) < old;
        } else if (file.starts_with(begin) && file.ends_with(".so")) {
            const std::string id = file.substr(begin.size(), file.size() - begin.size() - 3);
            // Of another module whose name goes on after a dash: no build id.
            unneeded = id.find_first_not_of("0123456789abcdef") == std::string::npos &&
                       !std::ranges::count(keep_ids, id);
        }
        if (unneeded && fs::remove(entry.path(), failure)) removed.push_back(file);
    }
    std::ranges::sort(removed);
    return removed;
}

std::uint64_t builds_not_unloaded() { return builds().not_unloaded; }

std::string build_id_of(const void* address) { return library_of(address).build_id; }

}  // namespace gyre::module

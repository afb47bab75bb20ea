#include <gyre/trace/symbols.hpp>

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "detail/elf.hpp"

namespace gyre::trace {
namespace {

std::atomic<std::uint64_t> changes = 1, seen = 0;
std::mutex mutex;  // of what follows

detail::Elves& process() {
    static auto* const one = new detail::Elves;  // never destroyed: what ends late may still fail
    return *one;
}

std::string build_id_of(const dl_phdr_info& info) {
    std::string hex;
    for (int i = 0; i < info.dlpi_phnum; ++i) {
        const auto& part = info.dlpi_phdr[i];
        if (part.p_type != PT_NOTE) continue;
        const auto* at = reinterpret_cast<const char*>(info.dlpi_addr + part.p_vaddr);
        for (const auto* end = at + part.p_memsz; at + sizeof(Elf64_Nhdr) < end;) {
            Elf64_Nhdr note;
            std::memcpy(&note, at, sizeof note);
            const char* bits = at + sizeof note + ((note.n_namesz + 3u) & ~3u);
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4) {
                for (unsigned b = 0; b < note.n_descsz; ++b) {
                    hex += "0123456789abcdef"[static_cast<unsigned char>(bits[b]) >> 4];
                    hex += "0123456789abcdef"[static_cast<unsigned char>(bits[b]) & 15];
                }
                return hex;
            }
            at = bits + ((note.n_descsz + 3u) & ~3u);
        }
    }
    return hex;
}

/// From what the loader knows; reads no file.
Place raw_place(std::uintptr_t pc) {
    struct Asked {
        std::uintptr_t pc;
        Place place;
    } asked{pc, {}};
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* argument) {
            auto& want = *static_cast<Asked*>(argument);
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const auto& part = info->dlpi_phdr[i];
                if (part.p_type != PT_LOAD || want.pc - info->dlpi_addr - part.p_vaddr >= part.p_memsz) continue;
                want.place.object = info->dlpi_name;
                want.place.offset = want.pc - info->dlpi_addr;
                want.place.build_id = build_id_of(*info);
                return 1;
            }
            return 0;
        },
        &asked);
    if (asked.place.object.empty() && asked.place.offset) {
        static const std::string self = [] {
            std::error_code ignored;
            return std::filesystem::read_symlink("/proc/self/exe", ignored).string();
        }();
        asked.place.object = self;
    }
    return std::move(asked.place);
}

/// The folder of the sources: this file lies at engine/trace/symbols.cpp in it.
void find_source_root() {
    constexpr std::string_view here = "engine/trace/symbols.cpp";
    for (const auto& place : process().places(reinterpret_cast<std::uintptr_t>(&find_source_root)))
        if (place.file.ends_with(here)) detail::set_source_root(place.file.substr(0, place.file.size() - here.size()));
}

void add_raw(std::vector<Place>& places, const Place& raw) {
    for (auto& place : places) {
        place.object = raw.object;
        place.build_id = raw.build_id;
        place.offset = raw.offset;
    }
}

}  // namespace

std::string raw(const Place& place) {
    char offset[24];
    std::snprintf(offset, sizeof offset, "+0x%llx", static_cast<unsigned long long>(place.offset));
    return (place.object.empty() ? "?" : place.object) + offset + " build " + (place.build_id.empty() ? "unknown" : place.build_id);
}

void modules_changed() noexcept { changes.fetch_add(1, std::memory_order_relaxed); }

bool indexed() noexcept { return seen.load(std::memory_order_acquire) == changes.load(std::memory_order_relaxed); }

void index() {
    const std::lock_guard lock(mutex);
    const std::uint64_t now = changes.load();
    if (seen.load() == now) return;
    if (!process().open_process()) return;
    process().index();
    static const bool once = (find_source_root(), true);
    (void)once;
    seen.store(now, std::memory_order_release);
}

std::vector<Place> resolve(std::uintptr_t pc) {
    const Place here = raw_place(pc);
    std::vector<Place> places;
    // Who indexes holds the lock for long: then it is said as it is.
    if (const std::unique_lock lock(mutex, std::try_to_lock); lock && !here.object.empty() && process().build_id(pc) == here.build_id)
        places = process().places(pc);
    if (places.empty()) places.emplace_back();
    add_raw(places, here);
    return places;
}

struct Object::Session {
    detail::Elves elves;
    std::string path, build_id;
};

Object::Object(std::unique_ptr<Session> session) : session_(std::move(session)) {}
Object::Object(Object&&) noexcept = default;
Object& Object::operator=(Object&&) noexcept = default;
Object::~Object() = default;

Result<Object> Object::open(const std::string& path) {
    if (::access(path.c_str(), R_OK) != 0) return Error(errc::not_found, path + ": " + std::strerror(errno));
    auto session = std::make_unique<Session>();
    session->path = path;
    if (!session->elves.open_file(path)) return Error(errc::bad_data, path + ": is no ELF file, or a broken one");
    session->elves.index();
    session->build_id = session->elves.build_id(session->elves.first_address());
    return Object(std::move(session));
}

const std::string& Object::build_id() const { return session_->build_id; }

std::vector<Place> Object::resolve(std::uint64_t offset) const {
    auto places = session_->elves.places(session_->elves.first_address() + offset);
    Place here;
    here.object = session_->path;
    here.build_id = session_->build_id;
    here.offset = offset;
    add_raw(places, here);
    return places;
}

}  // namespace gyre::trace

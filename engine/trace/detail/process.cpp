#include "process.hpp"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace gyre::trace::detail {
namespace {

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
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= 64) {
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

/// Libraries of the system: their symbols will do.
bool of_system(std::string_view path) {
    return path.starts_with("/lib/") || path.starts_with("/lib64/") ||
           path.starts_with("/usr/lib/");
}

thread_local bool locked = false;

}  // namespace

Process::Lock::Lock(Process& process) : process_(process), held_(!locked) {
    if (!held_) return;
    process_.mutex_.lock();
    locked = true;
}

Process::Lock::~Lock() {
    if (!held_) return;
    locked = false;
    process_.mutex_.unlock();
}

Process::Process() {
    std::error_code ignored;
    executable_ = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
}

Process& Process::self() {
    static auto* const one = new Process;  // never destroyed: what ends late may still fail
    return *one;
}

void Process::look() {
    struct Asked {
        unsigned long long adds, subs;  // of the list that is known
        std::vector<Loaded> found;
        bool same = false;
    } asked{adds_, subs_, {}};
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* argument) {
            auto& want = *static_cast<Asked*>(argument);
            if (want.found.empty() && want.adds == info->dlpi_adds &&
                want.subs == info->dlpi_subs) {
                want.same = true;
                return 1;
            }
            want.adds = info->dlpi_adds;
            want.subs = info->dlpi_subs;
            Loaded one;
            one.base = info->dlpi_addr;
            one.begin = UINTPTR_MAX;
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const auto& part = info->dlpi_phdr[i];
                if (part.p_type != PT_LOAD) continue;
                one.begin = std::min<std::uintptr_t>(one.begin, info->dlpi_addr + part.p_vaddr);
                one.end = std::max<std::uintptr_t>(one.end,
                                                   info->dlpi_addr + part.p_vaddr + part.p_memsz);
            }
            if (one.begin >= one.end) return 0;
            one.path = info->dlpi_name;
            one.build_id = build_id_of(*info);
            want.found.push_back(std::move(one));
            return 0;
        },
        &asked);
    if (asked.same) return;
    for (auto& one : asked.found) {
        if (one.path.empty()) one.path = executable_;
        if (auto known = std::ranges::find(loaded_, one); known != loaded_.end())
            one = std::move(*known);
    }
    std::ranges::sort(asked.found, {}, &Loaded::begin);
    loaded_ = std::move(asked.found);
    adds_ = asked.adds;
    subs_ = asked.subs;
}

Process::Found Process::find(std::uintptr_t pc) {
    look();
    auto one = std::ranges::upper_bound(loaded_, pc, {}, &Loaded::begin);
    if (one == loaded_.begin() || pc >= (--one)->end) return {nullptr, {}, {}, pc};
    return {one->image.get(), one->path, one->build_id, pc - one->base};
}

void Process::index() {
    const std::lock_guard order(indexing_);
    const std::uint64_t now = changes_.load();
    if (seen_.load() == now) return;
    std::vector<Loaded> wanted;
    {
        const Lock held(*this);
        look();
        for (auto& one : loaded_)
            if (!std::exchange(one.tried, true)) wanted.push_back(one);
    }
    // Ours first.
    std::ranges::sort(wanted, {}, [](const Loaded& one) { return of_system(one.path); });
    for (auto& one : wanted) {
        std::string why;
        const std::string& file = one.path == executable_ ? "/proc/self/exe" : one.path;
        std::shared_ptr<Image> image = Image::open(file, one.build_id, !of_system(one.path), why);
        if (!image) continue;
        image->index();
        const Lock held(*this);
        if (auto known = std::ranges::find(loaded_, one); known != loaded_.end())
            known->image = std::move(image);
    }
    seen_.store(now, std::memory_order_release);
}

}  // namespace gyre::trace::detail

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <gyre/module/check.hpp>
#include <gyre/module/detail/elf.hpp>
#include <gyre/module/detail/files.hpp>

#include <algorithm>
#include <cstdlib>
#include <set>

namespace gyre::module {
namespace {
using detail::ElfFile;
using detail::ElfSection;
using detail::ElfSymbol;
using Names = std::vector<std::string>;

std::string demangled(std::string_view name) {
    std::string text(name.substr(0, 2000));
    if (!text.starts_with("_Z")) return text;
    int status = 0;
    char* plain = abi::__cxa_demangle(text.c_str(), nullptr, nullptr, &status);
    if (plain && status == 0) text = plain;
    std::free(plain);
    return text;
}

/// "a, b, c and 4 more"; each once.
std::string listed(Names names) {
    constexpr std::size_t most = 30;
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    std::string text;
    for (std::size_t i = 0; i < std::min(most, names.size()); ++i) text += (i ? ", " : "") + names[i];
    if (names.size() > most) text += " and " + std::to_string(names.size() - most) + " more";
    return text;
}

bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> parts) {
    return std::ranges::any_of(parts, [&](auto part) { return name.starts_with(part); });
}

/// Of compiler, linker, sanitizers and coverage, and the engine's own count of uses.
bool is_runtime_symbol(std::string_view name) {
    return name.empty() ||
           starts_with_any(name, {"__dso_handle", "completed.", "DW.ref.", "__TMC_", "_DYNAMIC", "_GLOBAL_OFFSET_TABLE_",
                                  "__bss_start", "_edata", "_end", "__asan_", "___asan_", "__odr_asan", "__ubsan_",
                                  "__tsan_", "__msan_", "__sanitizer", "__sancov", "__start___sancov", "__stop___sancov",
                                  "__llvm_", "__prof", "__covrec", "__gcov", "llvm_gcov", "__unnamed_", ".L",
                                  "_ZN4gyre6detail9code_usesE", "_TLS_MODULE_BASE_", "__init_array_", "__fini_array_"});
}
/// Written to by the loader only, or by sanitizers and coverage.
bool is_mutable(const ElfSection& section) {
    return (section.flags & (SHF_WRITE | SHF_ALLOC)) == (SHF_WRITE | SHF_ALLOC) && !(section.flags & SHF_TLS) &&
           (section.type == SHT_PROGBITS || section.type == SHT_NOBITS) &&
           !starts_with_any(section.name,
                            {".data.rel.ro", ".bss.rel.ro", ".relro_padding", ".got", ".dynamic", ".init_array", ".fini_array",
                             ".ctors", ".dtors", ".jcr", ".tm_clone_table", "asan_", "__sancov", "__llvm_", "__gcov", ".gcov"});
}

class FileCheck {
public:
    FileCheck(const ElfFile& elf, CheckReport& report, const std::function<bool(const char*)>& defined)
        : elf_(elf), report_(report), defined_(defined) {}

    void run() {
        report_.build = elf_.build_id;
        if (elf_.build_id.empty()) error("it has no build id: link it with -Wl,--build-id");
        find_manifest();
        find_iostream();
        find_statics();
        find_thread_locals();
        find_initializers();
        find_threads();
        find_missing();
        if (elf_.never_unloaded) error("it is linked with -z nodelete: it could never be unloaded");
    }

private:
    void error(std::string text) { report_.errors.push_back(std::move(text)); }
    bool stripped() const { return elf_.symbols.empty(); }

    void find_manifest() {
        Names more;
        const ElfSymbol* manifest = nullptr;
        for (const auto& symbol : elf_.dynamic_symbols) {
            if (symbol.section == SHN_UNDEF || symbol.binding == STB_LOCAL) continue;
            if (symbol.visibility == STV_HIDDEN || symbol.visibility == STV_INTERNAL) continue;
            if (symbol.name == "gyre_module") manifest = &symbol;
            else if (!is_runtime_symbol(symbol.name) && symbol.name != "_init" && symbol.name != "_fini")
                more.push_back(demangled(symbol.name));
        }
        const bool bots = std::ranges::count(more, "gyre_bots") != 0;
        if (!manifest)
            error(bots ? "it exports no gyre_module: these are bots, for `gyre bots --module`"
                       : "it exports no gyre_module: is it a module, and does it have GYRE_MODULE(...)?");
        else report_.name = elf_.text_at(elf_.pointer_at(manifest->value + 8));
        if (!more.empty() && !bots)
            error("it exports more than gyre_module: " + listed(more) +
                  "; build it with gyre_game_module(), so that two builds cannot mix");
    }

    void find_iostream() {
        for (const auto& symbol : elf_.dynamic_symbols)
            iostream_ |= symbol.section == SHN_UNDEF && symbol.name == "_ZNSt8ios_base4InitC1Ev";
    }

    void find_statics() {
        if (stripped()) return find_stripped_statics();
        Names found;
        for (const auto& symbol : elf_.symbols) {
            if (symbol.section == SHN_UNDEF || symbol.section >= elf_.sections.size() || symbol.size == 0) continue;
            if (symbol.type != STT_OBJECT && symbol.type != STT_COMMON) continue;
            if (!is_mutable(elf_.sections[symbol.section]) || is_runtime_symbol(symbol.name)) continue;
            if (symbol.name.starts_with("_ZGV")) continue;  // the guard of one that is named itself
            if (iostream_ && symbol.name.find("__ioinit") != std::string_view::npos) continue;
            found.push_back(demangled(symbol.name) + " (" + std::to_string(symbol.size) + " bytes)");
        }
        if (!found.empty())
            error("mutable statics: " + listed(found) +
                  "; the next build would not have their values: make them constexpr, or fields of a component, "
                  "entity or service");
    }

    /// Without names: what no known thing takes.
    void find_stripped_statics() {
        std::uint64_t data = 0, bss = 0;
        for (const auto& section : elf_.sections) {
            if (!is_mutable(section)) continue;
            if (section.type == SHT_NOBITS) bss += section.size;
            else data += unexplained(section);
        }
        // Of crt: completed.0; of the engine: the count of uses; padding between them.
        constexpr std::uint64_t known_bss = 32, known_data = 8;
        report_.warnings.push_back("it is stripped: what is refused cannot be named; strip only debug information (strip -g)");
        if (sanitized()) return;  // its own are many
        if (data > known_data || bss > known_bss)
            error("mutable statics: it is stripped of their names, and has " + std::to_string(data) + " bytes in .data and " +
                  std::to_string(bss) + " in .bss that nothing explains; build it without `strip`, or strip only "
                  "debug information (strip -g), to see what they are");
    }
    /// Bytes that are neither a handle to itself nor a pointer the loader fills in.
    std::uint64_t unexplained(const ElfSection& section) const {
        std::uint64_t bytes = section.size;
        for (auto at = elf_.relocations.lower_bound(section.address);
             at != elf_.relocations.end() && at->first < section.address + section.size; ++at)
            if (!at->second.symbol.empty() || static_cast<std::uint64_t>(at->second.addend) == at->first)
                bytes -= std::min<std::uint64_t>(bytes, 8);
        return bytes;
    }
    bool sanitized() const {
        return std::ranges::any_of(elf_.dynamic_symbols, [](const auto& symbol) {
            return starts_with_any(symbol.name, {"__asan_init", "__tsan_init", "__msan_init", "__ubsan_handle"});
        });
    }

    void find_thread_locals() {
        Names found;
        for (const auto& symbol : stripped() ? elf_.dynamic_symbols : elf_.symbols)
            if (symbol.type == STT_TLS && symbol.section != SHN_UNDEF && !is_runtime_symbol(symbol.name))
                found.push_back(demangled(symbol.name));
        if (found.empty() && !elf_.thread_locals) return;
        error("thread_local: " + (found.empty() ? std::string("it has some, and is stripped of their names") : listed(found)) +
              "; it would keep the build in memory for ever: make it a field of a component, entity or service");
    }

    std::string_view function_at(std::uint64_t address) const {
        std::string_view best;
        for (const auto& symbol : elf_.symbols)
            if (symbol.type == STT_FUNC && symbol.section != SHN_UNDEF && symbol.value == address) best = symbol.name;
        return best;
    }
    void find_initializers() {
        Names files, functions, iostream_files;
        std::size_t unknown = 0;
        std::uint64_t init_section = 0;
        for (const auto& section : elf_.sections)
            if (section.name == ".init") init_section = section.address;
        for (const std::uint64_t address : elf_.initializers) {
            const auto name = function_at(address);
            if (address == init_section || name == "_init" || name == "frame_dummy") continue;
            if (name.find(".module_ctor") != std::string_view::npos || starts_with_any(name, {"__llvm_", "__gcov", "llvm_gcov"}))
                continue;
            if (name.empty()) ++unknown;
            else if (constexpr std::string_view sub = "_GLOBAL__sub_I_"; name.starts_with(sub))
                (iostream_ ? iostream_files : files).emplace_back(name.substr(sub.size()));
            else functions.push_back(demangled(name) + "()");
        }
        for (const auto& symbol : elf_.symbols)
            if (symbol.type == STT_GNU_IFUNC && symbol.section != SHN_UNDEF) functions.push_back(demangled(symbol.name) + "()");
        if (iostream_)
            error("#include <iostream>" + (iostream_files.empty() ? "" : " in " + listed(iostream_files)) +
                  ": its std::ios_base::Init runs when the module is loaded; leave it out and use gyre::log");
        if (!files.empty())
            error("static initializers in " + listed(files) +
                  ": a module runs no code when it is loaded; initialize statics with constants (constexpr, constinit)");
        if (!functions.empty())
            error("code that runs when it is loaded: " + listed(functions) + "; a module runs none: call it from on_start");
        // frame_dummy, and one of the sanitizer.
        if (stripped() && unknown > (sanitized() ? 2u : 1u) && !iostream_)
            error("static initializers: " + std::to_string(unknown - 1) +
                  ", and it is stripped of their names; a module runs no code when it is loaded");
        else if (!stripped() && unknown != 0)
            error("static initializers: " + std::to_string(unknown) + " without a name; a module runs no code when it is loaded");
    }

    void find_threads() {
        Names found;
        for (const auto& symbol : elf_.dynamic_symbols) {
            if (symbol.section != SHN_UNDEF) continue;
            static constexpr std::string_view starters[] = {
                "pthread_create", "thrd_create", "fork", "vfork", "_Fork", "clone", "clone3", "system", "popen",
                "posix_spawn", "posix_spawnp", "daemon", "execv", "execve", "execvp", "execl", "execlp", "timer_create"};
            if (symbol.name.starts_with("_ZNSt6thread15_M_start_thread")) found.emplace_back("std::thread");
            else if (std::ranges::count(starters, symbol.name)) found.emplace_back(symbol.name);
        }
        if (!found.empty())
            error("it starts threads or processes: " + listed(found) +
                  "; they would run code that is unloaded: use tasks (go), or io's blocking pool for what blocks");
    }

    void find_missing() {
        if (!defined_) return;
        Names missing;
        bool sanitizer = false;
        for (const auto& symbol : elf_.dynamic_symbols) {
            if (symbol.section != SHN_UNDEF || symbol.binding != STB_GLOBAL || symbol.name.empty()) continue;
            if (defined_(std::string(symbol.name).c_str())) continue;
            if (starts_with_any(symbol.name, {"__asan_", "__ubsan_", "__tsan_", "__msan_", "__sanitizer"})) sanitizer = true;
            else missing.push_back(demangled(symbol.name));
        }
        if (sanitizer) error("it was built with a sanitizer, and this program was not: build both alike");
        if (!missing.empty())
            error("undefined symbols: " + listed(missing) +
                  "; neither the module nor the engine has them: a source or library is missing, or the engine is another version");
    }

    const ElfFile& elf_;
    CheckReport& report_;
    const std::function<bool(const char*)>& defined_;
    bool iostream_ = false;
};

bool defined_here(const char* symbol) {
    ::dlerror();
    return ::dlsym(RTLD_DEFAULT, symbol) || !::dlerror();
}

/// Libraries that are not in this process yet may define what is missing here.
bool is_loaded(std::string_view library) {
    void* handle = ::dlopen(std::string(library).c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (handle) ::dlclose(handle);
    return handle != nullptr;
}

}  // namespace

CheckReport check_bytes(BytesView bytes, const std::function<bool(const char*)>& defined) {
    CheckReport report;
    const auto elf = detail::read_elf(bytes);
    if (!elf) {
        report.errors.push_back(elf.error().message());
        return report;
    }
    std::function<bool(const char*)> known = defined;
    if (!known && std::ranges::all_of(elf->needed, is_loaded)) known = &defined_here;
    FileCheck(*elf, report, known).run();
    report.ok = report.errors.empty();
    return report;
}

CheckReport check_file(const std::string& file) {
    CheckReport report;
    if (const auto bytes = detail::read_file(file); bytes) report = check_bytes(*bytes);
    else report.errors.push_back(bytes.error().message());
    report.file = file;
    return report;
}

}  // namespace gyre::module

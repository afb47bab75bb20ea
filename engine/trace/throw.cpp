#include <gyre/trace/throw.hpp>

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <gyre/base/error.hpp>
#include <gyre/task/task.hpp>
#include <gyre/trace/locals.hpp>
#include <gyre/trace/symbols.hpp>
#include <mutex>
#include <source_location>
#include <typeinfo>

extern "C" [[gnu::weak]] void __asan_handle_no_return();

namespace gyre::trace {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t slots = 256, frames_max = 48, awaits_max = 12, file_bytes = 112, site_sets = 64, site_ways = 4;
constexpr std::size_t frames_with_locals = 4;
constexpr auto locals_time = std::chrono::milliseconds(5);  // of all frames: the loop waits for it
constexpr auto site_rest = std::chrono::minutes(1);

/// One exception in the air; found by its address.
struct Slot {
    std::atomic<const void*> object = nullptr;
    std::array<std::uintptr_t, frames_max> stack;
    std::size_t frames = 0;
    struct Await {  // owned: the code may be unloaded before it is told
        std::array<char, file_bytes> file;
        std::uint32_t file_size, line, column;
    };
    std::array<Await, awaits_max> awaits;
    std::size_t await_count = 0;
    std::vector<std::string> locals;
    std::uintptr_t place = 0;
};
/// Where exceptions are thrown. What somebody expects and catches must not use up the turn of what is told.
struct Site {
    std::uintptr_t pc = 0;
    Clock::time_point last{}, read{}, told{};  // of any use; when variables were read; when a stack was told
    std::uint64_t again = 0;
};

std::atomic<bool> trace_errors = false;

/// Never destroyed: exceptions fly while statics end.
struct Table {
    std::mutex mutex;
    std::array<Slot, slots> slots_of;
    std::array<std::array<Site, site_ways>, site_sets> sites_of;
    std::pair<std::uintptr_t, std::uintptr_t> library{};  // libstdc++: it throws for others
};
Table& table() {
    static auto* const one = [] {
        auto* made = new Table;
        ::dl_iterate_phdr(
            [](dl_phdr_info* info, std::size_t, void* to) {
                if (!std::strstr(info->dlpi_name, "libstdc++.so")) return 0;
                auto& library = static_cast<Table*>(to)->library;
                library.first = info->dlpi_addr;
                for (int i = 0; i < info->dlpi_phnum; ++i)
                    if (info->dlpi_phdr[i].p_type == PT_LOAD)
                        library.second = std::max<std::uintptr_t>(
                            library.second, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz);
                return 1;
            },
            made);
        return made;
    }();
    return *one;
}

Slot& slot_of(Table& in, const void* object) {
    const auto bits = reinterpret_cast<std::uintptr_t>(object) >> 4;
    return in.slots_of[(bits * 0x9e37'79b9'7f4a'7c15u) >> 56];
}
static_assert(slots == 256);

const void* address_of(const std::exception_ptr& exception) {
    const void* object = nullptr;  // all that a std::exception_ptr is, in libstdc++
    static_assert(sizeof exception == sizeof object);
    std::memcpy(&object, static_cast<const void*>(&exception), sizeof object);
    return object;
}

/// Its site, or that of the place nobody asked for the longest.
Site& site_of(Table& in, std::uintptr_t pc, Clock::time_point now) {
    auto& set = in.sites_of[(pc * 0x9e37'79b9'7f4a'7c15u) >> 58];
    static_assert(site_sets == 64);
    auto found = std::find_if(set.begin(), set.end(), [&](const Site& site) { return site.pc == pc; });
    if (found == set.end()) {
        found = std::min_element(set.begin(), set.end(), [](const Site& a, const Site& b) { return a.last < b.last; });
        *found = {};
        found->pc = pc;
    }
    found->last = now;
    return *found;
}
/// Once a minute.
bool take_turn(Clock::time_point& before, Clock::time_point now) {
    if (before != Clock::time_point{} && now - before < site_rest) return false;
    before = now;
    return true;
}

bool is_error(const std::type_info& type, void* object) {
    return type == typeid(Error) || typeid(Error).__do_catch(&type, &object, 1);
}

[[gnu::noinline]] void remember_stack(const void* object) {
    std::array<FrameState, frames_max> frames;
    const std::size_t count = capture(frames, 2);  // this and the hook
    Table& in = table();
    std::vector<std::string> locals_of;
    std::size_t user = 0;  // the first frame that is not of the standard library
    while (user + 1 < count && frames[user].pc >= in.library.first && frames[user].pc < in.library.second) ++user;
    {
        const std::lock_guard lock(in.mutex);
        Slot& slot = slot_of(in, object);
        slot.object = object;
        slot.frames = count;
        for (std::size_t i = 0; i < count; ++i) slot.stack[i] = frames[i].pc;
        slot.await_count = 0;
        slot.locals.clear();
        slot.place = count ? frames[user].pc : 0;
        const auto now = Clock::now();
        if (!indexed() || !take_turn(site_of(in, slot.place, now).read, now)) return;
    }
    static thread_local bool reading = false;  // what reads variables may throw
    if (std::exchange(reading, true)) return;
    locals_of.resize(user);
    const auto begun = Clock::now();
    for (std::size_t i = user; i < std::min(count, user + frames_with_locals); ++i) {
        const auto left = locals_time - (Clock::now() - begun);
        if (left <= Clock::duration::zero()) break;
        locals_of.push_back(locals(frames[i], {.time = left}));
    }
    reading = false;
    const std::lock_guard lock(in.mutex);
    if (Slot& slot = slot_of(in, object); slot.object == object) slot.locals = std::move(locals_of);
}

/// For the awaits it will pass.
void claim(Slot& slot, const void* object) {
    slot.object.store(object, std::memory_order_relaxed);
    slot.frames = 0;
    slot.await_count = 0;
    slot.place = 0;
    if (!slot.locals.empty()) slot.locals.clear();
}
void remember_error(const void* object) {
    Table& in = table();
    const std::lock_guard lock(in.mutex);
    claim(slot_of(in, object), object);
}

/// It was caught in a task, and goes on in the one that awaits it here.
void passed_await(const std::exception_ptr& failure, const std::source_location& where) noexcept {
    Table& in = table();
    const void* object = address_of(failure);
    const std::lock_guard lock(in.mutex);
    Slot& slot = slot_of(in, object);
    if (slot.object != object) claim(slot, object);  // made, not thrown; or another took its slot
    if (slot.await_count == awaits_max) return;
    std::string_view file = where.file_name();
    if (file.size() > file_bytes) file.remove_prefix(file.size() - file_bytes);
    auto& await = slot.awaits[slot.await_count++];
    std::memcpy(await.file.data(), file.data(), file.size());
    await.file_size = static_cast<std::uint32_t>(file.size());
    await.line = where.line();
    await.column = where.column();
}

[[maybe_unused]] const bool listening = (gyre::detail::failure_passed_await = &passed_await, true);

std::terminate_handler terminate_before = nullptr;

[[noreturn]] void tell_and_terminate() {
    static std::atomic<bool> once = false;
    if (const auto failure = std::current_exception(); failure && !once.exchange(true)) {
        const Error error = to_error(failure);
        std::string text = "gyre: an exception that nobody caught: " + type_name(failure) + ": " + error.what() + "\n";
        for (const auto pc : thrown(failure).stack)
            for (const auto& place : resolve(pc))
                text += "    " + (place.function.empty() ? raw(place) : place.function) +
                        (place.file.empty() ? "" : " at " + place.file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) + " ") + "\n";
        (void)!::write(2, text.data(), text.size());
    }
    if (terminate_before) terminate_before();
    std::abort();
}

}  // namespace

Thrown thrown(const std::exception_ptr& exception) {
    Thrown found;
    const void* object = address_of(exception);
    if (!object) return found;
    Table& in = table();
    const std::lock_guard lock(in.mutex);
    const Slot& slot = slot_of(in, object);
    if (slot.object != object) return found;
    found.stack.assign(slot.stack.begin(), slot.stack.begin() + static_cast<std::ptrdiff_t>(slot.frames));
    for (std::size_t i = 0; i < slot.await_count; ++i) {
        const auto& await = slot.awaits[i];
        found.awaits.push_back(std::string(await.file.data(), await.file_size) + ":" + std::to_string(await.line) + ":" + std::to_string(await.column));
    }
    found.locals = slot.locals;
    found.place = slot.place;
    return found;
}

std::uint64_t told_again(std::uintptr_t place) {
    Table& in = table();
    const auto now = Clock::now();
    const std::lock_guard lock(in.mutex);
    Site& site = site_of(in, place, now);
    if (take_turn(site.told, now)) return site.again = 0;
    return ++site.again;
}

void set_trace_errors(bool on) noexcept { trace_errors.store(on, std::memory_order_relaxed); }

std::string type_name(const std::exception_ptr& exception) {
    const std::type_info* type = exception ? exception.__cxa_exception_type() : nullptr;
    if (!type) return "unknown";
    int status = 1;
    char* plain = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    std::string name = status == 0 && plain ? plain : type->name();
    std::free(plain);
    return name;
}

void install_terminate_handler() {
    if (std::get_terminate() != &tell_and_terminate) terminate_before = std::set_terminate(&tell_and_terminate);
}

}  // namespace gyre::trace

namespace {
template <class F>
F* next(const char* name) {
    void* found = ::dlsym(RTLD_NEXT, name);
    // A program may be linked with the runtime before this library: then there is none behind it.
    if (!found)
        if (void* runtime = ::dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD)) found = ::dlsym(runtime, name);
    GYRE_ASSERT(found, "the C++ runtime is libstdc++.so.6");
    return reinterpret_cast<F*>(found);
}
}  // namespace

// In place of the runtime's: they do their work and then call it. Every exception of the process passes here,
// those that libraries throw as well.
extern "C" {

__attribute__((visibility("default"))) void* __cxa_allocate_exception(std::size_t bytes) noexcept {
    static auto* const allocate = next<void*(std::size_t)>("__cxa_allocate_exception");
    void* object = allocate(bytes);
    // One that is made without being thrown must not look like the one that was here before.
    auto& slot = gyre::trace::slot_of(gyre::trace::table(), object);
    if (slot.object.load(std::memory_order_relaxed) == object) slot.object.store(nullptr, std::memory_order_relaxed);
    return object;
}

__attribute__((visibility("default"), noreturn)) void __cxa_throw(void* object, std::type_info* type, void (*destroy)(void*)) {
    static auto* const throw_it = next<void(void*, std::type_info*, void (*)(void*))>("__cxa_throw");
    if (!gyre::trace::is_error(*type, object) || gyre::trace::trace_errors.load(std::memory_order_relaxed)) gyre::trace::remember_stack(object);
    else gyre::trace::remember_error(object);
    if (&__asan_handle_no_return) __asan_handle_no_return();
    throw_it(object, type, destroy);
    __builtin_unreachable();
}
}

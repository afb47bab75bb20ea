#include <gyre/trace/crash.hpp>

#include <elf.h>
#include <fcntl.h>
#include <gyre/base/context.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/trace/frames.hpp>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>
#include <vector>

namespace gyre::trace {
namespace {

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
constexpr std::size_t files_kept = 20, frames_max = 128, objects_max = 256, stack_bytes = 64u << 10;
constexpr unsigned patience_s = 5;  // a handler that hangs ends the process, too

struct sigaction before[std::size(signals)];
char path_prefix[512];
char process_name[128];
std::atomic<int> crashing = 0;  // thread that is at it

/// Copies what can be read; false when some of it cannot.
bool read_memory(std::uintptr_t from, void* to, std::size_t bytes) {
    iovec local{to, bytes}, remote{reinterpret_cast<void*>(from), bytes};
    return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes);
}
template <class T>
bool read_memory(std::uintptr_t from, T& to) {
    return read_memory(from, &to, sizeof to);
}

/// Writes text without allocating.
class Out {
public:
    explicit Out(int fd) : fd_(fd) {}
    ~Out() { flush(); }
    Out& operator<<(std::string_view text) {
        for (const char c : text) {
            if (used_ == buffer_.size()) flush();
            buffer_[used_++] = c;
        }
        return *this;
    }
    Out& number(std::uint64_t value, unsigned base = 10, std::size_t width = 0) {
        char digits[24];
        std::size_t at = sizeof digits;
        do digits[--at] = "0123456789abcdef"[value % base];
        while ((value /= base) != 0 || sizeof digits - at < width);
        return *this << std::string_view(digits + at, sizeof digits - at);
    }
    Out& hex(std::uint64_t value) { return (*this << "0x").number(value, 16); }
    /// Names come from memory that may be anything.
    Out& name(std::string_view text) {
        for (const char c : text) *this << std::string_view(c > ' ' && c < 0x7f ? &c : "?", 1);
        return *this;
    }
    void flush() {
        for (std::size_t done = 0; done < used_;) {
            const ssize_t n = ::write(fd_, buffer_.data() + done, used_ - done);
            if (n > 0) done += static_cast<std::size_t>(n);
            else if (n == 0 || errno != EINTR) break;
        }
        used_ = 0;
    }

private:
    int fd_;
    std::array<char, 4096> buffer_;
    std::size_t used_ = 0;
};

/// An ELF file in memory, by its lines in /proc/self/maps.
struct Mapped {
    std::uintptr_t base = 0, begin = 0, end = 0;  ///< Of the file's beginning; of the code.
    char path[256] = {};
    std::uint8_t build[20] = {};
    std::size_t build_bytes = 0;
};
Mapped objects[objects_max];
std::size_t object_count = 0;

void read_build_id(Mapped& object) {
    Elf64_Ehdr header;
    if (!read_memory(object.base, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_phentsize != sizeof(Elf64_Phdr))
        return;
    for (unsigned i = 0; i < std::min<unsigned>(header.e_phnum, 64); ++i) {
        Elf64_Phdr part;
        if (!read_memory(object.base + header.e_phoff + i * sizeof part, part)) return;
        if (part.p_type != PT_NOTE) continue;
        for (std::uintptr_t at = object.base + part.p_vaddr, end = at + std::min<std::uint64_t>(part.p_memsz, 4096); at + 12 < end;) {
            Elf64_Nhdr note;
            if (!read_memory(at, note)) break;
            const std::uintptr_t text = at + sizeof note + ((note.n_namesz + 3u) & ~3u);
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= sizeof object.build &&
                read_memory(text, object.build, note.n_descsz)) {
                object.build_bytes = note.n_descsz;
                return;
            }
            at = text + ((note.n_descsz + 3u) & ~3u);
        }
    }
}

std::uint64_t read_hex(std::string_view& text) {
    std::uint64_t value = 0;
    while (!text.empty()) {
        const char c = text[0];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) break;
        value = value * 16 + static_cast<unsigned>(digit);
        text.remove_prefix(1);
    }
    return value;
}

/// "7f00-7f10 r-xp 00001000 08:01 123   /path"
void take_mapping(std::string_view line) {
    static char file[256];           // the one whose beginning was seen last
    static std::uintptr_t beginning;
    const std::uintptr_t begin = read_hex(line);
    line.remove_prefix(std::min<std::size_t>(1, line.size()));
    const std::uintptr_t end = read_hex(line);
    if (line.size() < 6) return;
    const bool code = line[3] == 'x';
    line.remove_prefix(6);
    const std::uint64_t offset = read_hex(line);
    const auto slash = line.find('/');
    if (slash == line.npos) return;
    const auto path = line.substr(slash, sizeof file - 1);
    if (offset == 0) {
        beginning = begin;
        std::memcpy(file, path.data(), path.size());
        file[path.size()] = '\0';
    }
    if (!code || path != file || object_count == objects_max) return;
    Mapped& object = objects[object_count++];
    object = {};
    object.base = beginning;
    object.begin = begin;
    object.end = end;
    std::memcpy(object.path, path.data(), path.size());
}

void read_objects() {
    object_count = 0;
    const int fd = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    static char buffer[8192];
    std::size_t held = 0;
    for (;;) {
        const ssize_t n = fd < 0 ? 0 : ::read(fd, buffer + held, sizeof buffer - held);
        if (n <= 0) break;
        held += static_cast<std::size_t>(n);
        std::string_view rest(buffer, held);
        for (std::size_t line; (line = rest.find('\n')) != rest.npos; rest.remove_prefix(line + 1))
            take_mapping(rest.substr(0, line));
        if (rest.size() == sizeof buffer) rest = {};
        std::memmove(buffer, rest.data(), rest.size());
        held = rest.size();
    }
    if (fd >= 0) ::close(fd);
}

void write_frame(Out& out, std::size_t number, std::uintptr_t pc) {
    out << "#";
    out.number(number) << " ";
    for (std::size_t i = 0; i < object_count; ++i) {
        Mapped& object = objects[i];
        if (pc < object.begin || pc >= object.end) continue;
        if (object.build_bytes == 0) read_build_id(object);
        out.name(object.path) << "+";
        out.hex(pc - object.base) << " build ";
        for (std::size_t b = 0; b < object.build_bytes; ++b) out.number(object.build[b], 16, 2);
        if (object.build_bytes == 0) out << "unknown";
        out << "\n";
        return;
    }
    out.hex(pc) << " in no file\n";
}

/// All of the engine and of games is built with frame pointers; other code may break the chain.
void write_frame_pointer_chain(Out& out, std::uintptr_t pc, std::uintptr_t frame, std::uintptr_t stack) {
    write_frame(out, 0, pc);
    for (std::size_t i = 1; i < frames_max && frame >= stack; ++i) {
        std::uintptr_t next[2];
        if (frame % 8 != 0 || !read_memory(frame, next) || next[1] == 0) return;
        write_frame(out, i, next[1] - 1);
        if (next[0] <= frame) return;
        frame = next[0];
    }
}

const char* name_of(int number) {
    switch (number) {
        case SIGSEGV: return "SIGSEGV";
        case SIGBUS: return "SIGBUS";
        case SIGILL: return "SIGILL";
        case SIGFPE: return "SIGFPE";
        case SIGABRT: return "SIGABRT";
        case SIGSYS: return "SIGSYS";
        default: return "SIGTRAP";
    }
}

/// What runs here, as far as memory still tells.
void write_context(Out& out) {
    Context context;
    if (!current || !read_memory(reinterpret_cast<std::uintptr_t>(current), context)) return;
    const std::pair<const char*, std::uint64_t> ids[] = {
        {"entity", context.entity}, {"session", context.session}, {"call", context.call}, {"trace", context.trace}};
    alignas(std::string) std::uint8_t node[sizeof(std::string)];
    const auto name_at = reinterpret_cast<std::uintptr_t>(context.node) + offsetof(NodeIdentity, name);
    if (context.node && read_memory(name_at, node)) {
        struct Text {  // how libstdc++ lays out a std::string
            std::uintptr_t data;
            std::size_t size;
        } text;
        std::memcpy(&text, node, sizeof text);
        char name[64];
        const std::size_t size = std::min(text.size, sizeof name);
        if (read_memory(text.data, name, size)) (out << "node ").name({name, size}) << "\n";
    }
    for (const auto& [name, id] : ids)
        if (id) (out << name << " ").number(id) << "\n";
}

void write_file(int fd, int number, const siginfo_t& info, const ucontext_t& machine) {
    Out out(fd);
    const auto& registers = machine.uc_mcontext.gregs;
    const auto at = [&registers](int index) { return static_cast<std::uintptr_t>(registers[index]); };
    char thread[16] = {};
    ::prctl(PR_GET_NAME, thread);
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    out << "gyre crash 1\nsignal " << name_of(number) << " ";
    out.number(static_cast<unsigned>(number)) << " code ";
    if (info.si_code < 0) out << "-";
    out.number(static_cast<std::uint64_t>(std::abs(info.si_code)));
    if (number == SIGSEGV || number == SIGBUS) (out << " address ").hex(reinterpret_cast<std::uintptr_t>(info.si_addr));
    out << "\nprocess " << process_name << " ";
    out.number(static_cast<std::uint64_t>(::getpid())) << "\nthread ";
    out.name(thread) << "\nseconds ";
    out.number(static_cast<std::uint64_t>(now.tv_sec)) << "\n";
    write_context(out);
    constexpr std::pair<const char*, int> shown[] = {
        {"rip", REG_RIP}, {"rsp", REG_RSP}, {"rbp", REG_RBP}, {"rax", REG_RAX}, {"rbx", REG_RBX}, {"rcx", REG_RCX},
        {"rdx", REG_RDX}, {"rsi", REG_RSI}, {"rdi", REG_RDI}, {"r8", REG_R8},   {"r9", REG_R9},   {"r10", REG_R10},
        {"r11", REG_R11}, {"r12", REG_R12}, {"r13", REG_R13}, {"r14", REG_R14}, {"r15", REG_R15}};
    out << "registers";
    for (const auto& [name, index] : shown) (out << " " << name << "=").hex(at(index));
    out << "\nby frame pointers\n";
    read_objects();
    write_frame_pointer_chain(out, at(REG_RIP), at(REG_RBP), at(REG_RSP));
    out.flush();  // what follows may not come to its end
    static FrameState frames[frames_max];
    const std::size_t count = capture(frames, 0);
    // What stands above the signal are this handler's own.
    std::size_t first = 0;
    while (first < count && frames[first].pc != at(REG_RIP) && frames[first].pc + 1 != at(REG_RIP)) ++first;
    if (first == count) return;
    out << "by unwinding\n";
    for (std::size_t i = first; i < count; ++i) write_frame(out, i - first, i == first ? at(REG_RIP) : frames[i].pc);
}

/// As without us: what was there before gets the signal, once the handler has returned.
void give_back(int number, const siginfo_t& info) {
    for (std::size_t i = 0; i < std::size(signals); ++i) ::sigaction(signals[i], &before[i], nullptr);
    if (info.si_code <= 0) ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), number);  // sent: it does not come again
}

void on_crash(int number, siginfo_t* info, void* context) {
    const int self = static_cast<int>(::syscall(SYS_gettid));
    int nobody = 0;
    if (!crashing.compare_exchange_strong(nobody, self)) {
        if (nobody == self) return give_back(number, *info);  // in the handler itself
        for (;;) ::pause();                                   // another thread is at it, and ends all
    }
    struct sigaction normal{};
    normal.sa_handler = SIG_DFL;
    ::sigaction(SIGALRM, &normal, nullptr);
    sigset_t alarm_only;
    ::sigemptyset(&alarm_only);
    ::sigaddset(&alarm_only, SIGALRM);
    ::pthread_sigmask(SIG_UNBLOCK, &alarm_only, nullptr);
    ::alarm(patience_s);

    static char path[sizeof path_prefix + 32];
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    std::size_t size = std::strlen(path_prefix);
    std::memcpy(path, path_prefix, size);
    const auto append = [&](std::uint64_t value) {
        char digits[24];
        std::size_t at = sizeof digits;
        do digits[--at] = static_cast<char>('0' + value % 10);
        while ((value /= 10) != 0);
        std::memcpy(path + size, digits + at, sizeof digits - at);
        size += sizeof digits - at;
    };
    append(static_cast<std::uint64_t>(::getpid()));
    path[size++] = '-';
    append(static_cast<std::uint64_t>(now.tv_sec));
    std::memcpy(path + size, ".crash", 7);
    const int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        write_file(fd, number, *info, *static_cast<const ucontext_t*>(context));
        ::close(fd);
    }
    {
        Out err(2);
        err << "gyre: " << process_name << " crashed: " << name_of(number);
        if (fd >= 0) err << "; gyre symbolize " << path << " says where\n";
        else err << "; its frames could not be written to " << path << "\n";
    }
    log::flush(std::chrono::seconds(1));
    ::alarm(0);
    give_back(number, *info);
}

void forget_old(const std::string& folder) {
    std::vector<std::filesystem::directory_entry> files;
    std::error_code ignored;
    for (const auto& file : std::filesystem::directory_iterator(folder, ignored))
        if (file.path().extension() == ".crash") files.push_back(file);
    const auto age = [&ignored](const auto& file) { return file.last_write_time(ignored); };
    std::ranges::sort(files, std::ranges::greater{}, age);
    for (std::size_t i = files_kept; i < files.size(); ++i) std::filesystem::remove(files[i].path(), ignored);
}

struct CrashStack {
    void* memory = ::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CrashStack() {
        stack_t stack{};
        stack.ss_sp = memory;
        stack.ss_size = stack_bytes;
        stack_t old{};
        // Sanitizers bring one of their own.
        if (memory != MAP_FAILED && ::sigaltstack(nullptr, &old) == 0 && (old.ss_flags & SS_DISABLE)) ::sigaltstack(&stack, nullptr);
    }
    ~CrashStack() {
        stack_t old{};
        if (::sigaltstack(nullptr, &old) == 0 && old.ss_sp == memory) {
            stack_t none{};
            none.ss_flags = SS_DISABLE;
            ::sigaltstack(&none, nullptr);
        }
        if (memory != MAP_FAILED) ::munmap(memory, stack_bytes);
    }
};

}  // namespace

void use_crash_stack() { thread_local CrashStack stack; }

Result<> install_crash_handler(const CrashConfig& config) {
    if (::mkdir(config.folder.c_str(), 0700) != 0 && errno != EEXIST)
        return Error(errc::refused, "cannot make " + config.folder + ": " + std::strerror(errno));
    const std::string prefix = config.folder + "/" + config.name + "-";
    if (prefix.size() >= sizeof path_prefix || config.name.size() >= sizeof process_name)
        return Error(errc::refused, "the path of " + config.folder + " is too long");
    forget_old(config.folder);
    std::memcpy(path_prefix, prefix.c_str(), prefix.size() + 1);
    std::memcpy(process_name, config.name.c_str(), config.name.size() + 1);
    use_crash_stack();
    FrameState warm[2];
    (void)capture(warm, 0);  // the first loads what unwinding needs
    static const bool once = [] {
        struct sigaction action{};
        action.sa_sigaction = &on_crash;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        ::sigfillset(&action.sa_mask);
        for (const int number : signals) ::sigdelset(&action.sa_mask, number);  // one within the handler ends it
        for (std::size_t i = 0; i < std::size(signals); ++i) ::sigaction(signals[i], &action, &before[i]);
        return true;
    }();
    (void)once;
    return {};
}

}  // namespace gyre::trace

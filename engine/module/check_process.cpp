#include <fcntl.h>
#include <gyre/codec/json.hpp>
#include <gyre/module/check_process.hpp>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

extern char** environ;

namespace gyre::module {
namespace {
using Clock = std::chrono::steady_clock;

constexpr std::size_t most_output = 64u << 20, most_talk = 64u << 10;
constexpr std::uint64_t most_memory = 8ull << 30;
constexpr int expectations_fd = 3;
constexpr std::string_view step_mark = "gyre-check: ";

class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() { close(); }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    int get() const { return fd_; }

private:
    int fd_ = -1;
};

Error failed(const std::string& what, int reason) {
    return Error("io_failed", "module check: " + what + ": " + std::strerror(reason));
}

/// What the child reads, in memory: a pipe could fill up.
Result<Descriptor> in_memory(std::string_view text) {
    Descriptor file(::memfd_create("gyre_expectations", MFD_CLOEXEC));
    if (file.get() < 0) return failed("expectations", errno);
    while (!text.empty()) {
        const ssize_t n = ::write(file.get(), text.data(), text.size());
        if (n < 0) return failed("expectations", errno);
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    ::lseek(file.get(), 0, SEEK_SET);
    return file;
}

struct Pipe {
    Descriptor from, to;
};
Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return failed("pipe", errno);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

/// Never forks: a child of a process with threads may find a lock held for ever.
Result<pid_t> spawn(std::vector<std::string> command, int out, int talk, int expectations) {
    std::vector<char*> arguments;
    for (auto& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    // Above all of them first: one may have the number that another gets.
    const int above = std::max({out, talk, expectations, expectations_fd}) + 1;
    ::posix_spawn_file_actions_adddup2(&files, out, above);
    ::posix_spawn_file_actions_adddup2(&files, talk, above + 1);
    ::posix_spawn_file_actions_adddup2(&files, expectations, above + 2);
    ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, above, 1);
    ::posix_spawn_file_actions_adddup2(&files, above + 1, 2);
    ::posix_spawn_file_actions_adddup2(&files, above + 2, expectations_fd);
    ::posix_spawn_file_actions_addclosefrom_np(&files, expectations_fd + 1);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    pid_t pid = -1;
    const int reason = ::posix_spawn(&pid, arguments[0], &files, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (reason != 0) return failed("cannot start " + command[0], reason);
    return pid;
}

/// What a child says, up to a bound; the rest is thrown away.
class Heard {
public:
    Heard(Descriptor from, std::size_t most) : from_(std::move(from)), most_(most) {}
    int descriptor() const { return from_.get(); }
    void read() {
        char chunk[16384];
        for (;;) {
            const ssize_t n = ::read(from_.get(), chunk, sizeof chunk);
            if (n < 0 && errno == EINTR) continue;
            if (n == 0) from_.close();
            if (n <= 0) return;
            const auto take = std::min(most_ - text.size(), static_cast<std::size_t>(n));
            text.append(chunk, take);
            too_long |= take < static_cast<std::size_t>(n);
        }
    }
    std::string text;
    bool too_long = false;

private:
    Descriptor from_;
    std::size_t most_;
};

struct End {
    int status = 0;
    bool killed = false;  ///< By us: it took too long.
};

/// Until it has ended; what it started may hold the pipes open longer and is not waited for.
End wait_for(pid_t pid, Heard& out, Heard& talk, Duration limit) {
    const Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const auto deadline = Clock::now() + limit;
    End end;
    for (bool ended = false; !ended;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) {
            ::kill(-pid, SIGKILL);
            end.killed = true;
            break;
        }
        pollfd polled[] = {{process.get(), POLLIN, 0}, {out.descriptor(), POLLIN, 0}, {talk.descriptor(), POLLIN, 0}};
        // Without a descriptor of the process it is looked at a hundred times a second.
        const auto wait = process.get() >= 0 ? left : std::min<decltype(left)>(left, 10);
        ::poll(polled, 3, static_cast<int>(std::min<decltype(left)>(wait, 60'000)));
        if (polled[1].revents) out.read();
        if (polled[2].revents) talk.read();
        siginfo_t info{};
        ended = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
    }
    while (::waitpid(pid, &end.status, 0) < 0 && errno == EINTR) {}
    ::kill(-pid, SIGKILL);  // what it may have started
    if (out.descriptor() >= 0) out.read();
    if (talk.descriptor() >= 0) talk.read();
    return end;
}

struct Talk {
    std::string step, rest;  ///< The last step begun; what else was said.
};
Talk split(std::string_view text) {
    Talk talk;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        if (line.starts_with(step_mark)) talk.step = line.substr(step_mark.size());
        else if (!line.empty()) talk.rest += (talk.rest.empty() ? "" : " | ") + std::string(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    constexpr std::size_t most = 2000;
    if (talk.rest.size() > most) talk.rest = talk.rest.substr(0, most) + "...";
    return talk;
}

std::string describe(const End& end, Duration limit, const Talk& talk) {
    const std::string doing = talk.step.empty() ? "starting" : talk.step;
    std::string text = doing;
    if (end.killed) text += ": not done after " + std::to_string(std::chrono::milliseconds(std::chrono::duration_cast<std::chrono::milliseconds>(limit)).count()) + " ms: it hangs";
    else if (!WIFSIGNALED(end.status)) text += ": the process ended itself with code " + std::to_string(WEXITSTATUS(end.status));
    else {
        const int number = WTERMSIG(end.status);
        const std::string signal = "signal " + std::to_string(number) + " (" + ::strsignal(number) + ")";
        const bool loading = talk.step.starts_with("loading");
        if (talk.rest.find("terminate called") != std::string::npos)
            text += loading ? ": a static initializer threw: " + signal : ": an exception left a noexcept function: " + signal;
        else if (number == SIGXCPU || number == SIGALRM) text += ": it hangs: " + signal;
        else if (number == SIGBUS && loading) text += ": the file is cut short: " + signal;
        else text += ": it crashed: " + signal;
    }
    return talk.rest.empty() ? text : text + ": " + talk.rest;
}

}  // namespace

Result<CheckReport> check_in_process(const std::string& checker, const std::string& file,
                                     const Expectations& expected, Duration limit) {
    auto input = in_memory(to_json(expected));
    if (!input) return input.error();
    auto out = make_pipe();
    if (!out) return out.error();
    auto talk = make_pipe();
    if (!talk) return talk.error();
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(limit).count();
    const auto child = spawn({checker, "module", "check", file, "--json", "--steps", "--limit", std::to_string(seconds),
                              "--expect", "/dev/fd/" + std::to_string(expectations_fd)},
                             out->to.get(), talk->to.get(), input->get());
    if (!child) return child.error();
    out->to.close();
    talk->to.close();
    Heard report_text(std::move(out->from), most_output), said(std::move(talk->from), most_talk);
    const End end = wait_for(*child, report_text, said, limit);
    const Talk spoken = split(said.text);
    // 0: fit; 1: refused. Either way the report is there.
    if (!end.killed && WIFEXITED(end.status) && WEXITSTATUS(end.status) <= 1 && !report_text.text.empty()) {
        if (report_text.too_long) return Error(errc::bad_data, "module check: the report has more than 64 MiB");
        auto report = from_json<CheckReport>(report_text.text);
        if (!report) return Error(errc::bad_data, "module check: " + checker + " answers no report: " + report.error().message());
        return report;
    }
    CheckReport report;
    report.file = file;
    report.errors.push_back(describe(end, limit, spoken));
    return report;
}

void limit_checker(Duration limit) {
    const auto seconds = static_cast<unsigned>(std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(limit).count()));
    const rlimit no_core{0, 0}, cpu{seconds, seconds + 1};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::setrlimit(RLIMIT_CPU, &cpu);
#ifndef GYRE_SANITIZED  // a sanitizer reserves terabytes
    const rlimit memory{most_memory, most_memory};
    ::setrlimit(RLIMIT_AS, &memory);
#endif
    ::alarm(seconds + 1);
}

}  // namespace gyre::module

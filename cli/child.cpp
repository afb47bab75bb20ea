#include "child.hpp"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gyre::cli {

std::string own_executable() {
    char path[PATH_MAX];
    const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
    return size > 0 ? std::string(path, static_cast<std::size_t>(size)) : "/proc/self/exe";
}

pid_t spawn(const Spawn& what, std::string& problem) {
    std::vector<char*> arguments;
    for (const auto& word : what.command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    int report[2];  // the child's errno; closed by a successful exec
    if (::pipe2(report, O_CLOEXEC) != 0) {
        problem = std::strerror(errno);
        return -1;
    }
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) ::_exit(1);
        const int null = ::open("/dev/null", O_RDONLY);
        if (null >= 0) ::dup2(null, STDIN_FILENO);
        if (!what.output.empty()) {
            const int out = ::open(what.output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
            if (out >= 0) ::dup2(out, STDOUT_FILENO), ::dup2(out, STDERR_FILENO);
        }
        if (what.output_fd >= 0) ::dup2(what.output_fd, STDOUT_FILENO), ::dup2(what.output_fd, STDERR_FILENO);
        for (const int fd : what.keep) ::fcntl(fd, F_SETFD, 0);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::execvp(arguments[0], arguments.data());
        const int error = errno;
        (void)!::write(report[1], &error, sizeof error);
        ::_exit(127);
    }
    const int fork_error = errno;
    ::close(report[1]);
    int error = 0;
    const bool failed = pid < 0 || ::read(report[0], &error, sizeof error) == sizeof error;
    ::close(report[0]);
    if (!failed) return pid;
    if (pid > 0) ::waitpid(pid, nullptr, 0);
    problem = what.command[0] + ": " + std::strerror(pid < 0 ? fork_error : error);
    return -1;
}

std::string describe_end(int status) {
    if (WIFSIGNALED(status)) {
        const int number = WTERMSIG(status);
        return "was killed by signal " + std::to_string(number) + " (" + ::strsignal(number) + ")";
    }
    return "ended with code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace gyre::cli

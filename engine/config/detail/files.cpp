#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <gyre/config/load_options.hpp>

namespace gyre::config {
namespace {

Error bad(const std::string& reason) { return Error(errc::bad_config, reason); }
Error unreadable(int number) { return bad(std::string("cannot be read: ") + std::strerror(number)); }
Error too_large(const std::string& bytes, std::size_t bytes_max) {
    return bad("is too large: " + bytes + " bytes, at most " + std::to_string(bytes_max));
}

struct Descriptor {
    int number;
    ~Descriptor() {
        if (number >= 0) ::close(number);
    }
};

const char* kind_of(mode_t mode) {
    return S_ISDIR(mode)    ? "is a folder, not a file"
           : S_ISFIFO(mode) ? "is a pipe; only regular files are read"
           : S_ISSOCK(mode) ? "is a socket; only regular files are read"
                            : "is a device; only regular files are read";
}

}  // namespace

Result<std::string> read_regular_file(const std::string& path, std::size_t bytes_max) {
    // Without O_NONBLOCK a pipe nobody writes to would hold us here.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)};
    if (file.number < 0) return unreadable(errno);
    struct stat status {};
    if (::fstat(file.number, &status) != 0) return unreadable(errno);
    if (!S_ISREG(status.st_mode)) return bad(kind_of(status.st_mode));
    if (static_cast<std::uint64_t>(status.st_size) > bytes_max)
        return too_large(std::to_string(status.st_size), bytes_max);
    std::string text;
    std::size_t read = 0;
    for (;;) {  // it may be longer by now, and files of /proc say 0
        text.resize(std::min(bytes_max + 1, std::max<std::size_t>(read + 4'096, static_cast<std::size_t>(status.st_size) + 1)));
        const ssize_t n = ::read(file.number, text.data() + read, text.size() - read);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return unreadable(errno);
        read += static_cast<std::size_t>(n);
        if (n == 0) break;
        if (read > bytes_max) return too_large("more than " + std::to_string(bytes_max), bytes_max);
    }
    text.resize(read);
    return text;
}

}  // namespace gyre::config

#include <fcntl.h>
#include <gyre/module/detail/files.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gyre::module::detail {
namespace {

constexpr std::uint64_t most_bytes = 1u << 30;

Error failed(const std::string& path, int reason) {
    const std::string text = path + ": " + std::strerror(reason);
    switch (reason) {
        case ENOENT:
        case ENOTDIR: return Error(errc::not_found, text);
        case ENOSPC:
        case EDQUOT:
        case EFBIG: return Error("disk_full", text);
        case EACCES:
        case EPERM:
        case EROFS: return Error("no_permission", text);
        default: return Error("io_failed", text);
    }
}

class Descriptor {
public:
    explicit Descriptor(int fd) : fd(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd >= 0) ::close(fd);
    }
    const int fd;
};

}  // namespace

Result<Bytes> read_file(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.fd < 0) return failed(path, errno);
    struct stat about {};
    if (::fstat(file.fd, &about) != 0) return failed(path, errno);
    if (!S_ISREG(about.st_mode)) return Error(errc::bad_data, path + " is no file");
    const auto size = static_cast<std::uint64_t>(about.st_size);
    if (size > most_bytes) return Error(errc::too_large, path + ": " + std::to_string(size) + " bytes, at most 1 GiB");
    Bytes bytes(size);
    for (std::size_t have = 0; have < size;) {
        const ssize_t n = ::read(file.fd, bytes.data() + have, size - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(path, errno);
        if (n == 0) {
            bytes.resize(have);
            break;
        }
        have += static_cast<std::size_t>(n);
    }
    return bytes;
}

Result<> write_file(const std::string& path, BytesView bytes) {
    const std::size_t slash = path.rfind('/') + 1;  // 0 when there is none
    std::string temporary = path.substr(0, slash) + "." + path.substr(slash) + ".XXXXXX";
    int reason = 0;
    {
        const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
        if (file.fd < 0) return failed(path, errno);
        while (!bytes.empty() && reason == 0) {
            const ssize_t n = ::write(file.fd, bytes.data(), bytes.size());
            if (n >= 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
            else if (errno != EINTR) reason = errno;
        }
        if (reason == 0 && (::fchmod(file.fd, 0644) != 0 || ::fsync(file.fd) != 0)) reason = errno;
    }
    if (reason == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) reason = errno;
    if (reason == 0) return {};
    ::unlink(temporary.c_str());
    return failed(path, reason);
}

}  // namespace gyre::module::detail

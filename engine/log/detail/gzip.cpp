#include "gzip.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <gyre/base/error.hpp>
#include <memory>

namespace gyre::log::detail {
namespace {

constexpr std::size_t piece_bytes = 64 << 10;
constexpr int level = 6, gzip_window = 15 + 16;  // 16: the gzip format

struct File {
    int fd;
    explicit File(int opened) : fd(opened) {}
    ~File() {
        if (fd >= 0) ::close(fd);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
};

bool write_all(int fd, const std::uint8_t* from, std::size_t bytes) {
    while (bytes > 0) {
        const ssize_t n = ::write(fd, from, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        from += n;
        bytes -= static_cast<std::size_t>(n);
    }
    return true;
}

struct Pieces {
    std::array<std::uint8_t, piece_bytes> plain, packed;
};

/// True when all was compressed; else errno says why, or `stop` was set.
bool compress(int from, int to, const std::atomic<bool>& stop) {
    const auto pieces = std::make_unique<Pieces>();
    z_stream stream{};
    if (::deflateInit2(&stream, level, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        errno = ENOMEM;
        return false;
    }
    const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, &::deflateEnd);
    for (int result = Z_OK; result != Z_STREAM_END;) {
        if (stop.load(std::memory_order_relaxed)) return false;
        const ssize_t n = ::read(from, pieces->plain.data(), piece_bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        stream.next_in = pieces->plain.data();
        stream.avail_in = static_cast<uInt>(n);
        do {
            stream.next_out = pieces->packed.data();
            stream.avail_out = piece_bytes;
            result = ::deflate(&stream, n == 0 ? Z_FINISH : Z_NO_FLUSH);
            if (!write_all(to, pieces->packed.data(), piece_bytes - stream.avail_out)) return false;
        } while (stream.avail_out == 0);
    }
    return true;
}

}  // namespace

Result<> gzip(const std::string& path, const std::atomic<bool>& stop) {
    const std::string unfinished = path + ".gz.tmp";
    const auto failed = [&](const char* what) {
        const int why = errno;
        ::unlink(unfinished.c_str());
        return Error(errc::refused, "log file " + path + ": " + what + ": " + std::strerror(why));
    };
    const File from(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat info{};
    if (from.fd < 0 || ::fstat(from.fd, &info) != 0) return failed("read");
    const File to(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                         info.st_mode & 0777));
    if (to.fd < 0) return failed("compress");
    errno = 0;
    if (!compress(from.fd, to.fd, stop)) {
        if (!stop) return failed("compress");
        ::unlink(unfinished.c_str());
        return Error(errc::cancelled, "log file " + path + ": compress: the log stops");
    }
    const timespec times[] = {info.st_atim, info.st_mtim};
    (void)::futimens(to.fd, times);
    if (::fsync(to.fd) != 0) return failed("sync");
    if (::rename(unfinished.c_str(), (path + ".gz").c_str()) != 0) return failed("rename");
    ::unlink(path.c_str());
    return {};
}

}  // namespace gyre::log::detail

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <gyre/secure/detail/sodium.hpp>
#include <gyre/secure/key.hpp>
#include <gyre/secure/mac.hpp>

namespace gyre::secure {
namespace {

struct File {
    explicit File(int descriptor) : fd(descriptor) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (fd >= 0) ::close(fd);
    }
    int fd;
};

Error failed(const char* what, const std::string& path) {
    return Error(errc::bad_config, std::string(what) + " key file " + path + ": " + std::strerror(errno));
}

Result<Key> load(const std::string& path, int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return failed("cannot read", path);
    if ((status.st_mode & 0077) != 0) {
        char mode[8];
        std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(status.st_mode & 07777));
        return Error(errc::bad_config, "key file " + path + " has mode " + mode +
                                           ": others may read it; chmod 0600 or make a new key");
    }
    std::array<std::uint8_t, Key::size + 1> bytes{};
    const auto size = ::read(fd, bytes.data(), bytes.size());
    if (size < 0) return failed("cannot read", path);
    auto key = Key::from_bytes(BytesView(bytes).first(static_cast<std::size_t>(size)));
    sodium_memzero(bytes.data(), bytes.size());
    if (!key) return Error(errc::bad_config, "key file " + path + ": " + key.error().message());
    return key;
}

}  // namespace

Key::~Key() { sodium_memzero(bytes_.data(), bytes_.size()); }

Result<Key> Key::from_bytes(BytesView bytes) {
    if (bytes.size() != size)
        return Error(errc::bad_data, "a key is 32 bytes, not " + std::to_string(bytes.size()) +
                                         (bytes.size() > size ? " or more" : ""));
    std::array<std::uint8_t, size> copy;
    std::ranges::copy(bytes, copy.begin());
    Key key(copy);
    sodium_memzero(copy.data(), copy.size());
    return key;
}

Key Key::derive(std::string_view purpose) const {
    Mac bytes = mac(bytes_, as_bytes(purpose));
    Key key(bytes);
    sodium_memzero(bytes.data(), bytes.size());
    return key;
}

bool operator==(const Key& a, const Key& b) noexcept {
    return sodium_memcmp(a.bytes_.data(), b.bytes_.data(), Key::size) == 0;
}

Result<Key> load_or_create_key(const std::string& path, const Seed& fresh) {
    if (File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); file.fd >= 0) return load(path, file.fd);
    if (errno != ENOENT) return failed("cannot open", path);

    // Written aside and linked, so that nobody ever sees half a key and the first one stays.
    std::string aside = path + ".XXXXXX";
    {
        File file(::mkostemp(aside.data(), O_CLOEXEC));  // Mode 0600.
        if (file.fd < 0) return failed("cannot create", path);
        if (::write(file.fd, fresh.data(), fresh.size()) != static_cast<ssize_t>(fresh.size()) ||
            ::fsync(file.fd) != 0) {
            auto error = failed("cannot write", path);
            ::unlink(aside.c_str());
            return error;
        }
    }
    const bool linked = ::link(aside.c_str(), path.c_str()) == 0 || errno == EEXIST;
    auto error = failed("cannot create", path);
    ::unlink(aside.c_str());
    if (!linked) return error;
    File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.fd < 0) return failed("cannot open", path);
    return load(path, file.fd);
}

}  // namespace gyre::secure

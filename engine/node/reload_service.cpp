#include <fcntl.h>
#include <gyre/base/hash.hpp>
#include <gyre/node/live_config.hpp>
#include <gyre/node/reload_service.hpp>
#include <gyre/node/reloader.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace gyre::node {
namespace {

Reloader& reloader() {
    auto* found = gyre::this_node().reloader;
    if (!found) throw Error(errc::unavailable, "this node cannot reload: it has no data folder");
    return *found;
}

Result<std::string> append(const std::string& folder, const std::string& key, std::uint64_t offset, const Bytes& chunk) {
    (void)::mkdir(folder.c_str(), 0700);
    const std::string path = folder + "/" + key + ".so";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | (offset == 0 ? O_CREAT | O_TRUNC : O_APPEND), 0600);
    const auto refused = [&path](int reason) {
        const bool full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
        return Error(full ? "disk_full" : errc::refused, "cannot write " + path + ": " + std::strerror(reason));
    };
    struct stat found{};
    if (fd < 0 && !(offset > 0 && errno == ENOENT)) return refused(errno);
    const bool here = fd >= 0 && ::fstat(fd, &found) == 0 && static_cast<std::uint64_t>(found.st_size) == offset;
    int reason = 0;
    for (BytesView left = chunk; here && reason == 0 && !left.empty();) {
        const ssize_t n = ::write(fd, left.data(), left.size());
        if (n >= 0) left = left.subspan(static_cast<std::size_t>(n));
        else if (errno != EINTR) reason = errno;
    }
    if (fd >= 0) ::close(fd);
    if (!here) return Error(errc::conflict, "upload " + key + ": it has " + std::to_string(found.st_size) +
                                                " bytes, not " + std::to_string(offset));
    if (reason) {
        (void)::unlink(path.c_str());  // begins anew
        return refused(reason);
    }
    return path;
}

bool same_file(const std::string& path, std::uint64_t bytes, std::uint64_t hash) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file || static_cast<std::uint64_t>(file.tellg()) != bytes) return false;
    file.seekg(0);
    const std::string whole(std::istreambuf_iterator<char>(file), {});
    return fnv1a(whole) == hash;
}

}  // namespace

std::vector<ModuleState> ReloadService::builds() { return reloader().states(); }

Task<ReloadReport> ReloadService::reload(ReloadRequest request) {
    co_return co_await reloader().reload(std::move(request));
}

Task<ReloadReport> ReloadService::rollback(std::string module, std::uint32_t steps, std::string who) {
    co_return co_await reloader().roll_back(std::move(module), steps, std::move(who));
}

Vitals ReloadService::vitals(std::string module) { return reloader().vitals(module); }

Task<std::vector<AuditEntry>> ReloadService::audit(std::uint32_t limit) {
    Reloader& here = reloader();
    co_return co_await here.lane().run([audit = here.audit(), limit] { return audit.read(std::min(limit, 10'000u)); });
}

Task<bool> ReloadService::has_file(std::string path, std::uint64_t bytes, std::uint64_t hash) {
    if (bytes > upload_bytes_max) co_return false;
    co_return co_await reloader().lane().run([path, bytes, hash] { return same_file(path, bytes, hash); });
}

Task<std::string> ReloadService::upload(std::string key, std::uint64_t offset, Bytes chunk) {
    if (key.empty() || key.size() > 64 || key.find_first_not_of("0123456789abcdef") != key.npos)
        throw Error(errc::bad_arguments, "key: 1 to 64 hex digits");
    if (offset > upload_bytes_max || chunk.size() > upload_bytes_max - offset)
        throw Error(errc::too_large, "a module has at most " + std::to_string(upload_bytes_max >> 20) + " MiB");
    Reloader& here = reloader();
    auto path = co_await here.lane().run(
        [folder = here.uploads(), key, offset, chunk] { return append(folder, key, offset, chunk); });
    co_return std::move(path).value();
}

Task<std::vector<ConfigChange>> ReloadService::reload_config(bool check_only, std::string who) {
    Reloader& here = reloader();
    co_return co_await here.reload_config(check_only, std::move(who));
}

}  // namespace gyre::node

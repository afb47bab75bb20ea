#include <fcntl.h>
#include <gyre/codec/json.hpp>
#include <gyre/node/data_folder.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gyre::node {
namespace {

Error refused_by_disk(const std::string& path, std::string_view what) {
    return Error(errc::bad_config,
                 "data folder: " + std::string(what) + " " + path + ": " + std::strerror(errno));
}

std::string absolute(const std::string& path) {
    char whole[PATH_MAX];
    return ::realpath(path.c_str(), whole) ? std::string(whole) : path;
}

/// All folders of a path, the last one and what it is in with mode 0700.
bool make_folders(const std::string& path) {
    for (std::size_t at = 1; at != std::string::npos;) {
        at = path.find('/', at);
        const std::string part = path.substr(0, at);
        if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return false;
        if (at != std::string::npos) ++at;
    }
    return true;
}

std::optional<std::string> read_whole(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return {};
    return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

FolderLock::~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
}

Result<DataFolder> DataFolder::open(const std::string& path) {
    if (path.empty()) return Error(errc::bad_config, "data folder: its path is empty");
    if (!make_folders(path)) return refused_by_disk(path, "cannot make");
    struct stat found;
    if (::stat(path.c_str(), &found) != 0) return refused_by_disk(path, "cannot read");
    if (!S_ISDIR(found.st_mode)) {
        errno = ENOTDIR;
        return refused_by_disk(path, "cannot use");
    }
    if (::access(path.c_str(), W_OK | X_OK) != 0) return refused_by_disk(path, "no permission to write");
    DataFolder folder(absolute(path));
    for (const char* part : {"logs", "nodes", "modules", "modules/builds"})
        if (!make_folders(folder.file(part))) return refused_by_disk(folder.file(part), "cannot make");
    return folder;
}

Result<DataFolder> DataFolder::find(const std::string& path) {
    struct stat found;
    if (::stat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))
        return Error(errc::not_found, "no data folder " + path + ": nothing was started there (gyre up)");
    return DataFolder(absolute(path));
}

Result<module::Keys> DataFolder::keys(io::Io& io) const {
    module::Keys keys;
    const std::pair<const char*, secure::Key*> all[] = {
        {"cluster.key", &keys.cluster}, {"login.key", &keys.login}, {"ticket.key", &keys.ticket},
        {"server.key", &keys.server}};
    for (const auto& [name, key] : all) {
        secure::Seed fresh{};
        io.random(fresh);
        auto loaded = secure::load_or_create_key(file(name), fresh);
        if (!loaded) return loaded.error();
        *key = *loaded;
    }
    const std::string pinned = secure::to_text(secure::Identity(keys.server).public_key()) + "\n";
    if (auto written = write_whole(std::string(server_key_file), pinned); !written) return written.error();
    return keys;
}

Result<secure::PublicKey> DataFolder::server_key() const {
    auto text = read_whole(file(server_key_file));
    if (!text) return Error(errc::not_found, "no " + file(server_key_file) + ": nothing was started there (gyre up)");
    while (text->ends_with('\n')) text->pop_back();
    auto key = secure::public_key_from_text(*text);
    if (!key) return Error(key.error().code(), file(server_key_file) + ": " + key.error().message());
    return key;
}

Result<FolderLock> DataFolder::lock() const {
    const std::string path = file("lock");
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return refused_by_disk(path, "cannot open");
    FolderLock lock(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const auto owner = locked_by();
        return Error(errc::in_use, "a cluster runs in " + path_ +
                                       (owner ? " already (pid " + std::to_string(*owner) + ")" : " already") +
                                       ": gyre down ends it, --data DIR takes another folder");
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd, 0) != 0 ||
        ::write(fd, pid.data(), pid.size()) != static_cast<ssize_t>(pid.size()))
        return refused_by_disk(path, "cannot write");
    return lock;
}

std::optional<std::uint64_t> DataFolder::locked_by() const {
    const int fd = ::open(file("lock").c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    FolderLock probe(fd);
    if (::flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) return {};
    char text[24] = {};
    const auto size = ::pread(fd, text, sizeof text - 1, 0);
    std::uint64_t pid = 0;
    if (size <= 0 || std::from_chars(text, text + size, pid).ec != std::errc{}) return {};
    return pid;
}

Result<> DataFolder::write_whole(const std::string& name, const std::string& text) const {
    // Renamed into place, so that a reader never sees half of it.
    const std::string path = file(name), aside = path + "." + std::to_string(::getpid());
    const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return refused_by_disk(path, "cannot write");
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(fd);
    if (!written || ::rename(aside.c_str(), path.c_str()) != 0) {
        auto error = refused_by_disk(path, "cannot write");
        ::unlink(aside.c_str());
        return error;
    }
    return {};
}

Result<> DataFolder::write(const ClusterFile& file) const {
    return write_whole("cluster.json", to_json(file, true) + "\n");
}
Result<> DataFolder::write(const cluster::NodeInfo& node) const {
    return write_whole("nodes/" + node.name + ".json", to_json(node, true) + "\n");
}
void DataFolder::forget_cluster() const noexcept {
    ::unlink(file("cluster.json").c_str());
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(file("nodes"), ignored))
        std::filesystem::remove(entry.path(), ignored);
}

Result<ClusterFile> DataFolder::cluster() const {
    const auto text = read_whole(file("cluster.json"));
    if (!text)
        return Error(errc::not_found, "no cluster runs in " + path_ + ": start one with gyre up");
    auto read = from_json<ClusterFile>(*text);
    if (!read) return Error(errc::bad_data, file("cluster.json") + ": " + read.error().message());
    return read;
}

}  // namespace gyre::node

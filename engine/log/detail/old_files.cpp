#include "old_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <tuple>

namespace gyre::log::detail {
namespace {

/// "2026-11-23", and "_15", "-04", "-05" after it as far as given; what is left stays in `text`.
bool take_stamp(std::string_view& text, std::string& stamp) {
    constexpr std::string_view shape = "dddd-dd-dd_dd-dd-dd";
    std::size_t size = 0;
    while (size < shape.size() && size < text.size()) {
        const bool digit = text[size] >= '0' && text[size] <= '9';
        if (shape[size] == 'd' ? !digit : text[size] != shape[size]) break;
        ++size;
    }
    if (size != 10 && size != 13 && size != 16 && size != 19) return false;
    stamp = text.substr(0, size);
    text.remove_prefix(size);
    return true;
}

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

}  // namespace

OldFiles::OldFiles(const std::string& path) {
    const std::filesystem::path parts(path);
    folder_ = parts.parent_path().empty() ? "." : parts.parent_path().string();
    stem_ = parts.stem();
    ending_ = parts.extension();
}

bool OldFiles::parse(std::string_view name, File& file) const {
    if (!take(name, stem_) || !take(name, ".") || !take_stamp(name, file.stamp)) return false;
    if (name.size() > 1 && name[0] == '.' && name[1] >= '1' && name[1] <= '9') {
        const auto read = std::from_chars(name.data() + 1, name.data() + name.size(), file.number);
        if (read.ec != std::errc() || file.number < 2) return false;
        name.remove_prefix(static_cast<std::size_t>(read.ptr - name.data()));
    }
    if (!take(name, ending_)) return false;
    file.unfinished = name == ".gz.tmp";
    file.compressed = name == ".gz";
    return name.empty() || file.compressed || file.unfinished;
}

std::vector<OldFiles::File> OldFiles::list() const {
    std::vector<File> files;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(folder_.c_str()), &::closedir);
    if (!folder) return files;
    while (const dirent* entry = ::readdir(folder.get())) {
        File file;
        if (!parse(entry->d_name, file)) continue;
        struct stat info{};
        if (::fstatat(::dirfd(folder.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(info.st_mode))
            continue;
        file.path = folder_ + "/" + entry->d_name;
        file.bytes = static_cast<std::uint64_t>(info.st_size);
        files.push_back(std::move(file));
    }
    std::ranges::sort(files, {}, [](const File& file) {
        return std::tie(file.stamp, file.number, file.compressed, file.unfinished);
    });
    return files;
}

std::string OldFiles::path_of(const std::string& stamp, std::uint32_t number) const {
    const std::string numbered = number < 2 ? "" : "." + std::to_string(number);
    return folder_ + "/" + stem_ + "." + stamp + numbered + ending_;
}

std::string OldFiles::next(const std::string& stamp) const {
    std::uint32_t number = 0;
    for (const File& file : list()) {
        if (file.stamp == stamp) number = std::max(number, file.number);
    }
    return path_of(stamp, number + 1);
}

void OldFiles::keep(std::uint32_t count, std::uint64_t bytes_max) const {
    std::vector<File> files = list();
    std::erase_if(files, [](const File& file) { return file.unfinished; });
    std::uint64_t bytes = 0, kept = 0;
    for (std::size_t i = files.size(); i-- > 0;) {
        bytes += files[i].bytes;
        if (kept < count && (bytes_max == 0 || bytes <= bytes_max)) {
            ++kept;
            continue;
        }
        count = 0;  // what is older goes as well
        ::unlink(files[i].path.c_str());
    }
}

}  // namespace gyre::log::detail

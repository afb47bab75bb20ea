#include "source_watch.hpp"

#include <gyre/base/error.hpp>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

namespace gyre::cli {
namespace {

namespace fs = std::filesystem;

bool is_source(const std::string& name) {
    if (name.empty() || name.front() == '.' || name.back() == '~') return false;
    const std::string ending = fs::path(name).extension();
    constexpr std::array endings = {".cpp", ".hpp", ".cc", ".hh", ".cxx", ".hxx", ".c", ".h", ".inl", ".txt", ".cmake"};
    return std::ranges::count(endings, ending) > 0;
}

}  // namespace

std::vector<ModuleTarget> find_targets(const std::string& build_folder) {
    std::ifstream ninja(build_folder + "/build.ninja");
    if (!ninja) throw Error(errc::not_found, "no build.ninja in " + build_folder + ": gyre dev needs a build folder of Ninja");
    std::map<std::string, std::set<std::string>> folders;
    // build games/arena/CMakeFiles/arena_module.dir/bag.cpp.o: CXX_COMPILER__... /src/games/arena/bag.cpp || ...
    constexpr std::string_view mark = "_module.dir/";
    for (std::string line; std::getline(ninja, line);) {
        const auto at = line.find(mark), colon = line.find(".o: ");
        if (!line.starts_with("build ") || at == line.npos || colon == line.npos || at > colon) continue;
        const auto begin = line.rfind('/', at) + 1;
        const std::string module = line.substr(begin, at - begin);
        const auto rule_end = line.find(' ', colon + 4);
        if (rule_end == line.npos) continue;
        const std::string source = line.substr(rule_end + 1, line.find_first_of(" |", rule_end + 1) - rule_end - 1);
        const fs::path whole = source.starts_with('/') ? fs::path(source) : fs::path(build_folder) / source;
        if (!whole.string().starts_with(build_folder + "/")) folders[module].insert(whole.parent_path());
    }
    std::vector<ModuleTarget> targets;
    for (const auto& [module, found] : folders) {
        ModuleTarget target{module, module + "_module", {}};
        // A folder inside of another is watched with it.
        for (const auto& folder : found)
            if (std::ranges::none_of(found, [&folder](const auto& o) { return folder.starts_with(o + "/"); }))
                target.folders.push_back(folder);
        targets.push_back(std::move(target));
    }
    return targets;
}

std::string find_build_folder(const std::string& executable) {
    std::error_code failure;
    for (fs::path at = fs::path(executable).parent_path(); at.has_relative_path(); at = at.parent_path())
        if (fs::exists(at / "CMakeCache.txt", failure)) return at;
    return {};
}

SourceWatch::SourceWatch(const std::vector<std::string>& folders) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    if (fd_ < 0) throw Error(errc::refused, std::string("inotify: ") + std::strerror(errno));
    for (const auto& folder : folders) add(folder);
}

SourceWatch::~SourceWatch() { ::close(fd_); }

void SourceWatch::add(const std::string& folder) {
    const int watch = ::inotify_add_watch(fd_, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE);
    if (watch < 0) throw Error(errc::refused, "cannot watch " + folder + ": " + std::strerror(errno));
    folders_[watch] = folder;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(folder, failure)) {
        const std::string name = entry.path().filename();
        if (entry.is_directory(failure) && name.front() != '.') add(entry.path());
    }
}

std::vector<std::string> SourceWatch::changed() {
    std::set<std::string> paths;
    alignas(inotify_event) char buffer[16 * 1024];
    for (ssize_t size; (size = ::read(fd_, buffer, sizeof buffer)) > 0;) {
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
            at += static_cast<ssize_t>(sizeof *event + event->len);
            if (event->mask & IN_Q_OVERFLOW)
                for (const auto& [watch, folder] : folders_) paths.insert(folder);
            const auto folder = folders_.find(event->wd);
            if (folder == folders_.end() || event->len == 0) continue;
            const std::string name = event->name, path = folder->second + "/" + name;
            if (event->mask & IN_ISDIR) {
                if ((event->mask & (IN_CREATE | IN_MOVED_TO)) && name.front() != '.') add(path);
            } else if (is_source(name) && !(event->mask & IN_CREATE)) {
                paths.insert(path);  // a file that is created is told when it is written
            }
        }
    }
    return {paths.begin(), paths.end()};
}

}  // namespace gyre::cli

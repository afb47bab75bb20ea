#pragma once
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gyre::cli {

/// A module's target in a CMake build folder, and where its sources are.
struct ModuleTarget {
    std::string module;
    std::string target;                ///< "arena_module"
    std::vector<std::string> folders;  ///< Of its sources; all below them belongs to it.
};

/// The targets NAME_module of a build folder of Ninja. Errors: not_found (no build.ninja there).
std::vector<ModuleTarget> find_targets(const std::string& build_folder);

/// The build folder an executable is in: the nearest above it with a CMakeCache.txt; empty: none.
std::string find_build_folder(const std::string& executable);

/// Sees files change below folders (inotify). Folders that come later are watched as well; what editors
/// leave aside (hidden files, ~, .swp) is not told.
class SourceWatch {
public:
    explicit SourceWatch(const std::vector<std::string>& folders);
    ~SourceWatch();
    SourceWatch(const SourceWatch&) = delete;
    /// For poll().
    int descriptor() const { return fd_; }
    /// Paths of sources that changed since it was asked last.
    std::vector<std::string> changed();

private:
    void add(const std::string& folder);
    int fd_;
    std::map<int, std::string> folders_;
};

}  // namespace gyre::cli

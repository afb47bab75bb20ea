#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace gyre::module {

/// Folder of the program that runs, with a slash.
inline std::string bin_folder() {
    char path[PATH_MAX];
    const auto n = ::readlink("/proc/self/exe", path, sizeof path);
    const std::string text(path, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return text.substr(0, text.rfind('/') + 1);
}
inline std::string test_module(const std::string& name) {
    return bin_folder() + "../lib/gyre/test_modules/" + name + ".so";
}
inline std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}
inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// A folder of its own, gone at the end.
class TemporaryFolder {
public:
    TemporaryFolder() {
        if (!::mkdtemp(path.data())) std::abort();
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
    std::string write(const std::string& name, std::string_view text) const {
        const std::string file = path + "/" + name;
        std::ofstream(file, std::ios::binary) << text;
        return file;
    }
    std::vector<std::string> files() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(path)) names.push_back(entry.path().filename());
        std::ranges::sort(names);
        return names;
    }
    std::string path = testing::TempDir() + "gyre_module_XXXXXX";
};

}  // namespace gyre::module

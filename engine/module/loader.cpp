#include <gyre/module/check.hpp>
#include <gyre/module/loader.hpp>
#include <unistd.h>

#include <climits>

namespace gyre::module {
namespace {
std::string folder_of_executable() {
    char path[PATH_MAX];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
    const std::string text(path, n > 0 ? static_cast<std::size_t>(n) : 0);
    return text.substr(0, text.rfind('/'));
}
}  // namespace

Result<std::string> find_module(const std::string& name) {
    const std::string path = name.find('/') != std::string::npos
                                 ? name
                                 : folder_of_executable() + "/../lib/gyre/modules/" + name + ".so";
    if (::access(path.c_str(), R_OK) == 0) return path;
    return Error(errc::not_found, "module " + name + ": no file " + path);
}

Result<Loaded> load(const std::string& name, const std::string& copies_folder) {
    const auto path = find_module(name);
    if (!path) return path.error();
    auto build = load_build(*path, copies_folder);
    if (!build) return build.error();
    std::string lost;
    const auto look_at = [&](const world::TypeTable& type) {
        if (const auto whole = check_described(type); !whole) lost += (lost.empty() ? "" : "; ") + whole.error().message();
    };
    for (const auto* type : (*build)->types()) {
        look_at(*type);
        for (const auto& component : type->components) look_at(*component.type);
    }
    if (!lost.empty()) return Error(errc::bad_data, "module " + *path + ": " + lost);
    const Build& code = **build;
    return Loaded{*path, code.id(), &code.manifest(), *std::move(build)};
}

}  // namespace gyre::module

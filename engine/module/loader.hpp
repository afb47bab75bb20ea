#pragma once
#include <gyre/module/build.hpp>

namespace gyre::module {

/// A module's code in this process.
struct Loaded {
    std::string path;
    std::string build;  ///< Build id of the file, hex.
    const Manifest* manifest = nullptr;
    std::shared_ptr<Build> code = nullptr;  ///< Null: linked into the program.
    std::span<const world::TypeTable* const> types() const {
        return {manifest->types, manifest->type_count};
    }
    std::span<const config::Section* const> sections() const { return {manifest->sections, manifest->section_count}; }
};

/// Where a module of that name is looked for: NAME itself when it is a path, else
/// lib/gyre/modules/NAME.so beside the executable. Error: not_found (says where it looked).
Result<std::string> find_module(const std::string& name);

/// find_module() and load_build(), with their errors; bad_data also for members that no describe() lists.
Result<Loaded> load(const std::string& name, const std::string& copies_folder = {});

}  // namespace gyre::module

#pragma once
#include <gyre/base/result.hpp>
#include <gyre/module/manifest.hpp>
#include <string>
#include <vector>

namespace gyre::module {

/// A module's code in this process. It stays until the process ends.
struct Loaded {
    std::string path;
    std::string build;  ///< Build id of the file, hex.
    const Manifest* manifest = nullptr;
    std::span<const world::TypeTable* const> types() const {
        return {manifest->types, manifest->type_count};
    }
};

/// Loads lib/gyre/modules/NAME.so beside the executable, or NAME itself when it is a path.
/// Errors: not_found (says where it looked), bad_data (no module, another API; names the reason).
Result<Loaded> load(const std::string& name);

/// Build id of the file that holds `address`, hex: which build this is.
std::string build_id_of(const void* address);

}  // namespace gyre::module

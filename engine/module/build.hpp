#pragma once
#include <gyre/base/result.hpp>
#include <gyre/module/manifest.hpp>
#include <memory>
#include <string>
#include <vector>

namespace gyre::module {

struct AddressRange {
    std::uintptr_t begin = 0, end = 0;
    bool contains(const void* address) const {
        const auto at = reinterpret_cast<std::uintptr_t>(address);
        return at >= begin && at < end;
    }
};

/// One loaded file of a module: its code is there as long as this is. Keep it as long as anything
/// of the code is used; in_use() tells of what only the code itself knows.
class Build {
public:
    /// Drains the log, unloads the code and sees to it that it is gone. What does not go is told
    /// (log module.not_unloaded) and counted.
    ~Build();
    Build(const Build&) = delete;
    Build& operator=(const Build&) = delete;

    const std::string& name() const { return name_; }
    const std::string& id() const { return id_; }      ///< Build id, hex.
    const std::string& file() const { return file_; }  ///< The copy that is loaded.
    std::span<const world::TypeTable* const> types() const { return {manifest_->types, manifest_->type_count}; }
    std::span<const config::Section* const> sections() const { return {manifest_->sections, manifest_->section_count}; }
    const Manifest& manifest() const { return *manifest_; }
    AddressRange address_range() const { return range_; }
    /// Coroutine frames and closures of its code that are alive.
    const CodeUses& uses() const { return *manifest_->uses; }
    bool in_use() const { return uses().all() != 0; }

private:
    friend Result<std::shared_ptr<Build>> load_build(const std::string&, const std::string&);
    Build() = default;
    std::string name_, id_, file_;
    void* library_ = nullptr;
    const Manifest* manifest_ = nullptr;
    AddressRange range_;
};

/// Copies the file to copies_folder/NAME-BUILDID.so and loads the copy: the file may be replaced
/// and removed meanwhile. Loaded already: the same Build. An empty copies_folder: the file itself is
/// loaded, for tools and tests. Blocks on the disk.
/// Errors: not_found, bad_data (all that is wrong with it, as check_file says), disk_full,
/// no_permission, io_failed. Nothing has changed then.
Result<std::shared_ptr<Build>> load_build(const std::string& file, const std::string& copies_folder = {});

/// The copy without loading it, for who checks first: its path. Errors as load_build().
Result<std::string> copy_build(const std::string& file, const std::string& copies_folder);

/// Removes the copies of a module but those of `keep_ids`, and what an interrupted copy left behind
/// more than ten minutes ago. Files of loaded builds may go: their code stays.
/// Returns the names of the removed files.
std::vector<std::string> prune_copies(const std::string& folder, std::string_view name,
                                      const std::vector<std::string>& keep_ids);

/// Builds whose code did not leave this process since it started.
std::uint64_t builds_not_unloaded();

/// Build id of the file that holds `address`, hex: which build this is.
std::string build_id_of(const void* address);

}  // namespace gyre::module

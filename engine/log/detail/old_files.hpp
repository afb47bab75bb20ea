#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::log::detail {

/// The files one log has ended: NAME.2026-11-23.log, then NAME.2026-11-23.2.log of the same period;
/// compressed they end in ".gz". Nobody else's files are seen.
class OldFiles {
public:
    /// path: of the current file. Its last '.' begins the ending.
    explicit OldFiles(const std::string& path);

    struct File {
        std::string path, stamp;
        std::uint32_t number = 1;
        bool compressed = false;
        bool unfinished = false;  ///< ".gz.tmp": what a killed process left.
        std::uint64_t bytes = 0;
    };
    std::vector<File> list() const;  ///< Oldest first.
    /// The next free one of this period.
    std::string next(const std::string& stamp) const;
    std::string path_of(const std::string& stamp, std::uint32_t number) const;
    /// Deletes the oldest until so many, and so many bytes (0: any), are left.
    void keep(std::uint32_t count, std::uint64_t bytes_max) const;

private:
    bool parse(std::string_view name, File& file) const;

    std::string folder_, stem_, ending_;
};

}  // namespace gyre::log::detail

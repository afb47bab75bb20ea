#pragma once
#include <functional>
#include <gyre/base/result.hpp>
#include <optional>
#include <string>

namespace gyre::config {

/// How a document is read, and where it takes what lies outside of its text.
struct LoadOptions {
    /// Of "$profiles"; empty: none.
    std::string profile = {};
    /// The text of a file. Empty: of the file system; only regular files.
    std::function<Result<std::string>(const std::string& path, std::size_t bytes_max)> read_file = {};
    /// A variable of ${env:NAME}. Empty: of the process.
    std::function<std::optional<std::string>(const std::string& name)> variable = {};
};

/// Error: bad_config with the reason, without the path. Never waits, never takes more than bytes_max.
Result<std::string> read_regular_file(const std::string& path, std::size_t bytes_max);

}  // namespace gyre::config

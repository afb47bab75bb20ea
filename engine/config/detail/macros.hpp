#pragma once
#include <gyre/config/load_options.hpp>

#include "faults.hpp"
#include "tree.hpp"

namespace gyre::config::detail {

inline constexpr std::string_view macro_key = "$MACRO$";
bool is_macro_name(std::string_view text);

/// What text from outside of JSON is: a value of JSON when it is one, else text; scalars stay loose.
Node from_loose(std::string_view text, std::uint32_t depth = depth_max);

/// Replaces macros, ${env:...} and ${file:...} in all of `root`. What cannot be replaced is told and
/// becomes a broken node.
void expand(Node& root, const LoadOptions& options, Faults& faults);
/// The same in one text that no macros hold for: the path of an $include.
void expand_path(Node& text, const std::string& key, const LoadOptions& options, Faults& faults);

/// ${file:...} and $include: relative to the folder of the file that says it.
std::string path_from(const Source& source, std::string_view path);
Result<std::string> read_file(const LoadOptions& options, const std::string& path, std::size_t bytes_max);

}  // namespace gyre::config::detail

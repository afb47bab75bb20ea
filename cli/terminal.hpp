#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace gyre::cli {

enum class Style { bold, dim, red, green, yellow };

/// `text` in colour when `fd` is a terminal and NO_COLOR is not set; else as it is.
std::string styled(int fd, Style style, std::string_view text);

/// Columns as wide as their widest cell; the first row is the heading. Cells of `right` columns
/// (from 0) are flushed right. Every line ends in a newline and begins with `indent` spaces.
std::string table(int fd, const std::vector<std::vector<std::string>>& rows,
                  const std::vector<std::size_t>& right = {}, std::size_t indent = 0);

/// The names like `wrong`, the nearest first, at most three.
std::vector<std::string> near_names(std::string_view wrong, const std::vector<std::string>& names);

/// "gyre: ..." on stderr.
void say(std::string_view text);

}  // namespace gyre::cli

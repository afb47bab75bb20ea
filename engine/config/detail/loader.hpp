#pragma once
#include <gyre/config/load_options.hpp>

#include "faults.hpp"
#include "tree.hpp"

namespace gyre::config::detail {

using SourceList = std::vector<std::shared_ptr<Source>>;

/// A text with all it includes and with its profile.
struct Loaded {
    Node root;
    SourceList sources;
    Faults syntax;  ///< Not empty: the tree is good for nothing.
    Faults faults;  ///< What else is wrong.
};
Loaded load_file(const std::string& path, const LoadOptions& options);
Loaded load_text(std::string text, std::string name, const LoadOptions& options);

}  // namespace gyre::config::detail

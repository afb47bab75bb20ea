#pragma once
#include "faults.hpp"
#include "tree.hpp"

namespace gyre::config::detail {

struct ParseOptions {
    bool plain = false;  ///< JSON as in RFC 8259: no comments, no trailing commas.
    std::uint32_t depth = depth_max;
    std::size_t nodes = nodes_max;
};

/// What a text says, with the place of every key and value. Goes on after an error, so that all are
/// told; a tree with errors is good for nothing else. A key given twice is no error of syntax: the
/// first counts, and `repeated` gets it.
Node parse(Source& source, Faults& syntax, Faults& repeated, ParseOptions options = {});

}  // namespace gyre::config::detail

#pragma once
#include <cstdint>
#include <gyre/base/result.hpp>
#include <gyre/codec/reader.hpp>
#include <gyre/codec/writer.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::config::detail {

/// One value of a document.
struct Node {
    Kind kind = Kind::map;
    std::uint64_t integer = 0;  ///< As in Token.
    double number = 0;
    std::string text;
    /// As it was given outside of JSON (environment, command line): the text it becomes when the
    /// field wants text.
    std::string loose;
    std::vector<std::string> keys;  ///< Of a map, beside its children.
    std::vector<Node> children;
    std::uint32_t source = 0;  ///< Index into the sources of the document.
    std::uint32_t line = 0;    ///< 0: the source has no lines.

    Node* find(std::string_view key);
    const Node* find(std::string_view key) const { return const_cast<Node*>(this)->find(key); }
    Node* step(std::string_view segment);  ///< A key, or the index of an element.
    /// As text within a text; false for maps, arrays and null.
    bool print(std::string& to) const;
    void write(Writer& writer) const;
    void place(std::uint32_t source_index, std::uint32_t line_number);  ///< Itself and all below.
};

/// From what json_to_msgpack made.
Node from_msgpack(BytesView bytes);
/// Valid JSON, else text; scalars stay loose.
Node from_loose(std::string_view text);
/// Gives each node the line it stands at in `json`, which was parsed without an error into `root`.
/// Error: a key is given twice.
Result<> place_lines(Node& root, std::string_view json);

/// Replaces macros and ${env:...} in all of `root`. On failure says where it was.
Result<> expand(Node& root, std::uint32_t& source, std::uint32_t& line);

/// ["gate", "servers", "3"] of `gate.servers[3]`, `.gate["servers"][3]`.
std::vector<std::string> split_path(std::string_view path);

}  // namespace gyre::config::detail

#pragma once
#include <cstdint>
#include <gyre/codec/reader.hpp>
#include <gyre/codec/writer.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::config::detail {

inline constexpr std::uint32_t depth_max = 64;          // objects and lists within each other
inline constexpr std::size_t nodes_max = 1u << 18;      // values of a document in all
inline constexpr std::size_t file_bytes_max = 16u << 20;

struct Source;

/// A part of a source; its line and column are counted only when somebody asks.
struct Place {
    Source* source = nullptr;
    std::uint32_t offset = 0, length = 0;  // bytes
};

struct LineColumn {
    std::uint32_t line = 0, column = 0;
};

/// A file, or what else sets values: a variable, an option.
struct Source {
    std::string name;
    std::string text;
    bool has_lines = false;
    Place included_at = {};
    std::map<std::uint32_t, std::uint32_t> secrets = {};  // offset, length of what no excerpt shows

    LineColumn at(std::uint32_t offset) const;
    /// What relative paths in it begin with: "" or "conf/".
    std::string_view folder() const;
};

/// "gyre.json:4:18", "--set gate.port".
std::string to_text(const Place& place);

struct Node;

/// A macro, variable or file that a value came through.
struct Step {
    std::string what;
    Place defined;
};
struct History {
    std::vector<std::shared_ptr<const Node>> overrode;  // the strongest first
    std::vector<Step> through;                          // the outermost first
};

/// One value of a document.
struct Node {
    Kind kind = Kind::map;  // end: broken, and somebody was told
    bool secret = false;
    std::uint64_t integer = 0;  // as in Token
    double number = 0;
    /// Of a scalar that is no text: as it was given outside of JSON (environment, command line),
    /// which is its value when the field wants text.
    std::string text;
    std::string key;  // in its object
    std::vector<Node> children;
    Place place, key_place;
    std::shared_ptr<History> history;

    Node* find(std::string_view name);
    const Node* find(std::string_view name) const { return const_cast<Node*>(this)->find(name); }
    Node* step(std::string_view segment);  ///< A key, or the index of an element.
    const Node* step(std::string_view segment) const { return const_cast<Node*>(this)->step(segment); }
    Node& add(Node child);  ///< A key that is not there yet.
    Node take(std::string_view name);  ///< Out of its object, where it is.

    bool is_scalar() const { return kind != Kind::map && kind != Kind::array && kind != Kind::end; }
    bool is_loose() const { return kind != Kind::text && is_scalar() && !text.empty(); }
    /// As text within a text; false for maps, arrays and null.
    bool print(std::string& to) const;
    void write(Writer& writer) const;
    /// For errors: `text "many"`, `a list of 3`, `null`.
    std::string describe() const;
    void set_place(const Place& at);  ///< Itself and all below, with their keys.
    History& changed_history();
    std::size_t size() const;  ///< Values and bytes of text, roughly.

private:
    std::vector<std::uint32_t> slots_;  // hash table of the children of a large object
    std::size_t slot_of(std::string_view name) const;
    void index();
};

/// Objects merge; everything else replaces.
void merge(Node& to, Node from);
/// `from` remembers what it replaced.
void replace(Node& to, Node from);

/// `name` behind `path`: "gate.port", "gate[\"a b\"]".
std::string join_path(std::string_view path, std::string_view name);
std::string join_path(std::string_view path, std::size_t element);
/// ["gate", "servers", "3"] of `gate.servers[3]`, `.gate["servers"][3]`.
std::vector<std::string> split_path(std::string_view path);

}  // namespace gyre::config::detail

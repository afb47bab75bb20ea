#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <gyre/codec/json.hpp>
#include <gyre/config/config.hpp>
#include <iterator>
#include <map>

#include "detail/tree.hpp"

namespace gyre::config {
namespace {

using detail::Node;
constexpr JsonOptions as_people_write{.comments = true, .trailing_commas = true};

Error bad(const std::string& message) { return Error(errc::bad_config, message); }

void merge(Node& to, const Node& from) {
    if (to.kind != Kind::map || from.kind != Kind::map) {
        to = from;
        return;
    }
    for (std::size_t i = 0; i < from.keys.size(); ++i) {
        if (Node* known = to.find(from.keys[i])) {
            merge(*known, from.children[i]);
        } else {
            to.keys.push_back(from.keys[i]);
            to.children.push_back(from.children[i]);
        }
    }
}

void shift_sources(Node& node, std::uint32_t by) {
    node.source += by;
    for (Node& child : node.children) shift_sources(child, by);
}

}  // namespace

struct Document::Tree {
    Node root;
    std::vector<std::string> sources{"config"};
    std::vector<const Section*> declared;  // the later holds

    std::string place(std::uint32_t source, std::uint32_t line) const {
        return sources[source] + (line ? ":" + std::to_string(line) : "") + ": ";
    }
    /// Where the value at `path` came from; of one that is not there, where it would be.
    std::string place(const Node& from, const std::vector<std::string>& path) const {
        const Node* at = &from;
        for (const auto& segment : path) {
            const Node* next = const_cast<Node*>(at)->step(segment);
            if (!next) break;
            at = next;
        }
        return place(at->source, at->line);
    }
};

Document::Document() : tree_(std::make_unique<Tree>()) {}
Document::Document(const Document& other) : tree_(std::make_unique<Tree>(*other.tree_)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(const Document& other) {
    *tree_ = *other.tree_;
    return *this;
}
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Result<Document> Document::from_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text;
    if (file) text.assign(std::istreambuf_iterator<char>(file), {});
    if (!file || file.bad()) return bad(path + ": cannot be read: " + std::strerror(errno));
    return from_text(text, path);
}

Result<Document> Document::from_text(std::string_view text, std::string name) {
    const auto bytes = json_to_msgpack(text, as_people_write);
    if (!bytes.ok()) {
        // "line 3, column 7: ..." as "name:3:7: ..."
        std::string_view message = bytes.error().message();
        std::string place = name;
        for (const std::string_view word : {"line ", ", column "}) {
            if (!message.starts_with(word)) break;
            message.remove_prefix(word.size());
            const std::size_t digits =
                std::min(message.find_first_not_of("0123456789"), message.size());
            place += ":" + std::string(message.substr(0, digits));
            message.remove_prefix(digits);
        }
        return bad(place + (message.starts_with(": ") ? "" : ": ") + std::string(message));
    }
    Document result;
    Tree& tree = *result.tree_;
    tree.sources = {std::move(name)};
    tree.root = detail::from_msgpack(*bytes);
    if (auto placed = detail::place_lines(tree.root, text); !placed.ok()) {
        return bad(tree.sources[0] + ":" + placed.error().message());
    }
    if (tree.root.kind != Kind::map) return bad(tree.sources[0] + ": must be an object: { ... }");
    return result;
}

void Document::overlay(const Document& over) {
    Node root = over.tree_->root;
    shift_sources(root, static_cast<std::uint32_t>(tree_->sources.size()));
    const auto& more = over.tree_->sources;
    tree_->sources.insert(tree_->sources.end(), more.begin(), more.end());
    merge(tree_->root, root);
}

Result<> Document::set(std::string_view assignment, std::string_view origin) {
    const std::size_t split = assignment.find('=');
    const std::string_view path = assignment.substr(0, split);
    std::string source = std::string(origin) + (origin == "--set" ? " " + std::string(path) : "");
    if (split == assignment.npos || path.empty()) {
        return bad(source + ": expected key.path=value, found \"" + std::string(assignment) + "\"");
    }
    Node* at = &tree_->root;
    std::string walked;
    for (const auto& segment : detail::split_path(path)) {
        if (segment.empty()) return bad(source + ": an empty key in the path");
        Node* next = at->step(segment);
        if (!next && at->kind == Kind::nil) *at = Node{};
        if (!next && at->kind == Kind::array) {
            return bad(source + ": " + walked + " has " + std::to_string(at->children.size()) +
                       " elements, there is no [" + segment + "]");
        }
        if (!next && at->kind != Kind::map)
            return bad(source + ": " + walked + " is not an object");
        if (!next) {
            at->keys.push_back(segment);
            next = &at->children.emplace_back();
            next->source = static_cast<std::uint32_t>(tree_->sources.size());
        }
        walked += (walked.empty() ? "" : ".") + segment;
        at = next;
    }
    *at = detail::from_loose(assignment.substr(split + 1));
    at->place(static_cast<std::uint32_t>(tree_->sources.size()), 0);
    tree_->sources.push_back(std::move(source));
    return {};
}

Result<> Document::set_from_environment(const char* const* environment) {
    constexpr std::string_view prefix = "GYRE__";
    std::vector<std::string> found;
    for (; environment && *environment; ++environment) {
        if (std::string_view(*environment).starts_with(prefix)) found.emplace_back(*environment);
    }
    std::sort(found.begin(), found.end());  // the order of environ is nobody's choice
    for (const std::string& entry : found) {
        const std::size_t split = std::min(entry.find('='), entry.size());
        std::string path;
        for (std::size_t i = prefix.size(); i < split; ++i) {
            if (entry.compare(i, 2, "__") == 0 && i + 2 < split) {
                path += '.';
                ++i;
            } else {
                const char c = entry[i];
                path += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            }
        }
        const std::string origin = "environment " + entry.substr(0, split);
        if (auto done = set(path + entry.substr(split), origin); !done.ok()) return done;
    }
    return {};
}

Result<> Document::read(std::string_view section, detail::Read read, void* value) const {
    Node root = tree_->root;
    std::uint32_t source = 0, line = 0;
    if (auto expanded = detail::expand(root, source, line); !expanded.ok()) {
        return bad(tree_->place(source, line) + expanded.error().message());
    }
    Node* at = &root;
    Node nothing;
    for (const auto& segment : detail::split_path(section)) {
        at = at->step(segment);
        if (!at) at = &nothing;
    }
    for (;;) {
        Writer writer(Form::names);
        at->write(writer);
        const std::string problem = read(writer.take(), value);
        if (problem.empty()) return {};
        // "@.gate.servers[3]: reason"; a key in brackets may contain ": "
        std::size_t end = 1;
        for (bool quoted = false; end < problem.size(); ++end) {
            if (problem[end] == '"') quoted = !quoted;
            if (!quoted && problem.compare(end, 2, ": ") == 0) break;
        }
        std::string path = problem.substr(1, end - 1);
        std::string reason = end + 2 < problem.size() ? problem.substr(end + 2) : std::string();
        constexpr std::string_view unknown = "unknown field \"";
        if (reason.starts_with(unknown)) {
            const std::size_t name_end =
                std::min(reason.find('"', unknown.size()), reason.size() - 1);
            path += "." + reason.substr(unknown.size(), name_end - unknown.size());
            reason = "unknown key" + reason.substr(name_end + 1);
        }
        const auto segments = detail::split_path(path);
        Node* blamed = at;
        for (const auto& segment : segments) blamed = blamed ? blamed->step(segment) : nullptr;
        if (blamed && !blamed->loose.empty() && reason.starts_with("expected text")) {
            blamed->kind = Kind::text;
            blamed->text = std::exchange(blamed->loose, {});
            continue;
        }
        if (path.starts_with('.') && section.empty()) path.erase(0, 1);
        path.insert(0, section);
        return bad(tree_->place(*at, segments) + path + (path.empty() ? "" : ": ") + reason);
    }
}

void Document::declare(std::span<const Section* const> sections) {
    tree_->declared.insert(tree_->declared.end(), sections.begin(), sections.end());
}

void Document::withdraw(std::span<const Section* const> sections) {
    auto& declared = tree_->declared;
    for (const Section* section : sections)
        if (const auto at = std::ranges::find(declared, section); at != declared.end()) declared.erase(at);
}

std::vector<const Section*> Document::sections() const {
    std::map<std::string_view, const Section*> latest;
    for (const Section* section : tree_->declared) latest[section->name] = section;
    std::vector<const Section*> found;
    for (const auto& [name, section] : latest) found.push_back(section);
    return found;
}

Result<> Document::declared(std::string_view section) const {
    const auto root = section.substr(0, section.find_first_of(".["));
    if (tree_->declared.empty() || root.empty() || root.starts_with("x-")) return {};
    for (const Section* known : tree_->declared)
        if (known->name == root) return {};
    return bad(std::string(root) + ": no module declares this section: what reads it needs `static constexpr "
               "std::string_view config_section = \"" + std::string(root) + "\"` and a place in GYRE_MODULE");
}

Result<> Document::check(const Document& next) const {
    std::string problems;
    const auto add = [&problems](const std::string& one) { problems += (problems.empty() ? "" : "\n") + one; };
    const auto known = sections();
    std::vector<std::string_view> names;
    for (const Section* section : known) names.push_back(section->name);
    const Node& root = next.tree_->root;
    for (std::size_t i = 0; i < root.keys.size() && !known.empty(); ++i) {
        const std::string& name = root.keys[i];
        if (name.starts_with('$') || name.starts_with("x-") || std::ranges::count(names, name)) continue;
        Reader asked({});
        (void)asked.unknown_name("section", name, names);
        std::string hint = asked.error_message("");
        hint = hint.find("did you mean") == hint.npos ? std::string() : hint.substr(hint.find(';'));
        add(next.tree_->place(root.children[i].source, root.children[i].line) + name +
            ": no module declares this section" + hint);
    }
    if (auto read = check(next, tree_->declared); !read) add(read.error().message());
    return problems.empty() ? Result<>() : bad(problems);
}

Result<> Document::check(const Document& next, std::span<const Section* const> sections) const {
    std::vector<std::string> problems;
    for (const Section* section : sections) {
        auto read = next.read(section->name, section->read, nullptr);
        // Two builds of a module say the same.
        if (!read && !std::ranges::count(problems, read.error().message())) problems.push_back(read.error().message());
    }
    std::string all;
    for (const auto& problem : problems) all += (all.empty() ? "" : "\n") + problem;
    return all.empty() ? Result<>() : bad(all);
}

void Document::replace_with(const Document& next) {
    tree_->root = next.tree_->root;
    tree_->sources = next.tree_->sources;
}

Result<std::string> Document::to_json() const {
    Node root = tree_->root;
    std::uint32_t source = 0, line = 0;
    if (auto expanded = detail::expand(root, source, line); !expanded.ok()) {
        return bad(tree_->place(source, line) + expanded.error().message());
    }
    Writer writer(Form::names);
    root.write(writer);
    return msgpack_to_json(writer.take(), true);
}

Result<> detail::apply(Document& document, const Overrides& overrides) {
    if (auto done = document.set_from_environment(overrides.environment); !done.ok()) return done;
    for (const std::string& one : overrides.set) {
        if (auto done = document.set(one); !done.ok()) return done;
    }
    return {};
}

Result<Document> open(const std::string& path, const Overrides& overrides) {
    auto document = Document::from_file(path);
    if (!document.ok()) return document;
    if (auto applied = detail::apply(*document, overrides); !applied.ok()) return applied.error();
    return document;
}

std::string Check::print(double value) {
    char digits[32];
    const bool fixed = std::abs(value) < 1e12 && (value == 0 || std::abs(value) > 1e-6);
    const auto format = fixed ? std::chars_format::fixed : std::chars_format::general;
    return {digits, std::to_chars(digits, digits + sizeof digits, value, format).ptr};
}

}  // namespace gyre::config

#include <algorithm>
#include <gyre/config/config.hpp>

#include "detail/document_tree.hpp"
#include "detail/macros.hpp"

namespace gyre::config {
namespace {

using detail::Node;

Error bad(const std::string& message) { return Error(errc::bad_config, message); }

}  // namespace

Document::Document() : tree_(std::make_unique<Tree>()) {}
Document::Document(Tree tree) : tree_(std::make_unique<Tree>(std::move(tree))) {}
Document::Document(const Document& other) : tree_(std::make_unique<Tree>(*other.tree_)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(const Document& other) {
    *tree_ = *other.tree_;
    return *this;
}
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Result<Document> Document::from_file(const std::string& path, const LoadOptions& options) {
    detail::Loaded loaded = detail::load_file(path, options);
    if (!loaded.syntax.empty()) return to_error(loaded.syntax.problems());
    return Document(Tree{std::move(loaded.root), std::move(loaded.sources), std::move(loaded.faults), options});
}

Result<Document> Document::from_text(std::string_view text, std::string name, const LoadOptions& options) {
    detail::Loaded loaded = detail::load_text(std::string(text), std::move(name), options);
    if (!loaded.syntax.empty()) return to_error(loaded.syntax.problems());
    return Document(Tree{std::move(loaded.root), std::move(loaded.sources), std::move(loaded.faults), options});
}

void Document::overlay(const Document& over) {
    tree_->sources.insert(tree_->sources.end(), over.tree_->sources.begin(), over.tree_->sources.end());
    tree_->faults.add(over.tree_->faults);
    tree_->options = over.tree_->options;
    detail::merge(tree_->root, over.tree_->root);
    tree_->changed();
}

Result<> Document::set(std::string_view assignment, std::string_view origin) {
    const std::size_t split = assignment.find('=');
    const std::string_view path = assignment.substr(0, split);
    auto source = std::make_shared<detail::Source>();
    source->name = std::string(origin) + (origin == "--set" ? " " + std::string(path) : "");
    const auto refuse = [&source](const std::string& reason) { return bad(source->name + ": " + reason); };
    if (split == assignment.npos || path.empty())
        return refuse("expected key.path=value, found \"" + std::string(assignment) + "\"");
    const auto segments = detail::split_path(path);
    if (segments.size() >= detail::depth_max) return refuse("nested deeper than " + std::to_string(detail::depth_max));
    for (const auto& segment : segments) {
        if (segment.empty()) return refuse("an empty key in the path");
        if (segment.starts_with('$')) return refuse("keys with a $ stand in files only");
    }
    Node* at = &tree_->root;
    std::string walked;
    for (const auto& segment : segments) {
        if (at->kind == Kind::nil) at->kind = Kind::map;
        Node* next = at->step(segment);
        if (!next && at->kind == Kind::array) {
            return refuse(walked + " has " + std::to_string(at->children.size()) + " elements, there is no [" + segment + "]");
        }
        if (!next && at->kind != Kind::map) return refuse(walked + " is not an object");
        if (!next) {
            Node fresh;
            fresh.key = segment;
            fresh.place = fresh.key_place = {source.get()};
            next = &at->add(std::move(fresh));
        }
        walked += (walked.empty() ? "" : ".") + segment;
        at = next;
    }
    const auto depth = detail::depth_max - static_cast<std::uint32_t>(segments.size());
    Node value = detail::from_loose(assignment.substr(split + 1), depth);
    value.set_place({source.get()});
    value.key_place = {source.get()};
    if (at->place.source == source.get()) {  // made just now
        value.key = at->key;
        *at = std::move(value);
    } else {
        detail::replace(*at, std::move(value));
    }
    tree_->sources.push_back(std::move(source));
    tree_->changed();
    return {};
}

Result<> Document::set_from_environment(const char* const* environment) {
    constexpr std::string_view prefix = "GYRE__";
    std::vector<std::string> found;
    for (; environment && *environment; ++environment) {
        if (std::string_view(*environment).starts_with(prefix)) found.emplace_back(*environment);
    }
    std::sort(found.begin(), found.end());  // the order of environ is nobody's choice
    std::string problems;
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
        if (auto done = set(path + entry.substr(split), "environment " + entry.substr(0, split)); !done.ok())
            problems += (problems.empty() ? "" : "\n\n") + done.error().message();
    }
    return problems.empty() ? Result<>() : bad(problems);
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

void Document::replace_with(const Document& next) {
    tree_->root = next.tree_->root;
    tree_->sources = next.tree_->sources;
    tree_->faults = next.tree_->faults;
    tree_->options = next.tree_->options;
    tree_->changed();
}

Result<> detail::apply(Document& document, const Overrides& overrides) {
    std::string problems;
    const auto note = [&problems](const Result<>& done) {
        if (!done.ok()) problems += (problems.empty() ? "" : "\n\n") + done.error().message();
    };
    note(document.set_from_environment(overrides.environment));
    for (const std::string& one : overrides.set) note(document.set(one));
    return problems.empty() ? Result<>() : bad(problems);
}

Result<Document> open(const std::string& path, const Overrides& overrides) {
    auto document = Document::from_file(path, {.profile = overrides.profile});
    if (!document.ok()) return document;
    if (auto applied = detail::apply(*document, overrides); !applied.ok()) return applied.error();
    return document;
}

}  // namespace gyre::config

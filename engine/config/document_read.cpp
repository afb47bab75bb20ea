#include <algorithm>
#include <gyre/codec/json.hpp>
#include <gyre/config/config.hpp>
#include <gyre/config/schema.hpp>
#include <gyre/config/secrets.hpp>
#include <set>

#include "detail/binder.hpp"
#include "detail/document_tree.hpp"
#include "detail/macros.hpp"

namespace gyre::config {
namespace {

using detail::Faults;
using detail::Node;

struct Redaction {
    std::set<std::string, std::less<>> keys;  // of fields marked secret
    const std::function<bool(std::string_view)>& also;
    const std::vector<SectionShape> shapes;  // of what is declared

    bool hides(const Node& node, const std::string& path) const {
        if (node.secret || keys.contains(path) || (also && also(path))) return true;
        return (node.is_scalar() && node.kind != Kind::nil && node.kind != Kind::boolean && is_secret_name(path) && !is_number(path)) ||
               has_credentials(node.text);
    }
    /// "token_minutes" sounds like one.
    bool is_number(const std::string& path) const {
        const auto key = find_key(shapes, path);
        return key && key->shape.kind != Shape::Kind::text && key->shape.kind != Shape::Kind::any;
    }
};

Node redacted(const Node& node, const std::string& path, const Redaction& redaction, bool hidden = false) {
    hidden |= redaction.hides(node, path) || (node.kind == Kind::array && is_secret_name(path));
    Node shown = node;
    for (std::size_t i = 0; i < shown.children.size(); ++i) {
        Node& child = shown.children[i];
        child = redacted(child, node.kind == Kind::map ? detail::join_path(path, child.key) : detail::join_path(path, i), redaction, hidden);
    }
    if (hidden && node.is_scalar()) {
        shown.kind = Kind::text;
        shown.text = secret_shown;
    }
    return shown;
}

std::string json_of(const Node& node, bool pretty) {
    Writer writer(Form::names);
    node.write(writer);
    return msgpack_to_json(writer.take(), pretty).value();
}

std::string origin(const Node& node) {
    std::string text = detail::to_text(node.place);
    const detail::Source* source = node.place.source;
    for (const auto* up = source ? &source->included_at : nullptr; up && up->source; up = &up->source->included_at)
        text += ", included from " + detail::to_text(*up);
    return text.empty() ? "default" : text;
}

}  // namespace

const Document::Tree::Expanded& Document::Tree::expanded() const {
    if (!kept) {
        auto made = std::make_shared<Expanded>(Expanded{root, {}});
        detail::expand(made->root, options, made->faults);
        kept = std::move(made);
    }
    return *kept;
}

Faults Document::Tree::all_faults() const {
    Faults all = faults;
    all.add(expanded().faults);
    return all;
}

void Document::Tree::bind(std::string_view section, detail::Bind bind, void* value, Faults& to,
                          std::vector<std::string>* secrets) const {
    const Node* at = &expanded().root;
    Node absent;
    std::string path;
    for (const auto& segment : detail::split_path(section)) {
        const Node* next = at->step(segment);
        if (!next && at->is_scalar()) to.add({at->place, path, "expected an object, found " + at->describe()});
        if (!next) {
            absent.place = at->place;
            at = &absent;
            break;
        }
        path = at->kind == Kind::array ? path + "[" + segment + "]" : detail::join_path(path, segment);
        at = next;
    }
    detail::TreeBinder binder(std::string(section), absent, to);
    bind(binder, *at, value);
    if (secrets) secrets->insert(secrets->end(), binder.secrets().begin(), binder.secrets().end());
}

std::vector<std::string> Document::Tree::secret_keys() const {
    std::vector<std::string> keys;
    Faults ignored;
    for (const Section* section : declared) bind(section->name, section->bind, nullptr, ignored, &keys);
    return keys;
}

Result<> Document::read(std::string_view section, detail::Bind bind, void* value) const {
    Faults faults = tree_->all_faults();
    tree_->bind(section, bind, value, faults);
    return faults.empty() ? Result<>() : to_error(faults.problems());
}

std::vector<Problem> Document::problems_of(std::string_view section, detail::Bind bind) const {
    Faults faults;
    tree_->bind(section, bind, nullptr, faults);
    return faults.problems();
}

std::vector<Problem> Document::problems() const { return tree_->all_faults().problems(); }

std::vector<Problem> Document::problems_of(const Document& next) const {
    Faults faults = next.tree_->all_faults();
    std::vector<std::string_view> names;
    for (const Section* section : sections()) names.push_back(section->name);
    for (const Node& child : next.tree_->expanded().root.children) {
        if (names.empty() || child.key.starts_with("x-") || std::ranges::count(names, child.key)) continue;
        faults.add({child.key_place.source ? child.key_place : child.place, child.key,
                    "no module declares this section" + (faults.has_room() ? detail::suggestion(child.key, names) : "")});
    }
    for (const Section* section : tree_->declared) next.tree_->bind(section->name, section->bind, nullptr, faults);
    return faults.problems();
}

Result<> Document::check(const Document& next) const {
    const auto problems = problems_of(next);
    return problems.empty() ? Result<>() : to_error(problems);
}

Result<> Document::check(const Document& next, std::span<const Section* const> sections) const {
    Faults faults = next.tree_->all_faults();
    for (const Section* section : sections) next.tree_->bind(section->name, section->bind, nullptr, faults);
    return faults.empty() ? Result<>() : to_error(faults.problems());
}

Result<std::string> Document::to_json() const {
    if (const auto faults = tree_->all_faults(); !faults.empty()) return to_error(faults.problems());
    return json_of(tree_->expanded().root, true);
}

Result<std::string> Document::to_redacted_json(const std::function<bool(std::string_view key)>& also) const {
    if (const auto faults = tree_->all_faults(); !faults.empty()) return to_error(faults.problems());
    const auto keys = tree_->secret_keys();
    return json_of(redacted(tree_->expanded().root, "", {{keys.begin(), keys.end()}, also, shapes_of(*this)}), true);
}

Explanation Document::explain(std::string_view key) const {
    Explanation why;
    why.key = key;
    why.place = "default";
    const Node* at = &tree_->expanded().root;
    std::string path;
    bool hidden = false;
    const auto keys = tree_->secret_keys();
    const std::function<bool(std::string_view)> none;
    const Redaction redaction{{keys.begin(), keys.end()}, none, shapes_of(*this)};
    for (const auto& segment : detail::split_path(key)) {
        const Node* next = at->step(segment);
        if (!next) return why;
        path = at->kind == Kind::array ? path + "[" + segment + "]" : detail::join_path(path, segment);
        at = next;
        hidden |= redaction.hides(*at, path) || (at->kind == Kind::array && is_secret_name(path));
    }
    why.found = true;
    if (at->kind != Kind::end) why.value = json_of(redacted(*at, path, redaction, hidden), false);
    why.place = origin(*at);
    if (!at->history) return why;
    for (const auto& step : at->history->through)
        why.through.push_back(step.what + (step.what.starts_with("${") ? "" : ", " + detail::to_text(step.defined)));
    for (const auto& before : at->history->overrode)
        why.overrode.push_back({json_of(redacted(*before, path, redaction, hidden), false), origin(*before)});
    return why;
}

std::string print(const Explanation& explanation) {
    std::string text = explanation.key;
    if (explanation.found) text += " = " + (explanation.value.empty() ? "(wrong)" : explanation.value);
    text += "\n  set by      " + explanation.place;
    for (const auto& step : explanation.through) text += "\n  through     " + step;
    for (const auto& layer : explanation.overrode) text += "\n  instead of  " + layer.value + ", " + layer.place;
    return text;
}

}  // namespace gyre::config

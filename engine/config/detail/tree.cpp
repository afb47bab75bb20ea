#include "tree.hpp"

#include <algorithm>
#include <charconv>
#include <functional>

namespace gyre::config::detail {
namespace {
constexpr std::size_t linear_max = 16;  // children that are searched one by one
constexpr std::uint32_t empty_slot = ~0u;
}  // namespace

std::string_view Source::folder() const {
    const auto slash = name.rfind('/');
    return std::string_view(name).substr(0, !has_lines || slash == name.npos ? 0 : slash + 1);
}

std::string to_text(const Place& place) {
    if (!place.source) return {};
    if (!place.source->has_lines) return place.source->name;
    const LineColumn at = place.source->at(place.offset);
    return place.source->name + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

std::size_t Node::slot_of(std::string_view name) const {
    std::size_t slot = std::hash<std::string_view>()(name) & (slots_.size() - 1);
    while (slots_[slot] != empty_slot && children[slots_[slot]].key != name) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
}

void Node::index() {
    std::size_t size = 64;
    while (size < children.size() * 3) size *= 2;
    slots_.assign(size, empty_slot);
    for (std::uint32_t i = 0; i < children.size(); ++i) slots_[slot_of(children[i].key)] = i;
}

Node* Node::find(std::string_view name) {
    if (kind != Kind::map) return nullptr;
    if (slots_.empty()) {
        const auto at = std::ranges::find(children, name, &Node::key);
        return at == children.end() ? nullptr : &*at;
    }
    const std::uint32_t at = slots_[slot_of(name)];
    return at == empty_slot ? nullptr : &children[at];
}

Node* Node::step(std::string_view segment) {
    if (kind != Kind::array) return find(segment);
    std::size_t at = 0;
    return Reader::from_text(segment, at) && at < children.size() ? &children[at] : nullptr;
}

Node& Node::add(Node child) {
    children.push_back(std::move(child));
    if (children.size() > linear_max) {
        if (slots_.size() < children.size() * 2)
            index();
        else
            slots_[slot_of(children.back().key)] = static_cast<std::uint32_t>(children.size() - 1);
    }
    return children.back();
}

Node Node::take(std::string_view name) {
    const auto at = children.begin() + (find(name) - children.data());
    Node taken = std::move(*at);
    children.erase(at);
    slots_.clear();
    if (children.size() > linear_max) index();
    return taken;
}

bool Node::print(std::string& to) const {
    switch (kind) {
        case Kind::boolean: to += integer ? "true" : "false"; return true;
        case Kind::unsigned_integer: to += std::to_string(integer); return true;
        case Kind::negative_integer: to += std::to_string(static_cast<std::int64_t>(integer)); return true;
        case Kind::number: {
            char digits[32];
            to.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
            return true;
        }
        case Kind::text: to += text; return true;
        default: return false;
    }
}

void Node::write(Writer& writer) const {
    switch (kind) {
        case Kind::boolean: return writer.boolean(integer != 0);
        case Kind::unsigned_integer: return writer.unsigned_integer(integer);
        case Kind::negative_integer: return writer.signed_integer(static_cast<std::int64_t>(integer));
        case Kind::number: return writer.number(number);
        case Kind::text: return writer.text(text);
        case Kind::array:
            writer.array(children.size());
            for (const Node& child : children) child.write(writer);
            return;
        case Kind::map:
            writer.map(children.size());
            for (const Node& child : children) {
                writer.text(child.key);
                child.write(writer);
            }
            return;
        default: return writer.nil();
    }
}

std::string Node::describe() const {
    std::string out;
    switch (kind) {
        case Kind::map: return "an object";
        case Kind::array: return children.empty() ? "an empty list" : "a list of " + std::to_string(children.size());
        case Kind::text:
            for (const char c : std::string_view(text).substr(0, 40)) out += c >= ' ' && c < 0x7f ? c : '?';
            return "text \"" + out + (text.size() > 40 ? "...\"" : "\"");
        default: return print(out) ? out : "null";
    }
}

void Node::set_place(const Place& at) {
    place = at;
    for (Node& child : children) {
        child.key_place = at;
        child.set_place(at);
    }
}

History& Node::changed_history() {
    history = history ? std::make_shared<History>(*history) : std::make_shared<History>();
    return *history;
}

std::size_t Node::size() const {
    std::size_t size = 1 + text.size() + key.size();
    for (const Node& child : children) size += child.size();
    return size;
}

void merge(Node& to, Node from) {
    if (to.kind == Kind::map && from.kind == Kind::map) {
        to.place = from.place;
        if (from.key_place.source) to.key_place = from.key_place;
        for (Node& child : from.children) {
            if (Node* known = to.find(child.key))
                merge(*known, std::move(child));
            else
                to.add(std::move(child));
        }
        return;
    }
    replace(to, std::move(from));
}

void replace(Node& to, Node from) {
    auto weaker = to.history ? to.history->overrode : decltype(History::overrode)();
    from.key = to.key;
    if (!from.key_place.source) from.key_place = to.key_place;
    to.history.reset();
    auto& overrode = from.changed_history().overrode;
    overrode.push_back(std::make_shared<const Node>(std::move(to)));
    if (overrode.back()->kind == Kind::map && overrode.back()->children.empty()) overrode.pop_back();
    overrode.insert(overrode.end(), weaker.begin(), weaker.end());
    to = std::move(from);
}

std::string join_path(std::string_view path, std::string_view name) {
    const bool plain = !name.empty() && name.find_first_of(".[]\": ") == name.npos;
    std::string joined(path);
    if (!plain) return joined + "[\"" + std::string(name) + "\"]";
    return joined + (joined.empty() ? "" : ".") + std::string(name);
}

std::string join_path(std::string_view path, std::size_t element) {
    return std::string(path) + "[" + std::to_string(element) + "]";
}

std::vector<std::string> split_path(std::string_view path) {
    std::vector<std::string> result;
    while (!path.empty()) {
        std::string_view segment;
        std::size_t end = 0;
        if (path.starts_with("[\"")) {
            end = std::min(path.find("\"]", 2), path.size());
            segment = path.substr(2, end - 2);
            end += 2;
        } else if (path.starts_with('[')) {
            end = std::min(path.find(']'), path.size());
            segment = path.substr(1, end - 1);
            ++end;
        } else {
            if (path.starts_with('.')) path.remove_prefix(1);
            end = std::min(path.find_first_of(".["), path.size());
            segment = path.substr(0, end);
        }
        result.emplace_back(segment);
        path.remove_prefix(std::min(end, path.size()));
    }
    return result;
}

}  // namespace gyre::config::detail

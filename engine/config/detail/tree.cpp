#include "tree.hpp"

#include <algorithm>
#include <charconv>
#include <gyre/codec/json.hpp>
#include <map>

namespace gyre::config::detail {

Node* Node::find(std::string_view key) {
    if (kind != Kind::map) return nullptr;
    const auto at = std::find(keys.begin(), keys.end(), key);
    return at == keys.end() ? nullptr : &children[static_cast<std::size_t>(at - keys.begin())];
}

Node* Node::step(std::string_view segment) {
    if (kind != Kind::array) return find(segment);
    std::size_t index = 0;
    return Reader::from_text(segment, index) && index < children.size() ? &children[index]
                                                                        : nullptr;
}

bool Node::print(std::string& to) const {
    switch (kind) {
        case Kind::boolean: to += integer ? "true" : "false"; return true;
        case Kind::unsigned_integer: to += std::to_string(integer); return true;
        case Kind::negative_integer:
            to += std::to_string(static_cast<std::int64_t>(integer));
            return true;
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
        case Kind::negative_integer:
            return writer.signed_integer(static_cast<std::int64_t>(integer));
        case Kind::number: return writer.number(number);
        case Kind::text: return writer.text(text);
        case Kind::array:
            writer.array(children.size());
            for (const Node& child : children) child.write(writer);
            return;
        case Kind::map:
            writer.map(children.size());
            for (std::size_t i = 0; i < children.size(); ++i) {
                writer.text(keys[i]);
                children[i].write(writer);
            }
            return;
        default: return writer.nil();
    }
}

void Node::place(std::uint32_t source_index, std::uint32_t line_number) {
    source = source_index;
    line = line_number;
    for (Node& child : children) child.place(source_index, line_number);
}

namespace {

Node read(Reader& reader) {
    Token token;
    Node node;
    const bool read_one = reader.next(token);
    GYRE_ASSERT(read_one, "msgpack of our own making");
    node.kind = token.kind;
    node.integer = token.integer;
    node.number = token.number;
    if (token.kind == Kind::text) node.text = as_text(token.bytes);
    if (token.kind != Kind::map && token.kind != Kind::array) return node;
    for (std::size_t i = 0; i < token.count; ++i) {
        if (token.kind == Kind::map) node.keys.push_back(read(reader).text);
        node.children.push_back(read(reader));
    }
    return node;
}

/// Walks JSON that is known to be valid, beside the nodes it became.
class Lines {
public:
    explicit Lines(std::string_view json) : json_(json) {}

    void value(Node* node) {
        skip();
        if (node) node->line = line_;
        const char first = at();
        if (first == '"') {
            (void)string();
        } else if (first == '{' || first == '[') {
            container(node, first == '{');
        } else {
            while (std::string_view(",]} \t\r\n/").find(at()) == std::string_view::npos && at())
                ++pos_;
        }
    }
    std::string failure;

private:
    char at(std::size_t ahead = 0) const {
        return pos_ + ahead < json_.size() ? json_[pos_ + ahead] : '\0';
    }
    void next() {
        if (at() == '\n') ++line_;
        ++pos_;
    }
    void skip() {
        for (;;) {
            if (at() == '/' && at(1) == '/') {
                while (at() && at() != '\n') ++pos_;
            } else if (at() == '/' && at(1) == '*') {
                for (pos_ += 2; at() && !(at() == '*' && at(1) == '/');) next();
                pos_ += 2;
            } else if (at() == ' ' || at() == '\t' || at() == '\r' || at() == '\n') {
                next();
            } else {
                return;
            }
        }
    }
    std::string_view string() {
        const std::size_t begin = ++pos_;
        for (; at() && at() != '"'; ++pos_) {
            if (at() == '\\') ++pos_;
        }
        return json_.substr(begin, pos_++ - begin);
    }
    void container(Node* node, bool is_map) {
        std::map<std::string_view, std::uint32_t> seen;
        ++pos_;
        for (std::size_t i = 0;; ++i) {
            skip();
            if (at() == ',') {
                ++pos_;
                skip();
            }
            if (at() == '}' || at() == ']' || !at()) break;
            Node* child = nullptr;
            if (is_map) {
                const std::string_view key = string();
                if (const auto [first, fresh] = seen.emplace(key, line_);
                    !fresh && failure.empty()) {
                    failure = std::to_string(line_) + ": \"" + std::string(key) +
                              "\" is given twice, first at line " + std::to_string(first->second);
                }
                skip();
                ++pos_;  // the colon
            }
            // The same order; with a key given twice it does not matter any more.
            if (node && i < node->children.size()) child = &node->children[i];
            value(child);
        }
        ++pos_;
    }

    std::string_view json_;
    std::size_t pos_ = 0;
    std::uint32_t line_ = 1;
};

}  // namespace

Node from_msgpack(BytesView bytes) {
    Reader reader(bytes, {.nodes = bytes.size() + 1});
    return read(reader);
}

Node from_loose(std::string_view text) {
    Node node;
    if (const auto bytes = json_to_msgpack(text); bytes.ok()) {
        node = from_msgpack(*bytes);
        const bool scalar = node.kind != Kind::map && node.kind != Kind::array;
        if (scalar && node.kind != Kind::text) node.loose = text;
        return node;
    }
    node.kind = Kind::text;
    node.text = text;
    return node;
}

Result<> place_lines(Node& root, std::string_view json) {
    Lines lines(json);
    lines.value(&root);
    return lines.failure.empty() ? Result<>() : Error(errc::bad_config, lines.failure);
}

std::vector<std::string> split_path(std::string_view path) {
    std::vector<std::string> result;
    while (!path.empty()) {
        std::string segment;
        std::size_t end = 0;
        if (path.starts_with("[\"")) {
            end = std::min(path.find('"', 2), path.size());
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
        result.push_back(std::move(segment));
        path.remove_prefix(std::min(end, path.size()));
    }
    return result;
}

}  // namespace gyre::config::detail

#include <cstdlib>

#include "tree.hpp"

namespace gyre::config::detail {
namespace {

constexpr std::string_view macro_key = "$MACRO$";
constexpr int depth_max = 16;               // of macros within macros
constexpr std::size_t size_max = 1u << 18;  // nodes and text bytes that macros may add in all

bool is_name(std::string_view text) {
    if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
    for (const char c : text) {
        const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_') return false;
    }
    return true;
}

std::size_t size_of(const Node& node) {
    std::size_t size = 1 + node.text.size();
    for (const Node& child : node.children) size += size_of(child);
    return size;
}

/// The macros of one object, and of those around it.
struct Scope {
    const Scope* outer;
    Node macros;
};

class Expander {
public:
    bool expand(Node& node, const Scope* scope, int depth) {
        if (node.kind == Kind::text) return text(node, scope, depth);
        Scope own{scope, {}};
        if (const Node* macros = node.find(macro_key)) {
            if (macros->kind != Kind::map) return fail(*macros, "$MACRO$ must be an object");
            own.macros = *macros;
            scope = &own;
            const auto index = macros - node.children.data();
            node.children.erase(node.children.begin() + index);
            node.keys.erase(node.keys.begin() + index);
        }
        for (Node& child : node.children) {
            if (!expand(child, scope, depth)) return false;
        }
        return true;
    }

    std::string failure;
    std::uint32_t source = 0, line = 0;

private:
    bool fail(const Node& node, std::string reason) {
        if (!failure.empty()) return false;
        failure = std::move(reason);
        source = node.source;
        line = node.line;
        return false;
    }

    /// The value of one macro, itself expanded where it was defined.
    bool macro(std::string_view name, const Node& user, const Scope* scope, int depth,
               Node& value) {
        const Node* found = nullptr;
        for (; scope && !(found = scope->macros.find(name)); scope = scope->outer) {
        }
        if (!found) return fail(user, "unknown macro $" + std::string(name) + "$");
        if (depth >= depth_max)
            return fail(user, "macro $" + std::string(name) + "$ contains itself");
        added_ += size_of(*found);
        if (added_ > size_max) return fail(user, "macros make this too large");
        value = *found;
        return expand(value, scope, depth + 1);
    }

    bool environment(std::string_view what, const Node& user, std::string& value) {
        const std::size_t split = what.find(":-");
        const std::string name(what.substr(0, split));
        if (const char* set = std::getenv(name.c_str())) {
            value = set;
        } else if (split != what.npos) {
            value = what.substr(split + 2);
        } else {
            return fail(user, "environment variable " + name +
                                  " is not set (a default: ${env:" + name + ":-default})");
        }
        return true;
    }

    bool text(Node& node, const Scope* scope, int depth) {
        if (node.text.find('$') == std::string::npos) return true;
        std::string result;
        std::string_view rest = node.text;
        while (!rest.empty()) {
            const std::size_t plain = std::min(rest.find('$'), rest.size());
            result += rest.substr(0, plain);
            rest.remove_prefix(plain);
            if (rest.empty()) break;
            const std::size_t end = rest.starts_with("${env:") ? rest.find('}') : rest.find('$', 1);
            const bool whole =
                result.empty() && rest.size() == node.text.size() && end == rest.size() - 1;
            if (rest.starts_with("$$")) {
                result += '$';
                rest.remove_prefix(2);
            } else if (rest.starts_with("${env:") && end != rest.npos) {
                std::string value;
                if (!environment(rest.substr(6, end - 6), node, value)) return false;
                if (whole) return replace(node, from_loose(value));
                result += value;
                rest.remove_prefix(end + 1);
            } else if (end != rest.npos && is_name(rest.substr(1, end - 1))) {
                const std::string_view name = rest.substr(1, end - 1);
                Node value;
                if (!macro(name, node, scope, depth, value)) return false;
                if (whole) return replace(node, std::move(value));
                if (!value.print(result)) {
                    return fail(node, "macro $" + std::string(name) + "$ is no number or text");
                }
                rest.remove_prefix(end + 1);
            } else {
                result += '$';
                rest.remove_prefix(1);
            }
        }
        node.text = std::move(result);
        return true;
    }

    static bool replace(Node& node, Node value) {
        value.place(node.source, node.line);
        node = std::move(value);
        return true;
    }

    std::size_t added_ = 0;
};

}  // namespace

Result<> expand(Node& root, std::uint32_t& source, std::uint32_t& line) {
    Expander expander;
    if (expander.expand(root, nullptr, 0)) return {};
    source = expander.source;
    line = expander.line;
    return Error(errc::bad_config, expander.failure);
}

}  // namespace gyre::config::detail

#include "macros.hpp"

#include <cstdlib>
#include <gyre/config/secrets.hpp>

namespace gyre::config::detail {
namespace {

constexpr std::size_t chain_max = 16;            // macros within macros
constexpr std::size_t added_max = 1u << 18;      // values and text bytes that macros may add in all
constexpr const char* too_large = "macros make this too large: more than 262144 values and bytes in all";
constexpr std::size_t secret_bytes_max = 64u << 10;  // of a ${file:...}

/// The macros of one object, and of those around it.
struct Scope {
    const Scope* outer = nullptr;
    const Node* macros = nullptr;
};

/// The macros that are being replaced.
struct Chain {
    const Chain* outer;
    const Node* macro;
    std::size_t length;
    Place used;  // the outermost, by a value that is no macro
};

class Expander {
public:
    Expander(const LoadOptions& options, Faults& faults) : options_(options), faults_(faults) {}

    void expand(Node& node, const std::string& path, const Scope* scope, const Chain* chain, std::uint32_t depth) {
        if (node.kind == Kind::text) return text(node, path, scope, chain, depth);
        if (node.kind != Kind::map && node.kind != Kind::array) return;
        if (depth == 0) return fail(node, node.place, path, "macros nest this deeper than " + std::to_string(depth_max));
        Scope own{scope};
        Node macros;
        if (node.find(macro_key)) {
            macros = node.take(macro_key);
            own.macros = &macros;
            scope = &own;
        }
        for (std::size_t i = 0; i < node.children.size(); ++i) {
            Node& child = node.children[i];
            if (child.kind != Kind::text || child.text.find('$') != std::string::npos)  // else nothing to name
                expand(child, node.kind == Kind::map ? join_path(path, child.key) : join_path(path, i), scope, chain, depth - 1);
        }
    }

    bool no_macros = false;

private:
    /// What is being replaced in one text.
    struct Use {
        Node& node;
        const std::string& path;
        const Scope* scope;
        const Chain* chain;
        std::uint32_t depth;
    };

    void fail(Node& node, const Place& place, const std::string& path, std::string reason) {
        faults_.add({place, path, std::move(reason)});
        node.kind = Kind::end;
        node.children.clear();
    }
    /// Where `part` stands in the text of the node, when it stands there as it is.
    static Place place_of(const Node& node, std::string_view part) {
        const Source* source = node.place.source;
        if (!source || !source->has_lines) return node.place;
        const auto at = std::string_view(source->text).substr(node.place.offset, node.place.length).find(part);
        if (at == std::string_view::npos) return node.place;
        return {node.place.source, node.place.offset + static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(part.size())};
    }

    /// False: it was told.
    bool macro(std::string_view written, const Use& use, Node& value) {
        const std::string_view name = written.substr(1, written.size() - 2);
        const Scope* scope = use.scope;
        const Node* found = nullptr;
        for (; scope && !(found = scope->macros->find(name)); scope = scope->outer) {
        }
        if (!found) return unknown(written, name, use);
        std::string names;
        for (const Chain* link = use.chain; link; link = link->outer) {
            names = "$" + link->macro->key + "$ -> " + names;
            if (link->macro->key_place.source == found->key_place.source && link->macro->key_place.offset == found->key_place.offset)
                return refuse(use, written, "macro " + std::string(written) + " contains itself: " + names + std::string(written));
        }
        const Chain chain{use.chain, found, use.chain ? use.chain->length + 1 : 1,
                          use.chain ? use.chain->used : place_of(use.node, written)};
        if (chain.length > chain_max)
            return refuse(use, written, "more than " + std::to_string(chain_max) + " macros within each other: " + names + std::string(written));
        added_ += found->size();
        if ((exhausted_ |= added_ > added_max)) return false;
        value = *found;
        value.secret |= is_secret_name(name);
        const std::size_t before = faults_.size();
        expand(value, use.path, scope, &chain, use.depth);
        if (exhausted_ || value.kind == Kind::end || faults_.size() != before) return false;
        std::vector<Step> through{{std::string(written), found->key_place}};
        if (value.history) through.insert(through.end(), value.history->through.begin(), value.history->through.end());
        value.changed_history() = {{}, std::move(through)};
        return true;
    }

    bool refuse(const Use& use, std::string_view part, const std::string& reason) {
        std::string note;
        if (use.chain) note = " (within $" + use.chain->macro->key + "$, used at " + to_text(use.chain->used) + ")";
        faults_.add({place_of(use.node, part), use.path, reason, note});
        return false;
    }

    bool unknown(std::string_view written, std::string_view name, const Use& use) {
        if (no_macros) return refuse(use, written, "macros do not hold here: " + std::string(written) + "; ${env:NAME} does");
        std::vector<std::string> known;
        std::string defined;
        for (const Scope* scope = use.scope; scope; scope = scope->outer) {
            for (const Node& macro : scope->macros->children) known.push_back(macro.key);
            defined += (defined.empty() ? " (macros are defined at " : ", ") + to_text(scope->macros->key_place);
        }
        return refuse(use, written, "unknown macro " + std::string(written) + suggestion(name, known) +
                                        (defined.empty() ? "; there is no $MACRO$ here or around" : defined + ")"));
    }

    /// ${env:NAME:-default}, ${file:PATH:-default}.
    bool reference(std::string_view written, const Use& use, Node& value) {
        if (!written.ends_with('}')) return refuse(use, written, "'}' is missing behind ${; a plain $ is written $$");
        const std::string_view inner = written.substr(2, written.size() - 3);
        const std::size_t colon = inner.find(':');
        const std::string_view kind = inner.substr(0, colon);
        if (colon == inner.npos || (kind != "env" && kind != "file")) {
            const std::string hint = colon == inner.npos && is_macro_name(inner) ? "; did you mean ${env:" + std::string(inner) + "}?"
                                                                                : "; known: ${env:NAME}, ${file:PATH}, and $$ for a $";
            return refuse(use, written, "unknown reference " + std::string(written.substr(0, 60)) + hint);
        }
        const std::string_view rest = inner.substr(colon + 1);
        const std::size_t split = rest.find(":-");
        const std::string name(rest.substr(0, split));
        if (name.empty()) return refuse(use, written, "a name is missing in " + std::string(written));
        std::optional<std::string> found;
        std::string reason;
        if (kind == "env") {
            found = variable(name);
            reason = "environment variable " + name + " is not set (a default: ${env:" + name + ":-default})";
            value.secret = is_secret_name(name);
        } else {
            const Source* source = use.node.place.source;
            const std::string path = source ? path_from(*source, name) : name;
            auto text = read_file(options_, path, secret_bytes_max);
            if (text) found = *std::move(text);
            else reason = "file " + path + " " + text.error().message();
            if (found && found->ends_with('\n')) found->pop_back();
            if (found && found->ends_with('\r')) found->pop_back();
            value.secret = true;
        }
        if (!found && split == rest.npos) return refuse(use, written, reason);
        const bool secret = value.secret;
        std::vector<Step> through{{"${" + std::string(kind) + ":" + name + "}", use.node.place}};
        if (!found) through.back().what += ", which is not there: its default";
        value = from_loose(found ? std::string_view(*found) : rest.substr(split + 2), use.depth);
        added_ += value.size();
        if ((exhausted_ |= added_ > added_max)) return false;
        value.secret = secret;
        value.set_place(use.node.place);
        value.changed_history().through = std::move(through);
        return true;
    }

    std::optional<std::string> variable(const std::string& name) const {
        if (options_.variable) return options_.variable(name);
        const char* set = std::getenv(name.c_str());
        return set ? std::optional<std::string>(set) : std::nullopt;
    }

    /// How much of what begins with a '$' belongs together: "$$", "$NAME$", "${...}"; 1: it is plain.
    /// All, when a "${" has no end.
    static std::size_t length_of(std::string_view rest) {
        if (rest.starts_with("$$")) return 2;
        const std::size_t end = rest.starts_with("${") ? rest.find('}') : rest.find('$', 1);
        if (end == rest.npos) return rest.starts_with("${") ? rest.size() : 1;
        return rest.starts_with("${") || is_macro_name(rest.substr(1, end - 1)) ? end + 1 : 1;
    }

    void text(Node& node, const std::string& path, const Scope* scope, const Chain* chain, std::uint32_t depth) {
        if (node.text.find('$') == std::string::npos) return;
        const Use use{node, path, scope, chain, depth};
        std::string result;
        std::vector<Step> through;
        bool secret = node.secret, good = true;
        std::string_view rest = node.text;
        while (!rest.empty()) {
            const std::size_t plain = std::min(rest.find('$'), rest.size());
            result += rest.substr(0, plain);
            rest.remove_prefix(plain);
            if (rest.empty()) break;
            const std::string_view written = rest.substr(0, length_of(rest));
            const bool whole = written.size() == node.text.size();
            rest.remove_prefix(written.size());
            if (written.size() == 1 || written == "$$") {
                result += '$';
                continue;
            }
            Node value;
            if (!(written[1] == '{' ? reference(written, use, value) : macro(written, use, value))) {
                good = false;
                if (exhausted_ && !chain && !std::exchange(exhausted_told_, true))
                    (void)refuse(use, written, too_large);
                continue;
            }
            if (whole) return replace(node, std::move(value));
            if (!value.print(result)) {
                (void)refuse(use, written, std::string(written) + " is " + value.describe() + "; within a text only numbers and texts are");
                good = false;
            }
            secret |= value.secret;
            through.insert(through.end(), value.history->through.begin(), value.history->through.end());
            if (result.size() > added_max) return fail(node, node.place, path, too_large);
        }
        if (!good) {
            node.kind = Kind::end;
            return;
        }
        node.text = std::move(result);
        node.secret = secret;
        if (through.empty()) return;
        if (through.size() > chain_max) through.resize(chain_max);
        auto& history = node.changed_history().through;
        history.insert(history.end(), through.begin(), through.end());
    }

    /// What lies within a list or object of a macro keeps the places it has there.
    static void replace(Node& node, Node value) {
        value.key = std::move(node.key);
        value.key_place = node.key_place;
        value.place = node.place;
        value.secret |= node.secret;
        if (node.history) value.changed_history().overrode = node.history->overrode;
        node = std::move(value);
    }

    const LoadOptions& options_;
    Faults& faults_;
    std::size_t added_ = 0;
    bool exhausted_ = false, exhausted_told_ = false;
};

}  // namespace

void expand(Node& root, const LoadOptions& options, Faults& faults) {
    Expander(options, faults).expand(root, "", nullptr, nullptr, depth_max);
}

void expand_path(Node& text, const std::string& key, const LoadOptions& options, Faults& faults) {
    Expander expander(options, faults);
    expander.no_macros = true;
    expander.expand(text, key, nullptr, nullptr, 1);
}

}  // namespace gyre::config::detail

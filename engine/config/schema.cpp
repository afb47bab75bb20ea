#include <algorithm>
#include <charconv>
#include <gyre/codec/json.hpp>
#include <gyre/config/schema.hpp>

namespace gyre::config {
namespace {

using Kind = Shape::Kind;

/// JSON text with one value a line.
class JsonText {
public:
    void open(char bracket) {
        out_ += bracket;
        ++depth_;
        first_ = true;
    }
    void close(char bracket) {
        --depth_;
        if (!first_) line();
        out_ += bracket;
        first_ = false;
    }
    void name(std::string_view text) {
        next();
        out_ += detail::json_text(text) + ": ";
    }
    void next() {
        if (!first_) out_ += ',';
        first_ = false;
        line();
    }
    void raw(std::string_view json) { out_ += json; }
    void member(std::string_view key, std::string_view json) {
        name(key);
        raw(json);
    }
    std::string take() { return std::move(out_) + "\n"; }

private:
    void line() { out_ += "\n" + std::string(2 * depth_, ' '); }
    std::string out_;
    std::size_t depth_ = 0;
    bool first_ = true;
};

bool may_be_macro(const Shape& shape) { return shape.kind != Kind::any && shape.kind != Kind::text && shape.kind != Kind::object; }

void write_object(JsonText& out, const std::vector<Key>& keys, bool live);

/// The members of the schema of a value, within an open object.
void write_value(JsonText& out, const Shape& shape, bool live) {
    const auto type = [&](std::string_view name) {
        const std::string quoted = detail::json_text(name);
        out.member("type", shape.optional ? "[" + quoted + ", \"null\"]" : quoted);
    };
    switch (shape.kind) {
        case Kind::any: return;
        case Kind::boolean: return type("boolean");
        case Kind::integer:
        case Kind::number:
            type(shape.kind == Kind::integer ? "integer" : "number");
            if (!shape.min.empty()) out.member("minimum", shape.min);
            if (!shape.max.empty()) out.member("maximum", shape.max);
            return;
        case Kind::text: return type("string");
        case Kind::duration:
            type("string");
            return out.member("pattern", R"("^-?[0-9]+ ?(ns|us|ms|s|min|h|d)$")");
        case Kind::choice: {
            std::string all;
            for (const auto& one : shape.choices) all += (all.empty() ? "" : ", ") + detail::json_text(one);
            return out.member("enum", "[" + all + (shape.optional ? ", null]" : "]"));
        }
        case Kind::list:
        case Kind::map:
            type(shape.kind == Kind::list ? "array" : "object");
            out.name(shape.kind == Kind::list ? "items" : "additionalProperties");
            out.open('{');
            if (may_be_macro(shape.element[0])) {
                out.name("anyOf");
                out.open('[');
                out.next();
                out.open('{');
                write_value(out, shape.element[0], live);
                out.close('}');
                out.next();
                out.raw(R"({"$ref": "#/$defs/macro"})");
                out.close(']');
            } else {
                write_value(out, shape.element[0], live);
            }
            return out.close('}');
        case Kind::object:
            type("object");
            return write_object(out, shape.keys, live);
    }
}

std::string describe(const Key& key) {
    std::string text = key.about;
    const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
    if (!key.unit.empty()) add("unit: " + key.unit);
    if (key.shape.kind == Kind::duration)
        if (const std::string range = range_in_words(key.shape); !range.empty()) add(range);
    return text;
}

void write_key(JsonText& out, const Key& key, bool live) {
    out.name(key.name);
    out.open('{');
    if (const std::string text = describe(key); !text.empty()) out.member("description", detail::json_text(text));
    if (key.shape.kind != Kind::object) {
        if (key.secret) out.member("writeOnly", "true");
        else if (!key.shape.standard.empty()) out.member("default", key.shape.standard);
        out.member("x-gyre-effect", live ? R"("live")" : R"("restart")");
        if (!key.unit.empty()) out.member("x-gyre-unit", detail::json_text(key.unit));
        out.member("x-gyre-type", detail::json_text(type_in_words(key.shape)));
        if (const std::string range = range_in_words(key.shape); !range.empty()) out.member("x-gyre-range", detail::json_text(range));
        if (!key.about.empty()) out.member("x-gyre-about", detail::json_text(key.about));
    }
    if (may_be_macro(key.shape)) {
        out.name("anyOf");
        out.open('[');
        out.next();
        out.open('{');
        write_value(out, key.shape, live);
        out.close('}');
        out.next();
        out.raw(R"({"$ref": "#/$defs/macro"})");
        out.close(']');
    } else {
        write_value(out, key.shape, live);
    }
    out.close('}');
}

/// Of the file's own form, in every object.
void write_own_keys(JsonText& out) {
    out.member("$MACRO$", R"({"type": "object", "description": "macros, for this object and all below: \"$NAME$\""})");
    out.member("$include", R"({"$ref": "#/$defs/include"})");
}

void write_object(JsonText& out, const std::vector<Key>& keys, bool live) {
    out.name("properties");
    out.open('{');
    for (const Key& key : keys) write_key(out, key, live || key.live);
    write_own_keys(out);
    out.close('}');
    out.member("additionalProperties", "false");
}

std::optional<Key> find_in(const Shape* shape, std::string_view path) {
    const Key* found = nullptr;
    bool live = false, secret = false;
    while (!path.empty()) {
        if (path.starts_with('.')) path.remove_prefix(1);
        const std::string_view name = path.substr(0, path.starts_with('[') ? path.find(']') + 1 : path.find_first_of(".["));
        if (name.empty()) return {};
        path.remove_prefix(name.size());
        if (!shape->element.empty()) {  // an index or the key of a map
            shape = &shape->element[0];
            continue;
        }
        const auto key = std::ranges::find(shape->keys, name, &Key::name);
        if (key == shape->keys.end()) return {};
        found = &*key;
        live |= key->live, secret |= key->secret;
        shape = &key->shape;
    }
    if (!found) return {};
    Key key = *found;
    key.live = live, key.secret = secret;
    if (shape != &found->shape) key.shape = *shape;
    return key;
}

void walk(const std::string& path, const Key& key, bool live, bool secret,
          const std::function<void(const std::string&, const Key&)>& f) {
    live |= key.live, secret |= key.secret;
    const Shape* shape = &key.shape;
    std::string within = path;
    while (!shape->element.empty()) {
        within += shape->kind == Kind::list ? "[]" : ".*";
        shape = &shape->element[0];
    }
    if (shape->kind == Kind::object) {
        if (shape != &key.shape) {
            Key list = key;
            list.live = live, list.secret = secret;
            f(path, list);
        }
        for (const Key& inner : shape->keys) walk(within + "." + inner.name, inner, live, secret, f);
        return;
    }
    Key whole = key;
    whole.live = live, whole.secret = secret;
    f(path, whole);
}

}  // namespace

std::string detail::json_text(std::string_view text) {
    Writer writer;
    writer.text(text);
    return msgpack_to_json(writer.take()).value();
}

std::string detail::json_number(double value) {
    char digits[40];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    const std::string text(digits, end);
    return text.find_first_not_of("-0123456789.e+") == text.npos ? text : "null";
}

std::string detail::duration_text(Duration value) { return Check::print(value); }

std::vector<SectionShape> shapes_of(const Document& document) {
    std::vector<SectionShape> shapes;
    for (const Section* section : document.sections()) shapes.push_back({std::string(section->name), {}, section->shape()});
    return shapes;
}

std::optional<Key> find_key(std::span<const SectionShape> sections, std::string_view path) {
    const std::string_view name = path.substr(0, path.find_first_of(".["));
    for (const auto& section : sections)
        if (section.name == name) return find_in(&section.shape, path.substr(name.size()));
    return {};
}

void each_key(const SectionShape& section, const std::function<void(const std::string& path, const Key&)>& f) {
    for (const Key& key : section.shape.keys) walk(section.name + "." + key.name, key, false, false, f);
}

std::string type_in_words(const Shape& shape) {
    switch (shape.kind) {
        case Kind::any: return "any";
        case Kind::boolean: return "true, false";
        case Kind::integer: return "integer";
        case Kind::number: return "number";
        case Kind::text: return "text";
        case Kind::duration: return "duration";
        case Kind::list: return "list of " + type_in_words(shape.element[0]);
        case Kind::map: return "map of " + type_in_words(shape.element[0]);
        case Kind::object: return "object";
        case Kind::choice: break;
    }
    std::string all;
    for (const auto& one : shape.choices) all += (all.empty() ? "" : ", ") + one;
    return all;
}

std::string range_in_words(const Shape& shape) {
    if (shape.has_min && shape.has_max) return shape.min + " to " + shape.max;
    return shape.has_min ? "at least " + shape.min : shape.has_max ? "at most " + shape.max : "";
}

std::string json_schema(std::span<const SectionShape> sections) {
    JsonText out;
    const auto write_sections = [&] {
        for (const auto& section : sections) {
            out.name(section.name);
            out.open('{');
            out.member("description", detail::json_text(section.module.empty() ? "of the engine" : "of module " + section.module));
            out.member("type", R"("object")");
            write_object(out, section.shape.keys, false);
            out.close('}');
        }
        write_own_keys(out);
    };
    out.open('{');
    out.member("$schema", R"("https://json-schema.org/draft/2020-12/schema")");
    out.member("title", R"("Configuration of a Gyre cluster")");
    out.member("$ref", R"("#/$defs/sections")");
    out.name("properties");
    out.open('{');
    out.member("$schema", R"({"type": "string"})");
    out.member("$profiles", R"({"type": "object", "description": "what --profile NAME lays over the rest", "additionalProperties": {"$ref": "#/$defs/profile"}})");
    out.close('}');
    out.member("unevaluatedProperties", "false");
    out.name("$defs");
    out.open('{');
    out.member("macro", R"({"type": "string", "pattern": "\\$", "description": "\"$NAME$\", \"${env:NAME:-default}\" or \"${file:/path}\""})");
    out.member("include", R"({"type": ["string", "array"], "items": {"type": "string"}, "description": "files that this object begins with; what it says itself is stronger"})");
    out.member("profile", R"({"$ref": "#/$defs/sections", "unevaluatedProperties": false})");
    out.name("sections");
    out.open('{');
    out.member("type", R"("object")");
    out.name("properties");
    out.open('{');
    write_sections();
    out.close('}');
    out.member("patternProperties", R"({"^x-": {}})");
    out.close('}');
    out.close('}');
    out.close('}');
    return out.take();
}

}  // namespace gyre::config

#pragma once
#include <gyre/config/config.hpp>
#include <limits>

namespace gyre::config {

struct Key;

/// What a value of a configuration may be, for people, editors and tools.
struct Shape {
    enum class Kind : std::uint8_t { any, boolean, integer, number, text, duration, choice, list, map, object };
    Kind kind = Kind::any;
    bool optional = false;   ///< May be null.
    std::string min, max;    ///< "576", "0.5", "10ms"; empty: none. Of an integer at least those of its type.
    bool has_min = false, has_max = false;  ///< They were given, and are not only those of the type.
    std::string standard;    ///< The default as JSON; of an object, what its keys say.
    std::vector<std::string> choices;
    std::vector<Shape> element;  ///< Of a list or a map: one.
    std::vector<Key> keys;       ///< Of an object.
};

struct Key {
    std::string name, unit, about;
    bool live = false;    ///< Counts without a restart; of an object: all in it.
    bool secret = false;  ///< Never shown; of an object: all in it.
    Shape shape;
};

/// A section as it was declared.
struct SectionShape {
    std::string name, module;
    Shape shape;
};

/// What is declared in the document. Runs code of the modules it is declared by.
std::vector<SectionShape> shapes_of(const Document& document);

/// The key at "gate.calls_per_second", "cluster.nodes[2].role" or "cluster.nodes[].role"; null: none.
/// live and secret are also what those around it say.
std::optional<Key> find_key(std::span<const SectionShape> sections, std::string_view path);
/// Calls f with the path of every key that is no object itself: "cluster.nodes[].role".
void each_key(const SectionShape& section, const std::function<void(const std::string& path, const Key&)>& f);

/// For people: "integer", "list of text", "`embedded`, `etcd`".
std::string type_in_words(const Shape& shape);
/// "1 to 64", "at least 10ms"; empty: any of its type.
std::string range_in_words(const Shape& shape);

/// JSON Schema (draft 2020-12) of a file with these sections.
std::string json_schema(std::span<const SectionShape> sections);

namespace detail {

std::string json_text(std::string_view text);
std::string json_number(double value);
/// "1500ms", "5min": the coarsest unit that is exact.
std::string duration_text(Duration value);

template <class T>
inline constexpr bool is_list = !std::is_same_v<T, std::string> && requires(const T& value) {
    typename T::value_type;
    value.begin();
    value.size();
};

template <class T>
std::string json_of(const T& value) {
    if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
    else if constexpr (std::is_integral_v<T>) return std::to_string(value);
    else if constexpr (std::is_floating_point_v<T>) return json_number(static_cast<double>(value));
    else if constexpr (std::is_enum_v<T>) return json_text(enum_name(value));
    else if constexpr (std::is_same_v<T, std::string>) return json_text(value);
    else if constexpr (gyre::detail::is_duration<T>)
        return json_text(duration_text(std::chrono::duration_cast<Duration>(value)));
    else if constexpr (gyre::detail::is_optional<T>) return value.has_value() ? json_of(*value) : "null";
    else if constexpr (Described<T>) {
        std::string out;
        description<T>.each_field([&](const auto& field) {
            constexpr auto member = std::remove_cvref_t<decltype(field)>::pointer;
            out += (out.empty() ? "" : ", ") + json_text(field.name) + ": " + json_of(value.*member);
        });
        return "{" + out + "}";
    } else if constexpr (is_keyed<T>) {
        std::string out;
        for (const auto& [key, element] : value) {
            const std::string name = json_of(key);
            out += (out.empty() ? "" : ", ") + (name.starts_with('"') ? name : json_text(name)) + ": " + json_of(element);
        }
        return "{" + out + "}";
    } else if constexpr (is_list<T>) {
        std::string out;
        for (const auto& element : value) out += (out.empty() ? "" : ", ") + json_of<typename T::value_type>(element);
        return "[" + out + "]";
    } else {
        return "null";
    }
}

template <class T>
Shape shape_of(const T& standard, const gyre::detail::TypesSeen* outer) {
    Shape shape;
    if constexpr (!Described<T>) shape.standard = json_of(standard);
    if constexpr (std::is_same_v<T, bool>) {
        shape.kind = Shape::Kind::boolean;
    } else if constexpr (std::is_integral_v<T>) {
        shape.kind = Shape::Kind::integer;
        shape.min = std::to_string(std::numeric_limits<T>::min());
        shape.max = std::to_string(std::numeric_limits<T>::max());
    } else if constexpr (std::is_floating_point_v<T>) {
        shape.kind = Shape::Kind::number;
    } else if constexpr (std::is_enum_v<T>) {
        shape.kind = Shape::Kind::choice;
        for (const auto name : enum_names<T>())
            if (!name.empty()) shape.choices.emplace_back(name);
    } else if constexpr (std::is_same_v<T, std::string>) {
        shape.kind = Shape::Kind::text;
    } else if constexpr (gyre::detail::is_duration<T>) {
        shape.kind = Shape::Kind::duration;
    } else if constexpr (gyre::detail::is_optional<T>) {
        using Inner = typename T::value_type;
        Shape inner = shape_of<Inner>(standard.has_value() ? *standard : Inner{}, outer);
        inner.optional = true;
        inner.standard = std::move(shape.standard);
        return inner;
    } else if constexpr (Described<T>) {
        shape.kind = Shape::Kind::object;
        if (gyre::detail::seen_before(outer, type_id<T>)) return shape;
        const gyre::detail::TypesSeen here{outer, type_id<T>};
        description<T>.each_field([&](const auto& field) {
            using F = std::remove_cvref_t<decltype(field)>;
            Key& key = shape.keys.emplace_back();
            key.name = field.name;
            key.unit = field.unit;
            key.about = field.about;
            key.live = field.live;
            key.secret = field.secret;
            key.shape = shape_of(standard.*F::pointer, &here);
            using V = gyre::detail::Ranged<typename F::Value>;
            if constexpr (!std::is_void_v<V>) {
                key.shape.has_min = field.bounds.has_min;
                key.shape.has_max = field.bounds.has_max;
                const auto end = [](V value) {
                    if constexpr (gyre::detail::is_duration<V>)
                        return duration_text(std::chrono::duration_cast<Duration>(value));
                    else return json_of(value);
                };
                if (field.bounds.has_min) key.shape.min = end(field.bounds.template min_as<V>());
                if (field.bounds.has_max) key.shape.max = end(field.bounds.template max_as<V>());
            }
        });
    } else if constexpr (is_keyed<T>) {
        shape.kind = Shape::Kind::map;
        shape.element.push_back(shape_of(typename T::mapped_type{}, outer));
    } else if constexpr (is_list<T>) {
        shape.kind = Shape::Kind::list;
        shape.element.push_back(shape_of(typename T::value_type{}, outer));
    }
    return shape;
}

}  // namespace detail

template <class T>
Shape shape_of() {
    return detail::shape_of(T{}, nullptr);
}

template <HasSection T>
inline constexpr Section section{T::config_section, &detail::bind_root<T>, &shape_of<T>};

}  // namespace gyre::config

#pragma once
#include <gyre/codec/codec.hpp>
#include <gyre/config/check.hpp>
#include <span>
#include <string>
#include <vector>

/// How a value of a document becomes one of C++: each field by itself, so that all that is wrong is
/// told at once. What depends on the type is here and small; the rest is in bind.cpp.
namespace gyre::config::detail {

struct Node;
class Binder;
using Bind = void (*)(Binder&, const Node&, void* value);
using Decode = bool (*)(Reader&, void* value);

struct BoundField {
    std::string_view name;
    bool secret;
    Bind bind;  ///< Into the object.
    /// "outside [1, 65535]" when the field of `object` is; also when it is null. Null: no range.
    std::string (*outside)(const void* object);
};
struct BoundStruct {
    std::span<const BoundField> fields;
    Result<> (*validate)(const void* object);  ///< Null: there is none.
};

/// Goes down a document beside the object it becomes, and collects what is wrong.
class Binder {
public:
    virtual void leaf(const Node& node, void* value, Decode decode) = 0;
    virtual void object(const Node& node, void* value, const BoundStruct& type) = 0;
    /// Calls `add` for every pair of an object.
    virtual void pairs(const Node& node, void* map, void (*add)(Binder&, const Node&, void* map)) = 0;
    virtual void elements(const Node& node, void* list, void (*add)(Binder&, const Node&, void* list)) = 0;
    /// The key of a pair. False: told.
    virtual bool key(const Node& node, void* value, Decode decode) = 0;
    virtual bool is_null(const Node& node) const = 0;
    virtual bool is_absent(const Node& node) const = 0;  ///< It only stands for what is not there.

protected:
    ~Binder() = default;
};

template <class T>
inline constexpr bool is_vector = false;
template <class T, class A>
inline constexpr bool is_vector<std::vector<T, A>> = !std::is_same_v<T, bool> && !std::is_same_v<T, std::uint8_t>;
template <class T>
inline constexpr bool is_keyed = requires { typename T::mapped_type; };
/// A number without a unit, which would be nanoseconds, is what nobody means.
bool check_duration(const Reader& reader);

template <class T>
bool decode_leaf(Reader& reader, void* value) {
    if constexpr (gyre::detail::is_duration<T>)
        if (!check_duration(reader)) return reader.expected("a duration such as \"250ms\", \"10s\" or \"5min\"");
    return Codec<T>::decode(reader, *static_cast<T*>(value));
}

template <class T>
void bind_value(Binder& binder, const Node& node, void* value);

template <auto M>
void bind_field(Binder& binder, const Node& node, void* object) {
    using F = Field<M>;
    bind_value<typename F::Value>(binder, node, &(static_cast<typename F::Class*>(object)->*M));
}

template <auto M>
std::string field_outside(const void* object) {
    using V = gyre::detail::Ranged<typename Field<M>::Value>;
    static constexpr Bounds bounds = described_member<M>().bounds;
    if (object && bounds.contains(static_cast<const typename Field<M>::Class*>(object)->*M)) return {};
    if (!bounds.has_max) return "below " + Check::print(bounds.min_as<V>());
    return "outside [" + Check::print(bounds.min_as<V>()) + ", " + Check::print(bounds.max_as<V>()) + "]";
}

template <class T>
consteval auto make_bound_fields() {
    std::array<BoundField, std::remove_cvref_t<decltype(description<T>)>::field_count> out{};
    std::size_t i = 0;
    description<T>.each_field([&](const auto& field) {
        using F = std::remove_cvref_t<decltype(field)>;
        out[i] = {field.name, field.secret, &bind_field<F::pointer>, nullptr};
        if constexpr (!std::is_void_v<gyre::detail::Ranged<typename F::Value>>)
            if (field.bounds.any()) out[i].outside = &field_outside<F::pointer>;
        ++i;
    });
    return out;
}
template <class T>
inline constexpr auto bound_fields = make_bound_fields<T>();

template <class T>
Result<> validate_bound(const void* object) {
    return static_cast<const T*>(object)->validate();
}
template <class T>
consteval BoundStruct make_bound_struct() {
    BoundStruct bound{bound_fields<T>, nullptr};
    if constexpr (requires(const T& value) { value.validate(); }) bound.validate = &validate_bound<T>;
    return bound;
}

template <class Map>
void add_pair(Binder& binder, const Node& node, void* map) {
    typename Map::key_type key{};
    if (!binder.key(node, &key, &decode_leaf<typename Map::key_type>)) return;
    bind_value<typename Map::mapped_type>(binder, node, &(*static_cast<Map*>(map))[std::move(key)]);
}
template <class List>
void add_element(Binder& binder, const Node& node, void* list) {
    bind_value<typename List::value_type>(binder, node, &static_cast<List*>(list)->emplace_back());
}

template <class T>
void bind_value(Binder& binder, const Node& node, void* value) {
    if constexpr (Described<T>) {
        static constexpr BoundStruct bound = make_bound_struct<T>();
        binder.object(node, value, bound);
    } else if constexpr (gyre::detail::is_optional<T>) {
        auto& maybe = *static_cast<T*>(value);
        maybe.reset();
        if (!binder.is_null(node)) bind_value<typename T::value_type>(binder, node, &maybe.emplace());
    } else if constexpr (is_keyed<T>) {
        static_cast<T*>(value)->clear();
        binder.pairs(node, value, &add_pair<T>);
    } else if constexpr (is_vector<T>) {
        static_cast<T*>(value)->clear();
        binder.elements(node, value, &add_element<T>);
    } else {
        binder.leaf(node, value, &decode_leaf<T>);
    }
}

/// value null: only looked at.
template <class T>
void bind_root(Binder& binder, const Node& node, void* value) {
    if (!Described<T> && binder.is_absent(node)) return;
    if (value) return bind_value<T>(binder, node, value);
    T looked_at{};
    bind_value<T>(binder, node, &looked_at);
}

}  // namespace gyre::config::detail

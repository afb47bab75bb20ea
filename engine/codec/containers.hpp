#pragma once
#include <algorithm>
#include <array>
#include <gyre/codec/scalars.hpp>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace gyre {
namespace detail {

/// What one count from outside may reserve before its elements have been seen.
constexpr std::size_t first_reserve(std::size_t count, std::size_t element_bytes) {
    return std::min(count, std::max<std::size_t>(4096 / element_bytes, 4));
}

template <class K>
bool in_key(Reader& r, const K& key, std::size_t ordinal) {
    if constexpr (std::same_as<K, std::string>)
        return r.in_key(key);
    else if constexpr (std::integral<K>)
        return r.in_key(std::to_string(key));
    else if constexpr (std::is_enum_v<K>)
        return r.in_key(enum_name(key));
    else
        return r.in_element(ordinal);
}

/// Addresses of the elements, ordered by key: the same bytes whatever the hash table's order.
template <class C, class KeyOf>
auto sorted(const C& container, KeyOf key_of) {
    std::vector<const typename C::value_type*> out;
    out.reserve(container.size());
    for (const auto& element : container) out.push_back(&element);
    std::sort(out.begin(), out.end(),
              [&](const auto* a, const auto* b) { return key_of(*a) < key_of(*b); });
    return out;
}

template <class T>
inline constexpr bool may_be_nil = std::same_as<T, std::monostate>;
template <class T>
inline constexpr bool may_be_nil<std::optional<T>> = true;

template <class Map>
struct MapCodec {
    using Key = typename Map::key_type;
    using Value = typename Map::mapped_type;
    static void encode_pair(Writer& w, const typename Map::value_type& pair) {
        if constexpr (std::same_as<Key, std::string> && FixedSize<Value> && !std::is_enum_v<Value>) {
            std::uint8_t* at = w.room(pair.first.size() + 5 + Codec<Value>::max_bytes);
            return w.written(Codec<Value>::put(Writer::put_text(at, pair.first), pair.second));
        }
        Codec<Key>::encode(w, pair.first);
        Codec<Value>::encode(w, pair.second);
    }
    static bool decode(Reader& r, Map& map) {
        std::size_t n = 0;
        if (!r.map(n, sizeof(typename Map::value_type))) return false;
        map.clear();
        std::size_t known = 0;
        for (std::size_t i = 0; i < n; ++i) {
            Key key{};
            if (!Codec<Key>::decode(r, key)) return r.in_element(i);
            // Keys mostly come in ascending order.
            const auto at = map.try_emplace(map.end(), std::move(key));
            if (map.size() == known) at->second = Value{};
            known = map.size();
            if (!Codec<Value>::decode(r, at->second)) return in_key(r, at->first, i);
        }
        return true;
    }
};

template <class Set>
struct SetCodec {
    using Key = typename Set::key_type;
    static bool decode(Reader& r, Set& set) {
        std::size_t n = 0;
        if (!r.array(n, sizeof(Key))) return false;
        set.clear();
        for (std::size_t i = 0; i < n; ++i) {
            Key key{};
            if (!Codec<Key>::decode(r, key)) return r.in_element(i);
            set.insert(std::move(key));
        }
        return true;
    }
};

template <class Tuple>
struct TupleCodec {
    static constexpr std::size_t size = std::tuple_size_v<Tuple>;
    static void encode(Writer& w, const Tuple& tuple) {
        w.array(size);
        std::apply(
            [&](const auto&... v) { (Codec<std::remove_cvref_t<decltype(v)>>::encode(w, v), ...); },
            tuple);
    }
    static bool decode(Reader& r, Tuple& tuple) {
        if (!r.exact_array(size)) return false;
        std::uint64_t i = 0;
        return std::apply(
            [&](auto&... v) {
                return ((Codec<std::remove_cvref_t<decltype(v)>>::decode(r, v) ? (++i, true)
                                                                               : r.in_element(i)) &&
                        ...);
            },
            tuple);
    }
};
}  // namespace detail

template <Serializable T, class A>
struct Codec<std::vector<T, A>> {
    static std::size_t most_bytes(const std::vector<T, A>& values)
        requires FixedSize<T>
    {
        return 5 + values.size() * Codec<T>::max_bytes;
    }
    static std::uint8_t* put(std::uint8_t* to, const std::vector<T, A>& values)
        requires FixedSize<T>
    {
        to = Writer::put_array(to, values.size());
        for (const auto& value : values) to = Codec<T>::put(to, value);
        return to;
    }
    static void encode(Writer& w, const std::vector<T, A>& values) {
        if constexpr (FixedSize<T> && !std::is_enum_v<T>)
            return w.written(put(w.room(most_bytes(values)), values));
        w.array(values.size());
        for (const auto& value : values) Codec<T>::encode(w, value);
    }
    static bool decode(Reader& r, std::vector<T, A>& values) {
        std::size_t n = 0;
        if (!r.array(n, sizeof(T))) return false;
        if constexpr (std::integral<T> && !std::same_as<T, bool>) {
            values.resize(n);  // n elements take at least n of the bytes that are there
            std::size_t read = 0;
            return r.integers(values.data(), n, read) || r.in_element(read);
        }
        values.clear();
        values.reserve(detail::first_reserve(n, sizeof(T)));
        for (std::size_t i = 0; i < n; ++i) {
            if constexpr (std::same_as<T, bool>) {
                bool value = false;
                if (!r.boolean(value)) return r.in_element(i);
                values.push_back(value);
            } else if (!Codec<T>::decode(r, values.emplace_back())) {
                return r.in_element(i);
            }
        }
        return true;
    }
};

template <Serializable T, std::size_t N>
struct Codec<std::array<T, N>> {
    static void encode(Writer& w, const std::array<T, N>& values) {
        w.array(N);
        for (const auto& value : values) Codec<T>::encode(w, value);
    }
    static bool decode(Reader& r, std::array<T, N>& values) {
        if (!r.exact_array(N)) return false;
        for (std::size_t i = 0; i < N; ++i)
            if (!Codec<T>::decode(r, values[i])) return r.in_element(i);
        return true;
    }
};

template <Serializable T>
struct Codec<std::optional<T>> {
    static std::size_t most_bytes(const std::optional<T>& value)
        requires Puttable<T>
    {
        return value ? detail::most_bytes<T>(*value) : 1;
    }
    static std::uint8_t* put(std::uint8_t* to, const std::optional<T>& value)
        requires Puttable<T>
    {
        if (value) return Codec<T>::put(to, *value);
        *to = 0xc0;
        return to + 1;
    }
    static_assert(!detail::may_be_nil<T>,
                  "gyre: an optional of what may itself be nil is ambiguous");
    static void encode(Writer& w, const std::optional<T>& value) {
        if (value)
            Codec<T>::encode(w, *value);
        else
            w.nil();
    }
    static bool decode(Reader& r, std::optional<T>& value) {
        value.reset();
        return r.nil() || Codec<T>::decode(r, value.emplace());
    }
};

/// [index of the alternative, its value]
template <Serializable... T>
struct Codec<std::variant<T...>> {
    using V = std::variant<T...>;
    static void encode(Writer& w, const V& value) {
        w.array(2);
        w.unsigned_integer(value.index());
        std::visit([&](const auto& v) { Codec<std::remove_cvref_t<decltype(v)>>::encode(w, v); },
                   value);
    }
    static bool decode(Reader& r, V& value) {
        std::size_t index = 0;
        if (!r.exact_array(2) || !r.integer(index)) return false;
        if (index >= sizeof...(T))
            return r.fail("expected alternative in [0, " + std::to_string(sizeof...(T) - 1) +
                          "], found " + std::to_string(index));
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            return ((I == index && Codec<T>::decode(r, value.template emplace<I>())) || ...);
        }(std::index_sequence_for<T...>());
    }
};

template <Serializable K, Serializable V, class L, class A>
struct Codec<std::map<K, V, L, A>> : detail::MapCodec<std::map<K, V, L, A>> {
    static void encode(Writer& w, const std::map<K, V, L, A>& map) {
        w.map(map.size());
        for (const auto& pair : map) Codec::encode_pair(w, pair);
    }
};

template <Serializable K, Serializable V, class H, class E, class A>
struct Codec<std::unordered_map<K, V, H, E, A>>
    : detail::MapCodec<std::unordered_map<K, V, H, E, A>> {
    static void encode(Writer& w, const std::unordered_map<K, V, H, E, A>& map) {
        w.map(map.size());
        for (const auto* pair :
             detail::sorted(map, [](const auto& p) -> const K& { return p.first; }))
            Codec::encode_pair(w, *pair);
    }
};

template <Serializable K, class L, class A>
struct Codec<std::set<K, L, A>> : detail::SetCodec<std::set<K, L, A>> {
    static void encode(Writer& w, const std::set<K, L, A>& set) {
        w.array(set.size());
        for (const auto& key : set) Codec<K>::encode(w, key);
    }
};

template <Serializable K, class H, class E, class A>
struct Codec<std::unordered_set<K, H, E, A>> : detail::SetCodec<std::unordered_set<K, H, E, A>> {
    static void encode(Writer& w, const std::unordered_set<K, H, E, A>& set) {
        w.array(set.size());
        for (const auto* key : detail::sorted(set, [](const K& k) -> const K& { return k; }))
            Codec<K>::encode(w, *key);
    }
};

template <Serializable A, Serializable B>
struct Codec<std::pair<A, B>> : detail::TupleCodec<std::pair<A, B>> {};
template <Serializable... T>
struct Codec<std::tuple<T...>> : detail::TupleCodec<std::tuple<T...>> {};

}  // namespace gyre

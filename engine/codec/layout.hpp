#pragma once
#include <array>
#include <bit>
#include <gyre/codec/containers.hpp>
#include <gyre/codec/describe.hpp>

namespace gyre {
namespace detail {

template <class T>
consteval std::string_view type_name() {
    std::string_view text = __PRETTY_FUNCTION__;
    text = text.substr(text.find("T = ") + 4);
    return text.substr(0, text.rfind(']'));
}

template <auto M>
std::size_t offset_of() {
    constexpr auto member = M;
    return static_cast<std::size_t>(std::bit_cast<std::ptrdiff_t>(member));
}

struct TypesSeen {
    const TypesSeen* outer;
    std::uint64_t type;
};
constexpr bool seen_before(const TypesSeen* seen, std::uint64_t type) {
    for (; seen; seen = seen->outer)
        if (seen->type == type) return true;
    return false;
}

// ---- layout

template <class T>
std::uint64_t layout(const TypesSeen* outer);

/// A template is named without its arguments: these are types of their own.
template <class T>
struct LayoutOf {
    static std::uint64_t hash(const TypesSeen*) { return fnv1a(type_name<T>()); }
};
template <template <class...> class C, class... P>
struct LayoutOf<C<P...>> {
    static std::uint64_t hash(const TypesSeen* outer) {
        constexpr std::string_view name = type_name<C<P...>>();
        std::uint64_t hash = fnv1a(name.substr(0, name.find('<')));
        const auto part = [&]<class X>(std::type_identity<X>) {
            if constexpr (Serializable<X>) {
                hash = mix(hash ^ layout<X>(outer));
            } else {  // an order, an allocator
                constexpr std::string_view kind = type_name<X>();
                hash = mix(hash ^ fnv1a(kind.substr(0, kind.find('<'))));
            }
        };
        (part(std::type_identity<P>{}), ...);
        return hash;
    }
};
template <class E>
struct LayoutOf<Id<E>> {
    static std::uint64_t hash(const TypesSeen*) { return fnv1a(type_name<Id<E>>()); }
};
template <class T, std::size_t N>
struct LayoutOf<std::array<T, N>> {
    static std::uint64_t hash(const TypesSeen* outer) { return mix(N ^ layout<T>(outer)); }
};

template <class T>
std::uint64_t layout(const TypesSeen* outer) {
    std::uint64_t hash = sizeof(T) << 8 ^ alignof(T);
    if constexpr (Described<T>) {
        hash = mix(hash ^ type_id<T>);
        if (seen_before(outer, type_id<T>)) return hash;
        const TypesSeen here{outer, type_id<T>};
        description<T>.each_field([&](const auto& f) {
            using F = std::remove_cvref_t<decltype(f)>;
            hash = mix(hash ^ fnv1a(f.name));
            hash = mix(hash ^ offset_of<F::pointer>());
            hash = mix(hash ^ layout<typename F::Value>(&here));
        });
        return hash;
    } else {
        return mix(hash ^ LayoutOf<T>::hash(outer));
    }
}

// ---- code kept in values: what has `void gyre_adopt()` keeps functions of the build that made it

template <class T>
concept KeepsCode = requires(T& value) { value.gyre_adopt(); };
template <class T>
struct Elements {};
template <template <class...> class C, class... P>
struct Elements<C<P...>> {
    template <class F>
    static void each_type(F&& f) {
        (f(std::type_identity<P>{}), ...);
    }
};
template <class T, std::size_t N>
struct Elements<std::array<T, N>> {
    template <class F>
    static void each_type(F&& f) {
        f(std::type_identity<T>{});
    }
};
/// Worth a function that looks: numbers, text and times never keep any.
template <class T>
inline constexpr bool may_hold_code =
    KeepsCode<T> || Described<T> || (std::is_class_v<T> && requires { Elements<T>::each_type([](auto) {}); });
template <class R, class P>
inline constexpr bool may_hold_code<std::chrono::duration<R, P>> = false;
template <class C, class D>
inline constexpr bool may_hold_code<std::chrono::time_point<C, D>> = false;
template <class C, class Tr, class A>
inline constexpr bool may_hold_code<std::basic_string<C, Tr, A>> = false;
template <class E>
inline constexpr bool may_hold_code<Id<E>> = false;

template <class T>
bool holds_code(const TypesSeen* outer = nullptr) {
    if constexpr (KeepsCode<T>) {
        return true;
    } else if constexpr (!may_hold_code<T>) {
        return false;
    } else if constexpr (Described<T>) {
        if (seen_before(outer, type_id<T>)) return false;
        const TypesSeen here{outer, type_id<T>};
        bool any = false;
        description<T>.each_field([&](const auto& f) {
            any |= holds_code<typename std::remove_cvref_t<decltype(f)>::Value>(&here);
        });
        return any;
    } else {
        bool any = false;
        Elements<T>::each_type([&]<class X>(std::type_identity<X>) {
            if constexpr (Serializable<X>) any |= holds_code<X>(outer);
        });
        return any;
    }
}

template <class T>
void adopt_code(T& value) {
    if constexpr (KeepsCode<T>) {
        value.gyre_adopt();
    } else if constexpr (!may_hold_code<T>) {
        return;
    } else if constexpr (Described<T>) {
        description<T>.each_field([&](const auto& f) {
            using F = std::remove_cvref_t<decltype(f)>;
            if constexpr (may_hold_code<typename F::Value>) adopt_code(value.*F::pointer);
        });
    } else if constexpr (requires { value.has_value(), *value; }) {
        if (value) adopt_code(*value);
    } else if constexpr (requires { std::visit([](auto&) {}, value); }) {
        std::visit([](auto& one) { adopt_code(one); }, value);
    } else if constexpr (requires { typename T::mapped_type; }) {
        for (auto& [key, one] : value) adopt_code(one);
    } else if constexpr (requires { typename T::key_type; }) {
        return;  // a set: its elements are compared, and constant
    } else if constexpr (requires { value.begin(), value.end(); }) {
        if constexpr (!std::is_same_v<T, std::vector<bool>>)
            for (auto& one : value) adopt_code(one);
    } else if constexpr (requires { std::tuple_size<T>::value; }) {
        std::apply([](auto&... one) { (adopt_code(one), ...); }, value);
    }
}
}  // namespace detail

/// Hash of how a T lies in memory: names, types, offsets, sizes, alignments, nested. Equal in two
/// builds means an object of one may be used as is by the other.
template <class T>
std::uint64_t layout_hash() {
    return detail::layout<T>(nullptr);
}

}  // namespace gyre

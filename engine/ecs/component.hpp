#pragma once
#include <gyre/base/hash.hpp>
#include <gyre/ecs/state_hash.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gyre::ecs {

/// fnv1a of the component's name: the same in every build and module.
using ComponentId = std::uint64_t;

namespace detail {
template <class T>
concept HasEcsName = requires { std::string_view(T::ecs_name); };
/// An inherited describe() names another type.
template <class T>
concept HasDescribedName =
    requires { std::string_view(T::describe().name); } &&
    (!requires { typename decltype(T::describe())::Type; } ||
     requires { requires std::is_same_v<typename decltype(T::describe())::Type, T>; });
}  // namespace detail

/// A plain type with a name: `static constexpr std::string_view ecs_name = "position";`, or a
/// described type. Moves must not throw. An empty type is a tag and takes no memory.
template <class T>
concept Component = std::is_class_v<T> && !std::is_const_v<T> &&
                    std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T> &&
                    alignof(T) <= 64 && (detail::HasEcsName<T> || detail::HasDescribedName<T>);

template <Component T>
constexpr std::string_view component_name() {
    if constexpr (detail::HasEcsName<T>) {
        return T::ecs_name;
    } else {
        return T::describe().name;
    }
}

template <Component T>
inline constexpr ComponentId component_id = fnv1a(component_name<T>());

namespace detail {

template <std::size_t size>
struct RawBytes {
    signed char bytes[size];
};
template <bool>
struct True {};

/// Every byte of T belongs to a value and none to an address, as far as a constant can show: a bit
/// cast to signed char is no constant expression when it meets padding or pointers.
template <class T>
concept PlainBytes =
    std::is_trivially_copyable_v<T> &&
    (requires { typename True<(__builtin_bit_cast(RawBytes<sizeof(T)>, T{}), true)>; } ||
     (std::has_unique_object_representations_v<T> && !requires { typename True<(T{}, true)>; }));

template <class T>
concept HashesItself = requires(const T& value, StateHasher& hasher) { value.hash(hasher); };

/// What storage must know about a component type.
struct ComponentType {
    ComponentId id;
    std::string_view name;
    std::uint32_t size;  ///< 0 for tags.
    std::uint32_t align;
    void (*relocate)(void* to, void* from, std::size_t count) noexcept;  ///< null: memcpy.
    void (*destroy)(void* first, std::size_t count) noexcept;            ///< null: nothing to do.
    void (*hash)(StateHasher&, const void* first, std::size_t count);  ///< null: cannot be hashed.
};

template <class T>
void relocate_values(void* to, void* from, std::size_t count) noexcept {
    auto* target = static_cast<T*>(to);
    auto* source = static_cast<T*>(from);
    for (std::size_t i = 0; i < count; ++i) {
        new (target + i) T(std::move(source[i]));
        source[i].~T();
    }
}

template <class T>
void destroy_values(void* first, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) static_cast<T*>(first)[i].~T();
}

template <class T>
void hash_values(StateHasher& hasher, const void* first, std::size_t count) {
    if constexpr (HashesItself<T>) {
        for (std::size_t i = 0; i < count; ++i) static_cast<const T*>(first)[i].hash(hasher);
    } else if constexpr (!std::is_empty_v<T>) {
        hasher.bytes(first, count * sizeof(T));
    }
}

template <Component T>
constexpr ComponentType component_type() {
    constexpr bool tag = std::is_empty_v<T>;
    static_assert(!tag || std::is_trivially_copyable_v<T>,
                  "gyre: a tag has no state and no behaviour");
    ComponentType type{component_id<T>,
                       component_name<T>(),
                       tag ? 0u : std::uint32_t{sizeof(T)},
                       std::uint32_t{alignof(T)},
                       nullptr,
                       nullptr,
                       nullptr};
    if constexpr (!std::is_trivially_copyable_v<T>) type.relocate = &relocate_values<T>;
    if constexpr (!std::is_trivially_destructible_v<T>) type.destroy = &destroy_values<T>;
    if constexpr (tag || HashesItself<T> || PlainBytes<T>) type.hash = &hash_values<T>;
    return type;
}

}  // namespace detail
}  // namespace gyre::ecs
